"""The kernel's side of a disk in memory: the system calls that `hal.drivers.linux.Files` makes, each noted on a tape.

Rules:
- The driver above is the real one, so its own order of writing, syncing and renaming is under test with everything else.
- A step is noted when it happened; a call that raises changes nothing and notes nothing.
- `site` says who asked: the first line of code outside the driver, and the driver's method.
- `skip` is the switch that takes a sync away: it answers as if it had been done, and is not on the tape.
- `fault` gives chosen steps an errno. A write then leaves a half behind, as write(2) may; what a failed sync was for is never
  durable, as Linux does it (the pages count as clean, and the next sync says nothing).

What of a tape survives a power cut is decided in `cuts`.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from hal.drivers import linux

FREE_BLOCKS = 1 << 24
BLOCK = 4096
ROOT = 0
"""Number of the folder in which the disk is mounted."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something that changed the disk, made a change durable (`sync`), let a promise out (`tell`), or happened meanwhile (`event`).

    `node` is the file or, for names (`link` `unlink` `rename`), the folder; `child` the file or folder that is named, `to`
    and `new_name` where a rename leads. `fail` is a sync that failed: what it should have made durable never will be. `site` is
    the line that asked the driver, `by` the driver's method; for a sync `name` says what was synced.
    """

    kind: str
    node: int = ROOT
    site: str = ""
    by: str = ""
    offset: int = 0
    data: bytes = b""
    name: str = ""
    child: int = 0
    to: int = 0
    new_name: str = ""
    folder: bool = False


Tape = list[Step]


@dataclass(frozen=True, slots=True)
class Image:
    """A disk at rest: content by path, and all folders; paths are relative, `a/b`."""

    files: dict[str, bytes] = field(default_factory=dict)
    folders: frozenset[str] = frozenset()

    def key(self) -> int:
        """Equal for equal disks."""
        return hash((frozenset(self.files.items()), self.folders))


@dataclass(slots=True)
class Tree:
    """Files and folders by number."""

    files: dict[int, bytes | bytearray] = field(default_factory=dict)
    folders: dict[int, dict[str, int]] = field(default_factory=lambda: {ROOT: {}})

    @classmethod
    def of(cls, image: Image) -> Tree:
        """The same disk with numbers, given in the order of the names."""
        tree = cls()
        for path in sorted(image.folders):
            number = tree.next_number()
            tree.folders[number] = {}
            tree.put(path, number)
        for path, data in sorted(image.files.items()):
            number = tree.next_number()
            tree.files[number] = data
            tree.put(path, number)
        return tree

    def put(self, path: str, number: int) -> None:
        """Give a number its name."""
        *parents, name = path.split("/")
        folder = ROOT
        for parent in parents:
            folder = self.folders[folder][parent]
        self.folders[folder][name] = number

    def next_number(self) -> int:
        """One that is not used yet."""
        return max([*self.files, *self.folders]) + 1

    def image(self) -> Image:
        """What can be reached by names."""
        files: dict[str, bytes] = {}
        folders: set[str] = set()
        waiting = [("", ROOT)]
        while waiting:
            prefix, folder = waiting.pop()
            for name, number in self.folders[folder].items():
                path = f"{prefix}{name}"
                if number in self.folders:
                    folders.add(path)
                    waiting.append((f"{path}/", number))
                else:
                    files[path] = bytes(self.files.get(number, b""))
        return Image(files, frozenset(folders))

    def copy(self) -> Tree:
        """An independent tree; contents are shared until they are written."""
        return Tree({n: bytes(data) for n, data in self.files.items()}, {n: dict(names) for n, names in self.folders.items()})


class Kernel:
    """`hal.drivers.linux.Kernel` in memory, mounted at `mount`. Safe from any thread."""

    def __init__(
        self,
        mount: Path,
        tree: Tree | None = None,
        skip: Callable[[Step], bool] | None = None,
        fault: Callable[[Step], int | None] | None = None,
    ) -> None:
        self.mount, self.tree = mount, tree if tree is not None else Tree()
        self.tape: Tape = []
        self.skip, self.fault = skip, fault
        self._parts = mount.parts
        self._next = self.tree.next_number()
        self._open: dict[int, tuple[int, str]] = {}
        self._handles = 100
        self._lock = threading.RLock()

    def files(self) -> linux.Files:
        """The real driver over this disk."""
        return linux.Files(self)

    def tell(self, what: str, site: str, *, promise: bool) -> None:
        """Note that something was promised to somebody who is not on this disk, or (`event`) that something happened."""
        with self._lock:
            self.tape.append(Step("tell" if promise else "event", site=site, name=what))

    # ----------------------------------------------------------------- the tape

    def _note(self, step: Step) -> None:
        """Put the step on the tape; OSError where a fault was ordered for it."""
        site, by = _site()
        step = replace(step, site=site, by=by)
        number = self.fault(step) if self.fault is not None else None
        if number is not None:
            if step.kind == "sync":
                self.tape.append(replace(step, kind="fail"))
            elif step.kind == "write":
                self._written(replace(step, data=step.data[: len(step.data) // 2]))
            raise OSError(number, os.strerror(number))
        if step.kind != "sync" or self.skip is None or not self.skip(step):
            self.tape.append(step)

    def _written(self, step: Step) -> None:
        self.tape.append(step)
        content = self._content(step.node)
        content += step.data

    # ----------------------------------------------------------------- names

    def _find(self, path: Path) -> int:
        """Number of what the path names."""
        parts = path.parts
        if parts[: len(self._parts)] != self._parts:
            if self._parts[: len(parts)] == parts:
                return ROOT  # a folder above the mount: it is there, and that is all that is asked of it
            _refuse(errno.ENOENT, path)
        number = ROOT
        for name in parts[len(self._parts) :]:
            folder = self.tree.folders.get(number)
            if folder is None:
                _refuse(errno.ENOTDIR, path)
            if name not in folder:
                _refuse(errno.ENOENT, path)
            number = folder[name]
        return number

    def _folder(self, path: Path) -> int:
        """Number of the folder that holds the path's name."""
        number = self._find(path.parent)
        if number not in self.tree.folders:
            _refuse(errno.ENOTDIR, path)
        return number

    def _make(self, path: Path, *, folder: bool) -> int:
        parent = self._folder(path)
        number = self._next
        self._note(Step("link", parent, name=path.name, child=number, folder=folder))
        self._next += 1
        if folder:
            self.tree.folders[number] = {}
        else:
            self.tree.files[number] = bytearray()
        self.tree.folders[parent][path.name] = number
        return number

    def mkdir(self, path: Path, /) -> None:
        """Make a folder, as its name in `os` does."""
        with self._lock:
            if path.name in self.tree.folders[self._folder(path)]:
                _refuse(errno.EEXIST, path)
            self._make(path, folder=True)

    def rename(self, source: Path, target: Path, /) -> None:
        """Give a file another name."""
        with self._lock:
            before, after = self._folder(source), self._folder(target)
            child = self._find(source)
            self._note(Step("rename", before, name=source.name, child=child, to=after, new_name=target.name))
            del self.tree.folders[before][source.name]
            self.tree.folders[after][target.name] = child

    def unlink(self, path: Path, /) -> None:
        """Take a name away."""
        with self._lock:
            folder, child = self._folder(path), self._find(path)
            self._note(Step("unlink", folder, name=path.name, child=child))
            del self.tree.folders[folder][path.name]

    def listdir(self, path: Path, /) -> list[str]:
        """Names in the folder."""
        with self._lock:
            number = self._find(path)
            if number not in self.tree.folders:
                _refuse(errno.ENOTDIR, path)
            return list(self.tree.folders[number])

    # ----------------------------------------------------------------- bytes

    def open(self, path: Path, flags: int, _mode: int, /) -> int:
        """Open with the flags that the driver uses."""
        with self._lock:
            try:
                number = self._find(path)
            except FileNotFoundError:
                if not flags & os.O_CREAT:
                    raise
                number = self._make(path, folder=False)
            if flags & os.O_DIRECTORY and number not in self.tree.folders:
                _refuse(errno.ENOTDIR, path)
            if flags & (os.O_WRONLY | os.O_RDWR) and number in self.tree.folders:
                _refuse(errno.EISDIR, path)
            if flags & os.O_TRUNC and self.tree.files[number]:
                self._cut(number, 0)
            self._handles += 1
            self._open[self._handles] = number, role(path.relative_to(self.mount).parts)
            return self._handles

    def close(self, handle: int, /) -> None:
        """Close the handle."""
        with self._lock:
            del self._open[handle]

    def _content(self, number: int) -> bytearray:
        """The file's bytes, to be changed."""
        data = self.tree.files[number]
        if isinstance(data, bytes):
            data = self.tree.files[number] = bytearray(data)
        return data

    def write(self, handle: int, data: memoryview, /) -> int:
        """Write at the end: the driver never writes elsewhere."""
        with self._lock:
            number, _ = self._open[handle]
            content = self._content(number)
            self._note(Step("write", number, offset=len(content), data=bytes(data)))
            content += data
            return len(data)

    def truncate(self, path: Path, length: int, /) -> None:
        """Cut a file off."""
        with self._lock:
            number = self._find(path)
            if not 0 <= length <= len(self.tree.files[number]):
                _refuse(errno.EINVAL, path)
            self._cut(number, length)

    def _cut(self, number: int, length: int) -> None:
        self._note(Step("truncate", number, offset=length))
        del self._content(number)[length:]

    def pread(self, handle: int, length: int, offset: int, /) -> bytes:
        """Bytes at an offset."""
        with self._lock:
            number, _ = self._open[handle]
            if number in self.tree.folders:
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            return bytes(self.tree.files[number][offset : offset + length])

    def fsync(self, handle: int, /) -> None:
        """Make a file's bytes, or a folder's names, durable."""
        with self._lock:
            number, what = self._open[handle]
            self._note(Step("sync", number, name=what, folder=number in self.tree.folders))

    def database(self, kind: str, path: Path, offset: int = 0, data: bytes = b"") -> None:
        """Note what a database's library has done to its own files, past the driver: they are elsewhere, and here as well."""
        with self._lock:
            if kind == "create":
                self._make(path, folder=False)
            elif kind == "write":
                number = self._find(path)
                content = self._content(number)
                self._note(Step("write", number, offset=offset, data=data))
                content += bytes(max(offset - len(content), 0))
                content[offset : offset + len(data)] = data
            elif kind == "truncate":
                self._cut(self._find(path), offset)
            elif kind == "delete":
                self.unlink(path)
            else:
                number = self._find(path)
                self._note(Step("sync", number, name=path.name, folder=number in self.tree.folders))

    # ----------------------------------------------------------------- what is asked

    def stat(self, path: Path, /) -> os.stat_result:
        """Kind and size."""
        with self._lock:
            return self._stat(self._find(path))

    def fstat(self, handle: int, /) -> os.stat_result:
        """Kind and size of what is open."""
        with self._lock:
            return self._stat(self._open[handle][0])

    def _stat(self, number: int) -> os.stat_result:
        folder = number in self.tree.folders
        size = 0 if folder else len(self.tree.files[number])
        return os.stat_result((stat.S_IFDIR if folder else stat.S_IFREG, number, 0, 1, 0, 0, size, 0, 0, 0))

    def statvfs(self, _path: Path, /) -> os.statvfs_result:
        """A disk with room."""
        return os.statvfs_result((BLOCK, BLOCK, FREE_BLOCKS, FREE_BLOCKS, FREE_BLOCKS, 0, 0, 0, 0, 255))


def _refuse(number: int, path: Path) -> NoReturn:
    raise OSError(number, os.strerror(number), str(path))


def role(parts: tuple[str, ...]) -> str:
    """What kind of file it is: names that stand for one of many become `*`."""
    return "/".join("*" if len(part) == ULID_CHARACTERS or part.isdecimal() or any(map(str.isdecimal, part)) else part for part in parts)


ULID_CHARACTERS = 26
_HERE = __file__
_DRIVER = linux.__file__


def _site() -> tuple[str, str]:
    """The line of code above the driver, and which of the driver's methods it called (the innermost first)."""
    frame: Any = sys._getframe(2)  # noqa: SLF001 — the call site is what is recorded
    by: list[str] = []
    while frame is not None:
        code = frame.f_code
        if code.co_filename == _DRIVER:
            by += [] if code.co_name.startswith("_") else [code.co_name]
        elif code.co_filename != _HERE and code.co_name not in ("__enter__", "__exit__"):
            return f"{frame.f_globals.get('__name__', '?')}:{code.co_qualname}:{frame.f_lineno}", "<".join(by)
        frame = frame.f_back
    return "", "<".join(by)
