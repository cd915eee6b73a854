"""`make bench`: measure, print the table, write build/bench.json. ARGS="--quick" tries the benchmarks themselves, small."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import ingest, seal, verify
from benchmarks.measure import Row, machine

SUITES: dict[str, Callable[..., list[Row]]] = {"seal": seal.rows, "verify": verify.rows, "ingest": ingest.rows}


def main() -> int:
    """Exit status 0: measured. Whether a bound is reached stands in the table; a busy machine is no failure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("suites", nargs="*", choices=[[], *SUITES], default=[], help="which; all where none is named")
    parser.add_argument("--quick", action="store_true", help="small sizes: the figures mean nothing")
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"), metavar="FILE")
    options = parser.parse_args()
    where = machine()
    rows = [row for name in options.suites or SUITES for row in SUITES[name](quick=options.quick)]
    title = "Only tried, in small: these figures mean nothing" if options.quick else "Benchmarks (ratios, medians of rounds)"
    table = Table("what", "reach", "measured", "rounds", "reached", title=title)
    for row in rows:
        rounds = " ".join(f"{one:.2f}" for one in row.rounds)
        table.add_row(
            row.what, f"{row.sense} {row.bound} {row.unit}", f"{row.value:.3g} {row.unit}", rounds, "yes" if row.reached else "NO"
        )
    Console().print(table)
    if where["load"] > where["cores"] / 2:
        Console().print(
            f"Others were at work here (load {where['load']} on {where['cores']} cores): wall times say little, CPU times more."
        )
    answer = {"machine": where, "quick": options.quick, "rows": [row.as_json() for row in rows]}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(answer, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
