"""`python -m simulators.adversary --seed N [--only NAME] [--packages N]`: every row of the table, and honest packages, as a table.

Exit status 0: every forgery was found and named as the table says, and no honest package was called something that it is not.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from simulators.adversary import campaign, honest
from simulators.adversary.acts import TABLE
from simulators.adversary.place import workplace

PACKAGES = 1_000


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is asked for; the exit status."""
    options = _parser().parse_args(argv)
    wrong = _forge(options.seed, options.seeds, options.only)
    if not options.only:
        wrong += _honest(options.packages, options.seed)
    return int(bool(wrong))


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser("python -m simulators.adversary", description="Forge, and ask the verifier and the audit.")
    made.add_argument("--seed", type=int, default=1, help="which fragment, which line, which bit; which shapes")
    made.add_argument("--seeds", type=int, default=1, metavar="N", help="so many seeds, from --seed on")
    made.add_argument("--only", default="", metavar="NAME", help="only acts of this name, and no honest packages")
    made.add_argument("--packages", type=int, default=PACKAGES, metavar="N", help="honest packages")
    return made


def _forge(seed: int, seeds: int, only: str) -> int:
    """Every act under every seed; how many came out otherwise than the table says."""
    acts = [act for act in TABLE if only in ("", act.name)]
    with workplace() as place:
        campaigns = campaign.run(acts, range(seed, seed + seeds), place)
    for one in campaigns:
        print(f"{one.kind:14} {one.acts:4} acts, {one.forgeries:6} forgeries")
    wrong = [text for one in campaigns for text in one.wrong]
    print(f"found and named otherwise than the table says: {len(wrong)}", *wrong, sep="\n  ")
    return len(wrong)


def _honest(count: int, seed: int) -> int:
    """Honest packages; how many false alarms."""
    with workplace() as place:
        tally = honest.run(count, seed, place)
    verdicts = ", ".join(f"{many} {verdict}" for verdict, many in sorted(tally.verdicts.items()))
    print(f"honest packages {tally.packages:4}: {verdicts}")
    print("  of these: " + ", ".join(f"{many} {shape}" for shape, many in sorted(tally.shapes.items())))
    print("  histories audited afterwards: " + ", ".join(f"{many} {verdict}" for verdict, many in sorted(tally.audits.items())))
    print(f"false alarms: {len(tally.alarms)}", *tally.alarms, sep="\n  ")
    return len(tally.alarms)


if __name__ == "__main__":
    sys.exit(main())
