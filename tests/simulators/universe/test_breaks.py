"""The guard on the judges: each rule that is broken on purpose is seen by the invariant that it names, and by nothing else first.

Every story is well where nothing is broken, so it is the broken rule that makes it red.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulators.universe import scenario, world
from simulators.universe.breaks import BREAKS
from simulators.universe.judge import INVARIANTS
from simulators.universe.play import play

RECORDS = "- {at: '00:01', do: record for 8 s}"
STORIES = {
    "journal is not synced": RECORDS,
    "card loses what it synced": f"{RECORDS}\n- {{at: '00:03', do: power cut for 5 s}}",
    "lines change on the way": RECORDS,
    "numbers are skipped": RECORDS,
    "purge without receipt": f"- {{at: '00:00:30', do: network 16 kbit/s}}\n{RECORDS}\n- {{at: '00:20', do: network 10000 kbit/s}}",
    "age by the wall clock": f"{RECORDS}\n- {{at: '00:10', do: clock jumps ahead 40 days for 30 min}}",
    "cuts are not stated": f"{RECORDS}\n- {{at: '00:01:05', do: power cut for 5 s}}",
    "gaps are not written": f"{RECORDS}\n- {{at: '00:01:03', do: camera unplugged for 3 s}}",
    "nothing is uploaded": RECORDS,
    "media are sent twice": RECORDS,
    "a daemon fails": RECORDS,
    "a daemon never rests": RECORDS,
    "receipts come early": f"- {{at: '00:00:30', do: network 64 kbit/s}}\n{RECORDS}\n- {{at: '00:20', do: network 10000 kbit/s}}",
    "server writes zeros": RECORDS,
    "server forgets": "- {at: '00:03', do: record for 8 s}\n- {at: '00:06', do: server off for 5 s}",
}
KEEP_DAYS = {"purge without receipt": 0, "age by the wall clock": 3}


TWINS = sorted({text: name for name, text in STORIES.items()}.values())


def story_of(name: str) -> scenario.Story:
    bound = "50%" if "power cut" in STORIES[name] else "2%"  # a cut costs a fragment, and these recordings have few
    head = f"name: {name}\nsettings: {{keep days: {KEEP_DAYS.get(name, 7)}, sent twice below: {bound}}}\nstory:\n"
    return scenario.parse(head + STORIES[name])


@pytest.fixture(autouse=True)
def _short_end(monkeypatch):
    """Two hours of good weather are enough for ten seconds of media."""
    monkeypatch.setattr(world, "SETTLE_US", 2 * world.HOUR_US)


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_rule_is_seen_by_the_invariant_that_it_names(name):
    outcome = play(replace(story_of(name), broken=name, fails=BREAKS[name].seen_by))
    assert [invariant for invariant, _ in outcome.faults][:1] == [BREAKS[name].seen_by], outcome.faults
    assert outcome.well


@pytest.mark.parametrize("name", TWINS)
def test_the_same_story_is_well_where_nothing_is_broken(name):
    outcome = play(story_of(name))
    assert outcome.well, (outcome.faults, outcome.wrong)
    assert outcome.figures["recordings"] == 1


def test_every_invariant_has_a_rule_that_reddens_it_when_broken():
    assert {one.seen_by for one in BREAKS.values()} == set(INVARIANTS)
    assert set(STORIES) == set(BREAKS)
