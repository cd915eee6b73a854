"""An editor for fragmented MP4: a fragment's samples out, and a fragment with other samples in (ISO/IEC 14496-12).

Rules:
- What is written plays: sizes, durations and offsets are those of the samples, whatever was taken out, doubled or put in.
- Of `traf` boxes the track id, the description and `tfdt` are kept; each sample's duration, size and flags are written out in one `trun`.
- Only what the recorder writes is read: `moof` with a `traf` for each track, default-base-is-moof, 32-bit boxes.

A forger who leaves a player stuttering was no forger. What he does with it is the acts' business.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

import av

from simulators.errors import AdversaryError

PICTURE, SOUND = 1, 2
"""Track ids as the recorder gives them: the picture leads."""

_DESCRIPTION, _DURATION, _SIZE, _FLAGS = 0x02, 0x08, 0x10, 0x20
_BASE_IS_MOOF = 0x020000
_RUN = 0x000701
"""`trun` with data offset and each sample's duration, size and flags."""
_SYNC, _NOT_SYNC = 0x02000000, 0x01010000


@dataclass(frozen=True, slots=True)
class Sample:
    """A frame of picture or sound: its bytes, its length in the track's ticks, its flags."""

    data: bytes
    duration: int
    flags: int

    @property
    def key(self) -> bool:
        """Whether a player may begin here."""
        return not self.flags & 0x00010000


@dataclass(frozen=True, slots=True)
class Run:
    """The samples of one track in a fragment; `begin` in ticks of the track."""

    track: int
    description: int
    begin: int
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Fragment:
    """A `moof` and its `mdat`, taken apart."""

    number: int
    runs: tuple[Run, ...]

    def run(self, track: int) -> Run:
        """The samples of a track; AdversaryError where it has none."""
        for run in self.runs:
            if run.track == track:
                return run
        raise AdversaryError(f"fragment {self.number}: expected track {track}, it has {[r.track for r in self.runs]}")

    def with_samples(self, track: int, samples: tuple[Sample, ...], begin: int | None = None) -> Fragment:
        """The same with other samples of one track."""
        old = self.run(track)
        new = replace(old, samples=samples, begin=old.begin if begin is None else begin)
        return replace(self, runs=tuple(new if run is old else run for run in self.runs))

    @property
    def groups(self) -> list[tuple[Sample, ...]]:
        """The pictures by their key frames: a group of pictures each."""
        groups: list[list[Sample]] = []
        for sample in self.run(PICTURE).samples:
            if sample.key or not groups:
                groups.append([])
            groups[-1].append(sample)
        return [tuple(group) for group in groups]


# --------------------------------------------------------------------------- reading


def boxes(data: bytes, first: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """(kind, where its content begins, where it ends) of each box."""
    at, end = first, len(data) if end is None else end
    while at < end:
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < 8 or at + size > end:
            raise AdversaryError(f"expected a whole box at {at}, got {size} bytes of {kind!r}")
        yield kind, at + 8, at + size
        at += size


def find(data: bytes, *path: bytes, number: int = 0) -> tuple[int, int]:
    """Where the content of the box at a path begins and ends; `number` counts boxes of the first name."""
    first, end = 0, len(data)
    for depth, name in enumerate(path):
        found = [(at, until) for kind, at, until in boxes(data, first, end) if kind == name]
        wanted = 0 if depth else number
        if len(found) <= wanted:
            raise AdversaryError(f"there is no box {b'/'.join(path).decode()}")
        first, end = found[wanted]
    return first, end


def parse(data: bytes) -> Fragment:
    """Take a fragment apart."""
    moof, moof_end = find(data, b"moof")
    number, runs = 0, []
    for kind, first, end in boxes(data, moof, moof_end):
        if kind == b"mfhd":
            (number,) = struct.unpack_from(">I", data, first + 4)
        elif kind == b"traf":
            runs.append(_traf(data, moof - 8, first, end))
    return Fragment(number, tuple(runs))


def _traf(data: bytes, base: int, first: int, end: int) -> Run:
    """Read the samples of a track: `tfhd` has the defaults, each `trun` what differs."""
    head, _ = next((at, until) for kind, at, until in boxes(data, first, end) if kind == b"tfhd")
    flags, track = struct.unpack_from(">II", data, head)
    at, defaults = head + 8, {}
    for bit in (_DESCRIPTION, _DURATION, _SIZE, _FLAGS):
        if flags & bit:
            (defaults[bit],) = struct.unpack_from(">I", data, at)
            at += 4
    begin, samples = 0, []
    for kind, where, _ in boxes(data, first, end):
        if kind == b"tfdt":
            (begin,) = struct.unpack_from(">Q" if data[where] else ">I", data, where + 4)
        elif kind == b"trun":
            samples += _trun(data, base, where, defaults)
    return Run(track, defaults.get(_DESCRIPTION, 1), begin, tuple(samples))


def _trun(data: bytes, base: int, at: int, defaults: dict[int, int]) -> list[Sample]:
    flags, count = struct.unpack_from(">II", data, at)
    flags &= 0xFFFFFF
    (offset,) = struct.unpack_from(">i", data, at + 8)
    at += 12
    first_flags = None
    if flags & 0x04:
        (first_flags,) = struct.unpack_from(">I", data, at)
        at += 4
    place, samples = base + offset, []
    for number in range(count):
        values = {_DURATION: defaults.get(_DURATION, 0), _SIZE: defaults.get(_SIZE, 0), _FLAGS: defaults.get(_FLAGS, 0)}
        if number == 0 and first_flags is not None:
            values[_FLAGS] = first_flags
        for bit, of in ((0x100, _DURATION), (0x200, _SIZE), (0x400, _FLAGS), (0x800, 0)):
            if flags & bit:
                (values[of],) = struct.unpack_from(">I", data, at)
                at += 4
        samples.append(Sample(data[place : place + values[_SIZE]], values[_DURATION], values[_FLAGS]))
        place += values[_SIZE]
    return samples


# --------------------------------------------------------------------------- writing


def box(kind: bytes, content: bytes) -> bytes:
    """A box."""
    return struct.pack(">I4s", len(content) + 8, kind) + content


def build(fragment: Fragment) -> bytes:
    """The fragment's bytes."""
    length = len(_moof(fragment, 0))
    mdat = b"".join(sample.data for run in fragment.runs for sample in run.samples)
    return _moof(fragment, length + 8) + box(b"mdat", mdat)


def _moof(fragment: Fragment, offset: int) -> bytes:
    trafs = []
    for run in fragment.runs:
        tfhd = struct.pack(">III", _BASE_IS_MOOF | _DESCRIPTION, run.track, run.description)
        rows = b"".join(struct.pack(">III", s.duration, len(s.data), s.flags) for s in run.samples)
        trun = struct.pack(">IIi", _RUN, len(run.samples), offset) + rows
        tfdt = struct.pack(">IQ", 1 << 24, run.begin)
        trafs.append(box(b"traf", box(b"tfhd", tfhd) + box(b"tfdt", tfdt) + box(b"trun", trun)))
        offset += sum(len(s.data) for s in run.samples)
    return box(b"moof", box(b"mfhd", struct.pack(">II", 0, fragment.number)) + b"".join(trafs))


def sample(data: bytes, duration: int, *, key: bool) -> Sample:
    """A picture of a forger's own."""
    return Sample(data, duration, _SYNC if key else _NOT_SYNC)


def scaled(init: bytes, numerator: int, denominator: int) -> bytes:
    """The init segment with another time scale for the picture: everything plays at another speed."""
    first, end = find(init, b"moov", b"trak", b"mdia", b"mdhd")
    at = first + (20 if init[first] else 12)
    assert at < end
    (scale,) = struct.unpack_from(">I", init, at)
    return init[:at] + struct.pack(">I", scale * numerator // denominator) + init[at + 4 :]


# --------------------------------------------------------------------------- looking


def pictures(data: bytes) -> list[av.VideoFrame]:
    """Every picture that a player shows of a track file (init segment and fragments)."""
    with av.open(io.BytesIO(data), "r") as container:
        return list(container.decode(container.streams.video[0]))


def samples_of_sound(data: bytes) -> int:
    """How many samples a player lets hear of it."""
    with av.open(io.BytesIO(data), "r") as container:
        return sum(frame.samples for frame in container.decode(container.streams.audio[0]))
