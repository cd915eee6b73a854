"""Open a package, folder or .zip, without believing anything that it says about itself.

Rules:
- Names are those that a package can have: letters, digits, `.`, `_`, `-` and `/`; no `..`, no absolute names, no two that differ
  in case only. Links and devices are not followed. What else lies there is a fault and is never opened.
- Sizes and counts are bounded before anything is read; a file is read to exactly the size that was listed, or it is a fault.
- Files that operating systems strew about (`.DS_Store`, `Thumbs.db` …) are named and left alone: whoever looked into the folder
  did not tamper with it.

What the files should be is `manifest`'s business.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from .errors import MisfitError, MissingError, NotAPackageError, UnreadableError

MAX_FILES = 100_000
MAX_DEPTH = 6
PIECE = 1 << 20
"""Bytes read at once: large enough that the calls cost nothing, small enough to stay in a core's cache."""

_NAME = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}/){0,5}[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_LITTER = re.compile(r"(?:.*/)?(?:\.DS_Store|\._[^/]*|Thumbs\.db|desktop\.ini)|__MACOSX/.*")
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)


class Reader(Protocol):
    """A file of the package, open for reading."""

    def readinto(self, buffer: memoryview, /) -> int | None: ...

    def seek(self, offset: int, /) -> int: ...

    def close(self) -> None: ...


class Bag:
    """The files of a package: `files` name → size, `faults` (place, message), `litter` names."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.files: dict[str, int] = {}
        self.faults: list[tuple[str, str]] = []
        self.litter: list[str] = []
        self._folded: dict[str, str] = {}

    def add(self, name: str, size: int) -> bool:
        """List a file; False when its name is refused (and noted as a fault or as litter)."""
        if _LITTER.fullmatch(name):
            self.litter.append(name)
            return False
        if not _NAME.fullmatch(name):
            self.fault(name, "a name that no file of a package has")
            return False
        other = self._folded.setdefault(name.lower(), name)
        if name in self.files or other != name:
            self.fault(name, "two files under this name" if other == name else f"differs from {other} in case only")
            return False
        self.files[name] = size
        return True

    def fault(self, place: str, message: str) -> None:
        """Note what no package has."""
        if len(self.faults) < MAX_FILES:
            self.faults.append((place, message))

    def seekable(self, name: str) -> bool:
        """Whether several readers may each begin in the middle."""
        return name in self.files

    def open(self, name: str) -> Reader:
        """Open a listed file; MissingError when it is not there."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of what is open."""

    def pieces(self, name: str, buffer: memoryview) -> Iterator[memoryview]:
        """The file's bytes, piece by piece, in one buffer; MisfitError when it is not as long as was listed."""
        left = self.size(name)
        reader = self.open(name)
        try:
            while left:
                piece = buffer[: min(left, len(buffer))]
                fill(reader, piece, name)
                left -= len(piece)
                yield piece
        finally:
            reader.close()

    def size(self, name: str) -> int:
        """Bytes of a listed file; MissingError when it is not there."""
        try:
            return self.files[name]
        except KeyError:
            raise MissingError(name, "the file is not there") from None

    def read(self, name: str, limit: int) -> bytes:
        """A whole small file; MisfitError when it is larger than a file of its kind can be."""
        size = self.size(name)
        if size > limit:
            raise MisfitError(name, f"at most {limit} bytes are expected here, the file has {size}")
        return b"".join([bytes(piece) for piece in self.pieces(name, memoryview(bytearray(min(PIECE, size or 1))))])

    def text(self, name: str, limit: int) -> str:
        """A whole small file of strict UTF-8."""
        try:
            return self.read(name, limit).decode()
        except UnicodeDecodeError as e:
            raise MisfitError(name, f"not UTF-8 at byte {e.start}") from e


def fill(reader: Reader, buffer: memoryview, name: str) -> None:
    """Fill the buffer to its end; MisfitError when the file ends before."""
    done = 0
    try:
        while done < len(buffer):
            got = reader.readinto(buffer[done:])
            if not got:
                raise MisfitError(name, "the file ends before the size that was listed")
            done += got
    except OSError as e:
        raise UnreadableError(f"{name}: {e.strerror or e}") from e


class FolderBag(Bag):
    """A package that lies in a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self._folder = folder
        try:
            self._list(folder, "", 1)
        except OSError as e:
            raise UnreadableError(f"{e.filename or folder}: {e.strerror or e}") from e

    def _list(self, folder: Path, prefix: str, depth: int) -> None:
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda e: e.name)
        for entry in listed:
            name = prefix + entry.name
            mode = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(mode.st_mode):
                if depth == MAX_DEPTH:
                    self.fault(name, "folders deeper than a package has")
                elif entry.name != "__MACOSX":
                    self._list(folder / entry.name, name + "/", depth + 1)
            elif not stat.S_ISREG(mode.st_mode):
                self.fault(name, "a link or a device, not a file")
            elif len(self.files) == MAX_FILES:
                raise NotAPackageError(f"{self.label}: more than {MAX_FILES} files")
            else:
                self.add(name, mode.st_size)

    def open(self, name: str) -> Reader:
        self.size(name)
        try:
            handle = os.open(self._folder / name, _OPEN_FLAGS)
        except OSError as e:
            raise UnreadableError(f"{name}: {e.strerror or e}") from e
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise MisfitError(name, "the file turned into something else while it was read")
        return os.fdopen(handle, "rb", buffering=0)
