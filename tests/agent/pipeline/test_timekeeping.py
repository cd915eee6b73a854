"""What is known of the clock: who vouches for it, how wrong it is at least, and what of that is felt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.pipeline.due import ClockNote, ClockRule, clock_due, trusted
from agent.pipeline.timekeeping import (
    HOLDS_US,
    NOT_BEFORE_MS,
    RECEIVER_MS,
    Moment,
    Timekeeper,
    moment,
    reference,
    time_off_ms,
    wrong_ms,
)
from hal.contracts import ClockReading, Fix
from simulators.clock import SimulatedClock
from simulators.pace import ManualClock

NOW_MS = 1_800_000_000_000
DAY_S = 86_400
YEAR_MS = 365 * DAY_S * 1_000
NONE = ClockReading("none", 0, 0)
OFFSETS = st.integers(-2 * YEAR_MS, 2 * YEAR_MS)
SOURCES = st.sampled_from(["ntp", "server", "gnss", "rtc", "none"])


def fix(up_us: int, time_ms: int | None) -> Fix:
    return Fix(up_us, 1, 2, time_ms=time_ms)


# --------------------------------------------------------------------------- a receiver vouches


@given(OFFSETS, st.integers(0, HOLDS_US), st.integers(0, 1_000))
def test_a_receiver_says_how_wrong_a_clock_is_that_nobody_vouches_for(offset_ms, age_us, late_ms):
    """Whatever the clock shows, and whenever its sentence came: the true offset lies within the bound that is said."""
    up_us = 5_000_000_000
    true_ms = NOW_MS
    now = Moment(true_ms + offset_ms, up_us)
    said = true_ms - age_us // 1_000 - late_ms
    found = reference(NONE, now, fix(up_us - age_us, said), 0)
    assert found.source == "gnss"
    assert abs(found.offset_ms - offset_ms) <= found.error_ms + 1
    assert RECEIVER_MS <= found.error_ms <= RECEIVER_MS + 180


@given(SOURCES, OFFSETS, st.integers(0, 10_000))
def test_a_receiver_is_not_asked_where_somebody_vouches(source, offset_ms, error_ms):
    reading = ClockReading(source, offset_ms, error_ms)
    found = reference(reading, Moment(NOW_MS, 10), fix(5, NOW_MS), 0)
    assert (found == reading) == (source not in {"none", "rtc"})


@pytest.mark.parametrize("seen", [None, fix(HOLDS_US, None), fix(HOLDS_US, NOW_MS - 1), fix(0, NOW_MS), fix(HOLDS_US + 20, NOW_MS)])
def test_a_receiver_without_a_word_with_an_old_one_or_a_time_that_is_over_vouches_for_nothing(seen):
    assert reference(NONE, Moment(NOW_MS, HOLDS_US + 10), seen, past_ms=NOW_MS) == NONE


@given(OFFSETS, st.integers(-YEAR_MS, YEAR_MS), st.integers(0, 60_000_000))
def test_a_receiver_that_lies_about_the_time_is_found_where_somebody_vouches(offset_ms, lie_ms, age_us):
    up_us = 500_000_000
    now, reading = Moment(NOW_MS + offset_ms, up_us), ClockReading("ntp", offset_ms, 20)
    off_ms = time_off_ms(fix(up_us - age_us, NOW_MS - age_us // 1_000 + lie_ms), reading, now, 0)
    assert off_ms is not None
    assert abs(off_ms) == pytest.approx(max(abs(lie_ms) - 20, 0), abs=1)
    assert off_ms * lie_ms >= 0


def test_where_nobody_vouches_only_a_time_that_is_over_is_a_lie():
    now = Moment(0, 0)
    assert time_off_ms(fix(0, NOW_MS - 5), NONE, now, NOW_MS) == -5
    assert time_off_ms(fix(0, NOW_MS + 5), NONE, now, NOW_MS) == 0
    assert time_off_ms(fix(0, None), NONE, now, NOW_MS) is None


# --------------------------------------------------------------------------- wrong, and jumped


@given(SOURCES, OFFSETS, st.integers(0, 5_000), st.integers(0, 2 * NOW_MS), st.integers(0, NOW_MS))
def test_a_clock_is_never_called_wrong_beyond_what_is_known(source, offset_ms, error_ms, at_ms, past_ms):
    found = wrong_ms(ClockReading(source, offset_ms, error_ms), at_ms, past_ms)
    if source in {"none", "rtc"}:
        assert found <= 0
        assert (found < 0) == (at_ms < max(past_ms, NOT_BEFORE_MS))
    else:
        assert abs(found) <= abs(offset_ms)
        assert (found != 0) == (abs(offset_ms) > error_ms)
        assert found * offset_ms >= 0


@pytest.mark.parametrize(
    ("offset_ms", "words"),
    [
        (1_999, ""),
        (2_010, "ahead by more than some seconds"),
        (-10_020, "behind by more than 10 s"),
        (3_700_000, "ahead by more than an hour"),
        (-2 * YEAR_MS, "behind by more than a year"),
    ],
)
def test_how_wrong_is_said_in_words(offset_ms, words):
    assert Timekeeper(2_000, 500).look(Moment(NOW_MS + offset_ms, 0), ClockReading("ntp", offset_ms, 10), 0) == words


def test_1970_is_known_to_be_wrong_without_any_source_and_2030_is_not():
    keeper = Timekeeper(2_000, 500)
    assert keeper.look(Moment(1_000, 0), NONE, 0) == "behind by more than a year"
    assert keeper.look(Moment(NOW_MS + 9 * YEAR_MS, 0), NONE, 0) == ""
    assert keeper.look(Moment(NOW_MS - 5_000, 0), NONE, NOW_MS) == "behind by more than some seconds"


@given(st.lists(st.integers(-5_000, 5_000), max_size=80))
def test_words_change_seldom_though_the_clock_is_at_a_limit(jitter):
    """Around each limit, with a tenth of it to and fro: the alarm comes at most once and stays."""
    for limit_ms in (2_000, 10_000, 60_000):
        keeper = Timekeeper(2_000, 500)
        told: list[str] = []
        for wobble in jitter:
            offset_ms = limit_ms + wobble * limit_ms // 50_000
            how = keeper.look(Moment(NOW_MS, 0), ClockReading("ntp", offset_ms, 0), 0)
            told += [how] if not told or told[-1] != how else []
        assert len([how for how in told if how]) <= 2


@given(st.lists(st.tuples(st.integers(200_000, 3_000_000), st.integers(-YEAR_MS, YEAR_MS), SOURCES), max_size=40))
def test_jumped_is_what_moved_against_up_and_nobody_vouches_for(looks):
    keeper, up_us, at_ms = Timekeeper(2_000, 500), 0, NOW_MS
    keeper.look(Moment(at_ms, up_us), NONE, 0)
    for forward_us, step_ms, source in looks:
        up_us += forward_us
        at_ms += up_us // 1_000 - (up_us - forward_us) // 1_000 + step_ms
        keeper.look(Moment(at_ms, up_us), ClockReading(source, 0, 0), 0)
        assert keeper.jumped == (abs(step_ms) >= 500 and source in {"none", "rtc"})


def test_a_thread_that_was_held_between_two_questions_makes_no_jump():
    class Busy(ManualClock):
        held_s = 0.0

        def wall_ms(self) -> int:
            found = super().wall_ms()
            self.advance(self.held_s)
            return found

    clock = Busy()
    keeper = Timekeeper(2_000, 500)
    for look in range(20):
        clock.held_s = 1.9 * (look % 2)
        keeper.look(moment(clock), NONE, 0)
        assert not keeper.jumped
        clock.advance(1)


# --------------------------------------------------------------------------- drift


@given(st.integers(-60_000, 60_000), st.booleans())
def test_between_two_clock_lines_a_drifting_clock_is_never_farther_off_than_a_step(ppm, recording):
    """Ten minutes at any drift, looked at once a second: what the newest line says of the clock is right within a step and a look."""
    true = ManualClock(wall_ms=NOW_MS)
    clock, rule = SimulatedClock(drift_ppm=ppm, clock=true), ClockRule()
    last: ClockNote | None = None
    for _ in range(600):
        now, reading = moment(clock), clock.reading()
        if clock_due(last, reading, now.at_ms, now.up_us // 1_000, rule, recording=recording):
            last = ClockNote(reading, now.base_ms, now.up_us // 1_000)
        assert last is not None
        assert abs((now.at_ms - true.wall_ms()) - last.reading.offset_ms) <= rule.step_ms
        true.advance(1)


def test_three_seconds_a_day_are_on_record_to_the_step_with_a_line_each_hour():
    true = ManualClock(wall_ms=NOW_MS)
    clock, rule = SimulatedClock(drift_ppm=35, clock=true), ClockRule()
    offsets: list[int] = []
    last: ClockNote | None = None
    for _ in range(DAY_S // 10):
        true.advance(10)
        now, reading = moment(clock), clock.reading()
        if clock_due(last, reading, now.at_ms, now.up_us // 1_000, rule, recording=False):
            last = ClockNote(reading, now.base_ms, now.up_us // 1_000)
            offsets.append(reading.offset_ms)
    assert len(offsets) == 24
    assert offsets == sorted(offsets)
    assert offsets[-1] - offsets[0] == pytest.approx(3_024 * 23 / 24, abs=130)


@pytest.mark.parametrize(
    ("reading", "right"),
    [
        (ClockReading("ntp", 3, 20), True),
        (ClockReading("ntp", 990, 20), False),
        (ClockReading("gnss", 1, 1_000), False),
        (ClockReading("rtc", 0, 0), False),
        (NONE, False),
    ],
)
def test_a_time_is_shown_without_a_star_while_the_second_is_right(reading, right):
    assert trusted(reading) is right
