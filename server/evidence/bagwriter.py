"""Write a package: as a folder, or as a .zip that is streamed without being on disk.

Rules:
- Every file's size, SHA-256 and CRC-32 are known before the first byte goes out, so a .zip has plain headers and a known length.
- The same content gives the same bytes: stored, not compressed (media can't be), one fixed time, names in the given order.
- A folder appears under its name only when all of it is on disk (written beside, synced, renamed).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import ExportError
from .manifest import BAGIT, MANIFEST, TAG_MANIFEST

PIECE = 1 << 20
_VERSION_ZIP64 = 45
_NAMES_UTF8 = 0x800
_DAY_OF_ZIP = (1 << 5) | 1  # 1980-01-01, the earliest that the format has (APPNOTE 4.4.6)
_UNIX = 3 << 8
_REGULAR_0644 = 0o100644 << 16
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_WIDE = struct.Struct("<HHQQQ")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_END = struct.Struct("<4s4H2LH")
_FULL32 = 0xFFFFFFFF


@dataclass(frozen=True)
class Member:
    """A file of the package: name, size, digests, and a function that gives its bytes piece by piece."""

    name: str
    size: int
    sha256: str
    crc32: int
    pieces: Callable[[], Iterable[bytes]]


def of_bytes(name: str, data: bytes) -> Member:
    """A member of known bytes."""
    return Member(name, len(data), hashlib.sha256(data).hexdigest(), zlib.crc32(data), lambda: [data])


def bag(payload: list[Member], info: list[tuple[str, str]], tools: list[Member]) -> list[Member]:
    """The whole bag around a payload: declaration, info with Payload-Oxum, manifests (RFC 8493, section 2)."""
    oxum = f"{sum(m.size for m in payload)}.{len(payload)}"
    rows = [*info, ("Payload-Oxum", oxum)]
    tags = [
        of_bytes("bagit.txt", BAGIT.encode()),
        of_bytes("bag-info.txt", "".join(f"{name}: {value}\n" for name, value in rows).encode()),
        of_bytes(MANIFEST, _manifest(payload)),
        *tools,
    ]
    return [*tags, of_bytes(TAG_MANIFEST, _manifest(tags)), *payload]


def _manifest(members: list[Member]) -> bytes:
    return "".join(f"{m.sha256}  {m.name}\n" for m in members).encode()


# --------------------------------------------------------------------------- a folder


def write_folder(members: list[Member], folder: Path) -> None:
    """Write the package; ExportError when the folder is there already."""
    if folder.exists():
        raise ExportError(f"{folder}: is there already; name another folder")
    beside = folder.with_name(folder.name + ".partial")
    try:
        beside.mkdir(parents=True)
    except OSError as e:
        raise ExportError(f"{beside}: {e.strerror or e}") from e
    try:
        for member in members:
            _write(beside / member.name, member)
        for made in sorted({path.parent for path in beside.rglob("*")} | {beside}):
            _sync_folder(made)
        beside.rename(folder)
        _sync_folder(folder.parent)
    except OSError as e:
        raise ExportError(f"{e.filename or folder}: {e.strerror or e}") from e
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _write(path: Path, member: Member) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        for piece in member.pieces():
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
        if file.tell() != member.size:
            raise ExportError(f"{member.name}: expected {member.size} bytes, its source gave {file.tell()}")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# --------------------------------------------------------------------------- a .zip


def zip_size(members: list[Member], folder: str) -> int:
    """Bytes of the archive that `zip_pieces` gives."""
    headers = sum(_LOCAL.size + _CENTRAL.size + 2 * (len(folder) + 1 + len(m.name)) + 20 + 28 for m in members)
    return sum(m.size for m in members) + headers + _END64.size + _LOCATOR.size + _END.size


def zip_pieces(members: list[Member], folder: str) -> Iterator[bytes]:
    """The archive, piece by piece; all files lie in one folder (RFC 8493, section 4)."""
    directory: list[bytes] = []
    at = 0
    for member in members:
        name = f"{folder}/{member.name}".encode()
        directory.append(_central(name, member, at))
        # Sizes always stand in the zip64 field: one form for small and large (APPNOTE 4.5.3).
        extra = _WIDE.pack(1, 16, member.size, member.size, 0)[:20]
        head = (b"PK\x03\x04", _VERSION_ZIP64, _NAMES_UTF8, 0, 0, _DAY_OF_ZIP, member.crc32, _FULL32, _FULL32, len(name), len(extra))
        header = _LOCAL.pack(*head) + name + extra
        yield header
        sent = 0
        for piece in member.pieces():
            sent += len(piece)
            yield piece
        if sent != member.size:
            raise ExportError(f"{member.name}: expected {member.size} bytes, its source gave {sent}")
        at += len(header) + sent
    yield from directory
    size, count = sum(len(d) for d in directory), len(members)
    yield _END64.pack(b"PK\x06\x06", _END64.size - 12, _UNIX | _VERSION_ZIP64, _VERSION_ZIP64, 0, 0, count, count, size, at)
    yield _LOCATOR.pack(b"PK\x06\x07", 0, at + size, 1)
    yield _END.pack(b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, _FULL32, _FULL32, 0)


def _central(name: bytes, member: Member, at: int) -> bytes:
    extra = _WIDE.pack(1, 24, member.size, member.size, at)
    head = (b"PK\x01\x02", _UNIX | _VERSION_ZIP64, _VERSION_ZIP64, _NAMES_UTF8, 0, 0, _DAY_OF_ZIP, member.crc32, _FULL32, _FULL32)
    return _CENTRAL.pack(*head, len(name), len(extra), 0, 0, 0, _REGULAR_0644, _FULL32) + name + extra
