"""Runs a compiled check from a ROM image, as a board runs its code from flash: only what the code makes lies in the heap."""

# mypy: ignore-errors
# Of MicroPython alone: CPython has neither these modules nor these figures.

import gc
import os
import sys

import vfs

image = bytearray(os.stat(sys.argv[1])[6])
with open(sys.argv[1], "rb") as rom:
    rom.readinto(image)
vfs.mount(vfs.VfsRom(image), "/rom")
sys.path[:] = ["/rom"]
gc.threshold(1024)  # tidy up early: in a small heap what is scattered is as good as gone
__import__(sys.argv[2]).main(sys.argv[3:])
gc.collect()
print("heap", gc.mem_alloc() - len(image), gc.mem_free())
