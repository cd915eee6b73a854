"""A server's data folder, read by SQL and by hashes as its tables are documented, by nothing of the server's; then judged.

    lost    something that was told (a cosignature, held bytes, a receipt, a ledger's line) is not there
    hidden  what is there contradicts itself, or a checkpoint that was let out

Rules:
- `judge` opens the databases, and SQLite repairs what it finds: give it a copy, where the server shall find things as they are.
- Everything that the ledger says to be stored, and all that the catalogue says to be held, must be there: sooner or later the
  server tells somebody of it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulators.torture.judge import Findings
from simulators.torture.told import Head, Told, Truth, head_of
from simulators.torture.trees import Folded, digest, leaf

Batches = list[tuple[int, bytes, str]]
TRACK = "front"
"""The track of all recordings in this torture."""


@dataclass(slots=True)
class Log:
    """One log: all its lines, the size that the table `log` says, and the signed note under each batch."""

    size: int = 0
    lines: list[bytes] = field(default_factory=list)
    notes: list[tuple[int, str]] = field(default_factory=list)

    def roots(self) -> dict[int, bytes]:
        """Root by size."""
        return roots_of(self.lines)


@dataclass(slots=True)
class Store:
    """What stands in logs.sqlite, and of catalogue.sqlite what it says to be held."""

    logs: dict[str, Log] = field(default_factory=dict)
    anchored: dict[int, list[tuple[str, int]]] = field(default_factory=dict)
    """Line of the ledger → (origin, size) of the checkpoints in that anchor."""
    held: list[tuple[str, str, int, int, str]] = field(default_factory=list)
    """(device, recording, offset, bytes, sha256) of fragments that the catalogue says are held."""
    stored: set[str] = field(default_factory=set)
    """Recordings that it says are stored."""
    catalogued: bool = False
    """Whether there is a catalogue. One that is not filled yet (`user_version` 1) is filled at the next start, by hashing what is there."""


def roots_of(lines: Sequence[bytes]) -> dict[int, bytes]:
    """Root of the first so many lines, for each number of them."""
    fold, roots = Folded(), {0: Folded.root_of(())}
    for line in lines:
        fold.append(leaf(line))
        roots[fold.size] = Folded.root_of(fold.stack())
    return roots


def read(folder: Path, findings: Findings, broken: bytes) -> Store:
    """Read both databases; one that is broken is `lost`, one that is not there, or was broken on purpose, is empty."""
    store = Store()
    for name, take in (("logs", _logs), ("catalogue", _held)):
        path = folder / f"{name}.sqlite"
        if not path.exists() or (broken and path.read_bytes() == broken):
            continue
        try:
            with closing(sqlite3.connect(path)) as database:
                answer = database.execute("PRAGMA integrity_check").fetchone()[0]
                if answer != "ok":
                    findings.lost(f"{path.name}: {answer[:200]}")
                elif database.execute("SELECT count(*) FROM sqlite_master WHERE name IN ('log', 'track')").fetchone()[0]:
                    take(database, store)
        except sqlite3.DatabaseError as error:
            findings.lost(f"{path.name}: {error}")
    return store


def _logs(database: sqlite3.Connection, store: Store) -> None:
    for number, origin, size in database.execute("SELECT id, origin, size FROM log").fetchall():
        log = store.logs[origin] = Log(size)
        for first, lines, text in database.execute("SELECT first, lines, note FROM batch WHERE log = ? ORDER BY first", (number,)):
            if first == len(log.lines):  # a hole ends what can be read
                log.lines += bytes(lines).split(b"\n")
                log.notes.append((len(log.lines), text))
    query = "SELECT line, origin, anchored.size FROM anchored JOIN log ON log.id = anchored.log ORDER BY line, position"
    for line, origin, size in database.execute(query):
        store.anchored.setdefault(line, []).append((origin, size))


def _held(database: sqlite3.Connection, store: Store) -> None:
    store.catalogued = database.execute("PRAGMA user_version").fetchone() == (0,)
    store.stored = {name for (name,) in database.execute("SELECT recording FROM recording WHERE stored_entry IS NOT NULL")}
    query = """SELECT device, recording.recording, offset, fragment.bytes, hex(sha256) FROM fragment JOIN track ON track.id = fragment.track
        JOIN recording ON recording.id = track.recording WHERE fragment.held = 1"""
    store.held = [(*row[:4], row[4].lower()) for row in database.execute(query)]


Media = Callable[[str, str, int, int], bytes]
"""(device, recording, begin, end) → what is there of these bytes."""


def media_of(folder: Path) -> Media:
    """The media below a data folder."""

    def there(device: str, recording: str, begin: int, end: int) -> bytes:
        path = folder / media_path(device, recording)
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            file.seek(begin)
            return file.read(end - begin)

    return there


def media_path(device: str, recording: str) -> str:
    """Where the track of a recording lies in the data folder."""
    return f"media/{device}/{recording}/{TRACK}.mp4"


class Judge:
    """Opens the databases in a folder, and judges them by themselves; then what was told, any number of times.

    `broken`: a catalogue with just this content was broken by us, and the server has still to replace it.
    """

    def __init__(self, databases: Path, domain: str, broken: bytes = b"") -> None:
        self.found = self._own = Findings()
        self._domain = domain
        self._store = read(databases, self.found, broken)
        self._ledger = self._store.logs.get(f"{domain}/ledger", Log())
        self._roots = self._ledger.roots()
        self._lines = [_members(line) for line in self._ledger.lines]
        for origin, log in self._store.logs.items():
            self._whole(origin, log)
        self._custody(self._lines)
        self._anchors(self._lines)

    def judge(self, devices: Sequence[tuple[Truth, Told]], media: Media) -> Findings:
        """All that is wrong with what these devices were told."""
        self.found = Findings(list(self._own.problems))
        for truth, told in devices:
            self._journal(truth, told)
            self._ledger_told(truth, told)
            self._bytes(truth, told, media)
        return self.found

    # ----------------------------------------------------------------- logs

    def _whole(self, origin: str, log: Log) -> None:
        """Batches follow each other up to the size that `log` says, and each note is about its lines."""
        if len(log.lines) != log.size:
            self.found.lost(f"{origin}: the table says {log.size} lines, {len(log.lines)} follow each other")
        roots = log.roots()
        for size, text in log.notes:
            head = head_of(text)
            if (head.origin, head.size, head.root) != (origin, size, roots[size]):
                self.found.hidden(f"{origin}: the note under line {size} is not about these lines")

    def _journal(self, truth: Truth, told: Told) -> None:
        held = self._store.logs.get(truth.origin, Log()).lines
        most = max((head.size for head in told.cosigned), default=0)
        if held != truth.lines[: len(held)]:
            self.found.hidden(f"{truth.origin}: other lines than the device signed")
        if len(held) < most:
            self.found.lost(f"{truth.origin}: {most} lines were cosigned and told, {len(held)} are there")
        roots = roots_of(truth.lines[:most])
        for head in told.cosigned:
            if (head.origin, head.root) != (truth.origin, roots[head.size]):
                self.found.hidden(f"{truth.origin}: cosigned another root at {head.size} lines")

    # ----------------------------------------------------------------- ledger

    def _custody(self, lines: list[dict[str, Any]]) -> None:
        """Of each recording c = 0, 1, 2 …, one `start` first and at most one `stored`; one `enrol` for each journal."""
        counts: dict[tuple[str, str], list[str]] = {}
        enrolled: set[str] = set()
        for at, members in enumerate(lines):
            if "recording" in members:
                kinds = counts.setdefault((members["device"], members["recording"]), [])
                if members["c"] != len(kinds) or members["kind"] in kinds or (not kinds and members["kind"] != "start"):
                    self.found.hidden(f"line {at} of the ledger: {members['kind']} {members['c']} behind {kinds}")
                kinds.append(members["kind"])
            if members["kind"] == "enrol":
                if members["origin"] in enrolled:
                    self.found.hidden(f"line {at} of the ledger enrols {members['origin']} once more")
                enrolled.add(members["origin"])
        for origin, log in self._store.logs.items():
            if log.lines and origin not in enrolled and origin != f"{self._domain}/ledger":
                self.found.lost(f"the ledger's line that enrols {origin}")

    def _anchors(self, lines: list[dict[str, Any]]) -> None:
        """The tree over the bodies of the checkpoints that each anchor names (docs/evidence-format.md, section 7)."""
        for at, members in enumerate(lines):
            if members["kind"] != "anchor":
                continue
            fold = Folded()
            for origin, size in self._store.anchored.get(at, []):
                notes = dict(self._store.logs.get(origin, Log()).notes)
                if size not in notes:
                    self.found.lost(f"line {at} of the ledger anchors {origin} at {size} lines, and no such checkpoint is there")
                    break
                fold.append(leaf(notes[size].split("\n\n")[0].encode() + b"\n"))
            if (members["count"], members["root"]) != (fold.size, Folded.root_of(fold.stack()).hex()):
                self.found.hidden(f"line {at} of the ledger: the anchor is over other checkpoints than the {fold.size} that are there")

    def _ledger_told(self, truth: Truth, told: Told) -> None:
        for head in told.beacons:
            self._leads(head)
        for receipt in told.receipts:
            index = receipt.index
            if index >= len(self._ledger.lines) or self._ledger.lines[index] != receipt.line:
                self.found.lost(f"{truth.device}: line {index} of the ledger, which a receipt proved")

    def _leads(self, head: Head) -> None:
        """A checkpoint of the ledger that was let out must still be one."""
        if head.size not in self._roots:
            self.found.lost(f"the ledger: {head.size} lines were let out, {len(self._ledger.lines)} are there")
        elif self._roots[head.size] != head.root:
            self.found.hidden(f"the ledger: another root at {head.size} lines than the one that was let out")

    # ----------------------------------------------------------------- media

    def _bytes(self, truth: Truth, told: Told, media: Media) -> None:
        """Of what was said to be held, what a receipt or the ledger calls stored, and what the catalogue says it holds."""
        stored = {receipt.recording for receipt in told.receipts}
        stored |= {one["recording"] for one in self._lines if one["kind"] == "stored" and one["device"] == truth.device}
        parts = {(name, truth.ends[name][first], truth.ends[name][end]) for name, _, first, end in told.held}
        parts |= {(name, 0, truth.ends[name][-1]) for name in stored}
        for name, begin, end in sorted(parts):
            if digest(media(truth.device, name, begin, end)) != digest(truth.media[name][begin:end]):
                why = "stored" if name in stored else "said to be held"
                self.found.lost(f"{truth.device}: bytes {begin} to {end} of {name}, which are {why}")
        self._catalogued(truth, told)
        for device, name, offset, size, sha256 in self._store.held:
            if device == truth.device and digest(media(device, name, offset, offset + size)) != sha256:
                self.found.lost(f"{device}: bytes {offset} to {offset + size} of {name}, which the catalogue holds")

    def _catalogued(self, truth: Truth, told: Told) -> None:
        """What was said to be held is in the catalogue: else the server waits for bytes that the device does not send again."""
        if not self._store.catalogued:
            return
        there = {(name, offset) for device, name, offset, _, _ in self._store.held if device == truth.device}
        for name, _, first, end in told.held:
            if name not in self._store.stored and any((name, offset) not in there for offset in truth.ends[name][first:end]):
                self.found.lost(f"{truth.device}: that fragments {first} to {end} of {name} are held, in the catalogue")


def _members(line: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(line)
    return found
