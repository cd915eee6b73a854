"""Read a package from a .zip, by the central directory alone (PKWARE APPNOTE 6.3, sections 4.3 and 4.5.3).

Rules:
- Only stored and deflated files, not encrypted, on one disk. What a local header says must agree with the central
  directory: readers that believe the one must not see something else than readers that believe the other. For the same
  reason no file has a second name, the directory has one place, and no byte between the files belongs to none of them.
- Files do not overlap, and a deflated one grows to at most a hundred times its size (beyond the first MiB): no bombs.
  Sizes are checked before anything is inflated; inflating stops at the size that was listed, and must be at its end there.
- The package lies at the top or in one folder (RFC 8493, section 4).

The standard library's zipfile would read all of this too, and some of it too kindly. Checksums (CRC-32) are left to the
package's own digests.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterator
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
_UNIX, _DARWIN = 3, 19
_ENCRYPTED_FLAGS, _SIZES_FOLLOW = 0x2041, 0x8
_DESCRIPTORS = (0, 12, 16, 20, 24)
"""Bytes behind a file whose local header leaves its sizes open: CRC and sizes, with or without a mark (4.3.9)."""
_UNICODE_PATH = 0x7075
"""Another name for the file, which some readers take (4.6.9)."""


class Entry(NamedTuple):
    """One file as the central directory has it."""

    name: str
    method: int
    packed: int
    size: int
    header: int
    raw_name: bytes


class Local(NamedTuple):
    """What a local header adds: where the file's bytes begin and end, and whether its sizes stand behind it."""

    start: int
    end: int
    sizes_follow: bool


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

    def __init__(self, path: Path, start: int, entry: Entry, name: str) -> None:
        self._file = path.open("rb", buffering=0)
        self._file.seek(start)
        self._left = entry.packed
        self._due = entry.size
        self._inflate = zlib.decompressobj(-15)
        self._waiting = b""
        self._name = name
        if not self._due:
            self._end()

    def readinto(self, buffer: memoryview, /) -> int | None:
        data = self._next(len(buffer))
        buffer[: len(data)] = data
        self._due -= len(data)
        if data and not self._due:
            self._end()
        return len(data)

    def _next(self, most: int) -> bytes:
        """At most so many bytes more; none at the end."""
        while not self._inflate.eof:
            if not self._waiting and self._left:
                self._waiting = self._file.read(min(self._left, 1 << 16))
                self._left -= len(self._waiting)
            try:
                data = self._inflate.decompress(self._waiting, most)
            except zlib.error as e:
                raise MisfitError(self._name, f"the compressed data are broken: {e}") from e
            emptied = not self._waiting
            self._waiting = self._inflate.unconsumed_tail
            if data or emptied:
                return data
        return b""

    def _end(self) -> None:
        """All that was listed is out: there must be nothing left, or others would read more than we did."""
        more = self._next(1)
        if more or not self._inflate.eof or self._inflate.unused_data or self._left:
            raise MisfitError(self._name, "the compressed data do not end at the size that is listed")

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
                self._check_local(file, entries, at)
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
            if entry.method == _RENAMED:
                self.fault(entry.name, "has a second name for readers that know of one")
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

    def _check_local(self, file: Reader, entries: list[Entry], directory_at: int) -> None:
        """Local headers agree, no two files share a byte, and no byte belongs to none."""
        names = {id(entry): name for name, entry in self._entries.items()}
        last = 0
        between: tuple[int, ...] = (0,)
        for entry in sorted(entries, key=lambda e: e.header):
            name, local = names.get(id(entry)), _local(file, entry, directory_at)
            if local is None:
                self._drop(name, entry, "its local header says something else than the directory")
            elif entry.header < last or local.end > directory_at:
                self._drop(name, entry, "overlaps another file of the archive")
            else:
                if entry.header - last not in between:
                    self.fault(entry.name, f"{entry.header - last} bytes before it belong to no file of the archive")
                if name is not None:
                    self._starts[name] = local.start
                last, between = local.end, _DESCRIPTORS if local.sizes_follow else (0,)
        if directory_at - last not in between:
            self.fault("the archive", f"{directory_at - last} bytes before its directory belong to no file of the archive")

    def _drop(self, name: str | None, entry: Entry, message: str) -> None:
        self.fault(entry.name if name is None else name, message)
        if name is not None:
            del self.files[name]

    def seekable(self, name: str) -> bool:
        return name in self.files and self._entries[name].method == _STORED

    def open(self, name: str) -> Reader:
        self.size(name)
        entry, start = self._entries[name], self._starts[name]
        try:
            if entry.method == _STORED:
                return _Stored(self._path, start)
            return _Inflated(self._path, start, entry, name)
        except OSError as e:
            raise UnreadableError(f"{name}: {e.strerror or e}") from e


# --------------------------------------------------------------------------- the directory

_LINK, _ENCRYPTED, _RENAMED = -1, -2, -3


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
    narrow = (disk, first_disk, here, count, size, offset)
    wide = _directory64(tail, end)
    if wide is not None:
        # Some readers take the one record, some the other: they must say the same, where the narrow one says anything.
        if any(n not in (w, full) for n, w, full in zip(narrow, wide, (_FULL16,) * 4 + (_FULL32,) * 2)):  # noqa: B905 — Python 3.9
            raise tail.refuse("two directories that differ")
        disk, first_disk, here, count, size, offset, end = wide
    elif _FULL16 in narrow[:4] or _FULL32 in narrow[4:]:
        raise tail.refuse("no zip64 locator")
    if disk or first_disk or here != count or offset + size != end:
        raise tail.refuse("several disks, or a directory that does not fit")
    if count > MAX_FILES or size > MAX_DIRECTORY:
        raise tail.refuse(f"{count} files in a directory of {size} bytes: more than a package has")
    return tail.at(offset, size), offset, count


def _directory64(tail: _Tail, end: int) -> tuple[int, ...] | None:
    """What the zip64 end of the directory says and where it is; None when there is none before the end at `end`."""
    at = end - _END64_LOCATOR.size
    mark, _, record, _ = _END64_LOCATOR.unpack(tail.at(at, _END64_LOCATOR.size)) if at >= 0 else (b"", 0, 0, 0)
    if mark != b"PK\x06\x07":
        return None
    head = _END64.unpack(tail.at(record, _END64.size))
    if head[0] != b"PK\x06\x06" or record + 12 + head[1] != at:
        raise tail.refuse("no zip64 end of a central directory")
    return (*head[4:10], record)


def _local(file: Reader, entry: Entry, directory_at: int) -> Local | None:
    """What the local header of a file says; None when it contradicts the directory."""
    if entry.header + _LOCAL.size > directory_at:
        return None
    mark, _, flags, method, *_, packed, size, name_length, extra_length = _LOCAL.unpack(_read(file, entry.header, _LOCAL.size))
    rest = _read(file, entry.header + _LOCAL.size, name_length + extra_length)
    extra, sizes_follow = rest[name_length:], bool(flags & _SIZES_FOLLOW)
    size, packed = _wide(extra, [size, packed])
    agrees = (
        (mark, rest[:name_length]) == (b"PK\x03\x04", entry.raw_name)
        and (entry.method < 0 or (method == entry.method and not flags & _ENCRYPTED_FLAGS and not _renamed(extra)))
        and ((packed, size) == (entry.packed, entry.size) or (sizes_follow and packed == size == 0))
    )
    start = entry.header + _LOCAL.size + name_length + extra_length
    return Local(start, start + entry.packed, sizes_follow) if agrees else None


def _read(file: Reader, offset: int, length: int) -> bytes:
    """Bytes of the archive; zeroes behind its end."""
    data = bytearray(length)
    file.seek(offset)
    file.readinto(memoryview(data))
    return bytes(data)


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
    # "Made by" 3 is Unix, 19 is Darwin: the upper half of the external attributes is the file's mode (4.4.2, 4.4.15).
    made_by, flags, method = fields[1], fields[3], fields[4]
    packed, size, header = fields[8], fields[9], fields[16]
    mode = fields[15] >> 16
    if made_by >> 8 in (_UNIX, _DARWIN) and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        method = _LINK
    elif flags & _ENCRYPTED_FLAGS:
        method = _ENCRYPTED
    elif _renamed(extra):
        method = _RENAMED
    size, packed, header = _wide(extra, [size, packed, header])
    # Names that are not ASCII come out as something that no package has, and are refused for that.
    return Entry(raw.decode("utf-8", "backslashreplace"), method, packed, size, header, raw)


def _wide(extra: bytes, values: list[int]) -> list[int]:
    """Sizes and offset with those from the zip64 extra field put in where the narrow ones are full (4.5.3)."""
    for ident, body in _extras(extra):
        if ident == 1:
            for i, value in enumerate(values):
                if value == _FULL32 and len(body) >= 8:
                    values[i] = int.from_bytes(body[:8], "little")
                    body = body[8:]  # noqa: PLW2901 — what is taken is gone
    return values


def _renamed(extra: bytes) -> bool:
    return any(ident == _UNICODE_PATH for ident, _ in _extras(extra))


def _extras(extra: bytes) -> Iterator[tuple[int, bytes]]:
    """The extra fields, as far as they are whole: id and body (4.5.1)."""
    at = 0
    while at + 4 <= len(extra):
        ident, length = struct.unpack_from("<HH", extra, at)
        yield ident, extra[at + 4 : at + 4 + length]
        at += 4 + length


def _common_folder(names: list[str]) -> str:
    """The one folder that holds everything, with its slash, or nothing."""
    if "bagit.txt" in names:
        return ""
    folders = {name.split("/", 1)[0] + "/" for name in names if "/" in name and not name.startswith("__MACOSX/")}
    return folders.pop() if len(folders) == 1 and folders != {"data/"} else ""
