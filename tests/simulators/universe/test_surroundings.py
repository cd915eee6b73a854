"""Clock, card, line and broker of the simulated world: each is wrong in just the way that it says."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

import pytest

from simulators.universe.agenda import US_PER_S, Agenda
from simulators.universe.broker import Broker
from simulators.universe.card import Card
from simulators.universe.clock import DeviceClock
from simulators.universe.line import Line, Pipe

DAY_US = 86_400 * US_PER_S


@pytest.fixture
def agenda() -> Agenda:
    return Agenda()


# --------------------------------------------------------------------------- clock


def test_a_clock_drifts_and_jumps_and_is_set_right(agenda):
    clock = DeviceClock(agenda)
    clock.drift(35)
    agenda.run(10 * DAY_US)
    assert clock.wall_ms() - clock.true_ms() == 30_240  # 35 ppm are 3.024 s a day
    clock.move(-3_600_000)
    clock.drift(-35)
    agenda.run(11 * DAY_US)
    assert clock.wall_ms() - clock.true_ms() == 30_240 - 3_600_000 - 3_024
    clock.drift(0)
    clock.put(0)
    assert clock.wall_ms() == clock.true_ms()


def test_without_a_battery_each_start_is_in_1970_and_nobody_vouches_for_it(agenda):
    clock = DeviceClock(agenda)
    agenda.run(DAY_US)
    clock.keeps_time = False
    clock.boot()
    agenda.run(DAY_US + 5 * US_PER_S)
    assert (clock.wall_ms(), clock.up_us(), clock.reading().source) == (5_000, 5 * US_PER_S, "none")


# --------------------------------------------------------------------------- card


@pytest.fixture
def card(tmp_path) -> Card:
    made = Card(tmp_path, random.Random(7), lambda _path: None)
    made.files.make_folder(tmp_path)
    return made


def written(card: Card, tmp_path: Path) -> Path:
    path = tmp_path / "lines"
    card.files.append(path, b"one\n")
    card.files.sync(path)
    card.files.sync_folder(tmp_path)
    return path


def test_what_is_synced_outlives_a_cut(card, tmp_path):
    path = written(card, tmp_path)
    card.cut()
    assert card.files.read(path) == b"one\n"


def test_a_card_that_lies_says_yes_and_loses_it(card, tmp_path):
    path = written(card, tmp_path)
    card.lies = True
    lost = 0
    for number in range(20):
        card.files.append(path, b"two\n")
        card.files.sync(path)
        card.cut()
        data = card.files.read(path)
        assert data.startswith(b"one\n")
        lost += data.count(b"two\n") < number + 1 - lost
    assert lost


def test_a_card_in_trouble_refuses(card, tmp_path):
    path = written(card, tmp_path)
    for fault, code in (("read-only", "EROFS"), ("eio", "EIO")):
        card.fault = fault
        with pytest.raises(OSError, match=r"Errno (30|5)\b") as raised:
            card.files.append(path, b"x")
        assert raised.value.strerror, code
    card.fault = ""
    card.leave_free(2)
    with pytest.raises(OSError, match="No space left"):
        card.files.append(path, b"four")
    assert card.tight
    assert card.files.read(path) == b"one\nfo"
    card.leave_free(None)
    card.files.append(path, b"more")
    assert not card.tight


@pytest.mark.parametrize(("how", "left"), [("older", b"older"), ("gone", None), ("", b"newer" * 1000)])
def test_what_becomes_of_the_index(card, tmp_path, how, left):
    path = tmp_path / "buffer.sqlite"
    path.write_bytes(b"older")
    card.keep_index()
    path.write_bytes(b"newer" * 1000)
    card.hurt_index(how)
    assert (path.read_bytes() if path.exists() else None) == left


def test_a_broken_index_is_another_file_of_the_same_length(card, tmp_path):
    path = tmp_path / "buffer.sqlite"
    path.write_bytes(b"newer" * 1000)
    card.hurt_index("broken")
    assert len(path.read_bytes()) == 5_000
    assert path.read_bytes() != b"newer" * 1000


# --------------------------------------------------------------------------- line


def test_a_connection_keeps_order_and_a_break_takes_what_is_on_its_way(agenda):
    line = Line(agenda, random.Random(1))
    seen: list[object] = []
    for number in range(20):
        line.carry("up", 10, partial(seen.append, number))
    agenda.run(US_PER_S)
    assert seen == list(range(20))
    told = []
    line.told = lambda: told.append(agenda.now_us)
    line.carry("up", 10, lambda: seen.append("lost"))
    line.cut()
    agenda.run(2 * US_PER_S)
    assert seen[-1] == 19
    assert len(told) == 1


def test_a_half_open_line_swallows_and_tells_nobody(agenda):
    line, seen = Line(agenda, random.Random(1)), []
    line.told = lambda: seen.append("told")
    line.turn(up=True, swallow=True)
    line.carry("up", 10, lambda: seen.append("arrived"))
    agenda.run(US_PER_S)
    assert seen == []


def test_who_shares_a_pipe_gets_an_equal_part_of_it(agenda):
    pipe = Pipe(1_000_000)
    done: dict[str, tuple[bool, int]] = {}
    for name, size in (("large", 20_000_000), ("small", 2_000_000), ("other", 2_000_000)):
        line = Line(agenda, random.Random(1), pipe)
        agenda.spawn(
            name, lambda line=line, size=size, name=name: done.__setitem__(name, (line.push(size), agenda.now_us)), lambda _e: None
        )
    agenda.run(3_600 * US_PER_S)
    assert {ok for ok, _ in done.values()} == {True}
    seconds = {name: us / US_PER_S for name, (_, us) in done.items()}
    assert max(seconds["small"], seconds["other"]) < 7.5  # a third of the line each: 6 s, and a piece
    assert 23 < seconds["large"] < 26


@pytest.mark.parametrize("how", ["off", "cut", "half-open"])
def test_bytes_under_way_know_that_the_line_is_gone(agenda, how):
    line, done = Line(agenda, random.Random(1), Pipe(1_000)), []
    agenda.spawn("sender", lambda: done.append(line.push(100_000)), lambda _error: None)
    act = {"off": lambda: line.turn(up=False), "cut": line.cut, "half-open": lambda: line.turn(up=True, swallow=True)}[how]
    agenda.at(30 * US_PER_S, act)
    agenda.run(3_600 * US_PER_S)
    assert done == [False]
    assert line.pipe.active == 0


# --------------------------------------------------------------------------- broker


class Client:
    def __init__(self, broker: Broker, name: str, *filters: str) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.broker, self.name, self.filters = broker, name, filters
        self.connection = self.connect()

    def connect(self) -> int:
        def deliver(topic: str, payload: bytes, acknowledge) -> None:
            self.got.append((topic, payload))
            acknowledge()

        self.connection = self.broker.connect(self.name, self.filters, deliver, lambda: ("a/will", b"gone"))
        return self.connection


def test_a_session_outlives_its_connection_unless_the_broker_starts_empty(agenda):
    broker = Broker(agenda, random.Random(1))
    client = Client(broker, "one", "a/+")
    broker.publish("a/b", b"1")
    agenda.run(US_PER_S)
    broker.gone("one", client.connection, farewell=True)
    broker.publish("a/b", b"2", retain=True)
    agenda.run(2 * US_PER_S)
    client.connect()
    assert [payload for _, payload in client.got] == [b"1", b"2", b"2"]  # what came meanwhile, and what is retained
    died: list[bool] = []
    broker.watch(died.append)
    broker.start(empty=True)
    assert died == [False, True]
    client.got.clear()
    broker.publish("a/b", b"3")
    agenda.run(3 * US_PER_S)
    assert client.got == []
    client.connect()
    broker.publish("a/b", b"4")
    agenda.run(4 * US_PER_S)
    assert client.got == [("a/b", b"4")]


def test_who_vanishes_is_spoken_for_by_the_last_will(agenda):
    broker = Broker(agenda, random.Random(1))
    client, witness = Client(broker, "one", "x"), Client(broker, "two", "a/will")
    broker.gone("one", client.connection)
    agenda.run(US_PER_S)
    assert witness.got == [("a/will", b"gone")]


def test_mischief_loses_doubles_and_reorders(agenda):
    broker = Broker(agenda, random.Random(1))
    client = Client(broker, "one", "n")
    broker.mischief.loses, broker.mischief.doubles, broker.mischief.late_ms = 0.2, 0.2, 1_000
    for number in range(200):
        broker.publish("n", b"%d" % number)
    agenda.run(10 * US_PER_S)
    numbers = [int(payload) for _, payload in client.got]
    assert 120 < len(set(numbers)) < 190
    assert len(numbers) > len(set(numbers))
    assert numbers != sorted(numbers)
