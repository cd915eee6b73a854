"""Waits grow, stay within their limit and begin again."""

from hypothesis import given
from hypothesis import strategies as st

from agent.core.backoff import Backoff


def test_the_longest_waits_double_up_to_the_maximum() -> None:
    backoff = Backoff(1_000, 10_000)
    assert [backoff.next(1) for _ in range(6)] == [1_000, 2_000, 4_000, 8_000, 10_000, 10_000]


def test_success_begins_again() -> None:
    backoff = Backoff(1_000, 60_000)
    for _ in range(5):
        backoff.next(0.5)
    backoff.reset()
    assert backoff.next(1) == 1_000


def test_the_jitter_is_full() -> None:
    assert Backoff(1_000, 60_000).next(0) == 0
    assert Backoff(1_000, 60_000).next(0.25) == 250


def test_a_first_wait_above_the_maximum_is_the_maximum() -> None:
    assert Backoff(90_000, 60_000).next(1) == 60_000


@given(st.integers(1, 10**6), st.integers(1, 10**9), st.lists(st.floats(0, 1), max_size=80))
def test_no_wait_is_negative_or_above_the_maximum(first_ms: int, max_ms: int, randoms: list[float]) -> None:
    backoff = Backoff(first_ms, max_ms)
    for tries, random01 in enumerate(randoms):
        assert 0 <= backoff.next(random01) <= min(max_ms, first_ms << tries)
