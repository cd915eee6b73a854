"""Stage 8, console: people look, and looking is recorded."""
