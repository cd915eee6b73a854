"""What the lines of one whole journal say of its recordings, and where they contradict themselves.

Rules (docs/evidence-format.md, sections 2 and 6):
- Each `start` is answered by a `stop`, `n` counting from 0 without a gap in between; only `gap` and `purge` follow, without `n`.
- Tracks begin with their line, `seq` and `offset` count on, the stop's totals are those of the lines; numbers of orders rise.
- Lines without meaning belong to nobody; they are counted and named. A `tamper` line is the device's own alarm.

Media are looked at when a recording has stopped, so that a journal of years needs the memory of its open recordings only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agent.core import note
from agent.core.errors import CoreError, LineError
from server.evidence.reading import meaning
from server.evidence.verdict import Check

from .media import Fragment, Media

THERE, PARTLY, PURGED, DISPOSED, OPEN, MISSING = "there", "partly there", "purged", "disposed of", "not stopped", "missing"


@dataclass
class Track:
    """A track of an open recording."""

    media: str
    fragments: list[Fragment] = field(default_factory=list)
    duration: int = 0


@dataclass
class Recording:
    """A recording of a journal: what became of it, and the figures for a report."""

    name: str
    origin: str
    start: int
    state: str = OPEN
    stop: int | None = None
    stop_leaf: str = ""
    n: int = 0
    fragments: int = 0
    missing: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    gaps: int = 0
    purge: tuple[int, str] | None = None
    tracks: dict[str, Track] = field(default_factory=dict)


@dataclass
class Beacon:
    """A ledger checkpoint that a journal holds: index of the line, size, root."""

    index: int
    head: note.Checkpoint


class Fold:
    """Takes lines in order. `folder` says where a recording's media are below the media folder."""

    def __init__(self, check: Check, origin: str, media: Media, folder: Callable[[str], str], first: int = 0) -> None:
        self.check, self.origin, self._media, self._folder = check, origin, media, folder
        self.size = self.first = first
        self.recordings: dict[str, Recording] = {}
        self.beacons: list[Beacon] = []
        self.enrol: dict[str, Any] | None = None
        self.meaningless = 0
        self.trims: dict[int, str] = {}
        """What trim lines say: the size below which lines were deleted, and the root there."""
        self._order = -1

    def place(self, index: int) -> str:
        """How a line is named."""
        return f"{self.origin} line {index}"

    def add(self, raw: bytes, leaf: bytes) -> None:
        """The next line."""
        index, self.size = self.size, self.size + 1
        try:
            m = meaning(raw)
        except LineError as e:
            self.meaningless += 1
            self.check.note(f"{self.place(index)}: a line without meaning: {e}")
            return
        kind = m["kind"]
        if (kind == "enrol") != (index == 0):
            self.check.tampered(self.place(index), "the enrolment is line 0, and only that")
        elif kind == "enrol":
            self.enrol = m
        elif kind == "beacon":
            self._beacon(index, m)
        elif kind == "order":
            self._number(index, m)
        elif kind == "boot" and m["lost"]:
            self.check.note(f"{self.place(index)}: what this start of the device found: {m['lost']!s:.200}")
        elif kind == "trim":
            self.trims[m["size"]] = m["root"]
        elif kind == "tamper":
            self.check.tampered(self.place(index), f"the device found its own journal or case altered: {m['event']}")
        if "recording" in m:
            self._of_recording(index, leaf, m)

    def _beacon(self, index: int, m: dict[str, Any]) -> None:
        try:
            self.beacons.append(Beacon(index, note.parse_checkpoint(m["checkpoint"])))
        except CoreError as e:
            self.check.tampered(self.place(index), f"the beacon is no checkpoint: {e}")

    def _number(self, index: int, m: dict[str, Any]) -> None:
        if m["number"] <= self._order:
            self.check.tampered(self.place(index), f"order {m['number']} after order {self._order}: an old order was taken again")
        self._order = max(self._order, m["number"])

    # ------------------------------------------------------------------- recordings

    def _of_recording(self, index: int, leaf: bytes, m: dict[str, Any]) -> None:
        name, kind = m["recording"], m["kind"]
        recording = self.recordings.get(name)
        if recording is None:
            if kind != "start" and self.first == 0:
                self.check.tampered(self.place(index), f"a {kind} line of {name:.40}, which never started")
            if kind != "start":
                return
            recording = self.recordings[name] = Recording(name, self.origin, index)
        elif kind == "start":
            self.check.tampered(self.place(index), f"{name:.40} starts a second time")
            return
        if "n" not in m or recording.stop is not None:
            self._after(index, recording, m)
            return
        if m["n"] != recording.n:
            self.check.tampered(self.place(index), f"{name:.40}: n is {m['n']}, expected {recording.n}")
        recording.n = m["n"] + 1
        self._during(index, leaf, recording, m)

    def _during(self, index: int, leaf: bytes, recording: Recording, m: dict[str, Any]) -> None:
        kind = m["kind"]
        if kind == "track":
            if m["track"] in recording.tracks:
                self.check.tampered(self.place(index), f"{recording.name}: track {m['track']:.40} begins twice")
            recording.tracks.setdefault(m["track"], Track(m["media"]))
        elif kind == "fragment":
            self._fragment(index, recording, m)
        elif kind == "gap":
            recording.gaps += 1
        elif kind == "stop":
            recording.stop, recording.stop_leaf = index, leaf.hex()
            self._totals(index, recording, m)
            self._look(recording)

    def _fragment(self, index: int, recording: Recording, m: dict[str, Any]) -> None:
        track = recording.tracks.get(m["track"])
        behind = track.fragments[-1].offset + track.fragments[-1].bytes if track is not None and track.fragments else 0
        if track is None or m["seq"] != len(track.fragments) or m["offset"] < behind or min(m["bytes"], m["duration"]) < 0:
            self.check.tampered(
                self.place(index), f"{recording.name}: fragment {m['seq']} of {m['track']:.40} does not come behind the last"
            )
            return
        track.fragments.append(Fragment(m["seq"], m["offset"], m["bytes"], m["sha256"]))
        track.duration += m["duration"]
        recording.fragments += 1

    def _totals(self, index: int, recording: Recording, m: dict[str, Any]) -> None:
        stated = {row["track"]: (row["fragments"], row["bytes"], row["duration"]) for row in m["tracks"]}
        counted = {name: (len(t.fragments), sum(f.bytes for f in t.fragments), t.duration) for name, t in recording.tracks.items()}
        if stated != counted:
            self.check.tampered(self.place(index), f"{recording.name}: the stop line's totals are not those of the lines")

    def _look(self, recording: Recording) -> None:
        """See which of its bytes are there, and let go of its fragments."""
        place = self._folder(recording.name)
        for name, track in recording.tracks.items():
            found = self._media.check(place, name, track.media, track.fragments)
            recording.missing += [f"{name} fragment {seq}" for seq in found.missing]
            recording.wrong += [f"{name} fragment {seq}" for seq in found.wrong]
        recording.tracks.clear()
        gone = len(recording.missing)
        recording.state = THERE if not gone else MISSING if gone == recording.fragments else PARTLY

    def _after(self, index: int, recording: Recording, m: dict[str, Any]) -> None:
        if m["kind"] not in ("gap", "purge") or "n" in m or recording.stop is None:
            self.check.tampered(self.place(index), f"{recording.name}: a {m['kind']} line that may only stand between start and stop")
        elif m["kind"] == "gap":
            recording.gaps += 1
        else:
            recording.purge = (index, m["receipt"])

    def close(self) -> None:
        """The journal ends here: what is still open is looked at as far as it goes."""
        for recording in self.recordings.values():
            if recording.stop is None:
                self._look(recording)
                recording.state = OPEN
