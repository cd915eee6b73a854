"""The tables of logs.sqlite: all logs, what of the ledger must be found again, and what does not fit together.

A row of `batch` is what was admitted at once: lines joined by newline, and the checkpoint at their end with its signatures.
Rows of one log follow each other without a hole. Everything but `fork` follows from `batch` and `log.origin`.
"""

from __future__ import annotations

from server.database import Transaction
from server.errors import StorageError

VERSION = 1

TABLES = (
    # size, range: compact range at the end; cosigned_s: time of the newest cosignature; anchored: newest size in an anchor
    """CREATE TABLE log (
        id INTEGER PRIMARY KEY,
        origin TEXT NOT NULL UNIQUE,
        size INTEGER NOT NULL DEFAULT 0,
        hashes BLOB NOT NULL DEFAULT x'',
        cosigned_s INTEGER NOT NULL DEFAULT 0,
        anchored INTEGER NOT NULL DEFAULT 0)""",
    """CREATE TABLE batch (
        log INTEGER NOT NULL REFERENCES log (id),
        first INTEGER NOT NULL,
        count INTEGER NOT NULL,
        lines BLOB NOT NULL,
        note TEXT NOT NULL,
        PRIMARY KEY (log, first))""",
    # roots of complete subtrees of 256 and 65,536 leaves: a cache, so that proofs in long logs stay fast
    """CREATE TABLE subtree (
        log INTEGER NOT NULL REFERENCES log (id),
        first INTEGER NOT NULL,
        leaves INTEGER NOT NULL,
        hash BLOB NOT NULL,
        PRIMARY KEY (log, leaves, first)) WITHOUT ROWID""",
    # checkpoints that contradict what is held; held: the server's own note over the same lines
    """CREATE TABLE fork (
        id INTEGER PRIMARY KEY,
        log INTEGER NOT NULL REFERENCES log (id),
        at INTEGER NOT NULL,
        reason TEXT NOT NULL,
        size INTEGER NOT NULL,
        root BLOB NOT NULL,
        note TEXT NOT NULL,
        held TEXT NOT NULL,
        lines BLOB NOT NULL,
        UNIQUE (log, size, root))""",
    # which journals the ledger lists, and since which of its lines
    """CREATE TABLE enrolment (
        origin TEXT PRIMARY KEY,
        device TEXT NOT NULL,
        vkey TEXT NOT NULL,
        certificate TEXT NOT NULL,
        enrolled INTEGER NOT NULL,
        revoked INTEGER)""",
    # the ledger's lines except anchors; c counts the lines of a recording from 0
    """CREATE TABLE entry (
        line INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        device TEXT,
        recording TEXT,
        c INTEGER)""",
    "CREATE UNIQUE INDEX entry_custody ON entry (device, recording, c) WHERE recording IS NOT NULL",
    "CREATE TABLE anchor (line INTEGER PRIMARY KEY, at INTEGER NOT NULL)",
    """CREATE TABLE anchored (
        line INTEGER NOT NULL REFERENCES anchor (line),
        position INTEGER NOT NULL,
        log INTEGER NOT NULL REFERENCES log (id),
        size INTEGER NOT NULL,
        PRIMARY KEY (line, position)) WITHOUT ROWID""",
    "CREATE INDEX anchored_log ON anchored (log, size)",
)


def create(transaction: Transaction) -> None:
    """Create the tables where the file is new; StorageError when another version made it."""
    version = transaction.execute("PRAGMA user_version").scalar_one()
    if version == VERSION:
        return
    if version != 0:
        raise StorageError(f"logs.sqlite: expected version {VERSION}, got {version}; use the release that wrote it")
    for statement in TABLES:
        transaction.execute(statement)
    transaction.execute(f"PRAGMA user_version={VERSION}")
