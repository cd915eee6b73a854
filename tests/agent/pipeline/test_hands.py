"""Buttons and position: what is passed on, and what a broken one costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from agent.pipeline.hands import Buttons, Position
from agent.pipeline.state import State
from agent.pipeline.whereabouts import Whereabouts
from hal.contracts import ClockReading, Edge
from hal.errors import DeviceFault, SignalLost


class Device:
    """Gives what it was given, in order; an exception is raised."""

    def __init__(self, *gives) -> None:
        self.gives = list(gives)
        self.starts = 0

    def start(self) -> None:
        self.starts += 1

    def read(self, _timeout_s: float):
        if not self.gives:
            return None
        one = self.gives.pop(0)
        if isinstance(one, Exception):
            raise one
        return one

    def close(self) -> None: ...


class Recorder:
    """As much of a recorder as the buttons know."""

    def __init__(self, state: str = "idle") -> None:
        self.state = state
        self.pressed: list[tuple[str, bool, int]] = []

    def press(self, button: str, edge_down: bool, up_us: int) -> None:  # noqa: FBT001 — as the real one has it
        self.pressed.append((button, edge_down, up_us))


@pytest.fixture
def state() -> State:
    return State()


def test_edges_reach_the_recorder_with_their_own_time(state):
    recorder: Any = Recorder()
    buttons = Buttons(Device(Edge("record", down=True, up_us=5), Edge("record", down=False, up_us=9)), recorder, state)
    assert [buttons.step(), buttons.step(), buttons.step()] == ["record down", "record up", ""]
    assert recorder.pressed == [("record", True, 5), ("record", False, 9)]


def test_a_press_on_a_full_disk_is_answered_by_an_alarm(state):
    recorder: Any = Recorder()
    state.space = "full"
    buttons = Buttons(Device(Edge("record", down=True, up_us=5), Edge("record", down=False, up_us=9)), recorder, state)
    assert buttons.step() == "record refused"
    buttons.step()
    assert recorder.pressed == []
    assert [state.next_happening(), state.next_happening()] == ["alarm", ""]


def test_a_recording_can_be_stopped_on_a_full_disk(state):
    recorder: Any = Recorder("recording")
    state.space = "full"
    Buttons(Device(Edge("record", down=True, up_us=5)), recorder, state).step()
    assert recorder.pressed


def test_a_device_without_camera_answers_a_press_by_an_alarm(state):
    Buttons(Device(Edge("record", down=True, up_us=5)), None, state).step()
    assert state.next_happening() == "alarm"


def test_broken_buttons_are_read_again(state):
    recorder: Any = Recorder()
    buttons = Buttons(Device(DeviceFault("button: cut off"), Edge("record", down=True, up_us=5)), recorder, state)
    assert [buttons.step(), buttons.step()] == ["failed", "record down"]


def position_of(device: Device, bench, state: State) -> Position:
    return Position(cast("Any", device), bench.clerk, state, Whereabouts(30_000_000, 500, bench.clock.up_us()), bench.clock, lambda: 0)


def test_positions_reach_the_clerk(bench, state, make_fix):
    position = position_of(Device(make_fix(7)), bench, state)
    position.step()
    assert bench.clerk.newest_fix.lat == 7
    assert state.position


def test_a_lost_sky_is_no_fault_and_a_fault_starts_the_receiver_again(bench, state, make_fix):
    device = Device(make_fix(7), SignalLost("no satellites"), DeviceFault("locator: cut off"), make_fix(8))
    position = position_of(device, bench, state)
    position.step()
    position.step()
    assert not state.position
    assert position.step() == "failed"
    position.step()
    assert (device.starts, bench.clerk.newest_fix.lat, state.position) == (2, 8, True)


def test_a_receiver_that_says_nothing_any_more_is_lost_on_record_and_in_status(bench, state, make_fix):
    device = Device(make_fix(7))
    position = position_of(device, bench, state)
    position.step()
    bench.clock.advance(31)
    assert position.step() == "locator-lost"
    assert not state.position
    bench.write()
    assert [line["event"] for line in bench.lines("camera")] == ["locator-lost"]
    assert ("alarm", "locator-lost") in bench.happened
    device.gives.append(make_fix(7))
    assert position.step() == "locator-back"
    assert state.position


def test_a_receiver_whose_time_is_over_is_doubted_and_its_place_still_goes_to_the_clerk(bench, state, make_fix):
    bench.clock.answer = ClockReading("none", 0, 0)
    fix = replace(make_fix(7), time_ms=1_000_000_000_000)
    watch = Whereabouts(30_000_000, 500, 0)
    position = Position(cast("Any", Device(fix)), bench.clerk, state, watch, bench.clock, lambda: 1_800_000_000_000)
    assert position.step() == "locator-doubt"
    assert bench.clerk.newest_fix == fix
