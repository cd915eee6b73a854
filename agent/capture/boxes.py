"""Cuts what a muxer wrote into init segment and fragments, and reads from each how many samples of each track it holds.

ISO/IEC 14496-12: a box is 32 bits of size, four letters, content. Read here: `ftyp`, `moov`, `moof` (8.8.4) with its `traf`, `tfhd`
(8.8.7), `trun` (8.8.8), and `mdat`. Boxes that come before a `moof` and are none of these (`styp`, `sidx`) belong to its fragment.

Input is our own muxer's output, so anything else is a MuxError and not a way to go on.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from agent.capture.errors import MuxError

_HEADER = struct.Struct(">I4s")


@dataclass(frozen=True, slots=True)
class Cut:
    """One fragment's bytes; `samples` per track id, in the order of `traf`."""

    data: bytes
    samples: dict[int, int]


class Cutter:
    """Takes bytes as a muxer writes them (it is the muxer's file) and gives whole pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def write(self, data: bytes) -> int:
        """The muxer's way in."""
        self._buffer += data
        return len(data)

    def init_segment(self) -> bytes:
        """`ftyp` and `moov`; MuxError where they are not there yet."""
        found = list(children(bytes(self._buffer)))
        if [kind for kind, _, _ in found] != ["ftyp", "moov"]:
            raise MuxError(f"muxer: expected an init segment of ftyp and moov, got {[kind for kind, _, _ in found]}")
        return self._take(found[-1][2])

    def fragments(self) -> list[Cut]:
        """Each `moof` with its `mdat` that is there as a whole."""
        cuts: list[Cut] = []
        while (end := self._whole_fragment()) is not None:
            data = self._take(end)
            cuts.append(Cut(data, samples(data)))
        return cuts

    @property
    def rest(self) -> int:
        """Bytes that belong to no whole fragment yet."""
        return len(self._buffer)

    def _whole_fragment(self) -> int | None:
        for kind, _, end in children(self._buffer):
            if kind == "mdat":
                return end
        return None

    def _take(self, size: int) -> bytes:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data


def children(data: bytes | bytearray, first: int = 0, end: int | None = None) -> Iterator[tuple[str, int, int]]:
    """(kind, where its content begins, where it ends) of each box that is there as a whole."""
    at, end = first, len(data) if end is None else end
    while at + _HEADER.size <= end:
        size, kind = _HEADER.unpack_from(data, at)
        if size < _HEADER.size:
            raise MuxError(f"muxer: expected a box with a 32-bit size at {at}, got size {size} of {kind!r}")
        if at + size > end:
            return
        yield kind.decode("latin-1"), at + _HEADER.size, at + size
        at += size


def samples(fragment: bytes) -> dict[int, int]:
    """Track id → number of samples in a fragment."""
    counts: dict[int, int] = {}
    for kind, first, end in children(fragment):
        if kind != "moof":
            continue
        for inner, inner_first, inner_end in children(fragment, first, end):
            if inner == "traf":
                track, count = _traf(fragment, inner_first, inner_end)
                counts[track] = counts.get(track, 0) + count
    return counts


def _traf(data: bytes, first: int, end: int) -> tuple[int, int]:
    track, count = 0, 0
    for kind, at, _ in children(data, first, end):
        # A full box's content begins with a version and flags of four bytes.
        if kind == "tfhd":
            track = int.from_bytes(data[at + 4 : at + 8], "big")
        elif kind == "trun":
            count += int.from_bytes(data[at + 4 : at + 8], "big")
    return track, count
