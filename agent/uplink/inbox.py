"""Opens what comes in, and lets through only what the right key signed for exactly us.

Rules:
- A witness note counts when the witness key cosigned it, its origin is ours, and its root is *our own* root at that size
  (docs/evidence-format.md, sections 3 and 5). Late and doubled ones are as good as the first: they change nothing.
- A receipt counts when the ledger key signed the checkpoint, the proof leads from the line to its root, and every member of
  the `stored` line is what our own journal says (section 6).
- A ledger note counts when the ledger key signed it and it is not smaller than the newest known one.
- An order counts when the orders key signed it for our origin, and its number is larger than any we took (section 8).

What follows from a message is decided by others; an Inbox holds no file and no connection. Every refusal has one of the
reasons of `agent.uplink.errors.REASONS` and is counted by it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from agent.core import lines, merkle, note
from agent.core.errors import LineError, NoteError, ProofError
from agent.uplink.errors import Reason, Refused

if TYPE_CHECKING:
    from agent.uplink.keys import ServerKeys

T = TypeVar("T")

MAX_ORDER_AHEAD = 1 << 53
"""Numbers of orders must fit into a line's integers."""


@dataclass(frozen=True, slots=True)
class Cosigned:
    """The server cosigned our journal up to `size` at `seconds` since 1970; `note` is the whole signed text, `root` its root."""

    size: int
    seconds: int
    note: str
    root: bytes


@dataclass(frozen=True, slots=True)
class Stopped:
    """What our own journal says about a recording that has ended: the leaf hash of its `stop`, and its figures.

    `gone` ones are under a `gap` and may be at the server all the same, if they were sent before a card forgot them.
    """

    stop: bytes
    fragments: int
    bytes: int
    gone_fragments: int = 0
    gone_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Stored:
    """The server's proof that it holds a recording; `digest` is the ledger line's leaf hash in hex."""

    recording: str
    digest: str
    note: str


@dataclass(frozen=True, slots=True)
class Beacon:
    """The newest ledger checkpoint: its body goes into the journal."""

    size: int
    body: str
    note: str


@dataclass(frozen=True, slots=True)
class Order:
    """What the server asks for; `expired` ones are answered in the journal and not carried out."""

    number: int
    name: str
    members: dict[str, Any]
    expired: bool


class Inbox:
    """Judges messages for one origin with the server's keys; `refused` counts by reason."""

    def __init__(self, origin: str, keys: ServerKeys, *, last_order: int = -1) -> None:
        self.origin = origin
        self.keys = keys
        self.last_order = last_order
        self.beacon: Beacon | None = None
        self.refused: Counter[Reason] = Counter()

    def judge(self, judge: Callable[[], T]) -> T:
        """Run one of the methods below and count its refusal."""
        try:
            return judge()
        except Refused as refusal:
            self.refused[refusal.reason] += 1
            raise

    def witness(self, payload: bytes, root_at: Callable[[int], bytes | None], known: int = 0) -> Cosigned:
        """A cosigned checkpoint of our journal; `root_at(size)` is our own root there, None beyond our end and where trimmed.

        `known` is the size that is cosigned already: nothing below it is news.
        """
        news = self.cosigned(payload)
        ours = root_at(news.size)
        if ours is None and news.size <= known:
            raise Refused("older", f"{known} lines are cosigned already, the note is of {news.size}, which were trimmed")
        if ours is None:
            raise Refused("ahead", f"the witness note's size is {news.size}, which is beyond our end")
        if ours != news.root:
            raise Refused("other-root", f"the witness cosigned {news.root.hex()} at {news.size}, our root there is {ours.hex()}")
        return news

    def cosigned(self, payload: bytes) -> Cosigned:
        """A checkpoint of our origin, signed by our own key and cosigned by the witness, whatever lines it is of."""
        text = opened(payload)
        body, signed = _signed(text, [self.keys.witness, self.keys.ours])
        times = [one.seconds for one in signed if one.seconds is not None]
        if not times or all(one.seconds is not None for one in signed):
            raise Refused("no-signature", f"expected signatures of {self.origin} and {self.keys.witness.name}, one is missing")
        head = _checkpoint(body)
        if head.origin != self.origin:
            raise Refused("foreign", f"a witness note is for {self.origin}, got one for {head.origin}")
        return Cosigned(head.size, max(times), text, head.root)

    def receipt(self, payload: bytes, ours: Callable[[str], Stopped | None]) -> Stored:
        """The ledger's proof that a recording is stored; `ours(recording)` is what our journal says of it."""
        text = opened(payload)
        try:
            proof = note.parse_tlog_proof(text)
        except NoteError as error:
            raise Refused("malformed", f"a receipt is a .tlog-proof: {error}") from error
        if proof.extra is None:
            raise Refused("malformed", "a receipt carries the ledger's line in `extra`, got none")
        head = self._ledger_head(proof.checkpoint)
        leaf = merkle.leaf_hash(proof.extra)
        try:
            merkle.check_inclusion(leaf, proof.index, head.size, proof.hashes, head.root)
        except ProofError as error:
            raise Refused("unproved", f"the receipt's line is not in the ledger: {error}") from error
        members = _stored_line(proof.extra)
        self._compare(members, ours(members["recording"]))
        return Stored(members["recording"], leaf.hex(), text)

    def _compare(self, members: dict[str, Any], stopped: Stopped | None) -> None:
        """Every member of a `stored` line against our own."""
        recording = members["recording"]
        if members["origin"] != self.origin:
            raise Refused("foreign", f"a receipt is for {self.origin}, got one for {members['origin']}")
        if stopped is None:
            raise Refused("unknown", f"the receipt is for {recording}, which this journal never stopped")
        if members["stop"] != stopped.stop.hex():
            raise Refused("other-figures", f"the receipt for {recording} says stop {members['stop']}, ours is {stopped.stop.hex()}")
        figures = {"fragments": (stopped.fragments, stopped.gone_fragments), "bytes": (stopped.bytes, stopped.gone_bytes)}
        for name, (held, gone) in figures.items():
            if not held <= members[name] <= held + gone:
                also = f" to {held + gone}" if gone else ""
                raise Refused("other-figures", f"the receipt for {recording} says {name} {members[name]}, ours is {held}{also}")

    def ledger(self, payload: bytes) -> Beacon:
        """The newest ledger checkpoint; the same one again is no news and no error."""
        text = opened(payload)
        head = self._ledger_head(text)
        known = self.beacon
        body = note.split(text)[0]
        if known and head.size < known.size:
            raise Refused("older", f"the ledger's size is {known.size} already, got {head.size}")
        if known and head.size == known.size and body != known.body:
            raise Refused("other-root", f"the ledger showed two roots at size {head.size}")
        self.beacon = Beacon(head.size, body, text)
        return self.beacon

    def _ledger_head(self, text: str) -> note.Checkpoint:
        body, _ = _signed(text, [self.keys.ledger])
        head = _checkpoint(body)
        if head.origin != self.keys.ledger.name:
            raise Refused("foreign", f"a ledger checkpoint is of {self.keys.ledger.name}, got {head.origin}")
        return head

    def order(self, payload: bytes, wall_ms: int) -> Order:
        """An order for us; its number is taken by this call, whatever becomes of it."""
        body, _ = _signed(opened(payload), [self.keys.orders])
        try:
            kind, origin, number, members = note.parse_order(body)
        except NoteError as error:
            raise Refused("malformed", f"not an order: {error}") from error
        name, expires = members.get("name"), members.get("expires")
        if kind != note.ORDER or not isinstance(name, str) or not isinstance(expires, int) or number >= MAX_ORDER_AHEAD:
            raise Refused("malformed", "an order has a name and the time at which it expires")
        if origin != self.origin:
            raise Refused("foreign", f"an order is for {self.origin}, got one for {origin}")
        if number <= self.last_order:
            raise Refused("older", f"order {self.last_order} was taken already, got {number}")
        self.last_order = number
        return Order(number, name[:64], members, expired=expires <= wall_ms)


def opened(payload: bytes) -> str:
    """Text of a payload that is not too long."""
    if len(payload) > note.MAX_NOTE:
        raise Refused("too-long", f"a message is at most {note.MAX_NOTE} bytes, got {len(payload)}")
    try:
        return note.text(payload)
    except NoteError as error:
        raise Refused("not-text", str(error)) from error


def _signed(text: str, verifiers: list[note.Verifier]) -> tuple[str, list[note.Signed]]:
    try:
        note.split(text)
    except NoteError as error:
        raise Refused("malformed", str(error)) from error
    try:
        body, held = note.open_note(text, verifiers)
    except NoteError as error:
        raise Refused("no-signature", str(error)) from error
    return body, held


def _checkpoint(body: str) -> note.Checkpoint:
    try:
        return note.parse_checkpoint(body)
    except NoteError as error:
        raise Refused("malformed", str(error)) from error


STORED = {"origin": str, "recording": str, "stop": str, "fragments": int, "bytes": int}


def _stored_line(line: bytes) -> dict[str, Any]:
    try:
        members = lines.read(line)
    except LineError as error:
        raise Refused("malformed", f"the receipt's line: {error}") from error
    if members.get("kind") != "stored":
        raise Refused("malformed", f"a receipt's line is of kind stored, got {members.get('kind')!r}")
    for name, kind in STORED.items():
        if type(members.get(name)) is not kind:
            raise Refused("malformed", f"a stored line has {name} as {kind.__name__}, got {members.get(name)!r}")
    return members
