"""What is missing is told once, and all of it."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from agent.capture.gaps import LEAK, TELL_US, Silence, Toll, Watch, in_media_time
from agent.capture.samples import Hole

PERIOD_US = 40_000
STALL_US = 200_000


def watch(since_us=0):
    return Watch("camera", STALL_US, 10_000_000, since_us)


def test_a_counted_drop_is_told_however_short():
    seen = watch()
    assert seen.sample(0, PERIOD_US) is None
    assert seen.sample(80_000, PERIOD_US, missing_us=40_000) == Hole("camera", 40_000, 80_000, "camera")


def test_a_slow_camera_is_no_loss_and_a_stall_is():
    seen = watch()
    seen.sample(0, PERIOD_US)
    assert seen.sample(200_000, PERIOD_US) is None
    assert seen.sample(440_001, PERIOD_US) == Hole("camera", 240_000, 440_001, "camera")


def test_where_count_and_time_contradict_each_other_the_count_is_believed():
    seen = watch()
    seen.sample(0, PERIOD_US)
    seen.sample(40_000, PERIOD_US)
    assert seen.sample(80_000, PERIOD_US, missing_us=80_000) == Hole("camera", 0, 80_000, "camera")


def test_what_we_left_out_ourselves_has_our_reason():
    seen = watch()
    seen.sample(0, PERIOD_US)
    assert seen.sample(120_000, PERIOD_US, missing_us=80_000, reason="storage") == Hole("camera", 40_000, 120_000, "storage")


def test_an_outage_is_told_in_pieces_that_touch():
    seen = watch()
    seen.sample(0, PERIOD_US)
    assert seen.idle(9_000_000) is None
    assert seen.idle(10_040_000) == Hole("camera", 40_000, 10_040_000, "camera")
    assert seen.idle(12_000_000) is None
    assert seen.close(12_000_000) == Hole("camera", 10_040_000, 12_000_000, "camera")
    assert seen.close(12_000_000) is None


@given(st.lists(st.tuples(st.booleans(), st.integers(-9_000, 9_000)), min_size=2, max_size=200), st.integers(0, 30))
def test_frames_and_holes_together_account_for_all_of_the_time(pattern, late):
    """Frames with jitter, any of them dropped and counted by the next one: each loss is told, with its length to the jitter."""
    seen = watch()
    holes, lost, pending = [], 0, 0
    for number, (kept, jitter) in enumerate([(True, 0), *pattern, (True, 0)]):
        if not kept:
            pending += 1
            continue
        hole = seen.sample(max(number * PERIOD_US + jitter, 0), PERIOD_US, pending * PERIOD_US)
        assert (hole is not None) == (pending > 0)
        if hole:
            holes.append(hole)
            assert abs(hole.until_us - hole.from_us - pending * PERIOD_US) <= 18_000
        lost, pending = lost + pending, 0
    assert abs(sum(hole.until_us - hole.from_us for hole in holes) - lost * PERIOD_US) <= 18_000 * len(holes)
    assert all(one.until_us <= two.from_us for one, two in itertools.pairwise(holes))


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("sample"), st.integers(0, 3_000_000), st.integers(0, 500_000)),
            st.tuples(st.sampled_from(["idle", "close"]), st.integers(0, 30_000_000), st.just(0)),
        ),
        max_size=60,
    ),
)
def test_holes_never_overlap_whatever_comes(calls):
    seen, now_us, holes = watch(), 0, []
    for name, forward_us, missing_us in calls:
        now_us += forward_us
        match name:
            case "sample":
                hole = seen.sample(now_us, PERIOD_US, missing_us)
            case "idle":
                hole = seen.idle(now_us)
            case _:
                hole = seen.close(now_us)
        if hole:
            assert hole.from_us < hole.until_us <= now_us
            holes.append(hole)
    assert all(one.until_us <= two.from_us for one, two in itertools.pairwise(holes))


@given(st.integers(0, 10**9), st.integers(1, 10**8), st.integers(1, 10**8), st.integers(0, 10**9), st.integers(0, 10**9))
def test_holes_that_touch_do_so_in_media_time_and_lie_in_the_recording(first_us, one_us, two_us, epoch_us, length_us):
    until_us = epoch_us + length_us
    one = in_media_time(Hole("camera", first_us, first_us + one_us, "camera"), epoch_us, until_us)
    two = in_media_time(Hole("camera", first_us + one_us, first_us + one_us + two_us, "camera"), epoch_us, until_us)
    for told in (one, two):
        if told:
            assert told[0] >= 0
            assert told[1] >= 1
            assert told[0] + told[1] <= length_us // 1_000 + 2
    if one and two and one[1] > 1:
        assert one[0] + one[1] == two[0]


def test_silence_counts_only_while_somebody_listens():
    silence = Silence(0)
    for now_us in range(0, 2_000_000, 50_000):
        assert silence.length_us(now_us) == now_us
    assert silence.length_us(9_000_000) == 0  # the machine stood still for 7 s
    assert silence.length_us(9_500_000) == 500_000
    silence.heard(9_400_000)
    assert silence.length_us(9_600_000) == 200_000


@given(st.lists(st.tuples(st.integers(0, 3_000_000), st.integers(0, 2_000_000)), max_size=100))
def test_a_toll_is_told_once_and_over_once_in_turn(steps):
    toll, now_us, told = Toll(0), 0, []
    for forward_us, missing_us in steps:
        now_us += forward_us
        if toll.over(now_us):
            told.append("over")
        if missing_us and toll.lost(missing_us, now_us):
            told.append("told")
    assert told == ["told", "over"] * (len(told) // 2) + ["told"] * (len(told) % 2)
    if toll.standing:
        assert toll.lost_us >= TELL_US
        assert toll.over(now_us + 2 * TELL_US * LEAK)


@given(st.integers(2, 100), st.integers(20_000, 200_000))
def test_less_than_one_in_twenty_is_never_told_and_more_always_is(every, period_us):
    """A camera that loses each `every`th frame, for as long as it takes to tell."""
    toll = Toll(0)
    told = any(toll.lost(period_us, number * period_us) for number in range(every, 20_000, every))
    assert told == (every < LEAK)


def test_half_a_second_at_once_is_told():
    assert Toll(0).lost(TELL_US, 0)
    assert not Toll(0).lost(TELL_US - 1, 0)
