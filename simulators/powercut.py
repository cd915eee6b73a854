"""A disk in memory that can lose its power: `hal.contracts.Files` that knows what is durable and what only seems so.

Rules (POSIX, and what ext4 and cheap cards really do):
- Written bytes are durable after `sync` of their file, names after `sync_folder` of their folder; nothing before that.
- At a cut each unsynced write may be kept, dropped, or torn: cut off anywhere, with pages of 4 KiB that read as zeros. Each
  unsynced name (created, renamed, removed) was done or not, independently of the others; a rename is never half.
- After a cut every operation raises PowerCut; `after_cut` is the disk that the next start finds.
- A `skip` function makes chosen syncs do nothing: a card that lies, or a program that forgot one.
- A `fault` function gives chosen operations an errno (EIO, ENOSPC, EROFS); a full disk takes what still fits, as write(2) does.

Every operation that changes the disk is counted, and noted when `record` is set, so that each prefix can be tried.
"""

from __future__ import annotations

import errno
import os
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from simulators.errors import SimulatorError

PAGE = 4096
NO_LIMIT = 1 << 60


class PowerCut(SimulatorError):
    """The power is gone: nothing can be read or written until the next start."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One call that changes the disk, or makes a change durable. `target` is a rename's, `size` a truncation's."""

    name: str
    path: Path
    data: bytes = b""
    size: int = 0
    target: Path | None = None


class _Content:
    """A file's bytes as they are read: the first `durable` of them are on the disk, and behind these `cut_off` still is.

    `cut_off` is what a truncation took away that is not durable itself yet.
    """

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)
        self.durable = len(data)
        self.cut_off = b""

    @property
    def length(self) -> int:
        return len(self.data)

    @property
    def unsynced(self) -> int:
        """Bytes that a cut may take."""
        return len(self.data) - self.durable

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self.data[offset:] if length < 0 else self.data[offset : offset + length])

    def append(self, data: bytes) -> None:
        self.data += data

    def truncate(self, size: int) -> None:
        if size < self.durable:
            self.cut_off = bytes(self.data[size : self.durable]) + self.cut_off
            self.durable = size
        del self.data[size:]

    def sync(self) -> None:
        self.durable, self.cut_off = len(self.data), b""

    def survive(self, fate: Callable[[bytes], bytes], truncated: Callable[[], bool]) -> _Content:
        """What is on the disk after a cut: the durable bytes, and what `fate` leaves of the others."""
        kept = bytes(self.data[: self.durable])
        if self.cut_off and not truncated():
            return _Content(kept + self.cut_off)
        added = bytes(self.data[self.durable :])
        return _Content(kept + fate(added) if added else kept)


_Names = dict[Path, _Content]


@dataclass(slots=True)
class _NameChange:
    """A name that was given or taken away and is not durable yet: `folders` are those whose sync makes it so."""

    folders: set[Path]
    apply: Callable[[_Names], object]


def drop(_data: bytes) -> bytes:
    """Fate of unsynced bytes: nothing of them reached the disk."""
    return b""


def keep(data: bytes) -> bytes:
    """Fate of unsynced bytes: all of them reached the disk."""
    return data


def tear(chance: random.Random) -> Callable[[bytes], bytes]:
    """Fate of unsynced bytes: kept, dropped, cut off anywhere, or cut off with pages that were never written."""

    def fate(data: bytes) -> bytes:
        choice = chance.randrange(4)
        if choice < 2:
            return data if choice else b""
        piece = bytearray(data[: chance.randint(0, len(data))])
        if choice == 3:
            for page in range(0, len(piece), PAGE):
                if chance.random() < 0.5:
                    piece[page : page + PAGE] = bytes(len(piece[page : page + PAGE]))
        return bytes(piece)

    return fate


@dataclass(slots=True)
class SimulatedFiles:
    """`hal.contracts.Files` in memory. `cut_at` counts operations: the one with that number is torn and the power is gone."""

    capacity: int = NO_LIMIT
    cut_at: int | None = None
    skip: Callable[[Operation], bool] | None = None
    fault: Callable[[Operation], int | None] | None = None
    record: bool = False
    operations: list[Operation] = field(default_factory=list)
    count: int = 0
    powered: bool = True
    _names: _Names = field(default_factory=dict)
    _durable: _Names = field(default_factory=dict)
    _changes: list[_NameChange] = field(default_factory=list)
    _folders: set[Path] = field(default_factory=set)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    # ------------------------------------------------------------------ power

    def cut(self) -> None:
        """Take the power away now."""
        self.powered = False

    def after_cut(self, seed: int | None = None, *, fate: Callable[[bytes], bytes] = drop) -> SimulatedFiles:
        """The disk that the next start finds; this one is not changed.

        Without a seed `fate` decides about unsynced bytes, and unsynced names are lost (for `keep`: done). With a seed each
        is decided by chance.
        """
        with self._lock:
            chance = random.Random(seed)  # noqa: S311 — faults are chosen by a seed so that they can be made again
            bytes_fate = fate if seed is None else tear(chance)

            def done() -> bool:
                return fate is keep if seed is None else chance.random() < 0.5

            names = dict(self._durable)
            for change in self._changes:
                if done():
                    change.apply(names)
            next_disk = SimulatedFiles(capacity=self.capacity)
            survivors: dict[int, _Content] = {}
            for path, content in sorted(names.items()):
                if id(content) not in survivors:
                    survivors[id(content)] = content.survive(bytes_fate, done)
                next_disk._names[path] = survivors[id(content)]
            next_disk._durable = dict(next_disk._names)
            next_disk._folders = set(self._folders)
            return next_disk

    def _begin(self, operation: Operation) -> bool:
        """Count an operation; True when it may make something durable. Raises what was ordered for it."""
        if not self.powered:
            raise PowerCut(f"{operation.name} {operation.path.name}: the power is gone")
        number = self.count
        self.count += 1
        if self.record:
            self.operations.append(operation)
        if self.cut_at is not None and number >= self.cut_at:
            if operation.name == "append":
                self._append(operation)
            self.cut()
            raise PowerCut(f"the power was cut at operation {number}: {operation.name} {operation.path.name}")
        if self.fault is not None and (code := self.fault(operation)) is not None:
            raise OSError(code, os.strerror(code), str(operation.path))
        return self.skip is None or not self.skip(operation)

    # ------------------------------------------------------------------ hal.contracts.Files

    def append(self, path: Path, data: bytes) -> int:
        """Append what fits; ENOSPC for the rest."""
        with self._lock:
            operation = Operation("append", path, bytes(data))
            self._begin(operation)
            return self._append(operation)

    def _append(self, operation: Operation) -> int:
        content = self._names.get(operation.path)
        if content is None:
            content = self._create(operation.path)
        offset = content.length
        room = self.capacity - self._used()
        content.append(operation.data[: max(room, 0)])
        if room < len(operation.data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(operation.path))
        return offset

    def _create(self, path: Path) -> _Content:
        if path.parent not in self._folders:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        content = _Content()
        self._change({path.parent}, lambda names: names.__setitem__(path, content))
        return content

    def _change(self, folders: set[Path], apply: Callable[[_Names], object]) -> None:
        apply(self._names)
        self._changes.append(_NameChange(folders, apply))

    def sync(self, path: Path) -> None:
        """Make the file's bytes durable; its name is the folder's business."""
        with self._lock:
            durable = self._begin(Operation("sync", path))
            content = self._content(path)
            if durable:
                content.sync()

    def sync_folder(self, path: Path) -> None:
        """Make the names in the folder durable."""
        with self._lock:
            self._folder(path)
            if self._begin(Operation("sync_folder", path)):
                self._sync_names(path)

    def _sync_names(self, folder: Path) -> None:
        for change in self._changes:
            if folder in change.folders:
                change.apply(self._durable)
        self._changes = [change for change in self._changes if folder not in change.folders]

    def replace(self, path: Path, data: bytes) -> None:
        """The old content or the new one: in one step here; a skipped one is neither synced nor durably named."""
        with self._lock:
            operation = Operation("replace", path, bytes(data))
            durable = self._begin(operation)
            if path.parent not in self._folders:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
            if self._used() + len(data) > self.capacity:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            content = _Content()
            content.append(operation.data)
            self._change({path.parent}, lambda names: names.__setitem__(path, content))
            if durable:
                content.sync()
                self._sync_names(path.parent)

    def truncate(self, path: Path, size: int) -> None:
        with self._lock:
            self._begin(Operation("truncate", path, size=size))
            content = self._content(path)
            if size > content.length:
                raise OSError(errno.EINVAL, "the simulated disk makes no holes", str(path))
            content.truncate(size)

    def rename(self, source: Path, target: Path) -> None:
        """Move a file; both names change together or not at all."""
        with self._lock:
            self._begin(Operation("rename", source, target=target))
            content = self._content(source)

            def move(names: _Names) -> None:
                names.pop(source, None)
                names[target] = content

            self._change({source.parent, target.parent}, move)

    def remove(self, path: Path) -> None:
        with self._lock:
            self._begin(Operation("remove", path))
            self._content(path)
            self._change({path.parent}, lambda names: names.pop(path, None))

    def make_folder(self, path: Path) -> None:
        with self._lock:
            if path in self._names:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
            if path not in self._folders:
                self._begin(Operation("make_folder", path))
                self._folders |= {path, *path.parents}

    def read(self, path: Path, offset: int = 0, length: int = -1) -> bytes:
        with self._lock:
            return self._content(path).read(offset, length)

    def size(self, path: Path) -> int:
        with self._lock:
            return self._content(path).length

    def list(self, path: Path) -> Sequence[str]:
        with self._lock:
            self._reading(path)
            if path in self._names:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
            entries = {entry.name for entry in self._names if entry.parent == path}
            return sorted(entries | {folder.name for folder in self._folders if folder.parent == path and folder != path})

    def free_bytes(self, path: Path) -> int:
        with self._lock:
            self._reading(path)
            return max(self.capacity - self._used(), 0)

    # ------------------------------------------------------------------ for whoever judges the disk

    def paths(self) -> Sequence[Path]:
        """Every file, sorted."""
        with self._lock:
            return sorted(self._names)

    def unsynced(self, path: Path) -> int:
        """Bytes of a file that a cut may take; all of them where its name is not durable."""
        with self._lock:
            content = self._content(path)
            return content.unsynced if self._durable.get(path) is content else content.length

    # ------------------------------------------------------------------ helpers

    def _reading(self, path: Path) -> None:
        if not self.powered:
            raise PowerCut(f"read {path.name}: the power is gone")

    def _folder(self, path: Path) -> None:
        self._reading(path)
        if path not in self._folders:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))

    def _content(self, path: Path) -> _Content:
        self._reading(path)
        content = self._names.get(path)
        if content is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return content

    def _used(self) -> int:
        return 0 if self.capacity == NO_LIMIT else sum(content.length for content in self._names.values())
