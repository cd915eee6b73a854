"""Stage 4, uplink: what waits goes out, receipts come in; late, doubled and lost messages change nothing in the end."""
