"""The ring begins at a key frame, keeps what was asked for and hardly more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import CoreError
from agent.core.preroll import MAX_LIMIT_US, keep

SECOND = 1_000_000


def stream(seconds: int, rate: int = 25, group: int = 25) -> list[tuple[int, bool]]:
    return [(frame * SECOND // rate, frame % group == 0) for frame in range(seconds * rate)]


def test_thirty_seconds_of_a_minute() -> None:
    packets = stream(60)
    first = keep(packets, 30 * SECOND)
    assert packets[first] == (29 * SECOND, True)  # the newest frame is at 59.96 s


def test_everything_where_there_is_less_than_the_limit() -> None:
    assert keep(stream(5), 30 * SECOND) == 0


def test_without_a_limit_the_present_group_stays() -> None:
    packets = stream(5)
    assert packets[keep(packets, 0)] == (4 * SECOND, True)


def test_frames_before_the_first_key_frame_go() -> None:
    packets = [(at - SECOND, False) for at, _ in stream(1)] + stream(3)
    assert keep(packets, 30 * SECOND) == 25


def test_nothing_to_keep_without_a_key_frame() -> None:
    assert keep([], SECOND) == 0
    assert keep([(0, False), (40_000, False)], SECOND) == 2


def test_exactly_old_enough_is_old_enough() -> None:
    packets = [(0, True), (SECOND, True), (2 * SECOND, True)]
    assert keep(packets, SECOND) == 1
    assert keep(packets, SECOND + 1) == 0


def test_reordered_frames_count_by_when_they_are_shown() -> None:
    """Decoding order I P B B: the newest shown is not the last decoded."""
    packets = [(0, True), (120_000, False), (40_000, False), (80_000, False), (160_000, True), (280_000, False), (200_000, False)]
    assert keep(packets, 120_000) == 4
    assert keep(packets, 121_000) == 0


@pytest.mark.parametrize("limit_us", [-1, MAX_LIMIT_US + 1])
def test_a_limit_out_of_range_is_refused(limit_us: int) -> None:
    with pytest.raises(CoreError, match=f"pre-recording is 0 to 120000000 µs, not {limit_us}"):
        keep([(0, True)], limit_us)


@given(st.lists(st.tuples(st.integers(1, 200_000), st.booleans()), max_size=120), st.integers(0, 5 * SECOND))
def test_the_rule_for_every_ring(steps: list[tuple[int, bool]], limit_us: int) -> None:
    now_us, packets = 0, []
    for step_us, is_key in steps:
        now_us += step_us
        packets.append((now_us, is_key))
    first = keep(packets, limit_us)
    keys = [index for index, (_, is_key) in enumerate(packets) if is_key]
    if not keys:
        assert first == len(packets)
        return
    assert first in keys
    if first != keys[0]:
        assert now_us - packets[first][0] >= limit_us  # at least the limit, where it had it
    following = [index for index in keys if index > first]
    if following:
        assert now_us - packets[following[0]][0] < limit_us  # and less than one group more


@given(st.integers(0, 8 * SECOND), st.integers(1, 60))
def test_a_ring_that_is_trimmed_at_every_packet_keeps_the_same(limit_us: int, group: int) -> None:
    ring: list[tuple[int, bool]] = []
    for packet in stream(12, group=group):
        ring.append(packet)
        del ring[: keep(ring, limit_us)]
    whole = stream(12, group=group)
    assert ring == whole[keep(whole, limit_us) :]
