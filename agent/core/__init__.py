"""Pure rules and formats, values in and values out; the same code runs under CPython and MicroPython."""
