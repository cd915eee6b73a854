"""The row about simulated worlds: enough of them, some on lying cards, and red where one world is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulators.torture.programme import worlds
from simulators.torture.programme.effort import QUICK, Effort, Place
from simulators.universe import scenario
from simulators.universe.play import Outcome, play


@pytest.mark.parametrize("days", [1, 12, 1_000])
def test_there_are_enough_worlds_and_every_fourth_has_lying_cards(days):
    jobs = worlds.jobs_of(replace(Effort(), device_days=days, seed=3))
    assert len(jobs) * worlds.DAYS * worlds.DEVICES >= days
    assert len({job.seed for job in jobs}) == len(jobs)
    assert sum(job.lying for job in jobs) == (len(jobs) + worlds.LYING_SHARE - 2) // worlds.LYING_SHARE
    assert {job.seed for job in jobs}.isdisjoint(job.seed for job in worlds.jobs_of(replace(Effort(), device_days=days, seed=4)))


@pytest.mark.parametrize(("broken", "lost", "hidden"), [([], 0, 0), (["arrives"], 1, 0), (["loss-stated"], 0, 1), (["finishes"], 0, 1)])
def test_a_broken_promise_makes_the_row_red(broken, lost, hidden):
    story = scenario.parse("name: x\nstory:\n- {at: '00:01', do: record for 5 s}\n- {at: '00:02', do: network cut}")
    figures = {
        "device_days": 6.0,
        "recordings": 3,
        "cuts": 1,
        "again_bytes": 5,
        "sent_bytes": 105,
        "worst_cut_s": 1.25,
        "again_percent": 4.76,
    }
    tally = worlds.Tally()
    tally.add(Outcome(story, figures=figures))
    tally.red = [(f"seed 1: {name}", frozenset({name})) for name in broken]
    row = worlds.row_of(tally, QUICK, worlds.jobs_of(QUICK), 12.0)
    assert (row.tried, row.lost, row.hidden, row.red) == (1, lost, hidden, bool(broken))
    assert (row.exposed_ms, row.twice, row.bytes_once) == (1_250, 5, 100)
    assert row.figures["times_real_time"] == round(6 / worlds.DEVICES * 86_400 / 12)


def test_a_red_world_says_its_seed_and_leaves_a_short_story(tmp_path, monkeypatch):
    monkeypatch.setattr(worlds, "_all", lambda jobs: map(worlds._one, jobs))
    monkeypatch.setattr(worlds, "FAILURES", tmp_path / "build")
    text = "name: x\nbroken: numbers are skipped\nfails: arrives\nstory:\n- {at: '00:01', do: network cut}\n"
    broken = scenario.parse(text + "- {at: '00:02', do: record for 9 s}\n- {at: '00:04', do: network cut}")
    monkeypatch.setattr(worlds.Job, "story", lambda _job: broken)
    monkeypatch.setattr(worlds, "_one", lambda job: (job, replace(play(broken), story=broken), 1.0))
    said: list[str] = []
    (row,) = worlds.worlds(Place(tmp_path, tmp_path), replace(Effort(), device_days=0), said.append)
    assert (row.lost, row.hidden) == (0, 1)
    (path,) = (tmp_path / "build").glob("*.yaml")
    assert str(path) in said[1]
    assert "seed 100000" in said[0]
    assert [step.do for step in scenario.load(path).steps] == ["record for 9 s"]


def test_worlds_are_tried_in_processes_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(
        worlds, "jobs_of", lambda _effort: [worlds.Job(100_001, lying=False, days=0.1), worlds.Job(100_002, lying=True, days=0.1)]
    )
    said: list[str] = []
    (row,) = worlds.worlds(Place(tmp_path, tmp_path), replace(Effort(), device_days=0), said.append)
    assert (row.red, said) == (False, [])
    assert (row.figures["worlds"], row.figures["lying_cards"]) == (2, 1)
