"""Writes files so that they are there whole or not at all: beside, sync, rename (or link), sync the folder.

Private keys get mode 600 before they hold a byte. `claim` is for names that count something: it fails where the name is taken already,
also by another process at the same moment.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PUBLIC = 0o644
PRIVATE = 0o600


def write(path: Path, data: bytes | str, mode: int = PUBLIC) -> None:
    """Put the file in its place, durably, over an older one."""
    with _beside(path, data, mode) as beside:
        beside.rename(path)


def claim(path: Path, data: bytes | str, mode: int = PUBLIC) -> None:
    """Put the file in its place, durably; FileExistsError where there is one, which stays as it is."""
    with _beside(path, data, mode) as beside:
        os.link(beside, path)


def text(members: Mapping[str, object]) -> str:
    """JSON for people and programs: indented, ended by a newline."""
    return json.dumps(members, ensure_ascii=False, indent=2) + "\n"


def folder(path: Path, mode: int = 0o755) -> Path:
    """Make a folder and what is above it."""
    path.mkdir(mode=mode, parents=True, exist_ok=True)
    return path


@contextmanager
def _beside(path: Path, data: bytes | str, mode: int) -> Iterator[Path]:
    content = data.encode() if isinstance(data, str) else data
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield beside
    finally:
        beside.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
