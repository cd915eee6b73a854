"""Clock, battery and space: what becomes a line, what ends a recording, and what the officer sees."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any, cast

import pytest

from agent import config
from agent.journal.errors import DiskFault
from agent.pipeline.duty import Duty, Figures
from agent.pipeline.state import State
from hal.board import Board
from hal.contracts import ClockReading, Fix, PowerReading
from hal.errors import DeviceFault
from simulators.pace import ManualClock

GIB = 1 << 30
SETTINGS = b"""
[server]
url = "https://127.0.0.1:8443"
[broker]
host = "127.0.0.1"
[storage]
reserve_bytes = 1073741824
stop_below_bytes = 67108864
"""


class Battery:
    """A battery that shows what the test says, or fails."""

    def __init__(self) -> None:
        self.reading = PowerReading(80, charging=False)
        self.fails = False

    def read(self) -> PowerReading:
        if self.fails:
            raise DeviceFault("power: it does not answer")
        return self.reading


class Lamp:
    """Keeps every signal."""

    def __init__(self) -> None:
        self.shown: list = []
        self.fails = False

    def show(self, signal) -> None:
        if self.fails:
            raise DeviceFault("indicator: it is broken")
        self.shown.append(signal)

    def close(self) -> None: ...


class Recorder:
    """As much of a recorder as duty knows."""

    def __init__(self) -> None:
        self.state = "idle"
        self.stops: list[str] = []

    def stop(self, trigger: str) -> None:
        self.stops.append(trigger)
        self.state = "stopping"


class Room:
    """Duty over a bench; `free` is the disk's free space, or what it answers instead."""

    def __init__(self, bench) -> None:
        self.bench, self.online = bench, True
        self.free: int | DiskFault = 12 * GIB
        self.battery, self.lamp, self.state = Battery(), Lamp(), State()
        self.recorder = cast("Any", Recorder())
        board = Board(bench.clock, power=self.battery, indicator=self.lamp)
        figures = Figures(lambda: 3 << 20, lambda: self.online, self._free)
        settings = config.parse(SETTINGS, Path("/settings.toml"))
        self.duty = Duty(board, settings, bench.clerk, self.recorder, self.state, figures)

    def _free(self) -> int:
        if isinstance(self.free, DiskFault):
            raise self.free
        return self.free

    def turn(self, seconds: float = 1.0) -> list[str]:
        """Let time pass, look, write; the kinds of the new lines."""
        before = len(self.bench.kinds())
        self.bench.clock.advance(seconds)
        self.duty.step()
        while len(self.bench.tray):
            self.bench.clerk.step()
        return self.bench.kinds()[before:]


@pytest.fixture
def room(bench) -> Room:
    one = Room(bench)
    one.turn()
    return one


def test_the_clock_is_said_first_and_then_when_it_changes(room, bench):
    assert bench.kinds()[0] == "clock"
    assert "clock" not in room.turn(600)
    bench.clock.answer = ClockReading("none", 0, 0)
    assert room.turn() == ["clock"]
    assert not room.state.clock_trusted
    assert "clock" in room.turn(3_600)
    bench.start()
    assert "clock" in room.turn(600)


def test_a_beacon_is_written_when_the_first_is_known_and_hourly_when_it_is_news(room, bench):
    bench.clerk.known_beacon = "evidence.example.gov/ledger\n5\nAAAA\n"
    assert room.turn() == ["beacon"]
    bench.clerk.known_beacon = "evidence.example.gov/ledger\n6\nAAAA\n"
    assert "beacon" not in room.turn(1_800)
    assert "beacon" in room.turn(1_900)
    assert "beacon" not in room.turn(3_700)


def test_the_battery_is_said_when_its_state_changes(room, bench):
    for percent, expected in ((79, []), (15, ["power"]), (14, []), (16, ["power"])):
        room.battery.reading = PowerReading(percent, charging=False)
        assert room.turn() == expected
    assert [line["event"] for line in bench.lines("power")] == ["good", "low", "good"]
    room.battery.fails = True
    assert room.turn() == ["power"]


def test_a_battery_about_to_end_ends_the_recording_properly(room):
    room.recorder.state = "recording"
    room.battery.reading = PowerReading(3, charging=False)
    room.turn()
    assert room.recorder.stops == ["power"]
    assert not room.state.may_record
    room.battery.reading = PowerReading(3, charging=True)
    room.turn()
    assert room.state.may_record


def test_a_disk_about_to_be_full_ends_the_recording(room, bench):
    room.recorder.state = "recording"
    room.free = GIB // 2
    assert room.turn() == ["storage"]
    assert room.recorder.stops == []
    room.free = 60 << 20
    room.turn()
    assert room.recorder.stops == ["storage"]
    assert not room.state.may_record
    assert room.lamp.shown[-1].lamp == "alarm"
    assert [line["event"] for line in bench.lines("storage")] == ["low", "full"]


def test_a_recording_that_begins_on_a_full_disk_is_ended_again(room):
    room.free = 60 << 20
    room.turn()
    room.recorder.state = "recording"
    room.turn()
    assert room.recorder.stops == ["storage"]


def test_space_that_comes_back_ends_the_alarm(room):
    room.free = 60 << 20
    room.turn()
    room.free = 12 * GIB
    room.turn()
    assert room.state.may_record
    assert room.state.alarms == ()


def test_a_disk_that_is_read_only_ends_the_recording_and_is_said_once_it_can_be(room, bench):
    room.recorder.state = "recording"
    room.free = DiskFault("ask for free space media: Read-only file system", errno.EROFS)
    bench.files.fault = lambda operation: errno.EROFS if operation.name == "append" else None
    assert room.turn() == []
    assert room.recorder.stops == ["storage"]
    assert room.state.alarms == ("the disk can't be written: no recording",)
    assert not room.state.may_record
    room.free = 12 * GIB
    bench.files.fault = None
    room.turn(3)
    room.turn()
    said = [(line["event"], line.get("error")) for line in bench.lines("storage")]
    assert said == [("failed", "EROFS"), ("unwritable", "EROFS"), ("good", None)]
    assert room.state.alarms == ()
    assert room.state.may_record


def test_lamp_and_screen_follow(room, bench):
    assert room.lamp.shown[-1].lamp == "ready"
    assert "battery 80 %" in room.lamp.shown[-1].screen
    bench.start()
    room.state.happened("start")
    room.turn(3)
    assert room.lamp.shown[-1].lamp == "recording"
    assert room.lamp.shown[-1].vibration == "long"
    room.turn(1)
    assert room.lamp.shown[-1].screen[0] == "REC 00:00:04"
    assert room.lamp.shown[-1].vibration == ""


def test_two_things_that_happen_at_once_are_both_felt(room):
    room.state.happened("mark")
    room.state.happened("stop")
    room.duty.show()
    room.duty.show()
    assert [one.vibration for one in room.lamp.shown[-2:]] == ["short", "long-long"]


def test_the_end_of_a_recording_is_felt_though_the_lamp_goes_out_with_it(room):
    room.state.happened("stop")
    room.duty.dark()
    assert (room.lamp.shown[-1].lamp, room.lamp.shown[-1].vibration, room.lamp.shown[-1].sound) == ("off", "long-long", "long-long")
    room.duty.dark()
    assert room.lamp.shown[-1].vibration == ""


def test_the_same_is_not_shown_again(room):
    count = len(room.lamp.shown)
    room.duty.show()
    room.duty.show()
    assert len(room.lamp.shown) <= count + 1


def test_a_broken_lamp_ends_nothing(room):
    room.lamp.fails = True
    room.free = GIB // 2
    assert room.turn() == ["storage"]
    room.duty.dark()
    room.lamp.fails = False
    room.turn()
    assert room.lamp.shown[-1].lamp == "alarm"
    room.duty.dark()
    assert room.lamp.shown[-1].lamp == "off"


# --------------------------------------------------------------------------- a clock that is wrong


class Wrong(ManualClock):
    """A wall clock that a test sets; nobody vouches for it but `answer`."""

    by_ms = 0

    def wall_ms(self) -> int:
        return super().wall_ms() + self.by_ms


@pytest.fixture
def wrong(bench) -> Room:
    bench.clock = Wrong()
    one = Room(bench)
    one.turn()
    return one


def test_a_clock_that_is_wrong_by_its_source_is_an_alarm_until_it_is_right(wrong, bench):
    bench.clock.by_ms, bench.clock.answer = -3_700_000, ClockReading("ntp", -3_700_000, 5)
    assert wrong.turn() == ["clock"]
    assert wrong.state.alarms == ("clock behind by more than an hour",)
    assert not wrong.state.clock_trusted
    assert wrong.lamp.shown[-1].vibration == "short-short-short"
    for _ in range(5):
        bench.clock.by_ms += 1
        bench.clock.answer = ClockReading("ntp", bench.clock.by_ms, 5)
        assert wrong.turn() == []
    assert wrong.state.next_happening() == ""
    bench.clock.by_ms, bench.clock.answer = 0, ClockReading("ntp", 0, 5)
    assert wrong.turn() == ["clock"]
    assert wrong.state.alarms == ()


def test_a_clock_that_jumps_and_nobody_vouches_for_is_an_alarm_for_a_minute(wrong, bench):
    bench.clock.answer = ClockReading("none", 0, 0)
    assert wrong.turn() == ["clock"]
    assert wrong.state.alarms == ()
    wrong.state.up_us = bench.clock.up_us
    bench.clock.by_ms += 86_400_000
    assert wrong.turn() == ["clock"]
    assert wrong.state.alarms == ("the clock jumped",)
    wrong.turn(61)
    assert wrong.state.alarms == ()


def test_a_receiver_s_time_finds_out_a_clock_that_nobody_vouches_for(wrong, bench):
    bench.clock.answer = ClockReading("none", 0, 0)
    wrong.turn()
    true_ms = bench.clock.wall_ms() + 7_200_000
    bench.clerk.seen(Fix(bench.clock.up_us(), 1, 2, time_ms=true_ms))
    assert wrong.turn() == ["clock"]
    line = bench.lines("clock")[-1]
    assert (line["source"], line["offset"], line["error"]) == ("gnss", -7_200_000, 1_000)
    assert wrong.state.alarms == ("clock behind by more than an hour",)
    wrong.turn(3_700)
    assert bench.lines("clock")[-1]["source"] == "none"  # an hour without a word


def test_a_clock_that_shows_what_is_over_is_wrong_without_any_source(wrong, bench):
    bench.clock.answer = ClockReading("none", 0, 0)
    bench.clock.by_ms = -bench.clock.wall_ms()
    wrong.turn()
    assert wrong.state.alarms == ("clock behind by more than a year",)


def test_a_mild_fault_is_felt_and_read_and_the_lamp_stays_ready(room):
    room.state.alarm("locator-lost")
    room.turn()
    shown = room.lamp.shown[-1]
    assert (shown.lamp, shown.screen[0], shown.screen[-1]) == ("ready", "READY", "! no position")
    assert "short-short-short" in [one.vibration for one in room.lamp.shown]
    room.state.alarm("camera-lost")
    room.turn()
    assert room.lamp.shown[-1].lamp == "alarm"
