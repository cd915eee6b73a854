"""Recordings, tracks, fragments; how far each journal has been read; what devices last said of themselves."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    # started_at: wall clock of media time 0 by the device; started_entry, stored_entry: lines of the ledger
    """CREATE TABLE recording (
        id INTEGER PRIMARY KEY,
        device TEXT NOT NULL,
        recording TEXT NOT NULL,
        origin TEXT NOT NULL,
        start_line INTEGER NOT NULL,
        stop_line INTEGER,
        stop_leaf TEXT,
        trigger TEXT NOT NULL,
        stop_trigger TEXT,
        officer TEXT NOT NULL,
        case_id TEXT NOT NULL,
        matter TEXT NOT NULL,
        continues TEXT,
        started_at INTEGER NOT NULL,
        stopped_at INTEGER,
        marks INTEGER NOT NULL DEFAULT 0,
        gaps INTEGER NOT NULL DEFAULT 0,
        lost_ms INTEGER NOT NULL DEFAULT 0,
        irregular INTEGER NOT NULL DEFAULT 0,
        started_entry INTEGER,
        stored_entry INTEGER,
        stored_at INTEGER,
        purged_at INTEGER,
        UNIQUE (device, recording))""",
    "CREATE INDEX recording_name ON recording (recording)",
    "CREATE INDEX recording_started ON recording (started_at, id)",
    "CREATE INDEX recording_unlisted ON recording (id) WHERE started_entry IS NULL",
    "CREATE INDEX recording_open ON recording (id) WHERE stop_line IS NOT NULL AND stored_entry IS NULL",
    # next_offset: where the bytes of the next fragment may begin; packed: all fragments, once the recording is stored
    """CREATE TABLE track (
        id INTEGER PRIMARY KEY,
        recording INTEGER NOT NULL REFERENCES recording (id),
        track TEXT NOT NULL,
        media TEXT NOT NULL,
        codecs TEXT NOT NULL,
        width INTEGER,
        height INTEGER,
        rate INTEGER,
        source TEXT NOT NULL,
        fragments INTEGER NOT NULL DEFAULT 0,
        bytes INTEGER NOT NULL DEFAULT 0,
        held INTEGER NOT NULL DEFAULT 0,
        held_bytes INTEGER NOT NULL DEFAULT 0,
        next_offset INTEGER NOT NULL DEFAULT 0,
        duration INTEGER NOT NULL DEFAULT 0,
        packed BLOB,
        UNIQUE (recording, track))""",
    # line: index in the journal; lost: under a gap
    """CREATE TABLE fragment (
        track INTEGER NOT NULL REFERENCES track (id),
        seq INTEGER NOT NULL,
        line INTEGER NOT NULL,
        offset INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        sha256 BLOB NOT NULL,
        pts INTEGER NOT NULL,
        duration INTEGER NOT NULL,
        held INTEGER NOT NULL DEFAULT 0,
        lost INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (track, seq)) WITHOUT ROWID""",
    "CREATE INDEX fragment_missing ON fragment (track) WHERE held = 0 AND lost = 0",
    """CREATE TABLE mark (
        recording INTEGER NOT NULL REFERENCES recording (id),
        line INTEGER NOT NULL,
        at INTEGER NOT NULL,
        label TEXT NOT NULL,
        PRIMARY KEY (recording, line)) WITHOUT ROWID""",
    """CREATE TABLE gap (
        recording INTEGER NOT NULL REFERENCES recording (id),
        line INTEGER NOT NULL,
        track TEXT NOT NULL,
        begins INTEGER NOT NULL,
        lost INTEGER NOT NULL,
        reason TEXT NOT NULL,
        PRIMARY KEY (recording, line)) WITHOUT ROWID""",
    "CREATE TABLE progress (origin TEXT PRIMARY KEY, indexed INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TABLE device_state (
        device TEXT NOT NULL,
        topic TEXT NOT NULL,
        at INTEGER NOT NULL,
        payload TEXT NOT NULL,
        PRIMARY KEY (device, topic)) WITHOUT ROWID""",
)


def upgrade() -> None:
    """Create everything."""
    for statement in TABLES:
        op.execute(statement)


def downgrade() -> None:
    """Go back to nothing: the catalogue is rebuilt from journals, ledger and stored bytes."""
    for table in ("device_state", "progress", "gap", "mark", "fragment", "track", "recording"):
        op.execute(f"DROP TABLE {table}")
