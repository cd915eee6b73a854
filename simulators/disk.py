"""A disk in memory that forgets what was not synced, fills up, and fails when it is told to.

Rules, the strictest that POSIX allows:
- Bytes are durable after `sync` of their file, names after `sync_folder` of their folder; a power cut undoes all else. Of what
  was appended since the last sync the first `torn` bytes of each file may have reached the disk all the same.
- Errors are OSError with the errno that the kernel gives. An append that does not fit leaves the part that did.

`calls` lists what was done, so that a test can cut after each one.
"""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class _Node:
    """A file's bytes now, and as they are on the disk; `data` is None for a folder."""

    def __init__(self, *, folder: bool = False) -> None:
        self.folder = folder
        self.data = bytearray()
        self.synced = b""


class MemoryFiles:
    """`hal.contracts.Files` in memory, `capacity` bytes large. The root folder is there; everything else is made."""

    def __init__(self, capacity: int = 1 << 30) -> None:
        self._lock = threading.RLock()
        self._names: dict[Path, _Node] = {Path("/"): _Node(folder=True)}
        self._durable = dict(self._names)
        self._capacity = capacity
        self._failing: dict[int, int] = {}
        self.calls: list[tuple[str, Path]] = []

    # ---------------------------------------------------------------- what a test does to it

    def cut(self, torn: int = 0) -> None:
        """The power fails and comes back: only what was durable is there."""
        with self._lock:
            self._names = {path: node for path, node in self._durable.items() if self._anchored(path)}
            for node in self._names.values():
                kept = bytes(node.data[len(node.synced) :][:torn]) if node.data[: len(node.synced)] == node.synced else b""
                node.data = bytearray(node.synced + kept)
            self._failing = {}

    def fail(self, call: int, code: int) -> None:
        """The `call`-th call from now (0: the next one) fails with that errno and changes nothing."""
        self._failing[len(self.calls) + call] = code

    # ---------------------------------------------------------------- hal.contracts.Files

    def append(self, path: Path, data: bytes) -> int:
        """Append; where the bytes begin."""
        with self._lock:
            self._begin("append", path)
            node = self._create(path)
            offset = len(node.data)
            room = self._capacity - self._used()
            node.data += data[: max(room, 0)]
            if room < len(data):
                raise _error(errno.ENOSPC, path)
            return offset

    def sync(self, path: Path) -> None:
        """The file's bytes become durable."""
        with self._lock:
            self._begin("sync", path)
            node = self._file(path)
            node.synced = bytes(node.data)

    def sync_folder(self, path: Path) -> None:
        """The folder's names become durable."""
        with self._lock:
            self._begin("sync_folder", path)
            if not self._found(path).folder:
                raise _error(errno.ENOTDIR, path)
            self._durable = {name: node for name, node in self._durable.items() if name.parent != path or name == path}
            self._durable |= {name: node for name, node in self._names.items() if name.parent == path}

    def replace(self, path: Path, data: bytes) -> None:
        """The old content or the new one."""
        with self._lock:
            self._begin("replace", path)
            self._parent(path)
            if len(data) > self._capacity - self._used():
                raise _error(errno.ENOSPC, path)
            node = _Node()
            node.data, node.synced = bytearray(data), bytes(data)
            self._names[path] = self._durable[path] = node

    def truncate(self, path: Path, size: int) -> None:
        """Cut, or lengthen with zeros."""
        with self._lock:
            self._begin("truncate", path)
            node = self._file(path)
            node.data = node.data[:size] + bytes(max(size - len(node.data), 0))

    def rename(self, source: Path, target: Path) -> None:
        """A new name, in place of what had it."""
        with self._lock:
            self._begin("rename", source)
            self._found(source)
            self._parent(target)
            for name in [name for name in self._names if name == source or source in name.parents]:
                self._names[target / name.relative_to(source)] = self._names.pop(name)

    def remove(self, path: Path) -> None:
        """The name goes."""
        with self._lock:
            self._begin("remove", path)
            self._file(path)
            del self._names[path]

    def make_folder(self, path: Path) -> None:
        """The folder and its parents, durable."""
        with self._lock:
            self._begin("make_folder", path)
            for folder in [*reversed(path.parents), path]:
                node = self._names.setdefault(folder, _Node(folder=True))
                if not node.folder:
                    raise _error(errno.EEXIST if folder == path else errno.ENOTDIR, folder)
                self._durable.setdefault(folder, node)

    def read(self, path: Path, offset: int = 0, length: int = -1) -> bytes:
        """What is there now."""
        with self._lock:
            data = self._file(path).data
            return bytes(data[offset:] if length < 0 else data[offset : offset + length])

    def size(self, path: Path) -> int:
        """Bytes now."""
        with self._lock:
            return len(self._file(path).data)

    def list(self, path: Path) -> Sequence[str]:
        """Names now."""
        with self._lock:
            if path in self._names and not self._names[path].folder:
                raise _error(errno.ENOTDIR, path)
            return sorted(name.name for name in self._names if name.parent == path and name != path)

    def free_bytes(self, path: Path) -> int:
        """Room left."""
        with self._lock:
            self._found(path)
            return max(self._capacity - self._used(), 0)

    # ---------------------------------------------------------------- inside

    def _begin(self, call: str, path: Path) -> None:
        number = len(self.calls)
        self.calls.append((call, path))
        if number in self._failing:
            raise _error(self._failing.pop(number), path)

    def _used(self) -> int:
        return sum(len(node.data) for node in self._names.values())

    def _anchored(self, path: Path) -> bool:
        return all(folder in self._durable for folder in path.parents)

    def _found(self, path: Path) -> _Node:
        if path not in self._names:
            raise _error(errno.ENOENT, path)
        return self._names[path]

    def _file(self, path: Path) -> _Node:
        node = self._found(path)
        if node.folder:
            raise _error(errno.EISDIR, path)
        return node

    def _parent(self, path: Path) -> None:
        if not self._found(path.parent).folder:
            raise _error(errno.ENOTDIR, path)

    def _create(self, path: Path) -> _Node:
        self._parent(path)
        node = self._names.setdefault(path, _Node())
        if node.folder:
            raise _error(errno.EISDIR, path)
        return node


def _error(code: int, path: Path) -> OSError:
    """As the kernel's: OSError picks FileNotFoundError and the like by the code."""
    return OSError(code, os.strerror(code), str(path))
