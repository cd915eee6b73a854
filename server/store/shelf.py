"""Writes the catalogue: what a journal's lines say about recordings, and which bytes are held.

Rules:
- A Shelf lives for one transaction of the catalogue's writer, its only one; `close` writes what it has gathered.
- It believes only lines that are cosigned, and of those only what fits: a second `start`, a fragment whose bytes would lie
  upon another's, a name that can't be a file's … are *irregular*: counted at the recording, which then is never `stored`.
- A fragment is *under a gap* when a later `gap` line with the reason `storage` names exactly its time, or a span that holds it: its
  bytes are gone. Any other gap speaks of media that never were, as of sound that a whole picture lacks.

Everything here can be built again from journals and stored bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from server.database import Transaction

TRACK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
RECORDING_NAME = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
"""A ULID (Crockford's base 32)."""
_DIGEST = re.compile("[0-9a-f]{64}")
MAX_TRACK_BYTES = 1 << 40
MAX_TRACKS = 256
MAX_OPEN = 8192
"""Recordings that are remembered between transactions."""

GONE = "storage"
"""The reason of a gap whose media were there once."""

ADD_FRAGMENTS = """INSERT INTO fragment (track, seq, line, offset, bytes, sha256, pts, duration)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
GROW_TRACK = "UPDATE track SET fragments = ?, bytes = ?, next_offset = ?, duration = ? WHERE id = ?"
ADVANCE = "INSERT INTO progress (origin, indexed) VALUES (?, ?) ON CONFLICT (origin) DO UPDATE SET indexed = excluded.indexed"
# The span that a gap states; a fragment without duration (an init segment, a still) only when it is named exactly.
UNDER_GAP = """UPDATE fragment SET lost = 1 WHERE track = :track AND line < :line AND (
    (pts = :begins AND duration = :lost) OR (duration > 0 AND pts >= :begins AND pts + duration <= :begins + :lost))"""


@dataclass(slots=True)
class _Track:
    id: int
    media: str
    fragments: int
    bytes: int
    next_offset: int
    duration: int
    changed: bool = False


@dataclass(slots=True)
class _Recording:
    id: int
    origin: str
    stop_line: int | None
    stored: bool
    tracks: dict[str, _Track] = field(default_factory=dict)


class Open:
    """Recordings that are being made, as the catalogue has them: remembered between transactions, forgotten when one fails."""

    def __init__(self) -> None:
        self._recordings: dict[tuple[str, str], _Recording] = {}

    def forget(self) -> None:
        """The catalogue may not hold what was believed."""
        self._recordings = {}

    def get(self, key: tuple[str, str]) -> _Recording | None:
        """What is known of a recording that has not stopped."""
        return self._recordings.get(key)

    def remember(self, recordings: dict[tuple[str, str], _Recording]) -> None:
        """Keep those that have not stopped."""
        if len(self._recordings) > MAX_OPEN:
            self._recordings = {}
        for key, one in recordings.items():
            if one.stop_line is None:
                self._recordings[key] = one
            else:
                self._recordings.pop(key, None)


class Shelf:
    """What one transaction adds. Methods take the line's index and members as `agent.core.lines` read them."""

    def __init__(self, transaction: Transaction, max_fragment: int, known: Open) -> None:
        self._transaction = transaction
        self._max_fragment = max_fragment
        self._known = known
        self._recordings: dict[tuple[str, str], _Recording] = {}
        self._fragments: list[tuple[Any, ...]] = []
        self.irregular: list[str] = []
        """What did not fit, a word each."""
        self.started = 0

    # ----------------------------------------------------------------------- looking up

    def _recording(self, origin: str, device: str, name: str) -> _Recording | None:
        key = (device, name)
        found = self._recordings.get(key) or self._known.get(key) or self._load(device, name)
        if found is None or found.origin != origin:
            return None
        self._recordings[key] = found
        return found

    def _load(self, device: str, name: str) -> _Recording | None:
        sql = "SELECT id, origin, stop_line, stored_entry FROM recording WHERE device = :device AND recording = :recording"
        row = self._transaction.execute(sql, {"device": device, "recording": name}).first()
        if row is None:
            return None
        found = _Recording(row.id, row.origin, row.stop_line, row.stored_entry is not None)
        sql = "SELECT id, track, media, fragments, bytes, next_offset, duration FROM track WHERE recording = :recording"
        for one in self._transaction.execute(sql, {"recording": row.id}):
            found.tracks[one.track] = _Track(one.id, one.media, one.fragments, one.bytes, one.next_offset, one.duration)
        return found

    def _odd(self, what: str, recording: _Recording | None = None) -> None:
        self.irregular.append(what)
        if recording is not None and not recording.stored:
            self._transaction.execute("UPDATE recording SET irregular = irregular + 1 WHERE id = :id", {"id": recording.id})

    # ----------------------------------------------------------------------- lines

    def add(self, origin: str, device: str, index: int, leaf: str, members: dict[str, Any]) -> None:
        """One line with meaning; `leaf` is its leaf hash in hex."""
        kind = members["kind"]
        if kind == "start":
            self._start(origin, device, index, members)
            return
        recording = self._recording(origin, device, members["recording"])
        if recording is None:
            self._odd("no-start")
        elif recording.stop_line is not None and kind not in ("gap", "purge"):
            self._odd("after-stop", recording)
        elif kind == "fragment":
            self._fragment(recording, index, members)
        elif kind == "track":
            self._track(recording, members)
        elif kind == "mark":
            self._mark(recording, index, members)
        elif kind == "gap":
            self._gap(recording, index, members)
        elif kind == "stop":
            self._stop(recording, index, leaf, members)
        elif kind == "purge":
            sql = "UPDATE recording SET purged_at = :at WHERE id = :id"
            self._transaction.execute(sql, {"at": members["at"], "id": recording.id})

    def _start(self, origin: str, device: str, index: int, members: dict[str, Any]) -> None:
        name = members["recording"]
        if not RECORDING_NAME.fullmatch(name) or members["n"] != 0:
            self._odd("bad-start")
            return
        before = members["up"] - members["epoch"]
        sql = """INSERT INTO recording (device, recording, origin, start_line, trigger, officer, case_id, matter, continues, started_at)
            VALUES (:device, :recording, :origin, :line, :trigger, :officer, :case, :matter, :continues, :started_at)
            ON CONFLICT DO NOTHING"""
        continues = members.get("continues")
        values = {
            "device": device,
            "recording": name,
            "origin": origin,
            "line": index,
            "continues": continues if isinstance(continues, str) else None,
            "started_at": members["at"] - max(before, 0),
        }
        values |= {key: members[key] for key in ("trigger", "officer", "case", "matter")}
        if self._transaction.execute(sql, values).rowcount == 0:
            self._odd("doubled-start")
            return
        self.started += 1

    def _track(self, recording: _Recording, members: dict[str, Any]) -> None:
        name = members["track"]
        if not TRACK_NAME.fullmatch(name) or name in recording.tracks or len(recording.tracks) >= MAX_TRACKS:
            self._odd("bad-track", recording)
            return
        sql = """INSERT INTO track (recording, track, media, codecs, width, height, rate, source)
            VALUES (:recording, :track, :media, :codecs, :width, :height, :rate, :source) RETURNING id"""
        values: dict[str, Any] = {key: members.get(key) for key in ("width", "height", "rate")}
        values = {key: value if isinstance(value, int) else None for key, value in values.items()}
        values |= {key: members[key] for key in ("track", "media", "codecs", "source")}
        made = self._transaction.execute(sql, {"recording": recording.id, **values}).scalar_one()
        recording.tracks[name] = _Track(made, members["media"], 0, 0, 0, 0)

    def _fragment(self, recording: _Recording, index: int, members: dict[str, Any]) -> None:
        track = recording.tracks.get(members["track"])
        size, offset, pts, duration = members["bytes"], members["offset"], members["pts"], members["duration"]
        fits = (
            track is not None
            and members["seq"] == track.fragments
            and 0 < size <= self._max_fragment
            and track.next_offset <= offset <= MAX_TRACK_BYTES
            and min(pts, duration) >= 0
            and _DIGEST.fullmatch(members["sha256"])
        )
        if track is None or not fits:
            self._odd("bad-fragment", recording)
            return
        track.fragments += 1
        track.bytes += size
        track.next_offset = offset + size
        track.duration = max(track.duration, pts + duration)
        track.changed = True
        digest = bytes.fromhex(members["sha256"])
        self._fragments.append((track.id, members["seq"], index, offset, size, digest, pts, duration))

    def _mark(self, recording: _Recording, index: int, members: dict[str, Any]) -> None:
        values = {"recording": recording.id, "line": index, "at": members["at"], "label": members["label"]}
        self._transaction.execute("INSERT INTO mark (recording, line, at, label) VALUES (:recording, :line, :at, :label)", values)
        self._transaction.execute("UPDATE recording SET marks = marks + 1 WHERE id = :id", {"id": recording.id})

    def _gap(self, recording: _Recording, index: int, members: dict[str, Any]) -> None:
        self._flush()
        values = {"line": index, "begins": members["from"], "lost": members["lost"]}
        sql = "INSERT INTO gap (recording, line, track, begins, lost, reason) VALUES (:recording, :line, :track, :begins, :lost, :reason)"
        named = {"recording": recording.id, "track": members["track"], "reason": members["reason"]}
        self._transaction.execute(sql, {**values, **named})
        sql = "UPDATE recording SET gaps = gaps + 1, lost_ms = lost_ms + :lost WHERE id = :id"
        self._transaction.execute(sql, {"lost": max(0, members["lost"]), "id": recording.id})
        track = recording.tracks.get(members["track"])
        if track is not None and members["reason"] == GONE:
            self._transaction.execute(UNDER_GAP, {**values, "track": track.id})

    def _stop(self, recording: _Recording, index: int, leaf: str, members: dict[str, Any]) -> None:
        sql = "UPDATE recording SET stop_line = :line, stop_leaf = :leaf, stop_trigger = :trigger, stopped_at = :at WHERE id = :id"
        values = {"line": index, "leaf": leaf, "trigger": members["trigger"], "at": members["at"], "id": recording.id}
        self._transaction.execute(sql, values)
        recording.stop_line = index

    # ----------------------------------------------------------------------- the end

    def _flush(self) -> None:
        if self._fragments:
            self._transaction.many(ADD_FRAGMENTS, self._fragments)
            self._fragments = []

    def close(self, progress: dict[str, int]) -> None:
        """Write what was gathered, and how far each journal has been read."""
        self._flush()
        changed = [t for recording in self._recordings.values() for t in recording.tracks.values() if t.changed]
        if changed:
            self._transaction.many(GROW_TRACK, [(t.fragments, t.bytes, t.next_offset, t.duration, t.id) for t in changed])
        for t in changed:
            t.changed = False
        self._known.remember(self._recordings)
        if progress:
            self._transaction.many(ADVANCE, list(progress.items()))
