"""`zhilu sim scenario|world|list`: run written stories, run worlds by chance, show what there is.

A story is told step by step in plain words; exit status 0 when all was as expected and no invariant broke, 1 when not, 2 for a file that is
no story. A world that fails prints its seed, shortens what happened to the few steps that matter, and writes them as a story.
"""

from __future__ import annotations

import argparse
import difflib
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from simulators.errors import ScriptError
from simulators.universe import chronicle, expect, phrases, scenario, shrink
from simulators.universe.judge import INVARIANTS
from simulators.universe.play import Outcome, play

HERE = Path(__file__).resolve().parents[2]
SHIPPED = HERE / "tests" / "scenarios"
USAGE = 2
EXAMPLES = {
    "scenario": "zhilu sim scenario power-cut-while-recording",
    "world": "zhilu sim world --seed 7 --days 10 --devices 4",
    "list": "zhilu sim list --phrases",
}


def say(sentence: str) -> None:
    """A line for whoever reads."""
    sys.stdout.write(sentence + "\n")
    sys.stdout.flush()


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser("zhilu sim", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = made.add_subparsers(dest="what", required=True)
    form = argparse.RawDescriptionHelpFormatter
    one = parts.add_parser("scenario", help="run written stories", epilog=f"example: {EXAMPLES['scenario']}", formatter_class=form)
    one.add_argument("file", nargs="+", type=Path, help="a story (YAML), or the name of one that ships")
    one.add_argument("--quiet", action="store_true", help="a line a story")
    two = parts.add_parser("world", help="a world by chance", epilog=f"example: {EXAMPLES['world']}", formatter_class=form)
    two.add_argument("--seed", type=int, default=1, help="of the first world; each further one takes the next")
    two.add_argument("--days", type=float, default=3.0, help="how long each world lasts")
    two.add_argument("--devices", type=int, default=2, help="recorders in each world")
    two.add_argument("--worlds", type=int, default=1, help="how many worlds, each with a seed of its own")
    two.add_argument("--cards", choices=("honest", "lying"), default="honest", help="lying: cards that answer a sync and do nothing")
    two.add_argument("--out", type=Path, default=Path(), help="folder for the story of a failure")
    two.add_argument("--no-shrink", action="store_true", help="write the whole story of a failure")
    two.add_argument("--story", action="store_true", help="print the story of the seed and run nothing")
    three = parts.add_parser("list", help="what there is", epilog=f"example: {EXAMPLES['list']}", formatter_class=form)
    three.add_argument("--phrases", action="store_true", help="what a story may do, and what it may ask")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    options = parser().parse_args(argv)
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # what the parts would log is expected here: it is what they are put through
    try:
        return {"scenario": _scenarios, "world": _worlds, "list": _list}[options.what](options)
    except ScriptError as error:
        sys.stderr.write(f"zhilu sim: {error}\n")
        return USAGE
    finally:
        logging.disable(before)


# --------------------------------------------------------------------------- stories


def _scenarios(options: argparse.Namespace) -> int:
    bad = 0
    for given in options.file:
        story = scenario.load(_found(given))
        if not options.quiet:
            say(f"{story.name}\n  {story.says}" if story.says else story.name)
        began = time.perf_counter()
        outcome = play(story, (lambda _sentence: None) if options.quiet else lambda sentence: say(f"  {sentence}"))
        bad += not outcome.well
        say(_verdict(story.name, outcome, time.perf_counter() - began))
    return 1 if bad else 0


def _found(given: Path) -> Path:
    """The file, or the story of that name that ships."""
    if given.exists():
        return given
    shipped = SHIPPED / f"{given.name.removesuffix('.yaml')}.yaml"
    if shipped.exists() and given.parent == Path():
        return shipped
    near = difflib.get_close_matches(given.stem, [path.stem for path in SHIPPED.glob("*.yaml")], 1)
    meant = f"did you mean {near[0]!r}? " if near else ""
    raise ScriptError(f"{given}: there is no such file, and no story of that name; {meant}`zhilu sim list` shows those that ship")


def _verdict(name: str, outcome: Outcome, took_s: float) -> str:
    figures = outcome.figures
    if outcome.well and outcome.story.broken:
        return f"well: {name}: the broken rule was seen: {outcome.faults[0][0]}: {outcome.faults[0][1]}"
    what = (
        f"{figures['recordings']} recordings, {figures['lines']} lines, {figures['media_bytes'] / 1e6:.0f} MB of media, "
        f"{figures['cuts']} power cuts, {figures['receipts']} receipts, {figures['again_percent']} % sent twice"
    )
    if outcome.well:
        return f"well: {name}: {what}; {_lasted(outcome.at_us)} in {took_s:.1f} s"
    return f"NOT WELL: {name}: {'; '.join([f'{i}: {w}' for i, w in outcome.faults] + outcome.wrong)}"


def _lasted(length_us: int) -> str:
    minutes = length_us / 60e6
    if minutes < 120:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.0f} h" if minutes < 2_880 else f"{minutes / 1_440:.0f} days"


# --------------------------------------------------------------------------- worlds


def _worlds(options: argparse.Namespace) -> int:
    plan = chronicle.Plan(options.days, options.devices, lying=options.cards == "lying")
    total: dict[str, float] = {}
    for seed in range(options.seed, options.seed + options.worlds):
        story = chronicle.write(seed, plan)
        if options.story:
            sys.stdout.write(scenario.dump(story))
            continue
        began = time.perf_counter()
        outcome = play(story)
        say(_verdict(f"seed {seed}", outcome, time.perf_counter() - began))
        if not outcome.well:
            _failed(story, outcome, options)
            return 1
        for name, value in outcome.figures.items():
            total[name] = max(total.get(name, 0), value) if name.startswith("worst") else total.get(name, 0) + value
    if total and options.worlds > 1:
        say(summary(total, options.worlds))
    return 0


def summary(total: dict[str, float], worlds: int) -> str:
    """A line for many worlds."""
    return (
        f"{worlds} worlds, {total['device_days']:.0f} device-days, {total['recordings']:.0f} recordings, {total['cuts']:.0f} power cuts, "
        f"{total['lines']:.0f} lines, {total['deleted']:.0f} files deleted: nothing lost, nothing hidden; "
        f"worst power cut {total['worst_cut_s']} s, worst lost press {total['worst_start_s']} s, "
        f"{total['again_percent'] / worlds:.2f} % sent twice on average"
    )


def _failed(story: scenario.Story, outcome: Outcome, options: argparse.Namespace) -> None:
    say(f"seed {story.setting.seed} fails: {len(story.steps)} steps, broken at {outcome.at_us / 1e6:.0f} s of the world's time")
    if not options.no_shrink:
        story, outcome = shrink.shorten(story, outcome, say)
    path = options.out / f"failure-{story.setting.seed}.yaml"
    path.write_text(scenario.dump(story), "utf-8")
    say(f"run it again: zhilu sim scenario {path}\n{scenario.dump(story)}")


# --------------------------------------------------------------------------- what there is


def _list(options: argparse.Namespace) -> int:
    if options.phrases:
        _list_phrases()
        return 0
    for path in sorted(SHIPPED.glob("*.yaml")):
        story = scenario.load(path)
        say(f"{path.stem}\n    {story.name}. {story.says}")
    return 0


def _list_phrases() -> None:
    for row in phrases.PHRASES:
        choice = "".join(f"; {{{name}}}: {', '.join(words)}" for name, words in phrases.CHOICES.items() if "{" + name + "}" in row.words)
        say(f"do: {row.words}{' [for {span}]' if row.undo else ''}\n      {row.means}{choice}")
    for key, question in expect.QUESTIONS.items():
        say(f"expect: {key}: {question.value}\n      {question.means}")
    for name, sentence in INVARIANTS.items():
        say(f"always: {name}\n      {sentence}")


if __name__ == "__main__":
    sys.exit(main())
