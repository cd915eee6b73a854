"""Power cuts on a disk in memory: every step of every story, every disk that can be left behind, every sync taken away."""

from __future__ import annotations

import random
from collections.abc import Iterator

from simulators.torture.device import Home
from simulators.torture.guard import Answer, Guard
from simulators.torture.indexed import cut_index, of_sqlite, tell_indexed
from simulators.torture.orders import Order, Orders
from simulators.torture.programme.effort import QUICK, Effort, Place, Say, again
from simulators.torture.scene import Found, Sampling, Scene, after_cuts, after_kills, cut, different
from simulators.torture.stories import damaged, segment_lines, tell_duty, tell_refused, tell_taken_back
from simulators.torture.table import Row


def duty(place: Place, effort: Effort, _say: Say) -> Iterator[Row]:
    """Every cut of a duty."""
    home = place.home()
    with segment_lines(effort.segment):
        scene = tell_duty(home, effort.seed, effort.seconds)
        found = cut(home, scene, _sampling(effort))
    yield row_of("power cut at every step of a duty", found, effort.seed, again("duty", effort), f"{len(scene.tape)} steps")


def starts(place: Place, effort: Effort, _say: Say) -> Iterator[Row]:
    """Every cut of the starts after cuts and kills."""
    home, how = place.home(), _sampling(effort)
    with segment_lines(effort.segment):
        scene = tell_duty(home, effort.seed, QUICK.seconds)
        for name, bases in (("cut", after_cuts), ("kill -9", after_kills)):
            found = _cut_starts(home, different(bases(home, scene, how), effort.starts_each), how)
            title = f"power cut at every step of the start after a {name}"
            yield row_of(title, found, effort.seed, again("starts", effort))


def refused(place: Place, effort: Effort, _say: Say) -> Iterator[Row]:
    """A disk that refuses a step, then cuts."""
    home, how = place.home(), _sampling(effort)
    with segment_lines(QUICK.segment):
        scene = tell_refused(home, effort.seed)
        found = cut(home, scene, how)
        found.join(_cut_starts(home, different(after_cuts(home, scene, how)), how))
        found.join(_cut_starts(home, different(after_kills(home, scene, how)), how))
    yield row_of("a disk that refused a step (EIO, ENOSPC), then power cut", found, effort.seed, again("refused", effort))


def taken_back(place: Place, effort: Effort, _say: Say) -> Iterator[Row]:
    """Cuts while lines are taken back from the server."""
    home, how = place.home(), _sampling(effort)
    with segment_lines(QUICK.segment):
        scene = tell_taken_back(home, tell_duty(home, effort.seed, QUICK.seconds))
        found = cut(home, scene, how)
        found.join(_cut_starts(home, different(after_cuts(home, scene, how)), how))
        found.join(_cut_starts(home, different(after_kills(home, scene, how)), how))
    yield row_of("power cut while lost lines are taken back", found, effort.seed, again("taken-back", effort))


def damage(place: Place, effort: Effort, _say: Say) -> Iterator[Row]:
    """Cards that lost or changed lines, and cuts of the start that finds it."""
    home, how, found = place.home(), _sampling(effort), Found()
    with segment_lines(QUICK.segment):
        for scene in damaged(home, tell_duty(home, effort.seed, QUICK.seconds)):
            found.join(cut(home, scene, how))
            found.join(_cut_starts(home, after_cuts(home, scene, how), how))
    yield row_of(
        "a card that lost or changed lines, then power cut at every step of the start", found, effort.seed, again("damage", effort)
    )


def index(place: Place, effort: Effort, _say: Say) -> Iterator[Row]:
    """Cuts at the steps of SQLite."""
    home = place.home()
    with segment_lines(QUICK.segment):
        scene = tell_indexed(home, effort.seed, QUICK.seconds)
        steps = of_sqlite(scene)
        chance = random.Random(effort.seed)  # noqa: S311 — faults are made again by their seed
        chosen = frozenset(chance.sample(steps, min(effort.index, len(steps))))
        found = cut_index(home, scene, Sampling(effort.seed, effort.samples, chosen))
    title, remarks = "power cut at a step of the index (SQLite)", f"{len(chosen)} of {len(steps)} steps"
    yield row_of(title, found, effort.seed, again("index", effort), remarks)


def guard(place: Place, effort: Effort, say: Say) -> Iterator[Row]:
    """Each sync taken away, and each step that takes something away done too early."""
    home = place.home()
    with segment_lines(QUICK.segment):
        judge = guard_of(home, effort.seed)
        answers = [judge.ask(name) for name in judge.syncs()]
        orders = Orders(judge)
        early = [orders.ask(name) for name in orders.steps()]
    yield _syncs_row(answers, effort, say)
    yield _orders_row(early, {answer.sync for answer in answers if answer.red}, effort, say)


def _syncs_row(answers: list[Answer], effort: Effort, say: Say) -> Row:
    for answer in answers:
        say(f"{'seen' if answer.red else 'NOT SEEN'}: {answer.sync}; relied on by {answer.relied_on_by or 'nothing'}")
    unseen = tuple(answer.sync for answer in answers if not answer.red)
    figures = {answer.sync: {"relied_on_by": answer.relied_on_by, "disks": answer.tried, "seen": answer.seen} for answer in answers}
    remarks = f"all {len(answers)} must be seen" if not unseen else f"{len(unseen)} of {len(answers)} NOT seen"
    title, command = "guard on the guard: a sync taken away", again("guard", effort)
    return Row(title, len(answers), 0, len(unseen), str(effort.seed), command, remarks=remarks, figures=figures, examples=unseen)


def _orders_row(early: list[Order], relied_on: set[str], effort: Effort, say: Say) -> Row:
    for order in early:
        say(f"{'seen' if order.seen else 'may come early'}: {order.step}; behind {order.behind or 'nothing'}, then {order.then}")
    unseen = unordered(early, relied_on)
    figures = {one.step: {"behind": one.behind, "then": one.then, "disks": one.tried, "seen": one.seen} for one in early}
    remarks = f"{sum(bool(one.seen) for one in early)} of {len(early)} rely on a sync before them, the others on the one behind them"
    title, command = "guard on the guard: a rename, unlink or truncation done too early", again("guard", effort)
    return Row(title, len(early), 0, len(unseen), str(effort.seed), command, remarks=remarks, figures=figures, examples=unseen)


def unordered(early: list[Order], relied_on: set[str]) -> tuple[str, ...]:
    """Steps of which nobody sees when they are done."""
    return tuple(one.step for one in early if not one.seen and one.then not in relied_on)


def guard_of(home: Home, seed: int) -> Guard:
    """The guard over every story, and over the starts that the duty and the damaged cards lead to."""
    how = Sampling(seed, 0)
    first = tell_duty(home, seed, QUICK.seconds)
    cards = list(damaged(home, first))
    scenes: list[Scene] = [first, tell_refused(home, seed), tell_taken_back(home, first), *cards]
    for story in (first, *cards):
        scenes += different(after_cuts(home, story, how))
    scenes += different(after_kills(home, first, how))
    return Guard(home, scenes, how)


def row_of(name: str, found: Found, seed: int, command: str, remarks: str = "") -> Row:
    """A row about cuts on the disk in memory."""
    starts = sorted(found.starts_ms)
    figures = {
        "missing_while_told_that_the_disk_is_slow_or_refuses_ms": found.slow_ms,
        "missing_before_press_is_told_ms": found.missing_before_ms,
        "understated_ms": found.understated_ms,
        "fragments_recovered": found.recovered,
        "start_median_ms": round(starts[len(starts) // 2], 1) if starts else None,
        "start_slowest_ms": round(starts[-1], 1) if starts else None,
    }
    shown, examples = found.missing_ms, tuple(found.examples)
    return Row(name, found.tried, found.lost, found.hidden, str(seed), command, shown, remarks=remarks, figures=figures, examples=examples)


def _sampling(effort: Effort) -> Sampling:
    return Sampling(effort.seed, effort.samples)


def _cut_starts(home: Home, scenes: Iterator[Scene], how: Sampling) -> Found:
    found = Found()
    for scene in scenes:
        found.join(cut(home, scene, how))
    return found
