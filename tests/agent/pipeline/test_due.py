"""When lines beside the media are due."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.pipeline.due import ClockNote, ClockRule, SpaceState, battery_state, beacon_due, clock_due, fix_due, space_state, trusted
from hal.contracts import ClockReading, Fix, PowerReading

NTP, NONE, RTC = ClockReading("ntp", 3, 20), ClockReading("none", 0, 0), ClockReading("rtc", 0, 2_000)
RULE = ClockRule(recording_s=600, idle_s=3_600, step_ms=500)
AT = 1_800_000_000_000
LAST = ClockNote(NTP, AT, 0)


def clock(up_ms: int, reading=NTP, step_ms=0, *, recording=False) -> bool:
    return clock_due(LAST, reading, AT + up_ms + step_ms, up_ms, RULE, recording=recording)


def test_the_first_clock_line_is_due_at_once():
    assert clock_due(None, NONE, AT, 0, RULE, recording=False)


def test_a_clock_line_is_due_every_ten_minutes_while_recording_else_hourly():
    assert not clock(599_999, recording=True)
    assert clock(600_000, recording=True)
    assert not clock(3_599_999)
    assert clock(3_600_000)


@pytest.mark.parametrize("step_ms", [500, -500, 86_400_000, -AT])
def test_a_step_of_the_wall_clock_is_said_at_once(step_ms):
    assert clock(1_000, step_ms=step_ms)
    assert not clock(1_000, step_ms=step_ms // abs(step_ms) * 499)


def test_another_source_is_said_at_once():
    assert clock(1_000, NONE)
    assert clock(1_000, RTC)


def test_only_a_time_that_somebody_else_said_is_trusted():
    assert trusted(NTP)
    assert not trusted(NONE)
    assert not trusted(RTC)


def test_a_beacon_is_due_at_a_start_when_it_is_news():
    assert beacon_due("old", "new", 0, 3_600, starting=True)
    assert not beacon_due("old", "old", 10**9, 3_600, starting=True)
    assert not beacon_due("old", None, 10**9, 3_600, starting=True)
    assert not beacon_due("old", "new", 3_599_999, 3_600, starting=False)
    assert beacon_due("old", "new", 3_600_000, 3_600, starting=False)
    assert beacon_due(None, "new", 0, 3_600, starting=False)


def fix(up_s: float, lat=1, speed=0) -> Fix:
    return Fix(int(up_s * 1_000_000), lat, 2, speed=speed)


def test_a_position_is_due_once_a_second_when_it_changed():
    assert fix_due(None, fix(0), 1_000)
    assert fix_due(fix(0), fix(1, lat=2), 1_000)
    assert fix_due(fix(0), fix(0.93, speed=4), 1_000)
    assert not fix_due(fix(0), fix(0.2, lat=2), 1_000)
    assert not fix_due(fix(0), fix(60), 1_000)


@pytest.mark.parametrize(
    ("percent", "charging", "expected"),
    [
        (80, False, "good"),
        (15, False, "low"),
        (3, False, "critical"),
        (3, True, "charging"),
        (None, True, "charging"),
        (None, None, "unknown"),
        (2, None, "critical"),
    ],
)
def test_states_of_the_battery(percent, charging, expected):
    assert battery_state(PowerReading(percent, charging), 15, 3) == expected


def test_no_battery_is_unknown():
    assert battery_state(None, 15, 3) == "unknown"


@given(st.lists(st.integers(0, 4_000), min_size=1, max_size=50))
def test_a_full_disk_always_stops_and_comes_back_only_with_room(free):
    state: SpaceState = "good"
    for now in free:
        before, state = state, space_state(state, now, 1_000, 100)
        assert state == "full" if now < 100 else True
        if before == "full" and state != "full":
            assert now >= 200
        if state == "good":
            assert now >= 1_000
