"""What a recorder has promised to somebody else, and so must keep whatever becomes of its power."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simulators.torture.kernel import Tape


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose journal it is: its origin, its number, and the raw evidence key."""

    origin: str
    n: int
    public: bytes


@dataclass(frozen=True, slots=True)
class Lines:
    """Promised: these lines, from index `first` on, under this signed checkpoint."""

    first: int
    lines: tuple[bytes, ...]
    note: str


@dataclass(frozen=True, slots=True)
class Kept:
    """Promised: the server's cosigned note of so many lines was taken in."""

    size: int


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Promised: this order's answer is on record; it is never carried out again."""

    number: int


@dataclass(frozen=True, slots=True)
class Durable:
    """Promised to the officer only, before anything could be sent: these lines stay, at whatever index."""

    lines: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Refuted:
    """Promised: a line that contradicts what was signed is never put on record."""

    line: bytes


@dataclass(frozen=True, slots=True)
class Deleted:
    """Promised: the media of this recording are gone, and don't come back."""

    recording: str


@dataclass(frozen=True, slots=True)
class Trimmed:
    """Promised: lines below this index are gone, and don't come back."""

    oldest: int


@dataclass(frozen=True, slots=True)
class Handed:
    """No promise: capture handed a fragment over, which ends at `end_ms` of its track."""

    recording: str
    track: str
    sha256: str
    begin_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Filmed:
    """No promise: the camera has seen so much of a track, whole fragments of it or not."""

    recording: str
    track: str
    end_ms: int


@dataclass(frozen=True, slots=True)
class Sent:
    """No promise: the server has these fragments, by recording, track and seq."""

    fragments: frozenset[tuple[str, str, int]]


@dataclass(frozen=True, slots=True)
class Slow:
    """No promise: the officer was told that the disk is slower than the recording, or (`refused`) takes nothing of it any more."""

    refused: bool = False


Promise = Lines | Kept | Acknowledged | Durable | Refuted | Deleted | Trimmed | Handed | Filmed | Sent | Slow


def told(promises: Sequence[Promise], tape: Tape) -> list[Promise]:
    """Those of the promises that this part of a tape tells of."""
    return [promises[int(step.name)] for step in tape if step.kind in ("tell", "event")]
