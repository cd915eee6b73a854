"""A microphone that hears nothing is found out; a quiet room never is."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.capture.flat import Flat

CHUNK_US = 20_000
AFTER_US = 10_000_000
SAMPLE = st.integers(-32_768, 32_767)


def turns(flat: Flat, chunks) -> list[tuple[int, bool]]:
    """(number of the chunk, silent) of each change."""
    return [(number, flat.silent) for number, (low, high) in enumerate(chunks) if flat.heard(low, high, CHUNK_US)]


@given(SAMPLE, st.integers(500, 800))
def test_one_value_for_ten_seconds_is_silence_whatever_the_value_and_is_told_once(value, count):
    assert turns(Flat(AFTER_US), [(value, value)] * count) == [(499, True)]


@given(st.integers(0, 499), st.integers(0, 499), SAMPLE)
def test_one_sample_that_differs_within_ten_seconds_is_a_microphone_that_lives(before, after, value):
    other = value - 1 if value > 0 else value + 1
    chunks = [(value, value)] * before + [(min(value, other), max(value, other))] + [(value, value)] * after
    assert turns(Flat(AFTER_US), chunks) == []


@given(st.lists(st.tuples(SAMPLE, SAMPLE).map(sorted), max_size=60), st.integers(0, 50))
def test_silent_means_that_the_last_seconds_lay_within_the_spread_and_nothing_else(chunks, spread):
    flat, after_us = Flat(5 * CHUNK_US, spread), 5
    for number, (low, high) in enumerate(chunks, 1):
        flat.heard(low, high, CHUNK_US)
        last = chunks[max(number - after_us, 0) : number]
        within = len(last) == after_us and max(high for _, high in last) - min(low for low, _ in last) <= spread
        assert not flat.silent or within  # never silent without reason
        if within and len({tuple(one) for one in last}) == 1:
            assert flat.silent  # one and the same for so long is


@given(st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)).map(sorted), min_size=1, max_size=200))
def test_a_spread_forgives_a_converter_its_own_noise(chunks):
    assert turns(Flat(100 * CHUNK_US, 4), [*chunks, *[(0, 1)] * 100])[0][1]


@given(st.integers(0, 1_000), st.booleans())
def test_one_step_more_than_the_spread_is_a_microphone_that_lives(spread, at_once):
    chunks = [(0, spread + 1)] * 600 if at_once else [(0, 0), (spread + 1, spread + 1)] * 300
    assert turns(Flat(AFTER_US, spread), chunks) == []


def test_the_quietest_room_that_a_capsule_of_65_db_hears_is_no_silence():
    """Noise of 91 dB below full scale, 0.9 steps of 16 bits, for an hour by chunks of 20 ms; half a step still is heard."""
    for steps in (0.9, 0.5):
        noise = np.round(np.random.default_rng(1).normal(0, steps, (180_000 // 20, 960))).astype(np.int16)
        flat = Flat(AFTER_US)
        assert turns(flat, zip(noise.min(axis=1).tolist(), noise.max(axis=1).tolist(), strict=True)) == []


def test_sound_ends_it_and_a_microphone_that_went_begins_anew():
    flat = Flat(AFTER_US)
    assert turns(flat, [(0, 0)] * 500 + [(-1, 0)]) == [(499, True), (500, False)]
    assert turns(flat, [(0, 0)] * 500) == [(499, True)]
    flat.reset()
    assert turns(flat, [(0, 0)] * 500) == [(499, True)]


def test_it_can_be_switched_off():
    assert turns(Flat(0), [(0, 0)] * 100_000) == []
