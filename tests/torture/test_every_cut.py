"""The power goes at every step, on every disk that can be left behind; and the judge would see any sync that is missing."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from simulators.torture.guard import delayed, sync_of
from simulators.torture.indexed import NAME, cut_index, tell_indexed
from simulators.torture.kernel import Step
from simulators.torture.orders import Orders, hoisted, name_of
from simulators.torture.programme.effort import QUICK, Place
from simulators.torture.programme.memory import guard_of, unordered
from simulators.torture.programme.rows import ROWS
from simulators.torture.scene import Sampling
from simulators.torture.stories import segment_lines, tell_duty

pytestmark = pytest.mark.timeout(900)
"""Thousands of cuts: two minutes on a busy machine, and no limit of time is what this asks about."""


@pytest.fixture
def place(tmp_path) -> Place:
    return Place(tmp_path / "memory", tmp_path)


@pytest.fixture(autouse=True)
def quiet():
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", ["duty", "damage"])
def test_nothing_is_lost_and_nothing_is_hidden(place, name):
    for row in ROWS[name](place, QUICK, lambda _: None):
        assert row.tried > 50
        assert not row.red, row.examples
        assert row.exposed_ms is not None
        assert row.exposed_ms <= 2_000, "one fragment that was being appended, and the one that was being filmed"
        assert row.figures["understated_ms"] <= 1_000, "nobody can know more than the last sign of life, and the fragment behind it"


def test_a_cut_index_says_what_one_says_that_was_built_anew(place):
    (row,) = ROWS["index"](place, QUICK, lambda _: None)
    assert row.tried > 100
    assert not row.red, row.examples


def test_an_index_whose_syncs_are_forgotten_is_found_out(place):
    """Where the write-ahead log is gone before the pages are there that it was for."""
    home = place.home()
    with segment_lines(QUICK.segment):
        scene = tell_indexed(home, 1, QUICK.seconds)
        forgotten = [step for step in scene.tape if step.kind != "sync" or not step.name.startswith(NAME)]
        red = []
        for tape in (scene.tape, forgotten):
            gone = frozenset(at for at, step in enumerate(tape, 1) if (step.kind, step.name) == ("unlink", f"{NAME}-wal"))
            red.append(cut_index(home, replace(scene, tape=tape), Sampling(1, 30, gone)).red)
    assert red == [False, True]


def test_every_sync_that_there_is_is_missed_when_it_is_taken_away(place):
    """Found at run time: whatever syncs the product makes are asked for, and each must be relied on by something.

    So are the steps that take something away: each must come behind some sync, or be made sure of by one that is relied on.
    """
    with segment_lines(QUICK.segment):
        guard = guard_of(place.home(), 1)
        names = guard.syncs()
        answers = [guard.ask(name) for name in names]
        orders = Orders(guard)
        early = [orders.ask(name) for name in orders.steps()]
    kinds = {step.kind for watched in guard.watched for step in watched.scene.tape}
    assert kinds >= {"write", "sync", "rename", "link", "unlink", "truncate", "fail"}
    assert len(names) > 20
    assert [answer.sync for answer in answers if not answer.red] == []
    assert [answer.sync for answer in answers if not answer.relied_on_by] == []
    assert unordered(early, set(names)) == ()
    assert [one.step for one in early if not one.seen and not one.step.endswith("truncate")] == [], "what is gone or renamed stays so"
    assert len([one for one in early if one.seen]) > 8


def test_the_switch_of_the_port_is_the_tape_without_the_sync(place):
    """The guard takes syncs out of the tape: what the recording port would have noted with its switch off."""
    home = place.home()
    with segment_lines(QUICK.segment):
        whole = tell_duty(home, 1, QUICK.seconds)
        for name in sorted({sync_of(step) for step in whole.tape if step.kind == "sync"})[:4]:
            switched = tell_duty(home, 1, QUICK.seconds, skip=partial(_is, name))
            assert switched.tape == [step for step in whole.tape if sync_of(step) != name]


def _is(name: str, step: Step) -> bool:
    return sync_of(step) == name


def test_a_delayed_sync_is_done_once_and_later(place):
    with segment_lines(QUICK.segment):
        tape = tell_duty(place.home(), 1, QUICK.seconds).tape
    name = next(sync_of(step) for step in tape if step.kind == "sync" and not step.folder)
    late = delayed(tape, name, 1)
    assert sorted(map(repr, late)) == sorted(map(repr, tape))
    places = [[at for at, step in enumerate(one) if sync_of(step) == name] for one in (tape, late)]
    assert all(after > before for before, after in zip(*places, strict=True))


def test_a_step_that_is_done_too_early_is_done_once_and_never_before_what_it_is_done_to(place):
    with segment_lines(QUICK.segment):
        tape = tell_duty(place.home(), 1, QUICK.seconds).tape
    for name in sorted({found for step in tape if (found := name_of(step))}):
        early, moves = hoisted(tape, name, 2)
        assert sorted(map(repr, early)) == sorted(map(repr, tape))
        for move in moves:
            made = [at for at, step in enumerate(tape[: move.at]) if step.child and step.child == tape[move.at].child]
            assert move.to > max(made, default=-1)


def test_the_place_is_only_a_folder(tmp_path: Path):
    home = Place(tmp_path / "a", tmp_path).home()
    assert sorted(path.name for path in home.state.iterdir()) == ["evidence"]
