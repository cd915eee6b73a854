"""The server's own log: what it admitted, what people did, and an anchor a minute over all devices.

Rules (docs/evidence-format.md, section 7):
- Lines have `at`, `kind`, `salt`; `at` never goes back. The first line is an anchor of count 0.
- Lines about a recording have `device`, `recording` and `c`, counted from 0 without a hole: custody lines can't be left out.
- Every commit signs a checkpoint, and each of them is kept; the newest is told to `publish`.
- An anchor holds `root` (lower-case hex) and `count` of the RFC 6962 tree over the bodies of the newest checkpoints of all
  devices cosigned since the anchor before, sorted by origin, and `previous`: the ledger's signed checkpoint before it.

Lines are staged: they stand in the log when the transaction that staged them commits (`server.database`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine

from agent.core import lines as core_lines
from agent.core import merkle, note
from server.database import Transaction, Writer, sql
from server.errors import Unknown
from server.ledger import logs, schema
from server.ledger.keys import Key
from server.ledger.logs import Batch, Growth, Head, Logs

Publish = Callable[[str], None]

_OLDEST = """SELECT line FROM entry WHERE line > :after AND (:kind IS NULL OR kind = :kind)
    AND (:device IS NULL OR device = :device) AND (:recording IS NULL OR recording = :recording) ORDER BY line LIMIT :limit"""
_NEWEST = """SELECT line FROM entry WHERE (:after < 0 OR line < :after) AND (:kind IS NULL OR kind = :kind)
    AND (:device IS NULL OR device = :device) AND (:recording IS NULL OR recording = :recording) ORDER BY line DESC LIMIT :limit"""


@dataclass
class _Staged:
    """What one transaction adds to the ledger."""

    before: Head
    range: merkle.Range
    at: int
    lines: list[bytes] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the ledger: its index, its bytes and what it says."""

    index: int
    line: bytes
    members: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Anchored:
    """A device's checkpoint in an anchor: the anchor's line in the ledger, the position among its leaves."""

    line: int
    position: int
    origin: str
    size: int


class Ledger:
    """Writes through `writer`, reads through `engine`. `now_ms` and `random` are the world's; `publish` gets each new note."""

    def __init__(
        self, writer: Writer, engine: Engine, held: Logs, key: Key, now_ms: Callable[[], int], random: Callable[[int], bytes]
    ) -> None:
        self._writer, self._engine, self._logs, self.key = writer, engine, held, key
        self._now_ms, self._random = now_ms, random
        self._subscribers: list[Publish] = []
        self.origin = key.name
        self._head: Head | None = None
        self._at = 0
        writer.on_start_over(self._forget)
        writer.call(self._begin)

    def subscribe(self, publish: Publish) -> None:
        """Have `publish` called with each new signed checkpoint, in the writer's thread, after its commit."""
        self._subscribers.append(publish)

    # ----------------------------------------------------------------------- appending

    def _begin(self, transaction: Transaction) -> None:
        schema.create(transaction)
        logs.open_log(transaction, self.origin)
        if self._staged(transaction).before.size == 0:
            self.stage_anchor(transaction)

    def _forget(self) -> None:
        self._head = None

    def _staged(self, transaction: Transaction) -> _Staged:
        staged: _Staged | None = transaction.state.get(self)
        if staged is None:
            if self._head is None:
                self._head = self._logs.head(self.origin, transaction.connection)
                assert self._head is not None
                size = self._head.size
                last = self._logs_last(transaction, size)
                self._at = core_lines.read(last)["at"] if last else 0
            staged = transaction.state[self] = _Staged(self._head, self._head.range.copy(), self._at)
            transaction.before_commit(lambda: self._seal(transaction, staged))
        return staged

    def _logs_last(self, transaction: Transaction, size: int) -> bytes | None:
        if size == 0:
            return None
        query = "SELECT lines FROM batch WHERE log = (SELECT id FROM log WHERE origin = :origin) ORDER BY first DESC LIMIT 1"
        row = transaction.execute(query, {"origin": self.origin}).one()
        return bytes(row.lines.split(b"\n")[-1])

    def stage(self, transaction: Transaction, kind: str, members: dict[str, Any]) -> int:
        """Add a line; its index. One with a `recording` (and `device`) gets the next `c` of that recording."""
        staged = self._staged(transaction)
        staged.at = max(staged.at, self._now_ms())
        recording, device = members.get("recording"), members.get("device")
        count: int | None = None
        if recording is not None:
            query = "SELECT coalesce(max(c) + 1, 0) FROM entry WHERE device = :device AND recording = :recording"
            count = transaction.execute(query, {"device": device, "recording": recording}).scalar_one()
        salt = core_lines.salt_text(self._random(16))
        line = core_lines.build(kind, staged.at, None, salt, {**members, "c": count})
        index = staged.range.size
        staged.lines.append(line)
        staged.range.append(merkle.leaf_hash(line))
        if kind != "anchor":
            transaction.execute(
                "INSERT INTO entry (line, kind, device, recording, c) VALUES (:line, :kind, :device, :recording, :c)",
                {"line": index, "kind": kind, "device": device, "recording": recording, "c": count},
            )
        return index

    def stage_once(self, transaction: Transaction, kind: str, members: dict[str, Any]) -> int:
        """`stage`, unless the recording has a line of this kind already: then the index of that one."""
        query = "SELECT line FROM entry WHERE device = :device AND recording = :recording AND kind = :kind"
        row = transaction.execute(query, {"device": members["device"], "recording": members["recording"], "kind": kind}).first()
        return int(row.line) if row is not None else self.stage(transaction, kind, members)

    def append(self, kind: str, members: dict[str, Any]) -> int:
        """Add a line and wait until it is durable; its index."""
        return self._writer.call(lambda transaction: self.stage(transaction, kind, members))

    def anchor(self) -> int:
        """Anchor what was cosigned since the last time; the index of the line."""
        return self._writer.call(self.stage_anchor)

    def stage_anchor(self, transaction: Transaction) -> int:
        """Add an anchor over every journal that grew since it was last in one."""
        query = "SELECT id, origin, size FROM log WHERE size > anchored AND origin <> :ledger ORDER BY origin"
        grown = list(transaction.execute(query, {"ledger": self.origin}))
        bodies = [self._body(transaction, row.origin, row.size) for row in grown]
        root = merkle.root_of([merkle.leaf_hash(body.encode()) for body in bodies])
        previous = self._logs.checkpoint(self.origin, transaction.connection)
        line = self.stage(transaction, "anchor", {"root": root.hex(), "count": len(bodies), "previous": previous})
        transaction.execute("INSERT INTO anchor (line, at) VALUES (:line, :at)", {"line": line, "at": self._staged(transaction).at})
        if grown:
            transaction.many(
                "INSERT INTO anchored (line, position, log, size) VALUES (?, ?, ?, ?)",
                [(line, at, row.id, row.size) for at, row in enumerate(grown)],
            )
            transaction.change("UPDATE log SET anchored = ? WHERE id = ? AND size >= ?", [(row.size, row.id, row.size) for row in grown])
        return line

    def _body(self, transaction: Transaction, origin: str, size: int) -> str:
        kept = self._logs.note_at(origin, size, transaction.connection)
        assert kept is not None, f"{origin} ends without a checkpoint"
        return note.split(kept)[0]

    def _seal(self, transaction: Transaction, staged: _Staged) -> None:
        """Sign what was staged and put it into the log."""
        if not staged.lines:
            return
        signed = self.key.signed(note.checkpoint(self.origin, staged.range.size, staged.range.root()))
        after = Head(staged.before.id, self.origin, staged.range, staged.before.cosigned_s)
        logs.grow(transaction, [Growth(staged.before, after, [Batch(staged.before.size, staged.lines, signed)])])
        transaction.after_commit(lambda: self._publish(after, staged.at, signed))

    def _publish(self, head: Head, at: int, signed: str) -> None:
        self._head, self._at = head, at
        for publish in self._subscribers:
            publish(signed)

    # ----------------------------------------------------------------------- proofs

    def proof(self, index: int, size: int | None = None) -> str:
        """`.tlog-proof` of a line, with the line as `extra`: under the kept checkpoint of `size` lines, else the newest."""
        signed = self._logs.checkpoint(self.origin) if size is None else self._logs.note_at(self.origin, size)
        if signed is None:
            raise Unknown(f"the ledger has no checkpoint of {size} lines")
        end = note.parse_checkpoint(note.split(signed)[0]).size
        if index >= end:
            raise Unknown(f"the ledger's checkpoint of {end} lines has no line {index}")
        line = self._logs.lines(self.origin, index, index + 1)[0]
        hashes = merkle.inclusion(self._logs.subtree(self.origin), index, end)
        return note.tlog_proof(index, hashes, signed, line)

    def checkpoint(self) -> str:
        """The newest signed checkpoint."""
        signed = self._logs.checkpoint(self.origin)
        assert signed is not None, "the ledger begins with an anchor"
        return signed

    def note_of(self, body: str) -> str:
        """The signed checkpoint with exactly this body (a beacon's); Unknown when the ledger never published it."""
        head = note.parse_checkpoint(body)
        signed = self._logs.note_at(self.origin, head.size) if head.origin == self.origin else None
        if signed is None or note.split(signed)[0] != body:
            raise Unknown(f"the ledger never published a checkpoint of {head.size} lines with this root")
        return signed

    def newest_anchor(self, size: int) -> int:
        """Index of the newest anchor among the first `size` lines."""
        with self._engine.connect() as connection:
            line = connection.execute(sql("SELECT max(line) FROM anchor WHERE line < :size"), {"size": size}).scalar_one()
        if line is None:
            raise Unknown(f"the ledger's first {size} lines hold no anchor")
        return int(line)

    def anchor_covering(self, origin: str, size: int) -> Anchored | None:
        """The smallest anchored checkpoint of at least `size` lines, or None while there is none."""
        query = (
            "SELECT line, position, size FROM anchored WHERE log = (SELECT id FROM log WHERE origin = :origin)"
            " AND size >= :size ORDER BY size LIMIT 1"
        )
        with self._engine.connect() as connection:
            row = connection.execute(sql(query), {"origin": origin, "size": size}).first()
        return Anchored(row.line, row.position, origin, row.size) if row else None

    def anchor_proof(self, anchored: Anchored) -> str:
        """The text of `anchor.proof`: that a device's checkpoint is a leaf of the anchor's tree."""
        query = "SELECT origin, anchored.size FROM anchored JOIN log ON log.id = anchored.log WHERE line = :line ORDER BY position"
        with self._engine.connect() as connection:
            rows = list(connection.execute(sql(query), {"line": anchored.line}))
        bodies = []
        for row in rows:
            kept = self._logs.note_at(row.origin, row.size)
            assert kept is not None, f"{row.origin}: an anchored checkpoint is kept"
            bodies.append(note.split(kept)[0])
        leaves = [merkle.leaf_hash(body.encode()) for body in bodies]
        hashes = merkle.inclusion(merkle.from_leaves(leaves), anchored.position, len(leaves))
        return note.anchor_proof(anchored.position, hashes, bodies[anchored.position])

    # ----------------------------------------------------------------------- looking things up

    def entry(self, index: int) -> Entry:
        """One line."""
        line = self._logs.lines(self.origin, index, index + 1)[0]
        return Entry(index, line, core_lines.read(line))

    def custody(self, device: str, recording: str) -> list[Entry]:
        """The recording's custody lines, in order of `c`."""
        query = "SELECT line FROM entry WHERE device = :device AND recording = :recording ORDER BY c"
        with self._engine.connect() as connection:
            found = [row.line for row in connection.execute(sql(query), {"device": device, "recording": recording})]
        return [self.entry(index) for index in found]

    def entries(self, after: int = -1, limit: int = 100, *, newest: bool = False, **where: str | None) -> list[Entry]:
        """Lines that are no anchors: behind index `after` in order, or, `newest` first, before it. `where`: kind, device, recording."""
        query = _NEWEST if newest else _OLDEST
        values = {"after": after, "limit": limit, **{name: where.get(name) for name in ("kind", "device", "recording")}}
        with self._engine.connect() as connection:
            found = [row.line for row in connection.execute(sql(query), values)]
        return [self.entry(index) for index in found]
