"""Every log that the server holds, the devices' journals and its own ledger: lines, checkpoints, subtrees.

Rules (docs/evidence-format.md, sections 3 and 5):
- Lines are the bytes that came; a checkpoint is kept with the batch that it ends.
- A log grows by compare-and-swap on its size: of two who extend the same size, one fails and changes nothing.

Reading is for any thread. Who may append, and after which checks, is decided by `server.ingest` and `server.ledger.ledger`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine

from agent.core import merkle, note
from server.database import Transaction, sql
from server.errors import Unknown
from server.ledger import subtrees

HASH = merkle.HASH_BYTES


@dataclass(slots=True)
class Head:
    """A log as it stands: its row, its compact range (never changed in place), the time of its newest cosignature."""

    id: int
    origin: str
    range: merkle.Range
    cosigned_s: int

    @property
    def size(self) -> int:
        """Lines held."""
        return self.range.size


@dataclass(slots=True)
class Batch:
    """A row of `batch`: lines from index `first`, and the signed note at their end."""

    first: int
    lines: list[bytes]
    note: str

    @property
    def end(self) -> int:
        """Index behind the last line; the note's size."""
        return self.first + len(self.lines)


@dataclass(slots=True)
class Growth:
    """What a commit adds to one log: new batches in order, and the head behind them."""

    before: Head
    after: Head
    batches: list[Batch]


def open_log(transaction: Transaction, origin: str) -> None:
    """Begin a log of no lines, where there is none."""
    transaction.execute("INSERT INTO log (origin) VALUES (:origin) ON CONFLICT DO NOTHING", {"origin": origin})


def grow(transaction: Transaction, growths: list[Growth]) -> None:
    """Append to many logs at once; Conflict when one of them no longer has the size that was read."""
    if not growths:
        return
    transaction.change(
        "UPDATE log SET size = ?, hashes = ?, cosigned_s = ? WHERE id = ? AND size = ?",
        [(one.after.size, b"".join(one.after.range.hashes), one.after.cosigned_s, one.before.id, one.before.size) for one in growths],
    )
    transaction.many(
        "INSERT INTO batch (log, first, count, lines, note) VALUES (?, ?, ?, ?, ?)",
        [(one.before.id, b.first, len(b.lines), b"\n".join(b.lines), b.note) for one in growths for b in one.batches],
    )


class Logs:
    """Reading. `connection`, where given, is a writer's: it sees what its own transaction has changed."""

    def __init__(self, engine: Engine, cache: subtrees.Keep | None = None) -> None:
        self._engine = engine
        self._cache = cache

    @contextmanager
    def _reading(self, connection: Connection | None = None) -> Iterator[Connection]:
        if connection is not None:
            yield connection
            return
        with self._engine.connect() as own:
            yield own

    def _row(self, query: str, values: Mapping[str, Any], connection: Connection | None = None) -> Any:
        with self._reading(connection) as c:
            return c.execute(sql(query), values).first()

    def _id(self, origin: str, connection: Connection | None = None) -> int:
        row = self._row("SELECT id FROM log WHERE origin = :origin", {"origin": origin}, connection)
        if row is None:
            raise Unknown(f"there is no journal {origin} here")
        return int(row.id)

    def origins(self) -> list[str]:
        """All logs, sorted by origin; the ledger among them."""
        with self._reading() as c:
            return [row.origin for row in c.execute(sql("SELECT origin FROM log ORDER BY origin"))]

    def head(self, origin: str, connection: Connection | None = None) -> Head | None:
        """The log as it stands, or None where there is none."""
        row = self._row("SELECT id, size, hashes, cosigned_s FROM log WHERE origin = :origin", {"origin": origin}, connection)
        if row is None:
            return None
        hashes = [row.hashes[i : i + HASH] for i in range(0, len(row.hashes), HASH)]
        return Head(row.id, origin, merkle.Range(row.size, hashes), row.cosigned_s)

    def size(self, origin: str) -> int:
        """Lines held; 0 where there is no such log."""
        row = self._row("SELECT size FROM log WHERE origin = :origin", {"origin": origin})
        return int(row.size) if row else 0

    # ----------------------------------------------------------------------- checkpoints

    def checkpoint(self, origin: str, connection: Connection | None = None) -> str | None:
        """The newest signed checkpoint: cosigned where the log is a device's. None while there is no line."""
        row = self._row(
            "SELECT note FROM batch WHERE log = (SELECT id FROM log WHERE origin = :origin) ORDER BY first DESC LIMIT 1",
            {"origin": origin},
            connection,
        )
        return row.note if row else None

    def cosigned_covering(self, origin: str, size: int, connection: Connection | None = None) -> str | None:
        """The smallest kept checkpoint of at least `size` lines, with its signatures; None where nothing reaches so far."""
        with self._reading(connection) as c:
            batch = self._holding(c, self._id(origin, c), max(size, 1) - 1)
        return batch.note if batch else None

    def note_at(self, origin: str, size: int, connection: Connection | None = None) -> str | None:
        """The kept checkpoint of exactly `size` lines, with its signatures, or None."""
        with self._reading(connection) as c:
            batch = self._holding(c, self._id(origin, c), size - 1) if size > 0 else None
        return batch.note if batch and batch.end == size else None

    def root(self, origin: str, size: int, connection: Connection | None = None) -> bytes:
        """Root of the first `size` lines; Unknown when the log is shorter."""
        kept = self.note_at(origin, size, connection)
        if kept is not None:
            return note.parse_checkpoint(kept[: kept.rfind("\n\n") + 1]).root
        with self._reading(connection) as c:
            head = self.head(origin, c)
            if head is None or size > head.size:
                raise Unknown(f"{origin} has no {size} lines here")
            if size == 0:
                return merkle.EMPTY_ROOT
            return subtrees.subtree(c, head.id, 0, size, self._cache)

    # ----------------------------------------------------------------------- lines and hashes

    @staticmethod
    def _holding(connection: Connection, log: int, index: int) -> Batch | None:
        query = "SELECT first, lines, note FROM batch WHERE log = :log AND first <= :index ORDER BY first DESC LIMIT 1"
        row = connection.execute(sql(query), {"log": log, "index": index}).first()
        batch = Batch(row.first, row.lines.split(b"\n"), row.note) if row else None
        return batch if batch and index < batch.end else None

    def batches(self, origin: str, first: int, limit: int = 1 << 30) -> list[Batch]:
        """Whole batches from the one that holds line `first` on, at most `limit`."""
        with self._reading() as c:
            log = self._id(origin, c)
            query = (
                "SELECT first, lines, note FROM batch WHERE log = :log AND first >= coalesce((SELECT max(first) FROM batch"
                " WHERE log = :log AND first <= :index), 0) ORDER BY first LIMIT :limit"
            )
            rows = c.execute(sql(query), {"log": log, "index": first, "limit": limit})
            found = [Batch(row.first, row.lines.split(b"\n"), row.note) for row in rows]
        return [batch for batch in found if batch.end > first]

    def lines(self, origin: str, first: int, end: int) -> list[bytes]:
        """The lines [first, end); Unknown when the log is shorter."""
        with self._reading() as c:
            return subtrees.lines(c, self._id(origin, c), first, end)

    def subtree(self, origin: str) -> Callable[[int, int], bytes]:
        """A subtree source for `agent.core.merkle`: (first, end) → hash."""
        log = self._id(origin)

        def hash_of(first: int, end: int) -> bytes:
            with self._reading() as c:
                return subtrees.subtree(c, log, first, end, self._cache)

        return hash_of

    # ----------------------------------------------------------------------- what does not fit

    def forks(self, origin: str | None = None) -> list[dict[str, Any]]:
        """Checkpoints that contradict what is held, oldest first: origin, at, reason, size, note, held."""
        query = "SELECT origin, at, reason, fork.size, note, held FROM fork JOIN log ON log.id = fork.log"
        with self._reading() as c:
            rows = c.execute(sql(query + " ORDER BY fork.id"))
            return [dict(row._mapping) for row in rows if origin in (None, row.origin)]  # noqa: SLF001  public by its documentation


def keep_fork(transaction: Transaction, head: Head, held: str, **what: Any) -> bool:
    """Keep a contradicting checkpoint (at, reason, size, root, note, lines) once; whether it is new."""
    query = (
        "INSERT INTO fork (log, at, reason, size, root, note, held, lines) SELECT :log, :at, :reason, :size, :root, :note, :held,"
        " :lines WHERE (SELECT count(*) FROM fork WHERE log = :log) < :most ON CONFLICT DO NOTHING"
    )
    return transaction.execute(query, {"log": head.id, "held": held, "most": MAX_FORKS, **what}).rowcount == 1


MAX_FORKS = 1000
"""Contradictions kept of one journal: its key's holder can sign as many as he likes."""
