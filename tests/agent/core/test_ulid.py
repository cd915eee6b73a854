"""Recordings' names: what is written is read back, in the order of time, and nothing else is a ULID."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import ulid
from agent.core.errors import CoreError

times = st.integers(0, 2**48 - 1)
randoms = st.binary(min_size=10, max_size=10)


def test_the_specifications_example() -> None:
    """01ARZ3NDEKTSV4RRFFQ69G5FAV is the example of the ULID page."""
    at_ms, random10 = ulid.parse("01ARZ3NDEKTSV4RRFFQ69G5FAV")
    assert at_ms == 1_469_922_850_259
    assert ulid.new(at_ms, random10) == "01ARZ3NDEKTSV4RRFFQ69G5FAV"


def test_smallest_and_largest() -> None:
    assert ulid.new(0, bytes(10)) == "0" * 26
    assert ulid.new(2**48 - 1, b"\xff" * 10) == "7" + "Z" * 25


@given(times, randoms)
def test_what_is_written_is_read_back(at_ms: int, random10: bytes) -> None:
    text = ulid.new(at_ms, random10)
    assert ulid.is_ulid(text)
    assert ulid.parse(text) == (at_ms, random10)


@given(times, times, randoms, randoms)
def test_names_sort_by_time(first: int, second: int, one: bytes, other: bytes) -> None:
    if first != second:
        assert (ulid.new(first, one) < ulid.new(second, other)) is (first < second)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0" * 25,
        "0" * 27,
        "8" + "0" * 25,
        "0" * 25 + "U",
        "01arz3ndektsv4rrffq69g5fav",
        "0" * 25 + "\n",
        "0" * 25 + "٣",
        "../" + "0" * 23,
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    assert not ulid.is_ulid(text)
    with pytest.raises(CoreError, match="expected a ULID of 26 characters"):
        ulid.parse(text)


@pytest.mark.parametrize("at_ms", [-1, 2**48])
def test_a_time_out_of_range_is_refused(at_ms: int) -> None:
    with pytest.raises(CoreError, match=f"not {at_ms}"):
        ulid.new(at_ms, bytes(10))


def test_other_than_ten_random_bytes_are_refused() -> None:
    with pytest.raises(CoreError, match="takes 10 random bytes, not 16"):
        ulid.new(0, bytes(16))
