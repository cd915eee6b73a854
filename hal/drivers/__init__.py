"""One driver module per library, named after it."""
