"""The index of what waits and what may go: SQLite, built from the journal, and built again whenever it is missing or broken.

Rules (docs/evidence-format.md, sections 5 and 6):
- A fragment may be uploaded when a cosigned checkpoint covers its line and its bytes are there; recordings that are marked go
  first, then the oldest.
- That something was sent is remembered here only, and may be forgotten with a power cut or the whole file: after a start and a
  rebuild it is `uncertain`, until the server was asked. Where the server turns out not to have it (`unsent`), it waits again.
- Nothing here decides that media may go: `held` gives `agent.core.retention` its figures.
- Lines that come again with the same index take the place of the old ones and of all behind them.

One connection behind one lock, write-ahead log, no sync at commits: what a power cut takes is read from the journal again, by
comparing the last line taken. A file that SQLite can't read is set aside and the index built anew.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from sqlite_utils import Database

from agent.buffer import queries, schema
from agent.buffer.errors import IndexFault
from agent.buffer.ports import Backlog, Fragment, Lines, Receipts, Recording, Stopped, Tracks
from agent.core import merkle
from agent.core.retention import Held

BROKEN = ".broken"
CHUNK_LINES = 4_096
"""Lines taken in one transaction when building."""


class Sent(Protocol):
    """What names a fragment that was sent."""

    @property
    def recording(self) -> str: ...
    @property
    def track(self) -> str: ...
    @property
    def seq(self) -> int: ...


class Index:
    """What one journal's lines say about uploads. All methods may be called from any thread."""

    def __init__(self, path: Path, journal: Lines, media: Tracks, receipts: Receipts) -> None:
        """For `open`."""
        self.path = path
        self.rebuilt = 0
        self._journal, self._media, self._receipts = journal, media, receipts
        self._lock = threading.RLock()
        self._db: Database | None = None
        self._uncertain: set[str] = set()
        self._broken = ""
        self._opened()

    @classmethod
    def open(cls, path: Path, journal: Lines, media: Tracks, receipts: Receipts = list) -> Index:
        """The index in the file, brought up to the journal's end; IndexFault when not even a new one can be made."""
        return cls(path, journal, media, receipts)

    def close(self) -> None:
        """Close the file; may be called twice."""
        with self._lock:
            if self._db is not None:
                self._db.conn.close()
                self._db = None

    # ------------------------------------------------------------------ building

    def _opened(self) -> None:
        if not self.path.exists():
            self._rebuild()
            return
        try:
            self._connect()
            self._check()
            self._doubt()
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise IndexFault(f"index {self.path.name}: another process has it open; one agent a state folder") from error
            self._broken = "" if isinstance(error, _OfOthers) else str(error)
            self._rebuild()

    def _connect(self) -> None:
        connection = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None)
        self._db = Database(connection)
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL"):
            connection.execute(f"PRAGMA {pragma}").fetchall()

    def _check(self) -> None:
        """Believe the file if it is whole and of this journal; else DatabaseError."""
        db = self._db
        assert db is not None
        (answer,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if answer != "ok":
            raise _unfit(answer)
        version, origin, size, tip = db.execute("SELECT version, origin, size, tip FROM state").fetchone() or (0, "", 0, b"")
        if version != schema.VERSION or origin != self._journal.origin or not self._fits(size, tip):
            raise _OfOthers("of another version or journal")
        self._catch_up(size)

    def _fits(self, size: int, tip: bytes) -> bool:
        """Whether the last line taken is still where it was."""
        if size <= self._journal.oldest or size > self._journal.size:
            return size == self._journal.oldest == 0
        index, line = next(self._journal.iterate(size - 1))
        return index == size - 1 and bool(merkle.leaf_hash(line) == tip)

    def _rebuild(self) -> None:
        """Set the file aside and build the index from journal, media and receipts."""
        self.close()
        try:
            _set_aside(self.path)
            self._connect()
            db = self._db
            assert db is not None
            schema.create(db, self._journal.origin)
            self._catch_up(self._journal.oldest)
            self._doubt()
        except (sqlite3.Error, OSError) as error:
            raise IndexFault(f"index {self.path.name}: can't be built: {error}; free space or check the card") from error
        self.rebuilt += 1

    def _doubt(self) -> None:
        """More may have been sent of what is here now than stands here."""
        db = self._db
        assert db is not None
        self._uncertain = {name for (name,) in db.execute(queries.UNCERTAIN)}

    def _catch_up(self, first: int) -> None:
        lines: list[bytes] = []
        for _, line in self._journal.iterate(first):
            lines.append(line)
            if len(lines) == CHUNK_LINES:
                self._take(first, lines)
                first += len(lines)
                lines = []
        self._take(first, lines)
        self._cosign(self._journal.cosigned_size, self._journal.cosigned_seconds)
        self._stored(self._receipts())

    @contextmanager
    def _transaction(self) -> Iterator[Database]:
        """One change of the index; IndexFault when the disk refuses, `sqlite3.DatabaseError` when the file is broken."""
        db = self._db
        if db is None:
            raise IndexFault(f"index {self.path.name}: closed")
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
        except BaseException:
            with suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")

    def _run(self, work: Callable[[], Any]) -> Any:
        """Do some work; where the file turns out to be broken, build it again and do it once more."""
        with self._lock:
            try:
                return work()
            except sqlite3.OperationalError as error:
                raise IndexFault(f"index {self.path.name}: {error}; free space or check the card") from error
            except sqlite3.DatabaseError as error:
                self._broken = str(error)
                self._rebuild()
                return work()

    # ------------------------------------------------------------------ what happens

    def add(self, first: int, lines: Sequence[bytes]) -> None:
        """Take durable lines that begin at index `first`; they replace what was taken from there on."""
        self._run(lambda: self._add(first, lines))

    def _add(self, first: int, lines: Sequence[bytes]) -> None:
        db = self._db
        assert db is not None
        (size,) = db.execute("SELECT size FROM state").fetchone()
        if first < size:  # the journal's end was replaced: rare, and the journal knows best
            sent = [dict(zip(("recording", "track", "seq"), row, strict=True)) for row in self._rows(queries.ALREADY_SENT)]
            self._rebuild()
            self._sent(sent)
        elif first > size:
            self._catch_up(size)
        else:
            self._take(first, lines)

    def _take(self, first: int, lines: Sequence[bytes]) -> None:
        if not lines:
            return
        with self._transaction() as db:
            for index, line in enumerate(lines, first):
                schema.take(db, index, line)
            tip = merkle.leaf_hash(lines[-1])
            db.execute("UPDATE state SET size = ?, tip = ?", (first + len(lines), tip))

    def cosigned(self, size: int, seconds: int | None = None) -> None:
        """The server has cosigned `size` lines, at `seconds` since 1970 by its clock."""
        self._run(lambda: self._cosign(size, seconds))

    def _cosign(self, size: int, seconds: int | None) -> None:
        with self._transaction() as db:
            db.execute("UPDATE state SET cosigned = max(cosigned, :size)", {"size": size})
            if seconds is not None:
                db.execute(queries.COSIGNED, {"size": size, "seconds": seconds})

    def sent(self, fragments: Iterable[Sent]) -> None:
        """The server has answered that it holds these."""
        names = [{"recording": one.recording, "track": one.track, "seq": one.seq} for one in fragments]
        self._run(lambda: self._sent(names))

    def _sent(self, names: list[dict[str, Any]]) -> None:
        with self._transaction() as db:
            for name in names:
                db.execute(queries.SENT, name)

    def unsent(self, fragments: Iterable[Sent]) -> None:
        """The server does not hold these, whatever it once said."""
        names = [{"recording": one.recording, "track": one.track, "seq": one.seq} for one in fragments]
        self._run(lambda: self._unsent(names))

    def _unsent(self, names: list[dict[str, Any]]) -> None:
        with self._transaction() as db:
            for name in names:
                db.execute(queries.UNSENT, name)

    def receipt(self, recording: str) -> None:
        """The ledger has proved that the server holds the recording."""
        self._run(lambda: self._stored([recording]))

    def _stored(self, recordings: Iterable[str]) -> None:
        with self._transaction() as db:
            for name in recordings:
                if db.execute(queries.RECEIPT, {"recording": name}).rowcount:
                    db.execute(queries.ALL_SENT, {"recording": name})

    # ------------------------------------------------------------------ questions

    def _ask(self, sql: str, values: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
        if self._db is None:
            raise IndexFault(f"index {self.path.name}: closed")
        rows: Iterator[tuple[Any, ...]] = self._db.execute(sql, values)
        return rows

    def _rows(self, sql: str, values: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self._run(lambda: list(self._ask(sql, values or {})))
        return found

    def pending(self, limit: int) -> list[Fragment]:
        """At most `limit` fragments that may be uploaded now: of marked recordings first, then of the oldest."""
        return self._waiting(limit, present=True)

    def of(self, recording: str, *, sent: bool) -> list[Fragment]:
        """A recording's cosigned fragments that were sent, or were not, and are not gone."""
        rows = self._rows(queries.OF_TRACKS, {"recording": recording, "sent": int(sent)})
        return [Fragment(*row) for row in rows]

    def unproved(self) -> list[str]:
        """Recordings that have ended and were sent whole, of which the ledger has not said that they are stored; the oldest first."""
        return [name for (name,) in self._rows(queries.UNPROVED)]

    def uncertain(self, recording: str) -> bool:
        """Whether the server may hold more of a recording than stands here; True once after each start and each rebuild."""
        with self._lock:
            found = recording in self._uncertain
            self._uncertain.discard(recording)
            return found

    def broke(self) -> str:
        """Why a file that SQLite can't read was built anew, said once; empty where that did not happen."""
        with self._lock:
            why, self._broken = self._broken, ""
            return why

    def missing(self, limit: int = 1_000) -> list[Fragment]:
        """Cosigned fragments that were not sent and whose bytes are not there, and no gap says so: each needs one."""
        return self._waiting(limit, present=False)

    def _waiting(self, limit: int, *, present: bool) -> list[Fragment]:
        def scan() -> list[Fragment]:
            found: list[Fragment] = []
            sizes: dict[tuple[str, str], int] = {}
            for (recording,) in self._rows(queries.WAITING_RECORDINGS):
                for row in self._ask(queries.WAITING, {"recording": recording}):
                    one = Fragment(*row)
                    place = one.recording, one.track
                    if place not in sizes:
                        sizes[place] = self._media.size(*place)
                    if (one.offset + one.bytes <= sizes[place]) == present:
                        found.append(one)
                    if len(found) >= limit:
                        return found
            return found

        waiting: list[Fragment] = self._run(scan)
        return waiting

    def backlog(self) -> Backlog:
        """What waits for the server."""
        with self._lock:
            ((size, cosigned),) = self._rows("SELECT size, cosigned FROM state")
            ((count, total),) = self._rows(queries.BACKLOG)
            return Backlog(max(size - cosigned, 0), count, total)

    def recordings(self) -> list[Recording]:
        """Every recording of the journal, oldest first."""
        return [
            Recording(name, start, stop, bool(marked), count, total, unsent, seconds, bool(receipt), bool(purged))
            for name, start, stop, marked, count, total, unsent, seconds, receipt, purged in self._rows(queries.RECORDINGS)
        ]

    def stopped(self, recording: str) -> Stopped | None:
        """Figures that a receipt for the recording must have; None where it has not ended."""
        rows = self._rows(queries.STOPPED, {"recording": recording})
        return Stopped(*rows[0]) if rows else None

    def held(self) -> list[Held]:
        """What retention decides by: every recording whose media are here."""
        return [
            Held(
                one.recording,
                index=one.start,
                size=one.bytes,
                marked=one.marked,
                stopped=one.stop is not None,
                unsent=one.unsent,
                cosigned_s=one.cosigned_s,
                receipt=one.receipt,
            )
            for one in self.recordings()
            if not one.purged
        ]


class _OfOthers(sqlite3.DatabaseError):
    """The file is whole and says something else: of an older program, or of the journal before this one."""


def _unfit(why: str) -> sqlite3.DatabaseError:
    """What SQLite itself raises for a broken file."""
    error = sqlite3.DatabaseError(why)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _set_aside(path: Path) -> None:
    """Move the file and its companions out of the way; the newest broken one is kept."""
    for companion in ("-wal", "-shm"):
        path.with_name(path.name + companion).unlink(missing_ok=True)
    if path.exists():
        path.rename(path.with_name(path.name + BROKEN))
