"""What must hold after a start, whatever became of the disk before it; nothing here asks the code that is judged.

Read from the disk as docs/evidence-format.md says it is written: lines by the interpreter's JSON, roots by RFC 6962 as it stands
there, signatures by `cryptography`, boxes by their lengths. Two words for what is found:

    lost    something that was promised, or that is on record, is not there
    hidden  something is missing, wrong or was taken away, and no line says so
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from simulators.torture.heard import heard_of, in_trouble
from simulators.torture.kernel import Image
from simulators.torture.promises import (
    Acknowledged,
    Deleted,
    Durable,
    Filmed,
    Handed,
    Identity,
    Kept,
    Lines,
    Promise,
    Refuted,
    Trimmed,
)
from simulators.torture.reading import Written, members_of, plays, stem, written
from simulators.torture.trees import Folded, digest, heads, leaf

FRAGMENT_MS = 1_000
RUNNING = ("video/mp4", "audio/mp4")


@dataclass(slots=True)
class Findings:
    """What is wrong, and how much media the cut has cost. `missing_ms`: seen by the camera and not there."""

    problems: list[str] = field(default_factory=list)
    missing_ms: int = 0
    slow_ms: int = 0
    """The same, where the officer had been told that the disk is slower than the recording, or refuses it."""
    missing_before_ms: int = 0
    """Of recordings whose beginning nobody had been told of yet: the seconds before the press."""
    understated_ms: int = 0
    recovered: int = 0

    def lost(self, what: str) -> None:
        """Something promised is gone."""
        self.problems.append(f"lost: {what}")

    def hidden(self, what: str) -> None:
        """Something is wrong and not said."""
        self.problems.append(f"hidden: {what}")


@dataclass(slots=True)
class Recording:
    """One recording by its lines."""

    start: dict[str, Any]
    after_boot: int
    """How many `boot` lines stand before it."""
    tracks: dict[str, dict[str, Any]] = field(default_factory=dict)
    fragments: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    gaps: list[dict[str, Any]] = field(default_factory=list)
    stop: dict[str, Any] | None = None
    purge: dict[str, Any] | None = None
    n: int = 0


class Judge:
    """Judges what a start made of the disk `found`.

    `alarms`: troubles besides cuts that may be on record: `tamper`, `storage`; `moved`: the device took lines back, and its own
    got other places. `before`: the disk on which the first of several starts began, where this was not the first. `exact`: what
    was taken away must be said exactly once; a start that was cut off may have said it already, to nobody. `live`: the recorder
    is running, and has begun its next recording.
    """

    def __init__(
        self,
        whose: Identity,
        promises: Sequence[Promise],
        found: Image,
        after: Image,
        before: Image,
        *,
        alarms: frozenset[str] = frozenset(),
        exact: bool = True,
        live: bool = False,
    ) -> None:
        self._whose, self._promises, self._disk, self._before, self._after = whose, promises, found, before, after
        self._alarms, self._exact, self._live = alarms, exact, live
        self.found = Findings()
        self.promised: dict[int, bytes] = {}
        self._recordings: dict[str, Recording] = {}
        self._recovered: list[int] = []
        self._boots_read = 0

    def judge(self) -> Findings:
        """All of it."""
        was, now = written(self._before, self._whose), written(self._after, self._whose)
        self._deleted()
        self._lines(now)
        all_lines = [self.promised.get(index, b"") for index in range(now.first)] + now.lines
        self._roots(now, all_lines)
        self._read(all_lines)
        self._boots(was, now)
        self._recorded()
        self._media()
        self._exposed()
        self.found.recovered = len(self._recovered)
        return self.found

    # ----------------------------------------------------------------- what was promised

    def _deleted(self) -> None:
        """What was deleted did not come back with the power."""
        for promise in self._promises:
            if isinstance(promise, Deleted) and any(path.startswith(f"media/{promise.recording}/") for path in self._disk.files):
                self.found.hidden(f"the media of {promise.recording} came back after their deletion")
            elif isinstance(promise, Trimmed):
                names = [name for name in self._disk.files if "/segment-" in name and name.endswith(".jsonl")]
                if any(int(name[-18:-6]) < promise.oldest for name in names):
                    self.found.hidden(f"lines below {promise.oldest} came back after their deletion")

    def _lines(self, now: Written) -> None:
        trims = [members_of(line)["size"] for line in now.lines if b'"kind":"trim"' in line]
        if now.first > max([0, *trims]):
            self.found.lost(f"lines below {now.first}, which no line trims")
        stored = written(self._disk, self._whose).notes
        end = max((one.first + len(one.lines) for one in self._promises if isinstance(one, Lines)), default=0)
        if (stored[-1].size if stored else 0) < end and "tamper" not in self._alarms:
            self.found.lost(f"the checkpoint over published lines: there are {end} of them")
        for promise in self._promises:
            if isinstance(promise, Lines):
                self.promised.update(enumerate(promise.lines, promise.first))
            elif isinstance(promise, Kept) and (now.cosigned is None or now.cosigned.size < promise.size):
                self.found.lost(f"the cosigned note of {promise.size} lines")
        missing = [index for index, line in self.promised.items() if index >= now.first and _at(now, index) != line]
        if missing:
            self.found.lost(f"{len(missing)} published lines from {missing[0]} on, of {now.end}")
        orders = {members_of(line)["number"] for line in now.lines if b'"kind":"order"' in line}
        orders |= {members_of(line)["number"] for index, line in self.promised.items() if index < now.first and b'"kind":"order"' in line}
        everything = set(now.lines)
        for promise in self._promises:
            if isinstance(promise, Durable) and (gone := set(promise.lines) - everything):
                self.found.lost(f"{len(gone)} durable lines")
            if isinstance(promise, Refuted) and promise.line in everything:
                self.found.hidden("a line that contradicts a signed checkpoint was put on record")
            if isinstance(promise, Acknowledged) and promise.number not in orders:
                self.found.lost(f"the answer to order {promise.number}")

    def _roots(self, now: Written, all_lines: list[bytes]) -> None:
        if now.torn or now.torn_notes:
            self.found.hidden(f"a torn tail after the start: {len(now.torn)} and {now.torn_notes} bytes")
        fold, sizes = Folded(), {}
        for line in all_lines:
            fold.append(leaf(line))
            sizes[fold.size] = fold.stack()
        origin, public = self._whose.origin, self._whose.public
        published = [heads(one.note.encode(), origin, public)[0][-1] for one in self._promises if isinstance(one, Lines)]
        for head in [*published, *now.notes, *([now.cosigned] if now.cosigned else [])]:
            if head.size not in sizes:
                self.found.lost(f"the lines of a checkpoint of {head.size}: there are {len(all_lines)}")
            elif Folded.root_of(sizes[head.size]) != head.root:
                self.found.lost(f"the root of the checkpoint of {head.size} lines")
        if not now.notes or now.notes[-1].size != len(all_lines):
            self.found.hidden(f"lines without a checkpoint: {len(all_lines)} and {now.notes[-1].size if now.notes else 'none'}")

    # ----------------------------------------------------------------- what the lines say

    def _read(self, all_lines: list[bytes]) -> None:
        for index, line in enumerate(all_lines):
            members = members_of(line)
            self._boots_read += members["kind"] == "boot"
            if not members["kind"]:
                self.found.lost(f"line {index}: there is none")
            elif members.get("recording") not in self._recordings and members.get("n") and "recording" in members:
                self.found.lost(f"line {index}: the start of {members['recording']}")
            elif "recording" in members:
                self._take(index, members)
            elif members["kind"] == "tamper" and "tamper" not in self._alarms:
                self.found.hidden(f"a cut alone is no alarm: {members}")

    def _take(self, index: int, members: dict[str, Any]) -> None:
        kind, name = members["kind"], members["recording"]
        if kind == "start":
            self._recordings[name] = Recording(members, self._boots_read)
        one = self._recordings[name]
        if one.stop is None and members.get("n") != one.n:
            self.found.hidden(f"line {index}: expected n {one.n}, got {members.get('n')}")
        one.n += 1
        if kind == "track":
            one.tracks[members["track"]] = members
        elif kind == "fragment":
            one.fragments.setdefault(members["track"], []).append(members)
            self._recovered += [index] if members.get("recovered") else []
        elif kind == "gap":
            one.gaps.append(members)
            if members["reason"] == "storage" and "storage" not in self._alarms:
                self.found.lost(f"bytes of {name}/{members['track']} from {members['from']} ms")
        elif kind == "stop":
            one.stop = members
        elif kind == "purge":
            one.purge = members

    def _recorded(self) -> None:
        """Every recording is ended, and what a track lacks is in a gap."""
        for name, one in self._recordings.items():
            if one.stop is None:
                if not self._live or one.after_boot != self._boots_read:
                    self.found.hidden(f"{name} is not ended")
                continue
            power = [gap["track"] for gap in one.gaps if gap["reason"] == "power"]
            if (one.stop["trigger"] == "power") != bool(power):
                self.found.hidden(f"{name} ended by {one.stop['trigger']} with gaps by power in {power}")
            if one.stop["trigger"] == "power":
                self._power(name, one, power)
            for base in {stem(track) for track, said in one.tracks.items() if said["media"] in RUNNING}:
                self._covered(name, one, base)
            for track, fragments in one.fragments.items():
                if [said["seq"] for said in fragments] != list(range(len(fragments))):
                    self.found.hidden(f"{name}/{track}: seq {[said['seq'] for said in fragments]}")

    def _power(self, name: str, one: Recording, power: list[str]) -> None:
        """Each track that ran has its gap; a recording without tracks has one without a name."""
        running: dict[str, str] = {}
        for track, said in one.tracks.items():
            if said["media"] in RUNNING:
                running[stem(track)] = track
        expected = sorted(running.values()) if one.tracks else [""]
        if sorted(power) != expected:
            self.found.hidden(f"{name}: gaps by power in {power}, running were {expected}")

    def _covered(self, name: str, one: Recording, base: str) -> None:
        spans = [
            (f["pts"], f["pts"] + f["duration"]) for t, some in one.fragments.items() if stem(t) == base for f in some if f["duration"]
        ]
        spans += [(gap["from"], gap["from"] + gap["lost"]) for gap in one.gaps if stem(gap["track"]) == base]
        at = 0
        for begin, end in sorted(spans):
            if begin > at:
                self.found.hidden(f"{name}/{base}: nothing is said of {at} to {begin} ms")
            at = max(at, end)

    # ----------------------------------------------------------------- media

    def _media(self) -> None:
        named: dict[str, int] = {}
        for name, one in self._recordings.items():
            if one.purge is not None:
                receipt = self._after.files.get(f"receipts/{name}.tlog-proof", b"")
                if not receipt and "moved" not in self._alarms:
                    self.found.lost(f"the receipt on whose proof {name} was deleted")
                continue
            for track, fragments in one.fragments.items():
                path = f"media/{name}/{track}.{'jpg' if one.tracks[track]['media'] == 'image/jpeg' else 'mp4'}"
                named[path] = self._track(path, fragments, one)
        for path, data in self._after.files.items():
            if path.startswith("media/") and len(data) != named.get(path, 0):
                self.found.hidden(f"{path}: {len(data)} bytes, lines name {named.get(path, 0)}")

    def _track(self, path: str, fragments: list[dict[str, Any]], one: Recording) -> int:
        """Every fragment's bytes are there, or a gap says not; how many bytes the lines name."""
        data, end, held = self._after.files.get(path, b""), 0, 0
        excused = {(gap["track"], gap["from"], gap["lost"]) for gap in one.gaps}
        for said in fragments:
            if said["offset"] != end:
                self.found.hidden(f"{path}: fragment {said['seq']} at {said['offset']}, expected {end}")
            end = said["offset"] + said["bytes"]
            if digest(data[said["offset"] : end]) == said["sha256"]:
                held = end
            elif (said["track"], said["pts"], said["duration"]) not in excused:
                self.found.lost(f"{path}: the bytes of fragment {said['seq']}")
        if path.endswith(".mp4") and len(data) == end and not plays(data):
            self.found.lost(f"{path} is no init segment with whole fragments")
        return len(data) if held <= len(data) <= end else end

    # ----------------------------------------------------------------- what recovery took away, and what it says of it

    def _boots(self, was: Written, now: Written) -> None:
        """Nothing disappears: what stood on the disk is in its place or aside, and the `boot` lines behind it count it."""
        whole = self._kept_lines(was, now)
        boots = [members_of(line) for line in now.lines[max(whole - now.first, 0) :] if b'"kind":"boot"' in line]
        if not boots:
            self.found.hidden("no boot line")
            return
        said: dict[str, int] = {}
        for boot in boots:
            for what, count in boot["lost"].items():
                said[what] = said.get(what, 0) + (count["count"] if isinstance(count, dict) else count)
        fitting = [note for note in was.notes if note.size <= whole]
        durable = fitting[-1].size if fitting else 0
        expected = {
            "lines": was.end - max(whole, was.first),
            "journal": len(was.torn),
            "checkpoints": was.note_bytes - (fitting[-1].end if fitting else 0),
            "media": self._taken_media(),
            "adopted": max(whole - durable, 0),
            "recovered": sum(index >= whole for index in self._recovered),
        }
        if "moved" in self._alarms:  # lines got new places, on record
            expected = {"media": expected["media"]}
        for what, count in expected.items():
            if said.get(what, 0) < count or (self._exact and said.get(what, 0) != count):
                self.found.hidden(f"boot says {said.get(what, 0)} {what}, taken away or adopted were {count}: {boots[-1]['lost']}")

    @staticmethod
    def _kept_lines(was: Written, now: Written) -> int:
        """Index behind the last line that is still where it was."""
        for index in range(max(was.first, now.first), was.end):
            if index >= now.end or was.lines[index - was.first] != now.lines[index - now.first]:
                return index
        return was.end

    def _taken_media(self) -> int:
        """Bytes of media that are no longer in place; each must be aside, unless the recording was purged on record."""
        taken = 0
        for path, data in self._before.files.items():
            if not path.startswith("media/"):
                continue
            _, recording, file = path.split("/")
            known = self._recordings.get(recording)
            if known is not None and known.purge is not None:
                continue
            kept = self._after.files.get(path, b"")
            if not data.startswith(kept):
                self.found.lost(f"{path} was changed")
            taken += len(data) - len(kept)
            if not self._aside(f"/aside/media-{recording}-{file}-", data, len(kept)):
                self.found.hidden(f"{path}: {len(data) - len(kept)} bytes were taken away and are not aside")
        return taken

    def _aside(self, prefix: str, data: bytes, offset: int) -> bool:
        """Whether everything from `offset` on stands in pieces that were set aside; their names tell where each began."""
        pieces = [(name.split(prefix)[1], content) for name, content in self._after.files.items() if prefix in name]
        while offset < len(data):
            fits = [c for name, c in pieces if int(name.split("-")[0]) == offset and c and data.startswith(c, offset)]
            if not fits:
                return False
            offset += max(map(len, fits))
        return True

    # ----------------------------------------------------------------- how much it has cost

    def _exposed(self) -> None:
        """What the camera had seen and is not there; the gap must begin where the media end."""
        handed: dict[tuple[str, str], int] = {}
        told_of = in_trouble(self._promises)
        for one in self._promises:
            if isinstance(one, Filmed) or (isinstance(one, Handed) and one.end_ms > one.begin_ms):  # a still has no length
                place = one.recording, stem(one.track)
                handed[place] = max(handed.get(place, 0), one.end_ms)
        begun = heard_of(self._promises)
        for (name, base), end in handed.items():
            recording = self._recordings.get(name)
            if recording is None or name not in begun:
                self.found.missing_before_ms = max(self.found.missing_before_ms, end)
                continue
            if recording.stop is None or recording.stop["trigger"] != "power":
                continue
            ends = [f["pts"] + f["duration"] for t, some in recording.fragments.items() if stem(t) == base for f in some]
            there = max(
                [*ends, *(g["from"] + g["lost"] for g in recording.gaps if stem(g["track"]) == base and g["reason"] != "power")], default=0
            )
            stated = sum(gap["lost"] for gap in recording.gaps if gap["reason"] == "power" and stem(gap["track"]) in (base, ""))
            if name in told_of:
                self.found.slow_ms = max(self.found.slow_ms, end - there)
            else:
                self.found.missing_ms = max(self.found.missing_ms, end - there)
                self.found.understated_ms = max(self.found.understated_ms, end - there - stated)


def _at(journal: Written, index: int) -> bytes | None:
    return journal.lines[index - journal.first] if index < journal.end else None
