"""Runs a story in a world of its own and says what came of it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from simulators.universe import expect, phrases
from simulators.universe.agenda import US_PER_S
from simulators.universe.breaks import BREAKS
from simulators.universe.scenario import Step, Story
from simulators.universe.words import moment
from simulators.universe.world import World

TAIL_US = 2 * US_PER_S
"""Behind the last step, before the end begins."""
ASK_US = US_PER_S

PATIENCE_S = 600.0
"""CPU seconds for a story; what takes longer goes round in circles inside of one event. A simulated month takes a minute."""

Tell = Callable[[str], None]


@dataclass(slots=True)
class Outcome:
    """What came of a story: promises broken (invariant, what), answers that were others, figures."""

    story: Story
    faults: list[tuple[str, str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    at_us: int = 0
    steps: int = 0

    @property
    def well(self) -> bool:
        """Whether all is as it should be: for a story with a broken rule, that its invariant saw it."""
        if self.story.broken:
            return bool(self.faults) and self.faults[0][0] == self.story.fails
        return not self.faults and not self.wrong

    def shape(self) -> tuple[str, ...]:
        """By what two failures are the same one."""
        return tuple(sorted({invariant for invariant, _ in self.faults})) or (("expect",) if self.wrong else ())


class _TooLong(BaseException):
    """The patience is over: past every `except Exception` of who is tried here."""


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Raise _TooLong after so much CPU time; where signals can't be had, never."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def over(_signal: int, _frame: object) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def play(story: Story, tell: Tell = lambda _sentence: None, patience_s: float = PATIENCE_S) -> Outcome:
    """Run it from its beginning; `tell` hears a sentence for each step. What doesn't end within the patience has that verdict."""
    outcome = Outcome(story)
    with ExitStack() as stack:
        world = stack.enter_context(World(story.setting))
        if story.broken:
            stack.enter_context(BREAKS[story.broken].install(world))
        try:
            with _patience(patience_s):
                _run(world, story, outcome, tell)
        except _TooLong:
            world.judge.fault("finishes", f"not at its end after {patience_s:g} s of CPU time")
        outcome.faults = list(world.judge.faults)
        outcome.figures = world.figures()
        outcome.at_us, outcome.steps = world.agenda.now_us, world.agenda.steps
    for invariant, what in outcome.faults:
        tell(f"{moment(outcome.at_us)}  BROKEN  {invariant}: {what}")
    return outcome


def _run(world: World, story: Story, outcome: Outcome, tell: Tell) -> None:
    world.begin()
    for step in story.steps:
        if not world.run(step.at_us):
            break
        for device in range(1, story.setting.devices + 1) if step.device is None else (step.device,):
            _do(world, step, min(device, story.setting.devices), outcome, tell)
    if not world.judge.faults:
        world.run(world.agenda.now_us + TAIL_US)
    if story.settles and not world.judge.faults:
        world.end()


def _do(world: World, step: Step, number: int, outcome: Outcome, tell: Tell) -> None:
    device = world.device(number)
    who = f"{device.name}: " if world.setting.devices > 1 else ""
    if step.do:
        tell(f"{moment(world.agenda.now_us)}  {who}{step.do}")
        phrases.perform(world, device, step.do)
        return
    until_us = world.agenda.now_us + step.within_us
    wrong = expect.answer(world, device, step.expect)
    while wrong and world.agenda.now_us < until_us and world.run(world.agenda.now_us + ASK_US):
        wrong = expect.answer(world, device, step.expect)
    for sentence in wrong:
        outcome.wrong.append(f"{moment(world.agenda.now_us)}  {who}{sentence}")
        tell(f"{moment(world.agenda.now_us)}  WRONG   {who}{sentence}")
    if not wrong:
        asked = ", ".join(f"{key} {expect.shown(value)}" for key, value in step.expect.items())
        tell(f"{moment(world.agenda.now_us)}  as expected: {who}{asked}")
