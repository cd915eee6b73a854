"""Simulated worlds by the thousand device-days: honest cards and lying ones, every fault that chance can bring, every promise judged.

A world that breaks a promise says its seed; its story is written, shortened, beside the table's figures.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from simulators.torture.programme.effort import Effort, Place, Say, again
from simulators.torture.table import Row
from simulators.universe import chronicle, scenario, shrink
from simulators.universe.play import Outcome, play

DAYS, DEVICES = 3.0, 2
"""One world: as long as a bad weekend, with company on the line."""
LYING_SHARE = 4
"""Every fourth world, from the second on, has cards that answer a sync and do nothing."""
PATIENCE_S = 300.0
"""CPU seconds that a world may take: fifty times what it does. One that hangs is red too."""
OFFICERS = ("record", "press", "hold")
"""What is no fault but an officer's hand."""
SHORTEN_RUNS = 40
FAILURES = Path("build")
HIDDEN = frozenset({"loss-stated", "one-history", "sessions", "unexpected", "finishes"})
"""Promises whose breach hides something; a breach of the others loses something, or sends or deletes too much."""
NOT_TRIED = (
    "encoders, TLS, SQL over a wire and the broker's own disk: what stands around the rules is simulated; nights in which a device and the "
    "server lose their disks at once"
)


@dataclass(frozen=True, slots=True)
class Job:
    """One world."""

    seed: int
    lying: bool
    days: float = DAYS

    def story(self) -> scenario.Story:
        """What happens in it."""
        return chronicle.write(self.seed, chronicle.Plan(self.days, DEVICES, lying=self.lying))


@dataclass(slots=True)
class Tally:
    """What came of many worlds. `red`: a sentence and the promises that were broken, for each world that is not well."""

    worlds: int = 0
    faults: int = 0
    sums: Counter[str] = field(default_factory=Counter)
    worst: dict[str, float] = field(default_factory=dict)
    red: list[tuple[str, frozenset[str]]] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count a world."""
        self.worlds += 1
        self.faults += sum(not step.do.startswith(OFFICERS) for step in outcome.story.steps)
        for name, value in outcome.figures.items():
            if name.startswith("worst"):
                self.worst[name] = max(self.worst.get(name, 0), value)
            elif not name.endswith("percent"):
                self.sums[name] += value


def worlds(place: Place, effort: Effort, say: Say) -> Iterator[Row]:  # noqa: ARG001 - each world has a folder of its own
    """At least `device_days` of them; the seeds follow from the programme's."""
    jobs, tally = jobs_of(effort), Tally()
    began, cpu_s = time.monotonic(), 0.0
    for number, (job, outcome, took_s) in enumerate(_all(jobs), 1):
        tally.add(outcome)
        cpu_s += took_s
        if not outcome.well:
            broken = "; ".join([f"{name}: {what}" for name, what in outcome.faults] + outcome.wrong)
            text = f"seed {job.seed}{' with lying cards' if job.lying else ''}: {broken}"
            say(f"worlds: {text}")  # before it is shortened: that takes a while
            say(f"worlds: seed {job.seed}, shortened: {_shortened(job, outcome, FAILURES)}")
            tally.red.append((text, frozenset(name for name, _ in outcome.faults)))
        if number % 50 == 0:
            say(f"worlds: {number} of {len(jobs)}, {tally.sums['device_days']:,.0f} device-days, {time.monotonic() - began:.0f} s")
    yield row_of(tally, effort, jobs, cpu_s)


def jobs_of(effort: Effort) -> list[Job]:
    """The worlds: a story may end a little before its days are over, so there are some more than seem needed."""
    count = max(-(-effort.device_days * 11 // int(DAYS * DEVICES * 10)), 1)
    first = effort.seed * 100_000
    return [Job(first + number, lying=number % LYING_SHARE == 1) for number in range(count)]


def row_of(tally: Tally, effort: Effort, jobs: list[Job], cpu_s: float) -> Row:
    """The row, with all figures."""
    sums, broken = tally.sums, [names for _, names in tally.red]
    hidden = sum(names <= HIDDEN for names in broken)
    days = sums["device_days"]
    figures: dict[str, float | None] = {name: round(value, 2) for name, value in sorted({**sums, **tally.worst}.items())}
    figures |= {"worlds": tally.worlds, "lying_cards": sum(job.lying for job in jobs), "cpu_s": round(cpu_s, 1)}
    figures |= {"times_real_time": round(days / DEVICES * 86_400 / cpu_s) if cpu_s else None}
    remarks = f"{days:,.0f} device-days, {sums['recordings']:,} recordings, {sums['cuts']:,} power cuts"
    return Row(
        "simulated worlds, cards honest and lying",
        tally.faults,
        len(broken) - hidden,
        hidden,
        f"{jobs[0].seed}–{jobs[-1].seed}",
        again("worlds", effort),
        exposed_ms=round(tally.worst.get("worst_cut_s", 0) * 1_000),
        twice=sums["again_bytes"],
        bytes_once=sums["sent_bytes"] - sums["again_bytes"],
        remarks=remarks,
        figures=figures,
        examples=tuple(text for text, _ in tally.red),
        not_tried=NOT_TRIED,
    )


def _all(jobs: list[Job]) -> Iterator[tuple[Job, Outcome, float]]:
    """Every world, on every core that there is; in the order in which they end."""
    with multiprocessing.get_context("spawn").Pool(os.cpu_count(), _prepare) as pool:
        yield from pool.imap_unordered(_one, jobs)


def _prepare() -> None:
    logging.disable(logging.CRITICAL)  # what the parts would log is what they are put through
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its pool


def _one(job: Job) -> tuple[Job, Outcome, float]:
    began = time.process_time()
    outcome = play(job.story(), patience_s=PATIENCE_S)
    return job, outcome, time.process_time() - began


def _shortened(job: Job, outcome: Outcome, folder: Path) -> Path:
    """The story of a failure, short, as a file that runs again."""
    story, _ = shrink.shorten(job.story(), outcome, most=SHORTEN_RUNS)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"world-{job.seed}.yaml"
    path.write_text(scenario.dump(story), "utf-8")
    return path
