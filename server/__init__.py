"""The server: uplink ⇢ ingest → ledger → store → console."""
