"""SQLite's system calls, watched: each change and each sync of a database's files passes by here, in whatever thread makes it.

The default VFS of the library that `sqlite3` uses gets another xOpen and xDelete, and each open file another xWrite, xTruncate
and xSync (https://www.sqlite.org/vfs.html). Everything else, locks and the shared memory of the WAL too, stays as it was.

Rules:
- `install` comes before the first connection; a file that was opened before is not seen.
- A watch gets the call as a function and must call it, or answer in its place. Nothing is raised through C: a watch that fails
  ends the process.
- Where SQLite syncs a folder (after the first sync of a new WAL or journal, and where a file is deleted) no watch is asked; `Call`
  says that it does.
"""

from __future__ import annotations

import _sqlite3
import ctypes
import os
import sys
import traceback
from collections.abc import Callable
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_int64, c_void_p
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OPEN_CREATE = 0x4
OPEN_JOURNALS = 0x800 | 0x4000 | 0x80000
"""Rollback journal, super-journal, WAL: their names are synced with their first sync (`UNIXFILE_DIRSYNC` in os_unix.c)."""
BROKEN = 70
"""Exit status when a watch raised."""


class _Methods(ctypes.Structure):
    """`sqlite3_io_methods`, of which only three are exchanged."""

    _fields_ = (
        ("version", c_int),
        ("close", c_void_p),
        ("read", c_void_p),
        ("write", c_void_p),
        ("truncate", c_void_p),
        ("sync", c_void_p),
        ("rest", c_void_p * 13),
    )


class _File(ctypes.Structure):
    _fields_ = (("methods", POINTER(_Methods)),)


class _Vfs(ctypes.Structure):
    """`sqlite3_vfs` as far as it is needed."""

    _fields_ = (
        ("version", c_int),
        ("file_size", c_int),
        ("longest", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("data", c_void_p),
        ("open", c_void_p),
        ("delete", c_void_p),
    )


_OPEN = CFUNCTYPE(c_int, c_void_p, c_void_p, POINTER(_File), c_int, POINTER(c_int))
_DELETE = CFUNCTYPE(c_int, c_void_p, c_char_p, c_int)
_WRITE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_TRUNCATE = CFUNCTYPE(c_int, c_void_p, c_int64)
_SYNC = CFUNCTYPE(c_int, c_void_p, c_int)


@dataclass(frozen=True, slots=True)
class Call:
    """One call: `kind` is create, write, truncate, sync or delete. `folder`: SQLite syncs the folder after it as well."""

    kind: str
    path: Path
    offset: int = 0
    data: bytes = b""
    folder: bool = False


Watch = Callable[[Call, Callable[[], int]], int]
"""(call, do it) → SQLite's result."""


class _Shim:
    """The exchanged functions; lives as long as the process."""

    def __init__(self, vfs: _Vfs, watch: Watch) -> None:
        self._watch = watch
        self._open, self._delete = _OPEN(vfs.open), _DELETE(vfs.delete)
        self._paths: dict[int, Path] = {}
        self._new: set[int] = set()
        self._methods: dict[int, _Methods] = {}
        self._calls: dict[int, tuple[Any, Any, Any]] = {}
        self._kept: list[Any] = [
            _OPEN(self._guarded(self._opened)),
            _DELETE(self._guarded(self._deleted)),
            _WRITE(self._guarded(self._written)),
            _TRUNCATE(self._guarded(self._truncated)),
            _SYNC(self._guarded(self._synced)),
        ]
        vfs.open, vfs.delete = (ctypes.cast(one, c_void_p).value for one in self._kept[:2])

    @staticmethod
    def _guarded(act: Callable[..., int]) -> Callable[..., int]:
        def call(*arguments: Any) -> int:
            try:
                return act(*arguments)
            except BaseException:  # noqa: BLE001  the top of a callback out of C, which can raise nothing: the process ends
                traceback.print_exc(file=sys.stderr)
                os._exit(BROKEN)

        return call

    def _opened(self, vfs: int, name: int | None, file: Any, flags: int, out: Any) -> int:
        path = Path(os.fsdecode(ctypes.string_at(name))) if name else None
        if path is None:
            return int(self._open(vfs, name, file, flags, out))
        new = bool(flags & OPEN_CREATE) and not path.exists()

        def do() -> int:
            return int(self._open(vfs, name, file, flags, out))

        done = self._watch(Call("create", path), do) if new else do()
        if done == 0:
            self._exchange(file, path, new=new and bool(flags & OPEN_JOURNALS))
        return done

    def _exchange(self, file: Any, path: Path, *, new: bool) -> None:
        before = file.contents.methods
        if not before:
            return
        address = ctypes.addressof(before.contents)
        if address not in self._methods:
            mine = _Methods.from_buffer_copy(before.contents)
            mine.write, mine.truncate, mine.sync = (ctypes.cast(one, c_void_p).value for one in self._kept[2:])
            self._methods[address] = mine
        number = ctypes.addressof(file.contents)
        original = before.contents
        self._calls[number] = _WRITE(original.write), _TRUNCATE(original.truncate), _SYNC(original.sync)
        self._paths[number] = path
        (self._new.add if new else self._new.discard)(number)
        file.contents.methods = ctypes.pointer(self._methods[address])

    def _deleted(self, vfs: int, name: bytes, folder: int) -> int:
        path = Path(os.fsdecode(name))
        return self._watch(Call("delete", path, folder=bool(folder)), lambda: int(self._delete(vfs, name, folder)))

    def _written(self, file: int, data: int, size: int, offset: int) -> int:
        call = Call("write", self._paths[file], offset, ctypes.string_at(data, size))
        return self._watch(call, lambda: int(self._calls[file][0](file, data, size, offset)))

    def _truncated(self, file: int, size: int) -> int:
        return self._watch(Call("truncate", self._paths[file], size), lambda: int(self._calls[file][1](file, size)))

    def _synced(self, file: int, flags: int) -> int:
        folder = file in self._new
        self._new.discard(file)
        return self._watch(Call("sync", self._paths[file], folder=folder), lambda: int(self._calls[file][2](file, flags)))


_installed: list[_Shim] = []


def install(watch: Watch) -> None:
    """Have every call of this process pass by `watch`; once."""
    assert not _installed, "the VFS is watched already"
    library = ctypes.CDLL(_sqlite3.__file__)
    find = library.sqlite3_vfs_find
    find.restype, find.argtypes = POINTER(_Vfs), (c_char_p,)
    found = find(None)
    _installed.append(_Shim(found.contents, watch))
