"""What may go goes in order; what may not, never does, whatever is asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.retention import Held, purgeable

DAY = 86_400
NOW = 1_763_712_300


def held(
    recording: str,
    index: int,
    *,
    size: int = 100,
    marked: bool = False,
    stopped: bool = True,
    unsent: int = 0,
    cosigned_s: int | None = NOW - 10 * DAY,
    receipt: bool = True,
) -> Held:
    return Held(recording, index=index, size=size, marked=marked, stopped=stopped, unsent=unsent, cosigned_s=cosigned_s, receipt=receipt)


@pytest.mark.parametrize(
    ("one", "refusal"),
    [
        (held("R", 1, stopped=False), "not stopped"),
        (held("R", 1, cosigned_s=None), "stop not cosigned"),
        (held("R", 1, unsent=3), "3 fragments not sent"),
        (held("R", 1, receipt=False), "no receipt"),
    ],
)
def test_what_may_never_go(one: Held, refusal: str) -> None:
    assert one.refusal() == refusal
    assert purgeable([one], 10**15, 0, NOW + 10_000 * DAY) == []


def test_the_oldest_go_first_and_no_more_than_needed() -> None:
    assert purgeable([held("C", 30), held("A", 10), held("B", 20)], 150) == ["A", "B"]


def test_marked_ones_go_last() -> None:
    recordings = [held("A", 10, marked=True), held("B", 20), held("C", 30)]
    assert purgeable(recordings, 150) == ["B", "C"]
    assert purgeable(recordings, 250) == ["B", "C", "A"]


def test_nothing_goes_where_nothing_is_needed() -> None:
    assert purgeable([held("A", 10), held("B", 20)], 0) == []


def test_too_little_comes_out_where_the_rest_may_not_go() -> None:
    assert purgeable([held("A", 10), held("B", 20, receipt=False)], 10_000) == ["A"]


def test_age_takes_what_was_kept_for_long_enough_by_the_witness() -> None:
    recordings = [held("A", 10, cosigned_s=NOW - 7 * DAY), held("B", 20, cosigned_s=NOW - 7 * DAY + 1)]
    assert purgeable(recordings, 0, 7, NOW) == ["A"]


def test_age_takes_no_marked_one() -> None:
    assert purgeable([held("A", 10, marked=True)], 0, 7, NOW) == []


def test_without_a_cosignature_nothing_is_old() -> None:
    assert purgeable([held("A", 10)], 0, 7, 0) == []
    assert purgeable([held("A", 10)], 0, 0, 0) == []


def test_what_age_takes_counts_for_the_need() -> None:
    recordings = [held("young", 10, cosigned_s=NOW), held("old", 20)]
    assert purgeable(recordings, 100, 7, NOW) == ["old"]
    assert purgeable(recordings, 101, 7, NOW) == ["young", "old"]


rows = st.builds(
    held,
    st.uuids().map(str),
    st.integers(0, 2**40),
    size=st.integers(0, 10**12),
    marked=st.booleans(),
    stopped=st.booleans(),
    unsent=st.sampled_from([0, 0, 0, 1, 500]),
    cosigned_s=st.none() | st.integers(0, 2 * NOW),
    receipt=st.booleans(),
)


@given(st.lists(rows, max_size=12), st.integers(-1, 10**14), st.none() | st.integers(0, 4_000), st.integers(0, 2 * NOW))
def test_the_rules_hold_for_every_disk(recordings: list[Held], need_bytes: int, keep_days: int | None, witness_s: int) -> None:
    names = purgeable(recordings, need_bytes, keep_days, witness_s)
    chosen = [one for name in names for one in recordings if one.recording == name]
    assert all(one.stopped and one.cosigned_s is not None and not one.unsent and one.receipt for one in chosen)
    assert [(one.marked, one.index) for one in chosen] == sorted((one.marked, one.index) for one in chosen)
    may_go = [one for one in recordings if not one.refusal()]
    if sum(one.size for one in chosen) < need_bytes:
        assert len(chosen) == len(may_go)  # all that may go goes
    if any(one.marked for one in chosen):
        assert all(one in chosen for one in may_go if not one.marked)
    if keep_days is None and chosen:
        assert sum(one.size for one in chosen[:-1]) < need_bytes  # and not one more than needed
