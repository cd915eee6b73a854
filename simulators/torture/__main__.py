"""The power-cut torture as a program: `python -m simulators.torture [--seed N] [--cuts N] [--only NAME] [--quick]`.

Prints the table, writes it with every figure to build/torture.json. Exit status 0 where nothing was lost or hidden, 1 where
something was, 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from simulators.torture.programme.effort import QUICK, Effort, Place
from simulators.torture.programme.rows import ROWS
from simulators.torture.table import Row, as_json, as_text

MEMORY = Path("/dev/shm")  # noqa: S108 — a folder of our own is made in it


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m simulators.torture", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seed", type=int, default=1, help="chance is made of it")
    parser.add_argument("--cuts", type=int, default=None, metavar="N", help="real cuts and kills (default 200)")
    parser.add_argument(
        "--only", choices=sorted(ROWS), action="append", metavar="NAME", help=f"may be given more than once; of: {', '.join(ROWS)}"
    )
    parser.add_argument("--quick", action="store_true", help="as much as `make test` tries")
    parser.add_argument("--out", type=Path, default=Path("build/torture.json"), help="where the figures go")
    given = parser.parse_args(arguments)
    effort = replace(QUICK if given.quick else Effort(), seed=given.seed)
    if given.cuts is not None:
        effort = replace(effort, cuts=given.cuts)
    logging.disable(logging.CRITICAL)  # what the agent says of disks that refuse would drown the table
    rows = _rows(given.only or list(ROWS), effort, given.out)
    print(as_text(rows))
    return int(any(row.red for row in rows))


def _rows(names: list[str], effort: Effort, out: Path) -> list[Row]:
    """Each in folders of its own; the figures are written after each, so that a long run that ends early keeps what it has found."""
    rows: list[Row] = []
    for name in names:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as memory, tempfile.TemporaryDirectory() as disk:
            rows += ROWS[name](Place(Path(memory), Path(disk)), effort, _say)
        as_json(rows, out)
        _say(f"{name}: {time.monotonic() - began:.0f} s")
    return rows


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
