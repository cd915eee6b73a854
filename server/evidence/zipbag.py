"""Read a package from a .zip, by the central directory alone (PKWARE APPNOTE 6.3, sections 4.3 and 4.5.3).

Rules:
- Only stored and deflated files, not encrypted, on one disk. What a local header says must agree with the central
  directory: readers that believe the one must not see something else than readers that believe the other.
- Files do not overlap, and a deflated one grows to at most a hundred times its size (beyond the first MiB): no bombs.
  Sizes are checked before anything is inflated, and inflating stops at the size that was listed.
- The package lies at the top or in one folder (RFC 8493, section 4).

The standard library's zipfile would read all of this too, and some of it too kindly. Checksums (CRC-32) are left to the
package's own digests.
"""

from __future__ import annotations

import stat
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

from .bag import MAX_FILES, Bag, Reader
from .errors import MisfitError, NotAPackageError, UnreadableError

MAX_DIRECTORY = 32 << 20
MAX_GROWTH = 100
FREE_GROWTH = 1 << 20

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_STORED, _DEFLATED = 0, 8
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF


class Entry(NamedTuple):
    """One file as the central directory has it."""

    name: str
    method: int
    packed: int
    size: int
    header: int
    raw_name: bytes


class _Stored:
    """A window of the archive."""

    def __init__(self, path: Path, start: int) -> None:
        self._file = path.open("rb", buffering=0)
        self._start = start
        self._file.seek(start)

    def readinto(self, buffer: memoryview, /) -> int | None:
        return self._file.readinto(buffer)

    def seek(self, offset: int, /) -> int:
        return self._file.seek(self._start + offset)

    def close(self) -> None:
        self._file.close()


class _Inflated:
    """A deflated file, from its beginning only."""

    def __init__(self, path: Path, start: int, packed: int, name: str) -> None:
        self._file = path.open("rb", buffering=0)
        self._file.seek(start)
        self._left = packed
        self._inflate = zlib.decompressobj(-15)
        self._waiting = b""
        self._name = name

    def readinto(self, buffer: memoryview, /) -> int | None:
        while not self._inflate.eof:
            if not self._waiting and self._left:
                self._waiting = self._file.read(min(self._left, 1 << 16))
                self._left -= len(self._waiting)
            try:
                data = self._inflate.decompress(self._waiting, len(buffer))
            except zlib.error as e:
                raise MisfitError(self._name, f"the compressed data are broken: {e}") from e
            emptied = not self._waiting
            self._waiting = self._inflate.unconsumed_tail
            if data:
                buffer[: len(data)] = data
                return len(data)
            if emptied:
                return 0
        return 0

    def seek(self, offset: int, /) -> int:
        if offset:
            raise MisfitError(self._name, "a compressed file can't be read from the middle")
        return 0

    def close(self) -> None:
        self._file.close()


class ZipBag(Bag):
    """A package in a .zip. What is not a zip at all is a NotAPackageError; a zip that lies is a fault."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path
        self._entries: dict[str, Entry] = {}
        self._starts: dict[str, int] = {}
        try:
            with path.open("rb") as file:
                total = file.seek(0, 2)
                directory, at, count = _directory(_Tail(file, total, str(path)))
                entries = _entries(directory, count, str(path))
                self._take(entries, _common_folder([e.name for e in entries]))
                self._check_local(file, at)
        except OSError as e:
            raise UnreadableError(f"{path}: {e.strerror or e}") from e

    def _take(self, entries: list[Entry], folder: str) -> None:
        for entry in entries:
            if entry.name.endswith("/") and not entry.size:
                continue
            if entry.method == _LINK:
                self.fault(entry.name, "a link or a device, not a file")
                continue
            if entry.method == _ENCRYPTED:
                self.fault(entry.name, "encrypted")
                continue
            if entry.method not in (_STORED, _DEFLATED):
                self.fault(entry.name, f"compressed by method {entry.method}: only stored and deflated files are read")
                continue
            name = entry.name.removeprefix(folder)
            if entry.method == _STORED and entry.packed != entry.size:
                self.fault(name, f"stored, and yet {entry.packed} bytes for {entry.size}")
            elif entry.size > FREE_GROWTH and entry.size > MAX_GROWTH * entry.packed:
                self.fault(name, f"{entry.packed} bytes would grow to {entry.size}: more than {MAX_GROWTH} times")
            elif self.add(name, entry.size):
                self._entries[name] = entry

    def _check_local(self, file: Reader, directory_at: int) -> None:
        """Local headers agree, and no two files share a byte."""
        last = 0
        for name, entry in sorted(self._entries.items(), key=lambda pair: pair[1].header):
            head = bytearray(_LOCAL.size + len(entry.raw_name))
            file.seek(entry.header)
            whole = file.readinto(memoryview(head)) == len(head)
            fields = _LOCAL.unpack_from(head)
            start = entry.header + len(head) + fields[-1]
            agrees = (fields[0], fields[3], fields[-2]) == (b"PK\x03\x04", entry.method, len(entry.raw_name))
            if not whole or not agrees or head[_LOCAL.size :] != entry.raw_name:
                self._drop(name, "its local header says something else than the directory")
            elif entry.header < last or start + entry.packed > directory_at:
                self._drop(name, "overlaps another file of the archive")
            else:
                self._starts[name] = start
                last = start + entry.packed

    def _drop(self, name: str, message: str) -> None:
        self.fault(name, message)
        del self.files[name]

    def seekable(self, name: str) -> bool:
        return name in self.files and self._entries[name].method == _STORED

    def open(self, name: str) -> Reader:
        self.size(name)
        entry, start = self._entries[name], self._starts[name]
        try:
            if entry.method == _STORED:
                return _Stored(self._path, start)
            return _Inflated(self._path, start, entry.packed, name)
        except OSError as e:
            raise UnreadableError(f"{name}: {e.strerror or e}") from e


# --------------------------------------------------------------------------- the directory

_LINK, _ENCRYPTED = -1, -2


class _Tail:
    """Pieces of the archive by offset; NotAPackageError outside it."""

    def __init__(self, file: Reader, total: int, label: str) -> None:
        self.file = file
        self.total = total
        self.label = label

    def at(self, offset: int, length: int) -> bytes:
        if offset < 0 or offset + length > self.total:
            raise self.refuse("torn")
        data = bytearray(length)
        self.file.seek(offset)
        if length and self.file.readinto(memoryview(data)) != length:
            raise self.refuse("torn")
        return bytes(data)

    def refuse(self, what: str) -> NotAPackageError:
        return NotAPackageError(f"{self.label}: not a .zip that can be read: {what}")


def _directory(tail: _Tail) -> tuple[bytes, int, int]:
    """(central directory, its offset, count of entries)."""
    found = tail.at(max(0, tail.total - _FULL16 - _END.size), min(tail.total, _FULL16 + _END.size))
    at = found.rfind(b"PK\x05\x06")
    if at < 0 or len(found) - at < _END.size:
        raise tail.refuse("no end of a central directory")
    _, disk, first_disk, here, count, size, offset, comment = _END.unpack_from(found, at)
    end = tail.total - len(found) + at
    if at + _END.size + comment != len(found):
        raise tail.refuse("bytes behind its end")
    if count == _FULL16 or _FULL32 in (size, offset):
        mark, _, end64, _ = _END64_LOCATOR.unpack(tail.at(end - _END64_LOCATOR.size, _END64_LOCATOR.size))
        if mark != b"PK\x06\x07":
            raise tail.refuse("no zip64 locator")
        head = _END64.unpack(tail.at(end64, _END64.size))
        if head[0] != b"PK\x06\x06":
            raise tail.refuse("no zip64 end of a central directory")
        disk, first_disk, here, count, size, offset, end = (*head[4:10], end64)
    if disk or first_disk or here != count or offset + size != end:
        raise tail.refuse("several disks, or a directory that does not fit")
    if count > MAX_FILES or size > MAX_DIRECTORY:
        raise tail.refuse(f"{count} files in a directory of {size} bytes: more than a package has")
    return tail.at(offset, size), offset, count


def _entries(directory: bytes, count: int, label: str) -> list[Entry]:
    entries, at = [], 0
    try:
        for _ in range(count):
            fields = _CENTRAL.unpack_from(directory, at)
            name_end = at + _CENTRAL.size + fields[10]
            extra_end = name_end + fields[11]
            if fields[0] != b"PK\x01\x02" or extra_end + fields[12] > len(directory):
                raise NotAPackageError(f"{label}: not a .zip that can be read: its directory is torn")
            entries.append(_entry(fields, directory[at + _CENTRAL.size : name_end], directory[name_end:extra_end]))
            at = extra_end + fields[12]
    except struct.error as e:
        raise NotAPackageError(f"{label}: not a .zip that can be read: its directory is torn") from e
    if at != len(directory):
        raise NotAPackageError(f"{label}: not a .zip that can be read: its directory holds more than {count} files")
    return entries


def _entry(fields: tuple[int, ...], raw: bytes, extra: bytes) -> Entry:
    # "Made by" 3 is Unix: the upper half of the external attributes is the file's mode (4.4.2, 4.4.15).
    made_by, flags, method = fields[1], fields[3], fields[4]
    packed, size, header = fields[8], fields[9], fields[16]
    mode = fields[15] >> 16
    if made_by >> 8 == 3 and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        method = _LINK
    elif flags & 0x2041:
        method = _ENCRYPTED
    size, packed, header = _wide(extra, [size, packed, header])
    # Names that are not ASCII come out as something that no package has, and are refused for that.
    return Entry(raw.decode("utf-8", "backslashreplace"), method, packed, size, header, raw)


def _wide(extra: bytes, values: list[int]) -> list[int]:
    """Sizes and offset with those from the zip64 extra field put in where the narrow ones are full (4.5.3)."""
    at = 0
    while at + 4 <= len(extra):
        ident, length = struct.unpack_from("<HH", extra, at)
        body = extra[at + 4 : at + 4 + length]
        if ident == 1:
            for i, value in enumerate(values):
                if value == _FULL32 and len(body) >= 8:
                    values[i] = int.from_bytes(body[:8], "little")
                    body = body[8:]
        at += 4 + length
    return values


def _common_folder(names: list[str]) -> str:
    """The one folder that holds everything, with its slash, or nothing."""
    if "bagit.txt" in names:
        return ""
    folders = {name.split("/", 1)[0] + "/" for name in names if "/" in name and not name.startswith("__MACOSX/")}
    return folders.pop() if len(folders) == 1 and folders != {"data/"} else ""
