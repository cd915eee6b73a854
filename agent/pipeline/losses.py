"""What a refusing disk has cost: per recording and track the media time that is lost, until it can be said.

Rules:
- From the first refused append on, everything of that recording is lost: a track with a hole that no line names would look
  whole. One `gap` a track says from when on and how much; then comes the `stop` (trigger `storage`).
- A recording whose `start` was refused never began: nothing is said of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.capture.events import Alarm, Event, FragmentMade, GapFound, RecordingStarted, RecordingStopped, TrackBegun

if TYPE_CHECKING:
    from agent.journal.scribe import Scribe

TRIGGER = "storage"


@dataclass(slots=True)
class Loss:
    """One recording's: `tracks` maps a track to the first and last lost ms; `over` when its stop has come; `began` on record."""

    began: bool
    over: bool = False
    tracks: dict[str, tuple[int, int]] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)

    def widen(self, track: str, first_ms: int, last_ms: int) -> None:
        """Media time from `first_ms` to `last_ms` of the track is lost."""
        known = self.tracks.get(track)
        if known in {None, (0, 0)}:
            self.tracks[track] = first_ms, last_ms
        else:
            self.tracks[track] = min(known[0], first_ms), max(known[1], last_ms)


class Losses:
    """Grows with what the disk refuses, shrinks when it is said."""

    def __init__(self) -> None:
        self._held: dict[str, Loss] = {}

    def __bool__(self) -> bool:
        return bool(self._held)

    def names(self, recording: str) -> bool:
        """Whether the recording is lost from some moment on."""
        return recording in self._held

    def covers(self, thing: Event) -> bool:
        """Whether the event belongs to a recording that is lost from some moment on."""
        return getattr(thing, "recording", None) in self._held

    def add(self, thing: Event, on_record: Callable[[str], bool]) -> None:
        """Count an event that is not on record and will not be."""
        if isinstance(thing, Alarm):
            return
        loss = self._held.setdefault(thing.recording, Loss(began=on_record(thing.recording)))
        if isinstance(thing, RecordingStarted):
            loss.began = False
        elif isinstance(thing, TrackBegun):
            loss.tracks.setdefault(thing.track, (0, 0))
        elif isinstance(thing, FragmentMade):
            loss.widen(thing.track, thing.pts_ms, thing.pts_ms + thing.duration_ms)
        elif isinstance(thing, GapFound):
            loss.widen(thing.track, thing.from_ms, thing.from_ms + thing.lost_ms)
        elif isinstance(thing, RecordingStopped):
            loss.over = True
        else:
            loss.labels.append(thing.label)

    def over(self) -> list[str]:
        """Recordings that have ended and wait for their gaps and their stop."""
        return [recording for recording, loss in self._held.items() if loss.over]

    def write(self, scribe: Scribe, recording: str) -> bool:
        """Say it, in one append; False where the recording never began, and nothing is said."""
        loss = self._held[recording]
        if not loss.began:
            return False
        with scribe.batch():
            for label in loss.labels:
                scribe.mark(recording, label)
            for track, (first, last) in loss.tracks.items():
                scribe.gap(recording, track, first, last - first, TRIGGER)
            scribe.stop(recording, TRIGGER)
        return True

    def done(self, recording: str) -> None:
        """It was said."""
        del self._held[recording]
