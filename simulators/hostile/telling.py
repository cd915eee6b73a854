"""How each story is told: with how many recorders, of which bit rate, in a hurry or not; and what came of it, by the books."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from simulators.hostile import stories
from simulators.hostile.arena import Arena, unit
from simulators.hostile.books import NOTHING, Wire, balance, wire
from simulators.network import Lines

Teller = Callable[[Arena, int], Awaitable[stories.Told]]


@dataclass(frozen=True, slots=True)
class Story:
    """How a story is told: by whom, with how many recorders, of which bit rate, in a hurry, on one line; settings over the arena's.

    `at_most`: percent of the signed bytes that may go twice; None where the faults decide that.
    """

    tell: Teller
    recorders: int = 1
    kbit_s: int = 400
    hurry: bool = True
    one_line: bool = False
    over: dict[str, dict[str, int]] = field(default_factory=dict)
    server: dict[str, dict[str, int]] = field(default_factory=dict)
    at_most: float | None = None


STORIES: dict[str, Story] = {
    "standard": Story(partial(stories.standard, seconds=300), recorders=2, kbit_s=600, hurry=False, at_most=2.0),
    "trickle": Story(stories.trickle, hurry=False, over={"uplink": {"health_every_s": 30}}, server={"ledger": {"anchor_s": 60}}),
    "weathers": Story(stories.weathers),
    "deaths": Story(partial(stories.deaths, rounds=4), recorders=2),
    "impostors": Story(stories.impostors),
    "backlog": Story(partial(stories.backlog, fragments=40), recorders=2, one_line=True),
}
"""The longest first."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one story with one seed. `problems` are sentences, none is expected."""

    story: str
    seed: int
    faults: int
    problems: list[str]
    seconds: int
    wire: Wire = NOTHING

    @property
    def twice_percent(self) -> float:
        """Of what was signed, as the agents count."""
        return 100 * self.wire.twice / max(self.wire.signed, 1)

    @property
    def media_over_percent(self) -> float:
        """Of the media, as the relays count, with TLS, headers and questions."""
        return 100 * self.wire.media_over / max(self.wire.media, 1)


async def told(name: str, seed: int, folder: Path) -> Outcome:
    """Tell a story in a folder of its own, and look into the books. SimulatorError where it could not be told to its end."""
    story, began = STORIES[name], time.monotonic()
    shape = unit(folder.parent / "clips", kbit_s=story.kbit_s, hurry=story.hurry, **story.over)
    units = {f"DSJ-{number:07d}": shape for number in range(1, story.recorders + 1)}
    async with Arena(folder, units, story.server, Lines() if story.one_line else None) as arena:
        found = await story.tell(arena, seed)
        both = NOTHING
        for one in arena.units.values():
            both += wire(one, await counts(arena, one.name))
        await arena.frozen()
        problems = balance(arena)
    problems += too_much(both, story.at_most)
    return Outcome(name, seed, found.faults, problems, round(time.monotonic() - began), both)


def too_much(both: Wire, at_most: float | None) -> list[str]:
    """A sentence where more than so many percent of the signed bytes went twice, by the agents' counts."""
    percent = 100 * both.twice / max(both.signed, 1)
    return [f"{percent:.2f} % of the bytes went twice, at most {at_most:g} % may"] if at_most is not None and percent > at_most else []


async def counts(arena: Arena, name: str) -> dict[str, int]:
    """An agent's own counts, once it has told those of after the story."""
    one = arena.units[name]
    at = time.time_ns() // 1_000_000

    async def newer() -> bool:
        return int((await arena.said(one)).get("at", 0)) > at

    await arena.until(f"the counts of {name}", newer)
    return dict((await arena.said(one))["counts"])
