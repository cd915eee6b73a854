"""Asks the server, before anything is published, how much of our journal it holds (docs/evidence-format.md, section 4, handshake).

Rules:
- The newest cosigned checkpoint, or 404 of the type `no-checkpoint`, is an answer. Nothing else is: not a 404 of some proxy, not
  a note that the witness or we ourselves did not sign, nothing that came over MQTT.
- Where our root at that size is the server's root, the two agree and sending begins there, even below what it once cosigned: a
  server that was restored gets from its devices what it lost.
- Else our own signed lines are fetched from the newest size on that we know to be cosigned; each batch has a checkpoint that we
  signed and the witness cosigned, over lines that give its root. What becomes of them is the journal's business (`journal.adopt`).

Lines come as they went, in the wire's batches (section 5).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.core import merkle, wire
from agent.core.errors import WireError
from agent.uplink.errors import Contradiction, NoAnswer, Refused
from agent.uplink.https import json_object, shown

if TYPE_CHECKING:
    from agent.uplink.https import Https
    from agent.uplink.inbox import Cosigned, Inbox
    from agent.uplink.ports import Log

NO_CHECKPOINT = "urn:zhilu:no-checkpoint"
MAX_FETCHED = 1_048_576
"""Lines that a handshake takes back: ten days of recording. A card that lost more than that is an administrator's case."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """The server holds `size` of our lines and no others; `news` is its cosigned note, None where it has none yet.

    `forgot` lines were cosigned and the server does not have them any more: they are sent again, and that is an alarm.
    """

    size: int
    news: Cosigned | None = None
    forgot: int = 0


@dataclass(frozen=True, slots=True)
class Behind:
    """The server holds lines that we do not: `lines` from index `first` on, up to its cosigned note."""

    first: int
    note: str
    lines: list[bytes] = field(repr=False)


class Handshake:
    """Questions of one journal to the server."""

    def __init__(self, https: Https, device: str, n: int, inbox: Inbox) -> None:
        self._https, self._inbox = https, inbox
        self._path = f"/api/v1/journal/{device}/{n}"

    def ask(self, journal: Log, cosigned: int) -> Agreed | Behind:
        """One handshake; `cosigned` is the size that we know to be cosigned. NoAnswer: try again later."""
        status, kind, body = self._https.request("GET", f"{self._path}/checkpoint")
        if status == 404 and (json_object(kind, body) or {}).get("type") == NO_CHECKPOINT:
            return Agreed(0, forgot=cosigned)
        if status != 200:
            raise NoAnswer(f"handshake: expected our checkpoint, got status {status}: {shown(body)}")
        news = self._judge(body, journal)
        if journal.root_at(news.size) == news.root:
            return Agreed(news.size, news, max(cosigned - news.size, 0))
        if news.size < cosigned:
            raise Contradiction(f"the server's newest checkpoint of ours has {news.size} lines, other ones than those that it cosigned")
        return Behind(cosigned, news.note, self._fetch(journal, cosigned, news))

    def _judge(self, body: bytes, journal: Log) -> Cosigned:
        """The server's note, whose root may be another than ours: that is what the handshake is for."""
        try:
            return self._inbox.judge(lambda: self._inbox.cosigned(body))
        except Refused as refusal:
            raise NoAnswer(f"handshake: {refusal} (we have {journal.size} lines)") from refusal

    def _fetch(self, journal: Log, first: int, news: Cosigned) -> list[bytes]:
        """Lines from `first` to the note's size, checked against its root."""
        if news.size - first > MAX_FETCHED:
            raise Contradiction(f"the server holds {news.size - first} lines that we do not; at most {MAX_FETCHED} are taken back")
        fetched: list[bytes] = []
        while first + len(fetched) < news.size:
            batch = self._batch(first + len(fetched))
            fetched += batch.lines[: news.size - first - len(fetched)]
        tree = journal.range_at(first)
        for line in fetched:
            tree.append(merkle.leaf_hash(line))
        if tree.root() != news.root:
            raise NoAnswer(f"handshake: lines {first} to {news.size} do not give the root that the server cosigned")
        return fetched

    def _batch(self, first: int) -> wire.Batch:
        status, _, body = self._https.request("GET", f"{self._path}/{first}")
        if status != 200:
            raise NoAnswer(f"handshake: expected our lines from {first} on, got status {status}: {shown(body)}")
        try:
            batch = wire.decode_batch(body)
        except WireError as error:
            raise NoAnswer(f"handshake: expected our lines from {first} on as a batch: {error}") from error
        if batch.first != first or not batch.lines:
            raise NoAnswer(f"handshake: expected our lines from {first} on, got {len(batch.lines)} from {batch.first}")
        return batch
