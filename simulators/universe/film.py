"""Media of the simulated world: fragmented MP4 as far as boxes go (ISO/IEC 14496-12), with noise for pictures.

Recovery reads these boxes to find whole fragments and their times; nobody plays them. A byte stands for a thousand (`SCALE`):
a second at 8 Mbit/s is about a kilobyte here, and the network, the disk and the sizes in a story count accordingly.
"""

from __future__ import annotations

import random
import struct

SCALE = 1_000
"""Bytes that one byte of the simulated world stands for, on the network, on the disk and in stories."""

TIMESCALE = 1_000


def _box(kind: bytes, *content: bytes) -> bytes:
    data = b"".join(content)
    return struct.pack(">I4s", len(data) + 8, kind) + data


def _full(kind: bytes, version: int, flags: int, *content: bytes) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags), *content)


def init(chance: random.Random) -> bytes:
    """An init segment; noise tells two of them apart."""
    mdhd = _full(b"mdhd", 0, 0, struct.pack(">IIII", 0, 0, TIMESCALE, 0))
    trex = _full(b"trex", 0, 0, struct.pack(">IIIII", 1, 1, 0, 0, 0))
    moov = _box(b"moov", _box(b"trak", _box(b"mdia", mdhd)), _box(b"mvex", trex), _box(b"free", chance.randbytes(24)))
    return _box(b"ftyp", b"iso5", bytes(4), b"cmfc") + moov


def fragment(chance: random.Random, seq: int, begin_ms: int, duration_ms: int, size: int) -> bytes:
    """A fragment that begins at `begin_ms` of its track's clock, of about `size` bytes."""
    tfhd = _full(b"tfhd", 0, 0x08, struct.pack(">II", 1, duration_ms))
    tfdt = _full(b"tfdt", 1, 0, struct.pack(">Q", begin_ms))
    trun = _full(b"trun", 0, 0, struct.pack(">I", 1))
    moof = _box(b"moof", _full(b"mfhd", 0, 0, struct.pack(">I", seq)), _box(b"traf", tfhd, tfdt, trun))
    return moof + _box(b"mdat", chance.randbytes(max(size - len(moof) - 8, 16)))


def still(chance: random.Random) -> bytes:
    """A JPEG as far as its markers go."""
    return b"\xff\xd8" + chance.randbytes(120).replace(b"\xff", b"\xfe") + b"\xff\xd9"
