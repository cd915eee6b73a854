"""Messages to a recorder that runs which take more than a refusal: what follows from each. The others are a table: test_messages."""

from __future__ import annotations

import time
from typing import Any

import pytest

from agent.core import note, wire
from simulators.hostile.forgery import Office
from tests.scenarios.hostile.conftest import RECORDER, Live

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


def refused(live: Live, topic: str, payload: bytes, reason: str) -> None:
    """Say it, and see it refused for that reason and no other, with nothing changed."""
    before, known = fingerprint(live), len(live.refusals())
    live.intruder.say(topic, payload)
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


def test_beacons_are_the_ledgers_own_and_never_go_back(live, recording):
    genuine = [payload for payload in live.intruder.of(wire.LEDGER_TOPIC) if payload]
    known = len(live.refusals())
    for forged in (live.strangers.beacon(1_000_000), genuine[0], b"\xff", b""):
        live.intruder.say(wire.LEDGER_TOPIC, forged)
    live.until(lambda: len(live.refusals()) == known + 4, "all four to be refused")
    topic = wire.LEDGER_TOPIC
    assert live.refusals()[known:] == [(topic, "no-signature"), (topic, "older"), (topic, "not-text"), (topic, "malformed")]


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
