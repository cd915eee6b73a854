"""What `make torture` tries: a module a room, a function a row or a few, listed in `ROWS`; each runs by itself with the same seed."""
