"""What capture says: plain values, in the order in which they happened, each emitted once.

Rules:
- A recording's events stand between its `RecordingStarted` and its `RecordingStopped`, which is always the last.
- Media time 0 is `epoch_us`, the oldest sample; `pts_ms` and `from_ms` count from there and are never negative (evidence format,
  section 2). The fragments of a track touch: where one ends the next begins, rounding included.
- `track` names follow each other: `front`, and after a change of parameters `front-2`.

The journal makes lines of these; `up` and `at` of a line are its own, so events carry media time only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class RecordingStarted:
    """`epoch_us` is the `up` of media time 0; `up_us` the moment of the press; `continues` another recording's ULID."""

    recording: str
    trigger: str
    epoch_us: int
    up_us: int
    continues: str | None = None


@dataclass(frozen=True, slots=True)
class TrackBegun:
    """A track begins; `width`, `height` and `rate` are pixels and frames a second, for sound alone 0, 0 and samples a second."""

    recording: str
    track: str
    media: str
    codecs: str
    width: int
    height: int
    rate: int
    source: str


@dataclass(frozen=True, slots=True)
class FragmentMade:
    """Bytes for the end of a track's file; `seq` 0 is the init segment. `pre`: it ended before the press."""

    recording: str
    track: str
    seq: int
    data: bytes
    pts_ms: int
    duration_ms: int
    pre: bool = False


@dataclass(frozen=True, slots=True)
class GapFound:
    """Media that should be there and is not; `reason` is one of the evidence format's."""

    recording: str
    track: str
    from_ms: int
    lost_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class Marked:
    """重点标记: somebody says that this matters."""

    recording: str
    label: str


@dataclass(frozen=True, slots=True)
class RecordingStopped:
    """Nothing of this recording follows."""

    recording: str
    trigger: str


@dataclass(frozen=True, slots=True)
class Alarm:
    """A state of camera, microphone or encoder that bears on the evidence; `event` is one of ALARMS."""

    event: str
    detail: str


ALARMS = (
    "camera-lost",
    "camera-back",
    "microphone-lost",
    "microphone-back",
    "microphone-silent",  # samples come and do not change (`flat`), until `microphone-back`
    "media-dropped",  # more is lost than may be: the encoder, the disk or the camera is too slow (`gaps.Toll`)
    "media-back",  # nothing has been lost for a while
    "ring-short",  # the pre-event ring reached its bound of bytes before its time
    "still-failed",
    "encoder-fault",
)

Event: TypeAlias = RecordingStarted | TrackBegun | FragmentMade | GapFound | Marked | RecordingStopped | Alarm
