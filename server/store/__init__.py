"""Stage 7, store: bytes and catalogue rows in, bytes and answers out."""
