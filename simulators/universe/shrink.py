"""Shortens a story that fails to the few steps that matter, by leaving some out and running again (delta debugging, Zeller 2002).

What it must keep is the invariant that broke, not the sentence: the shorter story fails again for the same promise. First everything
behind the failure goes, then halves, quarters … of what is left, then devices that do nothing any more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from simulators.universe.play import Outcome, play
from simulators.universe.scenario import Step, Story

MOST_RUNS = 150
"""Each run is a world; what is not shorter by then stays as it is."""

Tell = Callable[[str], None]


class _Runs:
    """Counts them, and keeps the shortest story that fails."""

    def __init__(self, story: Story, outcome: Outcome, most: int) -> None:
        self.story, self.outcome, self.most = story, outcome, most
        self.shape = outcome.shape()
        self.made = 0

    def fails(self, story: Story) -> bool:
        """Whether it fails for the same promise; then it is the new shortest."""
        if self.made >= self.most:
            return False
        self.made += 1
        outcome = play(story)
        if outcome.shape() != self.shape:
            return False
        self.story, self.outcome = story, outcome
        return True


def shorten(story: Story, outcome: Outcome, tell: Tell = lambda _sentence: None, most: int = MOST_RUNS) -> tuple[Story, Outcome]:
    """The shortest story that was found, and what came of it."""
    runs = _Runs(story, outcome, most)
    _behind(runs)
    _parts(runs)
    _devices(runs)
    name = f"{runs.shape[0] if runs.shape else 'failure'} broken with seed {story.setting.seed}"
    tell(f"shortened from {len(story.steps)} to {len(runs.story.steps)} steps in {runs.made} runs")
    return replace(runs.story, name=name, says="; ".join(f"{i}: {w}" for i, w in runs.outcome.faults)[:300]), runs.outcome


def _behind(runs: _Runs) -> None:
    """What comes behind the failure can't have made it; sooner, if the end is part of the story."""
    kept = tuple(step for step in runs.story.steps if step.at_us <= runs.outcome.at_us)
    if len(kept) < len(runs.story.steps):
        runs.fails(runs.story.with_steps(kept))


def _parts(runs: _Runs) -> None:
    """Leave out one part of n after the other; more and smaller parts where nothing may go."""
    parts = 2
    while len(runs.story.steps) > 1 and runs.made < runs.most:
        steps = runs.story.steps
        size = -(-len(steps) // parts)
        for begin in range(0, len(steps), size):
            fewer = steps[:begin] + steps[begin + size :]
            if fewer and runs.fails(runs.story.with_steps(fewer)):
                parts = max(parts - 1, 2)
                break
        else:
            if size == 1:
                return
            parts = min(parts * 2, len(steps))


def _devices(runs: _Runs) -> None:
    """The devices that a story does not speak of, from the last one on."""
    steps: tuple[Step, ...] = runs.story.steps
    most = max((step.device or runs.story.setting.devices for step in steps), default=1)
    if most < runs.story.setting.devices:
        runs.fails(replace(runs.story, setting=replace(runs.story.setting, devices=most)))
