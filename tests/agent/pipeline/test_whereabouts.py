"""A receiver that stops, jumps or lies is told; one that is honest never is."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.pipeline.whereabouts import CALM_US, FIRST_US, MM_PER_UNIT, Whereabouts, apart_mm
from hal.contracts import Fix
from simulators.locator import LOGS, load

S = 1_000_000
LOST_US = 30 * S
LAT, LON = 312_304_000, 1_214_737_000


def watch(max_kmh: int = 500) -> Whereabouts:
    return Whereabouts(LOST_US, max_kmh, 0)


def place(up_s: float, east_m: float = 0, north_m: float = 0, speed_m_s: float | None = 0, lat: int = LAT, lon: int = LON) -> Fix:
    """So many metres from a corner in Shanghai."""
    units = 1_000 / MM_PER_UNIT
    east = round(east_m * units / math.cos(math.radians(lat / 1e7)))
    return Fix(round(up_s * S), lat + round(north_m * units), lon + east, speed=None if speed_m_s is None else round(speed_m_s * 1_000))


def events(told: list[tuple[str, str]]) -> list[str]:
    return [event for event, _ in told]


# --------------------------------------------------------------------------- honest ones


@given(
    st.lists(st.tuples(st.floats(-3, 3), st.floats(-4, 4), st.floats(-4, 4)), min_size=30, max_size=120), st.floats(0, 130), st.booleans()
)
def test_a_vehicle_that_drives_as_it_says_is_never_doubted(steps, speed, has_speed):
    """Any course with accelerations of 3 m/s² and positions that wander by 4 m, standing, walking or in a fast train."""
    seen, told, at, course = watch(), [], [0.0, 0.0], 0.0
    for second, (push, east, north) in enumerate(steps):
        before, speed = speed, min(max(speed + push, 0), 130)
        course += push / 20
        at = [at[0] + math.cos(course) * (before + speed) / 2, at[1] + math.sin(course) * (before + speed) / 2]
        told += seen.seen(place(second, at[0] + east, at[1] + north, speed if has_speed else None), 0)
    assert told == []


@pytest.mark.parametrize("log", ["quectel-eg25-g", "beidou-bd", "telit-he910"])
def test_real_receivers_are_not_doubted(log):
    seen, up_us, told = watch(), 0, []
    for pace_ms, fix in load(log):
        up_us += pace_ms * 1_000
        if fix["valid"] and fix["lat"] is not None:
            told += seen.seen(Fix(up_us, fix["lat"], fix["lon"], speed=fix["speed"]), 0)
        else:
            told += [one for one in seen.idle(up_us) if one[0] != "locator-lost"]
    assert told == []


def test_a_real_log_that_was_cut_and_joined_is_found_out():
    """bt451 was cut by its collector: 1.9 km are missing between two sentences."""
    assert (LOGS / "bt451.log").exists()
    seen, up_us, told = watch(), 0, []
    for pace_ms, fix in load("bt451"):
        up_us += pace_ms * 1_000
        if fix["valid"]:
            told += seen.seen(Fix(up_us, fix["lat"], fix["lon"], speed=fix["speed"]), 0)
    assert told == [("locator-doubt", "jump: 1929 m in 500 ms")]


def test_the_date_line_and_the_poles_are_no_jump():
    seen = watch()
    assert seen.seen(place(0, lon=1_799_999_990), 0) == []
    assert seen.seen(Fix(S, LAT, -1_799_999_990), 0) == []
    assert apart_mm(Fix(0, 899_999_990, 0), Fix(0, 899_999_990, 1_800_000_000)) < 1_000_000


# --------------------------------------------------------------------------- jumps


@given(st.floats(0, 2 * math.pi), st.floats(400, 3_000_000), st.integers(1, 20))
def test_a_jump_beyond_any_vehicle_is_told_once_and_its_end_once(course, metres, count):
    """There and back as often as one likes: one line that it began, one that it is over."""
    seen, told = watch(), []
    for second, away in enumerate([0] * 20 + [1, 0] * count + [0] * (CALM_US // S)):
        north = away * metres * math.sin(course)
        told += events(seen.seen(place(second, away * metres * math.cos(course), max(north, -3e6)), 0))
    assert told == ["locator-doubt", "locator-back"]


@given(st.integers(10, 900), st.integers(1, 600))
def test_what_a_vehicle_of_the_setting_can_do_is_no_jump_and_what_it_cannot_is(kmh, seconds):
    limit_m = 200 + kmh / 3.6 * seconds
    for metres, expected in ((limit_m * 0.98, []), (limit_m * 1.03, ["locator-doubt"])):
        seen = watch(kmh)
        seen.seen(place(0, speed_m_s=None), 0)
        assert events(seen.seen(place(seconds, 0, metres, speed_m_s=None), 0)) == expected


# --------------------------------------------------------------------------- contradictions


@given(st.floats(25, 100), st.integers(11, 60))
def test_a_position_that_stands_still_while_it_drives_is_doubted(speed, seconds):
    seen = watch()
    told = [one for second in range(seconds) for one in seen.seen(place(second, speed_m_s=speed), 0)]
    assert events(told) == ["locator-doubt"]
    assert told[0][1].startswith("speed: 0 m between its positions in 10 s")


@given(st.floats(12, 100), st.integers(11, 60))
def test_a_position_that_is_dragged_along_while_it_stands_is_doubted(speed, seconds):
    seen = watch()
    told = [event for second in range(seconds) for event in events(seen.seen(place(second, speed * second), 0))]
    assert told == ["locator-doubt"]


@given(st.integers(-(10**12), 10**12))
def test_a_time_that_is_more_than_some_seconds_off_is_doubted(off_ms):
    assert events(watch().seen(place(0), off_ms)) == (["locator-doubt"] if abs(off_ms) > 3_000 else [])
    assert watch().seen(place(0), None) == []


def test_another_doubt_is_told_beside_the_first_and_the_end_comes_once():
    seen = watch()
    seen.seen(place(0), 0)
    assert [detail.split(":")[0] for _, detail in seen.seen(place(1, 9_000), 5_000)] == ["jump", "time"]
    told = [one for second in range(2, 60) for one in seen.seen(place(second, 9_000), 5_000 if second < 4 else 0)]
    assert told == [("locator-back", "locator: nothing to doubt for 30 s; 4 positions were doubted")]


# --------------------------------------------------------------------------- stops


def test_a_receiver_that_stops_is_lost_and_comes_back():
    seen = watch()
    seen.seen(place(1), 0)
    assert seen.idle(1 * S + LOST_US - 1) == []
    assert seen.idle(1 * S + LOST_US) == [("locator-lost", "locator: no position for 30 s")]
    assert seen.idle(100 * S) == []
    assert seen.lost
    assert events(seen.seen(place(101), 0)) == ["locator-back"]
    assert not seen.lost


def test_a_doubtful_receiver_that_is_lost_is_well_when_it_comes_back():
    seen = watch()
    seen.seen(place(0), 0)
    assert events(seen.seen(place(1, 9_000), 0)) == ["locator-doubt"]
    assert events(seen.idle(40 * S)) == ["locator-lost"]
    assert events(seen.seen(place(41, 9_000), 0)) == ["locator-back"]
    assert events(seen.seen(place(42, 0), 0)) == ["locator-doubt"]


def test_after_the_start_it_has_time_to_find_the_sky():
    seen = watch()
    assert seen.idle(FIRST_US + LOST_US - 1) == []
    assert seen.idle(FIRST_US + LOST_US) == [("locator-lost", "locator: no position since the start")]


def test_it_can_be_switched_off():
    assert Whereabouts(0, 500, 0).idle(10**15) == []


@given(st.lists(st.tuples(st.integers(1, 100), st.sampled_from(["fix", "jump", "lie", "none"])), max_size=80))
def test_what_is_told_ends_whatever_comes(steps):
    """However it began: well again means that a `locator-back` is the last word, and after one nothing stands."""
    seen, up_s, away, told = watch(), 0, 0, []
    for forward_s, what in steps:
        up_s += forward_s
        away += 9_000_000 * (what == "jump")
        if what == "none":
            told += events(seen.idle(up_s * S))
        else:
            told += events(seen.seen(place(up_s, 0, away % 5_000_000, None), 9_999 if what == "lie" else 0))
    for _ in range(CALM_US // S + 2):
        up_s += 1
        told += events(seen.seen(place(up_s, 0, away % 5_000_000, None), 0))
    assert not told or told[-1] == "locator-back"
    assert told.count("locator-lost") <= told.count("locator-back") + told.count("locator-doubt")
