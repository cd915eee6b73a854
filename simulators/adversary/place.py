"""Where forgers work: a folder in memory where there is one, because nothing here is about what a disk does."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 — a folder of our own is made below it, as tempfile makes them


@contextmanager
def workplace() -> Iterator[Path]:
    """A new folder, gone afterwards."""
    where = MEMORY if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="zhilu-adversary-", dir=where) as name:
        yield Path(name)
