"""Worlds by chance: one seed gives one history, a failure is shortened to a story that fails again, what was sent is counted."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from agent.capture.events import RecordingStarted
from simulators.universe import chronicle, play, scenario, shrink, traffic, world
from simulators.universe.agenda import US_PER_S
from simulators.universe.fold import Fold, Told
from simulators.universe.takes import Takes

SHORT = chronicle.Plan(0.12, 2)


@pytest.mark.parametrize("lying", [False, True])
def test_one_seed_gives_one_story_and_one_history(lying):
    plan = replace(SHORT, lying=lying)
    story = chronicle.write(11, plan)
    assert story == chronicle.write(11, plan)
    assert story != chronicle.write(12, plan)
    first, second = play.play(story), play.play(story)
    assert (first.figures, first.steps, first.at_us, first.faults) == (second.figures, second.steps, second.at_us, second.faults)
    assert first.well, first.faults
    assert first.steps > 300


def test_a_story_of_chance_can_be_written_down_and_runs_the_same_from_its_file():
    story = chronicle.write(11, SHORT)
    again = scenario.parse(scenario.dump(story))
    assert (again.steps, again.setting) == (story.steps, story.setting)


def test_everything_that_the_issue_names_is_reached_by_chance():

    said = {step.do.rstrip("0123456789. ") for seed in range(400) for step in chronicle.write(seed, chronicle.Plan(3, 2, lying=True)).steps}
    for what in (
        "power cut while writing",
        "server off",
        "clock without battery",
        "clock jumps",
        "card lies",
        "disk full",
        "disk read-only",
    ):
        assert any(one.startswith(what) for one in said), what
    for what in ("battery", "charger off", "camera unplugged", "microphone unplugged", "encoder slow", "receiver", "broker on and empty"):
        assert any(one.startswith(what) for one in said), what


def test_nobody_records_for_ever():
    """Each press, each order to start and each start after a cut is followed by somebody who looks."""
    for seed in range(30):
        steps = chronicle.write(seed, chronicle.Plan(3, 1)).steps
        begun = [step for step in steps if step.do.startswith(("record", "order start", "power cut", "switch off"))]
        for step in begun:
            assert any(other.do == "hold record" and step.at_us < other.at_us for other in steps), (seed, step)


def test_a_failure_is_shortened_to_a_story_that_fails_again(monkeypatch):
    monkeypatch.setattr(world, "SETTLE_US", 2 * world.HOUR_US)
    noise = "\n".join(
        f"- {{at: '00:0{minute}', do: {do}}}" for minute, do in enumerate(("press mark", "gauge silent for 5 s", "network cut"), 1)
    )
    text = (
        f"name: long\ndevices: 2\nbroken: numbers are skipped\nfails: sessions\nstory:\n{noise}\n- {{at: '00:05', do: record for 10 s}}\n"
    )
    story = scenario.parse(text + "- {at: '00:07', do: press mark}\n- {at: '00:08', device: 2, do: record for 5 s}\n")
    outcome = play.play(story)
    assert outcome.shape() == ("sessions",)
    shorter, found = shrink.shorten(story, outcome)
    assert [step.do for step in shorter.steps] == ["record for 10 s"]
    assert shorter.setting.devices == 1
    assert found.shape() == ("sessions",)
    assert play.play(scenario.parse(scenario.dump(shorter))).shape() == ("sessions",)


def test_a_story_without_an_end_has_that_verdict(monkeypatch):
    monkeypatch.setattr(world, "SETTLE_US", 10**18)
    story = scenario.parse("name: x\nbroken: nothing is uploaded\nfails: arrives\nstory:\n- {at: '00:01', do: record for 5 s}")
    outcome = play.play(story, patience_s=1.0)
    assert outcome.faults == [("finishes", "not at its end after 1 s of CPU time")]
    assert not outcome.well


# --------------------------------------------------------------------------- what the judge is made of


def test_bytes_that_left_before_are_counted_each_time():
    counted = traffic.Traffic()
    for offset, size in ((0, 100), (50, 100), (200, 50), (0, 250)):
        counted.handed("D", "R", "front", offset, size)
    assert (counted.media, counted.media_again) == (500, 50 + 200)
    counted.handed("D", "R", "back", 0, 10)
    assert counted.media_again == 250
    counted.batch("o", 0, [b"12", b"34"])
    counted.batch("o", 1, [b"34", b"56"])
    assert (counted.lines, counted.lines_again) == (8, 2)
    assert counted.again_bytes == 250 * 1_000 + 2
    assert counted.again_percent == pytest.approx(100 * 250_002 / 510_008)


@pytest.mark.parametrize(
    ("reason", "begins", "lost", "gone"),
    [("storage", 1_000, 1_000, True), ("storage", 0, 5_000, True), ("storage", 1_500, 500, False), ("microphone", 0, 5_000, False)],
)
def test_only_a_gap_of_bytes_that_are_gone_excuses_a_fragment(reason, begins, lost, gone):
    told = Told(0, "button", gaps=[{"track": "front", "from": begins, "lost": lost, "reason": reason}])
    assert told.under_gap({"track": "front", "pts": 1_000, "duration": 1_000}) is gone
    assert not told.under_gap({"track": "back", "pts": 1_000, "duration": 1_000})


def line(kind: str, **members) -> bytes:

    return json.dumps({"kind": kind, **members}).encode()


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([line("start", recording="A", n=1, trigger="button")], "starts with n 1"),
        ([line("start", recording="A", n=0, trigger="button"), line("mark", recording="A", n=2)], "n 2, expected 1"),
        ([line("start", recording="A", n=0, trigger="b"), line("start", recording="B", n=0, trigger="b")], "while A is open"),
        ([line("mark", recording="A", n=1)], "which never started"),
        ([line("boot", boot=1), line("boot", boot=3)], "boot 3 after 1"),
        ([line("start", recording="A", n=0, trigger="b"), line("fix")], "within A does not belong to it"),
    ],
)
def test_an_illegal_line_is_named(lines, problem):
    fold = Fold("o/D/1")
    for one in (line("enrol"), *lines):
        fold.add(one)
    assert problem in fold.problems[0]


def take_of(takes: Takes, *, refused: bool):

    takes.emitted("D", RecordingStarted("R", "button", 0, 0, None), 10 * US_PER_S)
    if refused:
        takes.refused("D")
    return takes.known["R"]


def test_a_recording_that_the_disk_refused_is_owned_up_to_or_died_with_the_device():
    takes = Takes()
    take = take_of(takes, refused=True)
    takes.owned_up("D", 9 * US_PER_S)
    assert [*takes.judge(take, None)], "said before it happened: that is another loss"
    takes.owned_up("D", 11 * US_PER_S)
    assert [*takes.judge(take, None)] == []
    takes = Takes()
    take = take_of(takes, refused=True)
    takes.died("D", 12 * US_PER_S)
    assert ([*takes.judge(take, None)], takes.unsaid) == ([], 1)


def test_a_recording_that_nobody_refused_stands_in_a_journal_unless_a_cut_took_its_first_moments():
    for lasted_s, well in ((2, True), (4, False)):
        takes = Takes()
        take = take_of(takes, refused=False)
        takes.died("D", (10 + lasted_s) * US_PER_S)
        assert ([*takes.judge(take, None)] == []) is well
    takes = Takes()
    assert [*takes.judge(take_of(takes, refused=False), None)]
