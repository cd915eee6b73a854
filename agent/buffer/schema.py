"""The index's tables and how a line changes them: SQL, and nothing that could not be built again.

Rules (docs/evidence-format.md, sections 2 and 6):
- A recording runs from its `start` to its `stop`; a `mark` makes it important; `purge` says that its media are gone.
- A fragment is gone when a `gap` with reason `storage` names exactly its time: such a gap is written for bytes that were found
  missing. Any other gap speaks of media that never were.

A line without meaning changes nothing. Lines are read by the interpreter's own reader: our key signed them.
"""

from __future__ import annotations

import json
from typing import Any

from sqlite_utils import Database

from agent.core import kinds, merkle

VERSION = 1

TABLES = """
CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    version INTEGER NOT NULL,
    origin TEXT NOT NULL,
    size INTEGER NOT NULL,      -- lines taken
    tip BLOB NOT NULL,          -- leaf hash of the last of them
    cosigned INTEGER NOT NULL
);
CREATE TABLE recording (
    name TEXT PRIMARY KEY,
    start INTEGER NOT NULL,
    stop INTEGER,
    stop_leaf BLOB,
    marked INTEGER NOT NULL DEFAULT 0,
    cosigned_s INTEGER,         -- time of the oldest cosignature known that covers the stop
    receipt INTEGER NOT NULL DEFAULT 0,
    purged INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE fragment (
    line INTEGER PRIMARY KEY,
    recording TEXT NOT NULL,
    track TEXT NOT NULL,
    seq INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    pts INTEGER NOT NULL,
    duration INTEGER NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0,
    gone INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX fragment_of ON fragment (recording, track, seq);
CREATE INDEX fragment_at ON fragment (recording, track, pts);
CREATE INDEX waiting ON fragment (recording, line, bytes) WHERE sent = 0 AND gone = 0;
"""

ADD_START = "INSERT OR IGNORE INTO recording (name, start) VALUES (:recording, :line)"
ADD_FRAGMENT = """INSERT INTO fragment (line, recording, track, seq, offset, bytes, sha256, pts, duration)
    SELECT :line, :recording, :track, :seq, :offset, :bytes, :sha256, :pts, :duration
    WHERE EXISTS (SELECT 1 FROM recording WHERE name = :recording AND stop IS NULL)"""
ADD_STOP = "UPDATE recording SET stop = :line, stop_leaf = :leaf WHERE name = :recording AND stop IS NULL"
ADD_MARK = "UPDATE recording SET marked = 1 WHERE name = :recording AND stop IS NULL"
ADD_GAP = """UPDATE fragment SET gone = 1
    WHERE recording = :recording AND track = :track AND pts = :from AND duration = :lost AND line < :line AND :reason = 'storage'"""
ADD_PURGE = "UPDATE recording SET purged = 1 WHERE name = :recording AND stop IS NOT NULL"
DROP_FRAGMENTS = "DELETE FROM fragment WHERE recording = (SELECT name FROM recording WHERE name = :recording AND purged = 1)"

STATEMENTS: dict[str, tuple[str, ...]] = {
    "start": (ADD_START,),
    "fragment": (ADD_FRAGMENT,),
    "mark": (ADD_MARK,),
    "gap": (ADD_GAP,),
    "stop": (ADD_STOP,),
    "purge": (ADD_PURGE, DROP_FRAGMENTS),
}
"""kind → what a line of it changes."""


def create(db: Database, origin: str) -> None:
    """Make the tables of an index that has taken no line."""
    db.conn.executescript(TABLES)
    db.execute("INSERT INTO state VALUES (0, ?, ?, 0, x'', 0)", (VERSION, origin))


def take(db: Database, index: int, line: bytes) -> None:
    """Change the tables as the line with this index says."""
    members = _members(line)
    if members is None:
        return
    values = {**members, "line": index, "leaf": merkle.leaf_hash(line)}
    for statement in STATEMENTS[members["kind"]]:
        db.execute(statement, {name: value for name, value in values.items() if not isinstance(value, list | dict)})


def _members(line: bytes) -> dict[str, Any] | None:
    """Members of a line that matters here; None where it does not, or lacks what its kind needs."""
    try:
        members = json.loads(line)
    except (ValueError, RecursionError):
        return None
    kind = members.get("kind") if isinstance(members, dict) else None
    if not isinstance(kind, str) or kind not in STATEMENTS or type(members.get("recording")) is not str:
        return None
    needed = kinds.KINDS[kind][1]
    return members if all(type(members.get(name)) is wanted for name, wanted in needed.items()) else None
