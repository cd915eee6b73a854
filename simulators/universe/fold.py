"""Judge of one journal's lines: recordings, their numbers, what belongs between `start` and `stop`; independent of the agent's own fold.

Rules (docs/evidence-format.md, section 2): `n` counts from 0 without a gap from `start` to `stop`; one recording is open at a time;
lines of the kinds "while recording" belong to it exactly between the two; after `stop` only `gap` and `purge`, without `n`; `seq`
counts from 0, `stop` sums up what there was; line 0 is `enrol`, `boot` counts, and where a card forgot lines it may count anew.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

WHILE = ("clock", "config", "assign", "signon", "signoff", "fix", "sense", "power", "storage", "tamper", "camera")
DEVICE = ("enrol", "boot", "beacon", "order", "dock", "trim", "retire")

Interval = tuple[int, int]


@dataclass(slots=True)
class Told:
    """What the lines say of one recording. `fragments`: digest → (track, pts, duration, offset, bytes)."""

    start: int
    trigger: str
    n: int = 1
    stop: int | None = None
    stop_trigger: str = ""
    stop_leaf: str = ""
    marked: bool = False
    purged: bool = False
    tracks: dict[str, dict[str, int]] = field(default_factory=dict)
    media: dict[str, str] = field(default_factory=dict)
    fragments: list[dict[str, Any]] = field(default_factory=list)
    gaps: list[dict[str, Any]] = field(default_factory=list)

    def under_gap(self, fragment: dict[str, Any]) -> bool:
        """Whether a gap says that the fragment's bytes are gone; any other speaks of media that never were."""
        begin, length = fragment["pts"], fragment["duration"]
        for gap in self.gaps:
            first, lost = gap["from"], gap["lost"]
            if (
                gap["reason"] == "storage"
                and gap["track"] == fragment["track"]
                and ((first, lost) == (begin, length) or (length > 0 and first <= begin and begin + length <= first + lost))
            ):
                return True
        return False


class Fold:
    """Takes lines in order; `problems` says what is not as it must be."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.lines: list[bytes] = []
        self.recordings: dict[str, Told] = {}
        self.open: str | None = None
        self.boots = 0
        self.forgetful = False
        self.problems: list[str] = []
        self.kinds: dict[str, int] = {}

    def replace(self, first: int, lines: list[bytes]) -> None:
        """Take lines from index `first` on in the place of what was there."""
        kept = self.lines[:first]
        if first < len(self.lines):
            problems, forgetful = self.problems, self.forgetful
            self.__init__(self.origin)  # type: ignore[misc]
            self.problems, self.forgetful = problems, forgetful
            for line in kept:
                self.add(line)
        for line in lines:
            self.add(line)

    def _odd(self, what: str) -> None:
        self.problems.append(f"{self.origin} line {len(self.lines)}: {what}")

    def add(self, line: bytes) -> None:
        """One line more."""
        members = json.loads(line)
        kind, recording = members["kind"], members.get("recording")
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if (kind == "enrol") != (not self.lines):
            self._odd(f"{kind} at line {len(self.lines)}")
        if kind == "boot":
            self._boot(members)
        elif kind == "start":
            self._start(members)
        elif recording is None:
            if self.open is not None and kind in WHILE:
                self._odd(f"{kind} within {self.open} does not belong to it")
            elif kind not in WHILE and kind not in DEVICE:
                self._odd(f"{kind} belongs to no recording")
        else:
            self._belongs(kind, members, line)
        self.lines.append(line)

    def _boot(self, members: dict[str, Any]) -> None:
        anew = self.forgetful and 0 < members["boot"] <= self.boots
        if self.boots and members["boot"] != self.boots + 1 and not anew:
            self._odd(f"boot {members['boot']} after {self.boots}")
        self.boots = members["boot"]

    def _start(self, members: dict[str, Any]) -> None:
        name = members["recording"]
        if members["n"] != 0 or name in self.recordings:
            self._odd(f"{name} starts with n {members['n']}, known: {name in self.recordings}")
        if self.open is not None:
            self._odd(f"{name} starts while {self.open} is open")
        self.recordings[name] = Told(len(self.lines), members["trigger"])
        self.open = name

    def _belongs(self, kind: str, members: dict[str, Any], line: bytes) -> None:
        name = members["recording"]
        told = self.recordings.get(name)
        if told is None:
            self._odd(f"{kind} of {name}, which never started")
            return
        if told.stop is not None:
            if kind not in ("gap", "purge") or "n" in members:
                self._odd(f"{kind} of {name} after its stop, n {members.get('n')}")
        elif members.get("n") != told.n:
            self._odd(f"{kind} of {name}: n {members.get('n')}, expected {told.n}")
        else:
            told.n += 1
        take = getattr(self, f"_{kind}", None)
        if take is not None:
            take(told, members, line)

    def _track(self, told: Told, members: dict[str, Any], _line: bytes) -> None:
        if members["track"] in told.tracks:
            self._odd(f"track {members['track']} begins twice")
        told.tracks[members["track"]] = {"fragments": 0, "bytes": 0, "duration": 0}
        told.media[members["track"]] = members["media"]

    def _fragment(self, told: Told, members: dict[str, Any], _line: bytes) -> None:
        totals = told.tracks.get(members["track"])
        if totals is None or members["seq"] != totals["fragments"]:
            self._odd(f"fragment {members['seq']} of {members['track']}: expected {totals and totals['fragments']}")
            return
        totals["fragments"] += 1
        totals["bytes"] += members["bytes"]
        totals["duration"] += members["duration"]
        told.fragments.append(members | {"line": len(self.lines)})

    def _mark(self, told: Told, _members: dict[str, Any], _line: bytes) -> None:
        told.marked = True

    def _gap(self, told: Told, members: dict[str, Any], _line: bytes) -> None:
        if not members["reason"] or members["lost"] < 0:
            self._odd(f"a gap of {members['lost']} ms with the reason {members['reason']!r}")
        told.gaps.append(members)

    def _stop(self, told: Told, members: dict[str, Any], line: bytes) -> None:
        said = {one["track"]: {name: one[name] for name in ("fragments", "bytes", "duration")} for one in members["tracks"]}
        if said != told.tracks:
            self._odd(f"stop sums up {said}, there were {told.tracks}")
        told.stop, told.stop_trigger = len(self.lines), members["trigger"]
        told.stop_leaf = hashlib.sha256(b"\0" + line).hexdigest()
        self.open = None

    def _purge(self, told: Told, _members: dict[str, Any], _line: bytes) -> None:
        if told.stop is None or told.purged:
            self._odd("a purge of a recording that runs, or a second one")
        told.purged = True
