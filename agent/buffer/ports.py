"""What the index is built from: the journal, the track files, the receipts; and the values that it answers with.

The stages never import each other; the pipeline hands these in. `agent.journal` has them as `Journal`, `MediaFiles` and the names
of its `Receipts`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

Receipts = Callable[[], list[str]]
"""Recordings that the server has given a receipt for."""


class Lines(Protocol):
    """The journal, for reading."""

    @property
    def origin(self) -> str: ...

    @property
    def size(self) -> int: ...

    @property
    def oldest(self) -> int: ...

    @property
    def cosigned_size(self) -> int: ...

    @property
    def cosigned_seconds(self) -> int | None:
        """When the server cosigned that, by its clock."""
        ...

    def iterate(self, first: int = 0) -> Iterator[tuple[int, bytes]]:
        """(index, line) from `first`, or the oldest that is left, to the end."""
        ...


class Tracks(Protocol):
    """The track files."""

    def size(self, recording: str, track: str) -> int:
        """Bytes of the track's file; −1 where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Fragment:
    """A fragment as its line says; `line` is the line's index in the journal."""

    line: int
    recording: str
    track: str
    seq: int
    offset: int
    bytes: int
    sha256: str
    pts: int
    duration: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """A recording that has ended: leaf hash of its `stop`, fragments and bytes that the server can have of it.

    `gone` ones are lost here and may have been sent before: a card that forgot them forgot that, too.
    """

    stop: bytes
    fragments: int
    bytes: int
    gone_fragments: int = 0
    gone_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits for the server: lines without a cosignature, fragments not sent, and their bytes."""

    lines: int
    fragments: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Recording:
    """How far a recording is. `start` and `stop` are indices of its lines; `unsent` counts fragments."""

    recording: str
    start: int
    stop: int | None
    marked: bool
    fragments: int
    bytes: int
    unsent: int
    cosigned_s: int | None
    receipt: bool
    purged: bool
