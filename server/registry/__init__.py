"""Who there is: devices, what the ledger says of them, and what they last said of themselves."""
