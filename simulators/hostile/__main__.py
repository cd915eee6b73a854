"""`python -m simulators.hostile`: every story over its seeds, with real processes, as a table.

A row is one story told with one seed: how many faults were made, what is missing or wrong afterwards (`books`; nothing is expected),
what of lines and media went over the wire more than once, and how long it took. Exit status 1 when anything is missing or wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from simulators.errors import SimulatorError
from simulators.hostile import stories
from simulators.hostile.arena import Arena, unit
from simulators.hostile.books import Wire, balance, wire
from simulators.network import Lines

Teller = Callable[[Arena, int], Awaitable[stories.Told]]


@dataclass(frozen=True, slots=True)
class Story:
    """How a story is told: by whom, with how many recorders, of which bit rate, in a hurry, on one line; settings over the arena's."""

    tell: Teller
    recorders: int = 1
    kbit_s: int = 400
    hurry: bool = True
    one_line: bool = False
    over: dict[str, dict[str, int]] = field(default_factory=dict)
    server: dict[str, dict[str, int]] = field(default_factory=dict)


STORIES: dict[str, Story] = {
    "weathers": Story(stories.weathers),
    "deaths": Story(partial(stories.deaths, rounds=4), recorders=2),
    "impostors": Story(stories.impostors),
    "backlog": Story(partial(stories.backlog, fragments=40), recorders=2, one_line=True),
    "trickle": Story(stories.trickle, hurry=False, over={"uplink": {"health_every_s": 30}}, server={"ledger": {"anchor_s": 60}}),
    "standard": Story(partial(stories.standard, seconds=300), recorders=2, kbit_s=600, hurry=False),
}


@dataclass(frozen=True, slots=True)
class Row:
    """What came of it. `signed` to `up` are bytes, of all recorders together."""

    story: str
    seed: int
    faults: int
    problems: list[str]
    signed: int
    twice: int
    up: int
    seconds: int

    @property
    def twice_percent(self) -> float:
        """Of what was signed."""
        return 100 * self.twice / max(self.signed, 1)


async def told(name: str, seed: int, folder: Path) -> Row:
    """Tell a story in a folder of its own, and look into the books."""
    story, began = STORIES[name], time.monotonic()
    shape = unit(folder.parent / "clips", kbit_s=story.kbit_s, hurry=story.hurry, **story.over)
    units = {f"DSJ-{number:07d}": shape for number in range(1, story.recorders + 1)}
    async with Arena(folder, units, story.server, Lines() if story.one_line else None) as arena:
        found = await story.tell(arena, seed)
        counted = [await counts(arena, one.name) for one in arena.units.values()]
        wires = [wire(one, said) for one, said in zip(arena.units.values(), counted, strict=True)]
        await arena.frozen()
        problems = balance(arena)
    return Row(name, seed, found.faults, problems, *_sums(wires), round(time.monotonic() - began))


async def counts(arena: Arena, name: str) -> dict[str, int]:
    """An agent's own counts, once it has told those of after the story."""
    one = arena.units[name]
    at = time.time_ns() // 1_000_000

    async def newer() -> bool:
        return int((await arena.said(one)).get("at", 0)) > at

    await arena.until(f"the counts of {name}", newer)
    return dict((await arena.said(one))["counts"])


def _sums(wires: Sequence[Wire]) -> tuple[int, int, int]:
    return sum(one.signed for one in wires), sum(one.twice for one in wires), sum(one.up for one in wires)


# --------------------------------------------------------------------------- the command


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        "python -m simulators.hostile", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--seeds", type=int, default=3, help="how many seeds each story is told with (%(default)s)")
    made.add_argument("--seed", type=int, default=1, help="the first of them (%(default)s)")
    made.add_argument("--only", choices=STORIES, action="append", help="this story; may be given more than once")
    made.add_argument("--data", type=Path, metavar="DIR", help="keep everything here, for looking at (default: nowhere)")
    made.add_argument("--json", action="store_true", help="a JSON object a row instead of a table")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Tell the stories; the exit status."""
    options = parser().parse_args(arguments)
    data = (options.data or Path(tempfile.mkdtemp(prefix="zhilu-hostile-"))).resolve()
    rows: list[Row] = []
    if not options.json:
        sys.stdout.write(HEAD)
    for name, seed in _asked(options):
        folder = data / f"{name}-{seed}"
        shutil.rmtree(folder, ignore_errors=True)
        try:
            row = asyncio.run(told(name, seed, folder))
        except SimulatorError as problem:
            row = Row(name, seed, 0, [str(problem)], 0, 0, 0, 0)
        rows.append(row)
        sys.stdout.write(json.dumps(asdict(row)) + "\n" if options.json else shown(row))
        sys.stdout.flush()
    wrong = any(row.problems for row in rows)
    if options.data is None and not wrong:
        shutil.rmtree(data)
    return int(wrong)


def _asked(options: argparse.Namespace) -> Iterator[tuple[str, int]]:
    for name in options.only or STORIES:
        for seed in range(options.seed, options.seed + options.seeds):
            yield name, seed


HEAD = f"{'story':<10} {'seed':>4} {'faults':>6} {'wrong':>5} {'signed bytes':>12} {'sent twice':>18} {'seconds':>7}\n"


def shown(row: Row) -> str:
    """A row of the table, and each problem below it."""
    twice = f"{row.twice} ({row.twice_percent:.2f} %)"
    text = f"{row.story:<10} {row.seed:>4} {row.faults:>6} {len(row.problems):>5} {row.signed:>12} {twice:>18} {row.seconds:>7}\n"
    return text + "".join(f"    {problem}\n" for problem in row.problems)


if __name__ == "__main__":
    sys.exit(main())
