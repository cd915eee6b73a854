"""Top-level boxes of a fragmented MP4 file: where whole pieces end, and when a fragment was.

Rules (ISO/IEC 14496-12):
- A box is size, four characters, content; size 1 means that 64 bits follow, size 0 (to the end of the file) is never ours.
- A piece is what one `fragment` line names: `ftyp` … `moov` (the init segment), or what leads to a `moof` and its `mdat`.
- A fragment begins at `tfdt` and lasts as long as the samples of its `trun` boxes, in the time scale of `mdhd`.

Used by recovery alone, on bytes that have no line yet. Writing MP4 is capture's business.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

HEADER = 8
LONG_HEADER = 16
MAX_HEAD_BYTES = 1_048_576
"""A `moov` or `moof` is some kilobytes; one that claims more is garbage."""
HOLE = bytes(512)
"""A page that never reached the disk reads as zeros. H.264 (emulation prevention) and entropy-coded AAC and JPEG data never hold
that many in a row."""
_TOP_LEVEL = frozenset((b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"sidx", b"emsg", b"prft", b"free", b"skip", b"uuid", b"mfra"))

Read = Callable[[int, int], bytes]


@dataclass(frozen=True, slots=True)
class Piece:
    """An init segment or a fragment that is whole: its bytes, and where its `moof` or `moov` stands in them."""

    offset: int
    size: int
    init: bool
    head: int
    head_size: int


def pieces(read: Read, begin: int, end: int) -> Iterator[Piece]:
    """Whole pieces from `begin` on, one behind the other; ends at the first thing that is not one."""
    at, start, head, head_size = begin, begin, -1, 0
    while (box := _box(read(at, LONG_HEADER), end - at)) is not None:
        kind, size = box
        if kind in (b"moov", b"moof"):
            head, head_size = at, size
        at += size
        if kind == b"moov" or (kind == b"mdat" and head >= 0):
            yield Piece(start, at - start, kind == b"moov", head, head_size)
            start, head = at, -1


def _box(header: bytes, room: int) -> tuple[bytes, int] | None:
    """(kind, size) of a top-level box that fits into `room` bytes."""
    if len(header) < HEADER:
        return None
    size, kind = struct.unpack(">I4s", header[:HEADER])
    if size == 1 and len(header) == LONG_HEADER:
        (size,) = struct.unpack(">Q", header[HEADER:])
    return (kind, size) if kind in _TOP_LEVEL and HEADER <= size <= room else None


def torn(data: bytes) -> bool:
    """Whether bytes of the piece never reached the disk although the file is long enough."""
    return HOLE in data


# --------------------------------------------------------------------------- when a fragment was


def timing(read: Read, init: Piece, fragment: Piece) -> tuple[int, int] | None:
    """(begin, duration) of a fragment in ms on the media clock, by its first track; None where it does not say."""
    try:
        moov = read(init.head, min(init.head_size, MAX_HEAD_BYTES))[HEADER:]
        moof = read(fragment.head, min(fragment.head_size, MAX_HEAD_BYTES))[HEADER:]
        scale, default = _track(moov)
        traf = _child(moof, b"traf")
        begin, duration = _begin(_child(traf, b"tfdt")), _duration(traf, default)
    except (struct.error, LookupError):
        return None
    return (begin * 1000 // scale, duration * 1000 // scale) if scale else None


def _children(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + HEADER <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < HEADER:
            return
        yield kind, data[at + HEADER : at + size]
        at += size


def _child(data: bytes, *path: bytes) -> bytes:
    """Content of the first box at a path; LookupError where there is none."""
    for name in path:
        data = next((content for kind, content in _children(data) if kind == name), b"")
        if not data:
            raise LookupError(name)
    return data


def _track(moov: bytes) -> tuple[int, int]:
    """(time scale, default sample duration) of the first track."""
    mdhd = _child(moov, b"trak", b"mdia", b"mdhd")
    (scale,) = struct.unpack_from(">I", mdhd, 20 if mdhd[0] else 12)
    trex = _child(moov, b"mvex", b"trex")
    return scale, struct.unpack_from(">I", trex, 12)[0]


def _begin(tfdt: bytes) -> int:
    (begin,) = struct.unpack_from(">Q" if tfdt[0] else ">I", tfdt, 4)
    return int(begin)


def _duration(traf: bytes, default: int) -> int:
    """Sum of the samples' durations."""
    tfhd = _child(traf, b"tfhd")
    flags = int.from_bytes(tfhd[1:4], "big")
    if flags & 0x08:
        at = 8 + (8 if flags & 0x01 else 0) + (4 if flags & 0x02 else 0)
        (default,) = struct.unpack_from(">I", tfhd, at)
    total = 0
    for kind, trun in _children(traf):
        if kind == b"trun":
            total += _run(trun, default)
    return total


def _run(trun: bytes, default: int) -> int:
    flags = int.from_bytes(trun[1:4], "big")
    (count,) = struct.unpack_from(">I", trun, 4)
    if not flags & 0x100:
        return int(count) * default
    at = 8 + (4 if flags & 0x01 else 0) + (4 if flags & 0x04 else 0)
    step = 4 * sum(1 for bit in (0x100, 0x200, 0x400, 0x800) if flags & bit)
    return sum(struct.unpack_from(">I", trun, at + i * step)[0] for i in range(count))
