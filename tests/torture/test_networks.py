"""What the rows of the networks say of stories that went well, and of those that did not."""

from __future__ import annotations

import pytest

from simulators.hostile.books import Wire
from simulators.hostile.telling import Outcome, too_much
from simulators.torture.programme.effort import QUICK
from simulators.torture.programme.networks import _row

WELL = Wire(signed=1_000_000, twice=19_000, taken=1_040_000, media=900_000, media_taken=918_000)


def test_a_row_adds_up_its_stories():
    outcomes = [Outcome("deaths", 1, 5, [], 40, WELL), Outcome("deaths", 2, 6, [], 40, WELL), Outcome("trickle", 1, 1, [], 150, WELL)]
    row = _row("networks", outcomes, QUICK)
    assert (row.tried, row.lost, row.twice, row.bytes_once, row.seeds) == (12, 0, 57_000, 3_000_000, "1–2 (trickle: 1)")
    assert row.remarks.startswith("on the wire 2.00 % beyond the media")
    assert not row.red


def test_whatever_is_wrong_with_a_story_makes_its_row_red_and_is_named():
    row = _row("networks", [Outcome("deaths", 3, 5, ["DSJ-0000001: 9 lines here, 8 at the server"], 40, WELL)], QUICK)
    assert row.red
    assert row.examples == ("deaths, seed 3: DSJ-0000001: 9 lines here, 8 at the server",)


@pytest.mark.parametrize(("twice", "wrong"), [(20_000, []), (20_100, ["2.01 % of the bytes went twice, at most 2 % may"])])
def test_the_standard_scenario_has_a_bound(twice, wrong):
    assert too_much(Wire(1_000_000, twice, 0, 0, 0), 2.0) == wrong
    assert too_much(Wire(1_000_000, twice, 0, 0, 0), None) == []


def test_bytes_of_several_recorders_are_bytes():
    both = WELL + WELL
    assert (both.over, both.media_over) == (80_000, 36_000)
