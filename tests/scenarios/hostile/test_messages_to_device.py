"""Messages that no honest server sends, to a recorder that runs: why each is refused, where that is said, and that nothing has changed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from agent.core import merkle, note, wire
from simulators.hostile.forgery import Office
from tests.scenarios.hostile.conftest import RECORDER, Live

OTHER = "01HZY0000000000000000000AB"
HOUR_MS = 3_600_000


def fingerprint(live: Live) -> dict[str, Any]:
    """Everything of the recorder that must be as before: its lines, what is cosigned, what has a receipt, what the lamp shows."""
    one = live.recorder
    receipts = {path.name: path.read_bytes() for path in (one.folder / "receipts").glob("*")}
    return {"lines": one.lines(), "cosigned": one.progress.cosigned(), "receipts": receipts, "lamp": one.host.signal["lamp"]}


@pytest.fixture(scope="module")
def recording(live) -> str:
    """One recording that the recorder made and the server has stored; nothing waits any more."""
    one = live.recorder
    live.run(one.ready())
    name: str = live.run(one.press_start())
    live.run(one.recorded(3))
    live.run(one.press_stop())
    live.run(live.arena.settled())
    live.until(lambda: one.host.signal["lamp"] == "ready", "the lamp after the stop")
    return name


def refused(live: Live, topic: str, payload: bytes, reason: str, *, retain: bool = False) -> None:
    """Say it, and see it refused for that reason and no other, with nothing changed."""
    before, known = fingerprint(live), len(live.refusals())
    live.intruder.say(topic, payload, retain=retain)
    live.until(lambda: len(live.refusals()) > known, f"{reason} on {topic}")
    assert live.refusals()[known:] == [(topic, reason)]
    assert fingerprint(live) == before


def now_ms() -> int:
    return time.time_ns() // 1_000_000


# --------------------------------------------------------------------------- orders


@pytest.fixture(scope="module")
def taken(live, recording) -> int:
    """The number of an order that was taken: one that an administrator really gave."""
    live.intruder.say(wire.topic(RECORDER, "command"), live.office.order(live.origin, 7, "locate", now_ms() + HOUR_MS))
    live.until(lambda: [line["number"] for line in live.recorder.lines("order")] == [7], "the order in the journal")
    live.run(live.arena.settled())
    return 7


ORDERS: dict[str, tuple[str, Callable[[Live], bytes]]] = {
    "signed by a stranger": ("no-signature", lambda live: live.strangers.order(live.origin, 8, "start", now_ms() + HOUR_MS)),
    "signed by the ledger's key": (
        "no-signature",
        lambda live: Office(live.office.domain, live.office.ledger, live.office.witness, live.office.ledger).order(
            live.origin, 8, "start", now_ms() + HOUR_MS
        ),
    ),
    "the same number again": ("older", lambda live: live.office.order(live.origin, 7, "start", now_ms() + HOUR_MS)),
    "an older number": ("older", lambda live: live.office.order(live.origin, 3, "start", now_ms() + HOUR_MS)),
    "for another device": ("foreign", lambda live: live.office.order(live.origin.replace("1/1", "2/1"), 8, "start", now_ms() + HOUR_MS)),
    "for another journal": ("foreign", lambda live: live.office.order(f"{live.origin}0", 8, "start", now_ms() + HOUR_MS)),
    "a desired state": ("malformed", lambda live: live.office.order(live.origin, 8, "start", now_ms() + HOUR_MS, kind=note.DESIRED)),
    "no time at which it ends": ("malformed", lambda live: live.office.orders.note(note.order(note.ORDER, live.origin, 8, "{}")).encode()),
    "no JSON": ("malformed", lambda live: live.office.orders.note(f"{note.ORDER}\n{live.origin}\n8\nstart\n").encode()),
    "a number beyond lines' integers": ("malformed", lambda live: live.office.order(live.origin, 1 << 60, "start", now_ms() + HOUR_MS)),
    "one byte flipped": (
        "no-signature",
        lambda live: live.office.order(live.origin, 8, "start", now_ms() + HOUR_MS).replace(b"st", b"sx", 1),
    ),
}


@pytest.mark.parametrize("what", ORDERS)
def test_an_order_that_is_none_leaves_no_trace_but_a_count(live, recording, taken, what):
    reason, forged = ORDERS[what]
    refused(live, wire.topic(RECORDER, "command"), forged(live), reason)


def test_an_order_that_is_over_is_answered_in_the_journal_and_not_carried_out(live, recording, taken):
    count = len(live.recorder.lines())
    live.intruder.say(wire.topic(RECORDER, "command"), live.office.order(live.origin, 20, "start", now_ms() - HOUR_MS))
    live.until(lambda: len(live.recorder.lines("order")) == 2, "the answer in the journal")
    (answer,) = live.recorder.lines()[count:]
    assert (answer["kind"], answer["number"], answer["name"], answer["result"]) == ("order", 20, "start", "expired")
    live.run(live.arena.settled())
    refused(live, wire.topic(RECORDER, "command"), live.office.order(live.origin, 20, "start", now_ms() + HOUR_MS), "older")


# --------------------------------------------------------------------------- cosignatures


def newest(live: Live) -> str:
    """The recorder's newest cosigned note."""
    return (live.recorder.folder / "journal" / "1" / "cosigned").read_text()


def head(live: Live) -> note.Checkpoint:
    return note.parse_checkpoint(note.split(newest(live))[0])


def cosigned(live: Live, size: int, root: bytes, *, origin: str = "", office: Office | None = None, ours: bool = True) -> bytes:
    """A checkpoint with the witness's cosignature, and our own signature unless somebody has only the witness's key."""
    origin = origin or live.origin
    key = live.key if ours else live.key.stranger()
    return (office or live.office).witness.cosign(key.note(note.checkpoint(origin, size, root)), now_ms() // 1_000).encode()


COSIGNATURES: dict[str, tuple[str, Callable[[Live], bytes]]] = {
    "by a stranger": ("no-signature", lambda live: cosigned(live, head(live).size, head(live).root, office=live.strangers)),
    "of a size that we never signed": ("no-signature", lambda live: cosigned(live, head(live).size + 5, b"\x01" * 32, ours=False)),
    "of a root that we never signed": ("no-signature", lambda live: cosigned(live, head(live).size, b"\x01" * 32, ours=False)),
    "our own checkpoint without one": ("no-signature", lambda live: live.key.note(note.split(newest(live))[0]).encode()),
    "one bit flipped in the root": ("no-signature", lambda live: flipped(newest(live))),
    "of another journal": ("foreign", lambda live: cosigned(live, 3, b"\x01" * 32, origin=f"{live.origin}0")),
}


def flipped(text: str) -> bytes:
    """The note with another root."""
    rows = text.split("\n")
    rows[2] = ("B" if rows[2][0] == "A" else "A") + rows[2][1:]
    return "\n".join(rows).encode()


@pytest.mark.parametrize("what", COSIGNATURES)
def test_a_cosignature_that_is_none_moves_nothing(live, recording, what):
    reason, forged = COSIGNATURES[what]
    refused(live, wire.topic(RECORDER, "witness"), forged(live), reason)


def test_an_old_cosignature_again_is_no_news_and_no_alarm(live, recording):
    """A broker may bring back what it likes of what was true."""
    old = live.intruder.of(wire.topic(RECORDER, "witness"))[0]
    before, known = fingerprint(live), len(live.refusals())
    for _ in range(3):
        live.intruder.say(wire.topic(RECORDER, "witness"), old)
    refused(live, wire.topic(RECORDER, "receipt"), b"the mark that all three were read", "malformed")
    assert len(live.refusals()) == known + 1
    assert fingerprint(live) == before


@pytest.mark.parametrize(("what", "reason"), [("beyond our end", "ahead"), ("of another history", "other-root")])
def test_both_keys_in_wrong_hands_are_an_alarm_and_a_line_and_the_server_is_asked(live, recording, what, reason):
    """Signed by the witness's key and by ours, and not our journal: the worst case. Nothing is believed; the handshake decides."""
    one = live.recorder
    size, before, known = head(live).size, len(one.lines()), len(live.refusals())
    said = [event["number"] for event in one.host.events()][-1]
    forged = cosigned(live, size + 9 if reason == "ahead" else size, b"\x02" * 32)
    live.intruder.say(wire.topic(RECORDER, "witness"), forged)
    live.until(lambda: one.lines()[before:], "the tamper line")
    (line,) = one.lines()[before:]
    assert (line["kind"], line["event"]) == ("tamper", "other-checkpoint")
    assert live.refusals()[known:] == [(wire.topic(RECORDER, "witness"), reason)]
    live.until(lambda: any(event["what"] == "vibration" for event in one.host.events(said)), "the officer to feel it")
    live.run(live.arena.settled())  # the server says that it holds our lines and no others, and sending goes on
    assert head(live).size == size + 1
    live.until(lambda: one.host.signal["lamp"] == "ready", "the lamp after the handshake")


# --------------------------------------------------------------------------- receipts and beacons


def stored(live: Live, name: str, /, **wrong: Any) -> bytes:
    """A receipt by the genuine ledger key, in a ledger of the forger's own making, with one member wrong."""
    one = live.recorder
    stop = next(line for line in one.lines("stop") if line["recording"] == name)
    paths = sorted((one.folder / "journal" / "1").glob("segment-*.jsonl"))
    raw = next(line for path in paths for line in path.read_bytes().split(b"\n") if b'"kind":"stop"' in line and name.encode() in line)
    figures = {"fragments": sum(track["fragments"] for track in stop["tracks"]), "bytes": sum(track["bytes"] for track in stop["tracks"])}
    members = {"origin": live.origin, "recording": name, "stop": merkle.leaf_hash(raw).hex(), **figures}
    return live.office.receipt(**(members | wrong))


RECEIPTS: dict[str, tuple[str, Callable[[Live, str], bytes]]] = {
    "another stop": ("other-figures", lambda live, one: stored(live, one, stop="0" * 64)),
    "one fragment fewer": ("other-figures", lambda live, one: stored(live, one, fragments=1)),
    "one byte fewer": ("other-figures", lambda live, one: stored(live, one, bytes=1)),
    "another origin": ("foreign", lambda live, one: stored(live, one, origin=live.origin.replace("1/1", "2/1"))),
    "a recording that never was": ("unknown", lambda live, one: stored(live, one, recording=OTHER)),
    "a number as text": ("malformed", lambda live, one: stored(live, one, bytes="12")),
    "a stranger's ledger": ("no-signature", lambda live, one: live.strangers.receipt(origin=live.origin, recording=one)),
    "another line than the proved one": ("unproved", lambda live, one: swapped(stored(live, one), stored(live, one, bytes=1))),
    "no line at all": ("malformed", lambda live, one: note.tlog_proof(0, [], live.office.beacon(1).decode()).encode()),
}


def swapped(proof: bytes, other: bytes) -> bytes:
    """The first one's proof with the second one's line."""
    mine, theirs = note.parse_tlog_proof(proof.decode()), note.parse_tlog_proof(other.decode())
    return note.tlog_proof(mine.index, mine.hashes, mine.checkpoint, theirs.extra).encode()


@pytest.mark.parametrize("what", RECEIPTS)
def test_a_receipt_that_does_not_say_what_our_journal_says_frees_nothing(live, recording, what):
    reason, forged = RECEIPTS[what]
    refused(live, wire.topic(RECORDER, "receipt"), forged(live, recording), reason)


def test_beacons_are_the_ledgers_own_and_never_go_back(live, recording):
    genuine = [payload for payload in live.intruder.of(wire.LEDGER_TOPIC) if payload]
    known = len(live.refusals())
    for forged in (live.strangers.beacon(1_000_000), genuine[0], b"\xff", b""):
        live.intruder.say(wire.LEDGER_TOPIC, forged)
    live.until(lambda: len(live.refusals()) == known + 4, "all four to be refused")
    topic = wire.LEDGER_TOPIC
    assert live.refusals()[known:] == [(topic, "no-signature"), (topic, "older"), (topic, "not-text"), (topic, "malformed")]


# --------------------------------------------------------------------------- garbage


@pytest.mark.parametrize("leaf", ["witness", "receipt", "command"])
@pytest.mark.parametrize(
    ("garbage", "reason"), [(b"\xff\xfe", "not-text"), (b"x" * 70_000, "too-long"), (b"no note", "malformed"), (b"\n" * 99, "malformed")]
)
def test_garbage_is_refused_by_what_it_is(live, recording, leaf, garbage, reason):
    refused(live, wire.topic(RECORDER, leaf), garbage, reason)


def test_retained_garbage_meets_every_new_connection_and_the_recorder_goes_on(live, recording):
    topics = [wire.topic(RECORDER, leaf) for leaf in ("witness", "receipt", "command", "desired")]
    for topic in topics:
        live.intruder.say(topic, b"\x00garbage", retain=True)
    known = len(live.refusals())
    one = live.recorder
    live.run(one.host.set_network(up=False))
    live.run(one.host.set_network(up=True))
    live.until(lambda: len(live.refusals()) >= known + 3, "the garbage to be refused again")
    live.run(one.press_start())
    live.run(one.recorded(2))
    live.run(one.press_stop())
    live.run(live.arena.settled())
    for topic in topics:
        live.intruder.say(topic, b"", retain=True)


def test_all_of_it_is_counted_where_an_administrator_looks(live, recording):
    logged = [reason for _, reason in live.refusals()]
    wanted = {f"refused.{reason}": logged.count(reason) for reason in set(logged)}
    assert len(wanted) >= 8

    def told() -> bool:
        counts = live.run(live.arena.said(live.recorder))["counts"]
        return {name: counts.get(name) for name in wanted} == wanted

    live.until(told, f"the recorder's health to count {wanted}")
