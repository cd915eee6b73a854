"""`python -m simulators.hostile`: every story over its seeds, with real processes, as a table.

A row is one story told with one seed: how many faults were made, what is missing or wrong afterwards (`books`; nothing is expected),
what of lines and media went twice by the agents' own counts, what the relays counted on the way to the server beyond the media, and
how long it took. Exit status 1 when anything is missing or wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from simulators.errors import SimulatorError
from simulators.hostile.telling import STORIES, Outcome, told


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
    rows: list[Outcome] = []
    if not options.json:
        sys.stdout.write(HEAD)
    for name, seed in _asked(options):
        folder = data / f"{name}-{seed}"
        shutil.rmtree(folder, ignore_errors=True)
        try:
            row = asyncio.run(told(name, seed, folder))
        except SimulatorError as problem:
            row = Outcome(name, seed, 0, [str(problem)], 0)
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


HEAD = f"{'story':<10} {'seed':>4} {'faults':>6} {'wrong':>5} {'signed bytes':>12} {'sent twice':>18} {'over, wire':>18} {'seconds':>7}\n"


def shown(row: Outcome) -> str:
    """A row of the table, and each problem below it."""
    twice, over = f"{row.wire.twice} ({row.twice_percent:.2f} %)", f"{row.wire.media_over} ({row.media_over_percent:.2f} %)"
    figures = f"{row.faults:>6} {len(row.problems):>5} {row.wire.signed:>12} {twice:>18} {over:>18} {row.seconds:>7}"
    return f"{row.story:<10} {row.seed:>4} {figures}\n" + "".join(f"    {problem}\n" for problem in row.problems)


if __name__ == "__main__":
    sys.exit(main())
