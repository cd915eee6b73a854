"""The table of messages to a recorder that runs: what is said on which topic, and for which reason it must count for nothing.

Signed for real in every row: by keys that nobody trusts, or by the right keys for somebody else, of long ago, about other figures.
Each refusal is a line in the agent's log and a count in its `health`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agent.core import lines, merkle, note, wire
from simulators.hostile.forgery import AT_MS, SALT, Office
from simulators.hostile.siege import HOUR_MS, ORDER, RECORDER, Siege, now_ms

NEVER = "01HZY0000000000000000000AB"
"""A recording that never was."""

NEXT = ORDER + 1


@dataclass(frozen=True, slots=True)
class ToRecorder:
    """A row. `phrase` is the forger's plan in the words of the issue; without a `reason` nothing is refused and nothing changes."""

    phrase: str
    what: str
    leaf: str
    reason: str
    forge: Callable[[Siege], bytes]


# --------------------------------------------------------------------------- orders


def _order(siege: Siege, number: int = NEXT, *, office: Office | None = None, origin: str = "", kind: str = note.ORDER) -> bytes:
    return (office or siege.office).order(origin or siege.origin, number, "start", now_ms() + HOUR_MS, kind=kind)


def _by_ledger(siege: Siege) -> Office:
    """The ledger's key where that of the orders belongs."""
    return Office(siege.office.domain, siege.office.ledger, siege.office.witness, siege.office.ledger)


def _text(siege: Siege, text: str, number: int = NEXT) -> bytes:
    """An order of these words, signed by the key of the orders."""
    return siege.office.orders.note(f"{note.ORDER}\n{siege.origin}\n{number}\n{text}\n").encode()


def _flipped(siege: Siege) -> bytes:
    return _order(siege).replace(b"start", b"stbrt", 1)


# --------------------------------------------------------------------------- cosignatures


def _newest(siege: Siege) -> str:
    return (siege.recorder.folder / "journal" / "1" / "cosigned").read_text("utf-8")


def _head(siege: Siege) -> note.Checkpoint:
    return note.parse_checkpoint(note.split(_newest(siege))[0])


def _cosigned(
    siege: Siege, more: int = 0, root: bytes = b"", *, origin: str = "", office: Office | None = None, ours: bool = True
) -> bytes:
    """A checkpoint with a cosignature; signed by the recorder's key, or by one like it where the forger has only the witness's."""
    head, key = _head(siege), siege.key if ours else siege.key.stranger()
    body = note.checkpoint(origin or siege.origin, head.size + more, root or head.root)
    return (office or siege.office).witness.cosign(key.note(body), now_ms() // 1_000).encode()


def _bit(siege: Siege) -> bytes:
    rows = _newest(siege).split("\n")
    rows[2] = ("B" if rows[2][0] == "A" else "A") + rows[2][1:]
    return "\n".join(rows).encode()


def _oldest(siege: Siege) -> bytes:
    return siege.intruder.of(wire.topic(RECORDER, "witness"))[0]


# --------------------------------------------------------------------------- receipts


def _figures(siege: Siege) -> dict[str, Any]:
    """What a `stored` line of the recording says."""
    one = siege.recorder
    stop = next(line for line in one.lines("stop") if line["recording"] == siege.recording)
    paths = sorted((one.folder / "journal" / "1").glob("segment-*.jsonl"))
    raw = next(
        line for path in paths for line in path.read_bytes().split(b"\n") if b'"kind":"stop"' in line and siege.recording.encode() in line
    )
    return {
        "origin": siege.origin,
        "recording": siege.recording,
        "stop": merkle.leaf_hash(raw).hex(),
        "fragments": sum(track["fragments"] for track in stop["tracks"]),
        "bytes": sum(track["bytes"] for track in stop["tracks"]),
    }


def _receipt(siege: Siege, **wrong: Any) -> bytes:
    """By the genuine ledger's key, in a ledger of the forger's making, with one member wrong."""
    return siege.office.receipt(**(_figures(siege) | wrong))


def _spliced(siege: Siege, line: bytes) -> bytes:
    """A proof of a line in the ledger, whatever line."""
    leaf = merkle.leaf_hash(line)
    head = siege.office.ledger.note(note.checkpoint(siege.office.ledger.name, 1, leaf))
    return note.tlog_proof(0, [], head, line).encode()


def _written(siege: Siege, old: bytes, new: bytes) -> bytes:
    """A proof of the genuine `stored` line with these bytes of it written otherwise."""
    line = lines.build("stored", AT_MS, None, SALT, _figures(siege))
    assert old in line
    return _spliced(siege, line.replace(old, new, 1))


def _swapped(siege: Siege) -> bytes:
    mine, theirs = (note.parse_tlog_proof(one.decode()) for one in (_receipt(siege), _receipt(siege, bytes=1)))
    return note.tlog_proof(mine.index, mine.hashes, mine.checkpoint, theirs.extra).encode()


def _first_beacon(siege: Siege) -> bytes:
    return next(payload for payload in siege.intruder.of(wire.LEDGER_TOPIC) if payload)


# --------------------------------------------------------------------------- the table

R = ToRecorder
DUPLICATE, FLOAT, BEYOND = '{"name":"start","name":"stop","expires":%d}', '{"name":"start","expires":%d.5}', '{"name":"start","expires":%d}'

TO_RECORDER: tuple[ToRecorder, ...] = (
    R("an order that the server did not sign", "by a stranger", "command", "no-signature", lambda s: _order(s, office=s.strangers)),
    R("an order that the server did not sign", "by the ledger's key", "command", "no-signature", lambda s: _order(s, office=_by_ledger(s))),
    R("an order that the server did not sign", "one byte changed", "command", "no-signature", _flipped),
    R("an old order again", "the same number", "command", "older", lambda s: _order(s, ORDER)),
    R("an old order again", "a number before", "command", "older", lambda s: _order(s, ORDER - 4)),
    R("an order for another device", "genuine there", "command", "foreign", lambda s: _order(s, origin=s.victim.origin)),
    R("an order for another device", "another journal of ours", "command", "foreign", lambda s: _order(s, origin=f"{s.origin}0")),
    R("an order for another device", "a desired state", "command", "malformed", lambda s: _order(s, kind=note.DESIRED)),
    R("duplicate JSON names", "in an order", "command", "malformed", lambda s: _text(s, DUPLICATE % (now_ms() + HOUR_MS))),
    R("floats", "in an order", "command", "malformed", lambda s: _text(s, FLOAT % (now_ms() + HOUR_MS))),
    R("floats", "an exponent in an order", "command", "malformed", lambda s: _text(s, '{"name":"start","expires":2e12}')),
    R("numbers beyond 2**53", "in an order", "command", "malformed", lambda s: _text(s, BEYOND % (2**53 + 1))),
    R("numbers beyond 2**53", "an order's own", "command", "malformed", lambda s: _order(s, 1 << 60)),
    R("no time at which it ends", "in an order", "command", "malformed", lambda s: _text(s, "{}")),
    R("no JSON", "in an order", "command", "malformed", lambda s: _text(s, "start")),
    R("cosignature from a stranger", "ours, otherwise", "witness", "no-signature", lambda s: _cosigned(s, office=s.strangers)),
    R("cosignature from a stranger", "none at all", "witness", "no-signature", lambda s: s.key.note(note.split(_newest(s))[0]).encode()),
    R("checkpoint of another size", "we never signed it", "witness", "no-signature", lambda s: _cosigned(s, 5, b"\1" * 32, ours=False)),
    R("checkpoint of another size", "nor that root", "witness", "no-signature", lambda s: _cosigned(s, 0, b"\1" * 32, ours=False)),
    R("checkpoint of another size", "one bit of the root flipped", "witness", "no-signature", _bit),
    R("checkpoint of another size", "of another journal", "witness", "foreign", lambda s: _cosigned(s, origin=f"{s.origin}0")),
    R("an old cosignature again", "genuine", "witness", "", _oldest),
    R("a receipt that is none", "another stop", "receipt", "other-figures", lambda s: _receipt(s, stop="0" * 64)),
    R("a receipt that is none", "one fragment only", "receipt", "other-figures", lambda s: _receipt(s, fragments=1)),
    R("a receipt that is none", "one byte only", "receipt", "other-figures", lambda s: _receipt(s, bytes=1)),
    R("a receipt that is none", "another device's", "receipt", "foreign", lambda s: _receipt(s, origin=s.victim.origin)),
    R("a receipt that is none", "a recording that never was", "receipt", "unknown", lambda s: _receipt(s, recording=NEVER)),
    R("a receipt that is none", "a stranger's ledger", "receipt", "no-signature", lambda s: s.strangers.receipt(**_figures(s))),
    R("a receipt that is none", "another line than the proved one", "receipt", "unproved", _swapped),
    R("a receipt that is none", "no line", "receipt", "malformed", lambda s: note.tlog_proof(0, [], s.office.beacon(1).decode()).encode()),
    R("a receipt that is none", "a number as text", "receipt", "malformed", lambda s: _receipt(s, bytes="12")),
    R("duplicate JSON names", "in a receipt", "receipt", "malformed", lambda s: _written(s, b',"bytes":', b',"bytes":1,"bytes":')),
    R("floats", "in a receipt", "receipt", "malformed", lambda s: _written(s, b',"fragments":', b',"fragments":0.')),
    R("numbers beyond 2**53", "in a receipt", "receipt", "malformed", lambda s: _written(s, b',"bytes":', b',"bytes":9007199254740993')),
    R("a ledger of somebody else", "a stranger's beacon", "ledger", "no-signature", lambda s: s.strangers.beacon(1_000_000)),
    R("a ledger of somebody else", "an old beacon again", "ledger", "older", _first_beacon),
    *(R("garbage", "no text", leaf, "not-text", lambda _: b"\xff\xfe") for leaf in ("command", "witness", "receipt", "ledger")),
    *(R("garbage", "too long", leaf, "too-long", lambda _: b"x" * 70_000) for leaf in ("command", "witness", "receipt", "ledger")),
    *(R("garbage", "no note", leaf, "malformed", lambda _: b"no note") for leaf in ("command", "witness", "receipt", "ledger")),
    *(R("garbage", "blank lines", leaf, "malformed", lambda _: b"\n" * 99) for leaf in ("command", "witness", "receipt", "ledger")),
)
