"""Stage 3, buffer: what waits and what may go; kept until the server has proved that it has it."""
