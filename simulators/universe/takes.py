"""What capture really made of each recording, and whether the lines say it or say that it was lost.

Rules (docs/evidence-format.md, sections 2 and 4):
- Each fragment that capture made has its line, or its time lies under a `gap` of its track with a reason.
- What capture itself said to be missing stands in a `gap` too. Every recording has a `stop`.
- A disk that refuses may refuse a whole recording: then a `storage` line says that it refused, and since when; unless the power went
  before the disk took a line again.
- A power cut costs at most the fragment that was being made and one more; how much it cost is measured. A start of the last
  moments before a cut may leave no trace at all: that is measured too, and must be moments.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from agent.capture.events import Event, FragmentMade, GapFound, RecordingStarted, RecordingStopped
from simulators.universe.fold import Interval, Told

UNTRACED_US = 3_000_000
"""A press so short before a cut may be lost: its line was on its way to the disk."""
SLACK_MS = 2_000
"""One fragment plus one: a gap written by recovery says at least one, and may end so much early."""


@dataclass(slots=True)
class Take:
    """One recording as capture made it. Times are the world's; `cut` says that the power ended it."""

    device: str
    recording: str
    began_us: int
    before_us: int
    fragments: list[tuple[str, int, int, str, bool]] = field(default_factory=list)
    gaps: list[GapFound] = field(default_factory=list)
    ended_us: int | None = None
    cut: bool = False
    refused: bool = False

    @property
    def epoch_us(self) -> int:
        """World time of media time 0."""
        return self.began_us - self.before_us


class Takes:
    """All of a world's."""

    def __init__(self) -> None:
        self.known: dict[str, Take] = {}
        self.worst_cut_us = 0
        """Media that the worst power cut cost, made or being made, and said to be lost."""
        self.worst_start_us = 0
        """The longest recording that left no trace: the press came this long before the cut."""
        self.unsaid = 0
        """Recordings that a disk refused from their start on, whose device died before it could say so."""
        self._owned_up: dict[str, int] = {}
        self._died: dict[str, int] = {}

    def emitted(self, device: str, event: Event, now_us: int) -> None:
        """Capture said something."""
        if isinstance(event, RecordingStarted):
            self.known[event.recording] = Take(device, event.recording, now_us, event.up_us - event.epoch_us)
            return
        take = self.known.get(getattr(event, "recording", ""))
        if take is None:
            return
        if isinstance(event, FragmentMade):
            digest = hashlib.sha256(event.data).hexdigest()
            take.fragments.append((event.track, event.pts_ms, event.duration_ms, digest, event.seq == 0))
        elif isinstance(event, GapFound):
            take.gaps.append(event)
        elif isinstance(event, RecordingStopped):
            take.ended_us = now_us

    def died(self, device: str, now_us: int) -> None:
        """The device has no power any more, or its agent ended."""
        self._died[device] = now_us
        for take in self.known.values():
            if take.device == device and take.ended_us is None:
                take.ended_us, take.cut = now_us, True

    def refused(self, device: str) -> None:
        """The disk of the device refused something: what was open then may have lost its start."""
        for take in self.known.values():
            if take.device == device and take.ended_us is None:
                take.refused = True

    def owned_up(self, device: str, now_us: int) -> None:
        """A line says that the disk had refused."""
        self._owned_up[device] = now_us

    # ----------------------------------------------------------------- the judgement

    def judge(self, take: Take, told: Told | None) -> Iterable[str]:
        """What is wrong with the lines of a recording."""
        if told is None:
            lasted_us = (take.ended_us or take.began_us) - take.began_us
            if take.refused and self._owned_up.get(take.device, -1) >= take.began_us:
                return
            if take.refused and self._died.get(take.device, -1) >= take.began_us:
                self.unsaid += 1
                return
            if not take.cut or lasted_us > UNTRACED_US:
                yield f"{take.recording} ran {lasted_us / 1e6:.1f} s and stands in no journal"
            self.worst_start_us = max(self.worst_start_us, lasted_us)
            return
        if told.stop is None:
            yield f"{take.recording} has no stop"
        there = {one["sha256"] for one in told.fragments}
        filled = {track for track, _, _, _, init in take.fragments if not init} | set(told.tracks)
        for track, pts, duration, digest, init in take.fragments:
            if init and take.cut and track not in filled:
                continue  # a track that began in the moment of the cut: there was no media in it yet
            if digest not in there and not self._said(told, track, pts, duration, init=init):
                yield f"{take.recording}: fragment of {track} at {pts} ms has neither line nor gap"
        for gap in take.gaps:
            if gap.lost_ms > 0 and not covered(_spans(told, gap.track), (gap.from_ms, gap.from_ms + gap.lost_ms)):
                yield f"{take.recording}: capture lost {gap.lost_ms} ms of {gap.track} ({gap.reason}), and no line says so"
        if take.cut and not take.refused and not any(gap["reason"] == "power" for gap in told.gaps):
            yield f"{take.recording} was ended by a power cut, and no line says what that cost"
        if take.cut and take.ended_us is not None and told.fragments:
            end_ms = max(one["pts"] + one["duration"] for one in told.fragments)
            self.worst_cut_us = max(self.worst_cut_us, take.ended_us - take.epoch_us - end_ms * 1_000)

    @staticmethod
    def _said(told: Told, track: str, pts: int, duration: int, *, init: bool) -> bool:
        """Whether a gap says that the fragment was lost; one without duration where any loss of that track or of all is said."""
        spans = _spans(told, track)
        if init or not duration:
            return bool(spans)
        return covered(spans, (pts, pts + duration))


def _spans(told: Told, track: str) -> list[Interval]:
    """Media times that are said to be lost of a track, or of the ones it goes on from, or of all."""
    base = re.sub(r"-\d+$", "", track)
    mine = (gap for gap in told.gaps if not gap["track"] or re.sub(r"-\d+$", "", gap["track"]) == base)
    return sorted((gap["from"], gap["from"] + gap["lost"] + (SLACK_MS if gap["reason"] == "power" else 0)) for gap in mine)


def covered(spans: list[Interval], wanted: Interval) -> bool:
    """Whether sorted spans hold all of the wanted one."""
    at, end = wanted
    for begin, until in spans:
        if begin <= at:
            at = max(at, until)
    return at >= end
