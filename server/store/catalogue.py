"""Reads the catalogue: recordings, their tracks and fragments, what is held and what is missing.

A recording's id outside is its ULID; where two devices should have used the same one, `<device>:<ULID>` says which.
While a recording is open each fragment is a row; once it is stored they are one packed value at the track, and both read alike.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Row

from server.database import sql
from server.errors import Ambiguous, Unknown

_PACKED = struct.Struct(">IQQIQQB32s")
_HELD, _LOST = 1, 2
Digest = bytes


@dataclass(frozen=True, slots=True)
class Fragment:
    """A fragment line and whether its bytes are here; `lost`: a gap accounts for it. `line` is its index in the journal."""

    seq: int
    line: int
    offset: int
    bytes: int
    sha256: Digest
    pts: int
    duration: int
    held: bool
    lost: bool


@dataclass(frozen=True, slots=True)
class Track:
    """A track line, and counts over its fragments; `duration` is where its last fragment ends, in ms of media time."""

    id: int
    track: str
    media: str
    codecs: str
    width: int | None
    height: int | None
    rate: int | None
    source: str
    fragments: int
    bytes: int
    held: int
    held_bytes: int
    duration: int


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording as its journal tells it.

    Times are ms since 1970 by the device's clock; `…_line` are indices in its journal, `…_entry` in the ledger. `stored_entry`
    and `stored_at` are set once everything is held or under a gap.
    """

    id: int
    device: str
    recording: str
    origin: str
    start_line: int
    stop_line: int | None
    stop_leaf: str | None
    trigger: str
    stop_trigger: str | None
    officer: str
    case_id: str
    matter: str
    continues: str | None
    started_at: int
    stopped_at: int | None
    marks: int
    gaps: int
    lost_ms: int
    irregular: int
    started_entry: int | None
    stored_entry: int | None
    stored_at: int | None
    purged_at: int | None
    fragments: int
    bytes: int
    held: int
    held_bytes: int
    duration: int

    @property
    def state(self) -> str:
        """`recording` until its stop is here, `uploading` while bytes are missing, then `stored`."""
        if self.stored_entry is not None:
            return "stored"
        return "recording" if self.stop_line is None else "uploading"


_RECORDINGS = """SELECT recording.*, coalesce(sum(t.fragments), 0) AS fragments, coalesce(sum(t.bytes), 0) AS bytes,
    coalesce(sum(t.held), 0) AS held, coalesce(sum(t.held_bytes), 0) AS held_bytes, coalesce(max(t.duration), 0) AS duration
    FROM recording LEFT JOIN track t ON t.recording = recording.id """

_PAGE = (
    _RECORDINGS
    + """WHERE (:before_at IS NULL OR (recording.started_at, recording.id) < (:before_at, :before_id))
    AND (:device IS NULL OR device = :device) AND (:officer IS NULL OR officer = :officer)
    AND (:case IS NULL OR case_id = :case) AND (:matter IS NULL OR matter = :matter)
    AND (:since IS NULL OR recording.started_at >= :since) AND (:until IS NULL OR recording.started_at < :until)
    AND (:marked IS NULL OR (marks > 0) = :marked)
    AND (:state IS NULL OR :state = CASE WHEN stored_entry IS NOT NULL THEN 'stored' WHEN stop_line IS NULL THEN 'recording'
        ELSE 'uploading' END)
    GROUP BY recording.id ORDER BY recording.started_at DESC, recording.id DESC LIMIT :limit"""
)
FILTERS = ("device", "officer", "case", "matter", "since", "until", "marked", "state")


class Catalogue:
    """Questions, for any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def _all(self, query: str, values: Mapping[str, Any] | None = None) -> list[Row[Any]]:
        with self._engine.connect() as connection:
            return list(connection.execute(sql(query), values or {}))

    # ----------------------------------------------------------------------- recordings

    def find(self, name: str) -> Recording:
        """The recording with this id; Unknown, or Ambiguous with the names to choose from."""
        device, _, ulid = name.rpartition(":")
        query = _RECORDINGS + "WHERE recording.recording = :recording AND (:device = '' OR device = :device) GROUP BY recording.id"
        found = [_recording(row) for row in self._all(query, {"recording": ulid, "device": device})]
        if not found:
            raise Unknown(f"there is no recording {name[:80]} here")
        if len(found) > 1:
            raise Ambiguous(f"{ulid} is the id of several recordings: {', '.join(f'{one.device}:{ulid}' for one in found)}")
        return found[0]

    def page(self, limit: int, before: tuple[int, int] | None = None, **filters: Any) -> list[Recording]:
        """Recordings, the newest first: those behind `before` (started_at, id). `filters`: any of `FILTERS`."""
        values = {name: filters.get(name) for name in FILTERS}
        place = {"before_at": before[0] if before else None, "before_id": before[1] if before else None}
        return [_recording(row) for row in self._all(_PAGE, {**values, **place, "limit": limit})]

    def recording(self, ident: int) -> Recording:
        """By the catalogue's own number."""
        rows = self._all(_RECORDINGS + "WHERE recording.id = :id GROUP BY recording.id", {"id": ident})
        if not rows:
            raise Unknown(f"there is no recording number {ident}")
        return _recording(rows[0])

    def counts(self) -> dict[str, int]:
        """How many recordings are in each state."""
        query = """SELECT CASE WHEN stored_entry IS NOT NULL THEN 'stored' WHEN stop_line IS NULL THEN 'recording' ELSE 'uploading' END
            AS state, count(*) AS number FROM recording GROUP BY 1"""
        return {row.state: row.number for row in self._all(query)}

    def unlisted(self, limit: int = 100) -> list[Recording]:
        """Recordings whose `start` the ledger does not have yet."""
        query = _RECORDINGS + "WHERE started_entry IS NULL GROUP BY recording.id ORDER BY recording.id LIMIT :limit"
        return [_recording(row) for row in self._all(query, {"limit": limit})]

    def complete(self, limit: int = 100) -> list[Recording]:
        """Recordings that have ended, are not stored yet, and of which nothing is missing."""
        query = (
            _RECORDINGS  # noqa: S608  two constants
            + """WHERE stop_line IS NOT NULL AND stored_entry IS NULL AND irregular = 0 AND started_entry IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM track x JOIN fragment f ON f.track = x.id
                WHERE x.recording = recording.id AND f.held = 0 AND f.lost = 0)
            GROUP BY recording.id ORDER BY recording.id LIMIT :limit"""
        )
        return [_recording(row) for row in self._all(query, {"limit": limit})]

    def unpurged(self, device: str, limit: int) -> list[Recording]:
        """Stored recordings of a device that it has not purged, the newest first: whose receipts it may be missing."""
        query = (
            _RECORDINGS
            + """WHERE device = :device AND stored_entry IS NOT NULL AND purged_at IS NULL
            GROUP BY recording.id ORDER BY recording.id DESC LIMIT :limit"""
        )
        return [_recording(row) for row in self._all(query, {"device": device, "limit": limit})]

    def marks(self, recording: int) -> list[dict[str, Any]]:
        """Marks in order: line, at, label."""
        query = "SELECT line, at, label FROM mark WHERE recording = :recording ORDER BY line"
        return [row._asdict() for row in self._all(query, {"recording": recording})]

    def gaps(self, recording: int) -> list[dict[str, Any]]:
        """Stated gaps in order: line, track, begins and lost in ms of media time, reason."""
        query = "SELECT line, track, begins, lost, reason FROM gap WHERE recording = :recording ORDER BY line"
        return [row._asdict() for row in self._all(query, {"recording": recording})]

    # ----------------------------------------------------------------------- tracks and fragments

    def tracks(self, recording: int) -> list[Track]:
        """The recording's tracks in order of their lines."""
        query = """SELECT id, track, media, codecs, width, height, rate, source, fragments, bytes, held, held_bytes, duration
            FROM track WHERE recording = :recording ORDER BY id"""
        return [Track(**row._asdict()) for row in self._all(query, {"recording": recording})]

    def track(self, recording: int, name: str) -> Track:
        """One track by its name; Unknown where the recording has none."""
        for track in self.tracks(recording):
            if track.track == name:
                return track
        raise Unknown(f"the recording has no track {name[:80]}")

    def fragments(self, track: int, first_offset: int = 0, limit: int = 1 << 30) -> list[Fragment]:
        """Fragments in order of `seq`, from those at byte `first_offset` on."""
        query = """SELECT seq, line, offset, bytes, sha256, pts, duration, held, lost FROM fragment
            WHERE track = :track AND offset >= :first ORDER BY seq LIMIT :limit"""
        rows = self._all(query, {"track": track, "first": first_offset, "limit": limit})
        if rows:
            return [fragment_of(row) for row in rows]
        packed = self._all("SELECT packed FROM track WHERE id = :id AND packed IS NOT NULL", {"id": track})
        return [one for one in unpack(packed[0].packed) if one.offset >= first_offset][:limit] if packed else []

    # ----------------------------------------------------------------------- journals and devices

    def indexed(self) -> dict[str, int]:
        """How many lines of each journal have been read."""
        return {row.origin: row.indexed for row in self._all("SELECT origin, indexed FROM progress")}

    def states(self) -> dict[tuple[str, str], tuple[int, str]]:
        """What each device last said of itself: (device, topic) → (at, JSON)."""
        return {(row.device, row.topic): (row.at, row.payload) for row in self._all("SELECT device, topic, at, payload FROM device_state")}


def _recording(row: Row[Any]) -> Recording:
    return Recording(**row._asdict())


def fragment_of(row: Row[Any]) -> Fragment:
    """A row of the table `fragment`."""
    return Fragment(**{**row._asdict(), "held": bool(row.held), "lost": bool(row.lost)})


def pack(fragments: Iterable[Fragment]) -> bytes:
    """All fragments of a track as one value."""
    return b"".join(
        _PACKED.pack(f.seq, f.line, f.offset, f.bytes, f.pts, f.duration, f.held * _HELD | f.lost * _LOST, f.sha256) for f in fragments
    )


def unpack(value: bytes) -> list[Fragment]:
    """What `pack` has put together."""
    return [
        Fragment(seq, line, offset, size, sha256, pts, duration, bool(flags & _HELD), bool(flags & _LOST))
        for seq, line, offset, size, pts, duration, flags, sha256 in _PACKED.iter_unpack(value)
    ]
