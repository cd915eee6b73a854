"""The handshake as a daemon: nothing is sent before its answer, lost lines come back, and a contradiction is said once."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, cast

import pytest

from agent.config import UplinkSection
from agent.core import note
from agent.journal.journal import Journal
from agent.pipeline.evidence import Evidence
from agent.pipeline.greeter import Greeter
from agent.pipeline.news import News
from agent.pipeline.orders import Orders
from agent.pipeline.state import State
from agent.uplink.errors import Contradiction, NoAnswer
from agent.uplink.handshake import Agreed, Behind
from agent.uplink.inbox import Cosigned
from agent.uplink.ports import Surroundings


class Answers:
    """A handshake (`agent.uplink.handshake.Handshake`) that gives what it was given, and an exchange that begins."""

    def __init__(self) -> None:
        self.gives: list = []
        self.asked: list[int] = []
        self.sending = None

    def ask(self, _journal, cosigned: int):
        self.asked.append(cosigned)
        one = self.gives.pop(0)
        if isinstance(one, Exception):
            raise one
        return one

    @property
    def open(self) -> bool:
        return self.sending is not None

    def begin(self, _journal, sending) -> None:
        self.sending = sending


class Room:
    """A greeter over a bench."""

    def __init__(self, bench) -> None:
        self.bench, self.state = bench, State()
        self.answers = cast("Any", Answers())
        nobody: Any = None  # a greeter does not ask who the device is
        orders = Orders(None, bench.clerk, self.state, lambda: None)
        news = News(bench.clerk, bench.index, bench.receipts, orders, self.state, lambda: None)
        around = Surroundings(bench.clock.up_us, bench.clock.wall_ms, lambda: 1.0)
        evidence = Evidence(nobody, bench.signer, bench.scribe, bench.media, bench.receipts, bench.index, [], "")
        self.greeter = Greeter(self.answers, self.answers, evidence, bench.clerk, news, self.state, UplinkSection(), around)

    def step(self) -> str:
        """A step, while the journal's thread works."""
        stop = threading.Event()

        def write() -> None:
            while not stop.is_set():
                self.bench.clerk.step()

        thread = threading.Thread(target=write)
        thread.start()
        try:
            return self.greeter.step()
        finally:
            stop.set()
            thread.join()


@pytest.fixture
def room(bench) -> Room:
    return Room(bench)


def test_sending_begins_where_the_two_agree(room, bench):
    text = bench.cosign()
    head = note.parse_checkpoint(note.split(text)[0])
    room.answers.gives = [Agreed(head.size, Cosigned(head.size, 1, text, head.root))]
    assert room.step() == f"agreed at {head.size}"
    assert room.answers.sending.replica.cosigned == head.size
    bench.clerk.step()
    assert bench.journal.cosigned_size == head.size
    assert room.step() == ""


def test_no_answer_is_asked_again_later(room, bench):
    room.answers.gives = [NoAnswer("no network"), NoAnswer("no network"), Agreed(0)]
    assert room.step() == "no answer"
    assert room.step() == ""
    assert room.greeter.last_error == "no network"
    bench.clock.advance(0.6)
    assert room.step() == "no answer"
    bench.clock.advance(0.6)
    assert room.step() == ""
    bench.clock.advance(0.6)
    assert room.step() == "agreed at 0"
    assert room.greeter.last_error == ""


def test_a_server_that_forgot_is_an_alarm_and_is_served(room):
    room.answers.gives = [Agreed(0, forgot=2)]
    assert room.step() == "agreed at 0"
    assert room.state.alarms == ("the server lost 2 lines of ours",)
    assert room.answers.open


def test_lost_lines_are_taken_back_and_then_it_is_asked_again(room, bench):
    """The card forgot the last lines, which the server has."""
    lost = Journal.open(Path("/server/1"), bench.journal.origin, bench.signer, bench.files)
    lost.append(bench.journal.lines(0, bench.journal.size))
    lost.append([b'{"at":1,"up":1,"kind":"order","number":4,"name":"locate","result":"done","salt":"AAAAAAAAAAAAAAAAAAAAAA"}'])
    head, journal = lost.checkpoint, bench.journal
    bench.journal = lost
    text = bench.cosign()
    bench.journal = journal
    assert head is not None
    room.answers.gives = [Behind(0, text, lost.lines(0, lost.size)), Agreed(lost.size)]
    assert room.step() == f"took back {lost.size}"
    assert journal.size == lost.size + 1
    assert (bench.lines()[-1]["event"], bench.lines()[-1]["lines"]) == ("taken-back", 1)
    assert room.state.alarms == ("the card forgot lines (1): replace it",)
    assert journal.story.last_order == 4
    assert not room.answers.open
    assert room.step() == f"agreed at {lost.size}"


@pytest.mark.parametrize("where", ["handshake", "journal"])
def test_a_contradiction_is_said_and_not_asked_again(room, bench, where):
    other = Journal.open(Path("/server/1"), bench.journal.origin, bench.signer, bench.files)
    other.append([b'{"a":1}', b'{"a":2}', b'{"a":3}'])
    journal, bench.journal = bench.journal, other
    text = bench.cosign()
    bench.journal = journal
    room.answers.gives = [Contradiction("other lines") if where == "handshake" else Behind(0, text, other.lines(0, 3))]
    before = journal.size
    assert room.step() == "contradicted"
    assert room.greeter.contradicted
    assert room.step() == ""
    assert room.state.alarms == ("the server's copy of the journal excludes ours",)
    assert not room.answers.open
    assert journal.size == before
