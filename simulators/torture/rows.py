"""What `python -m simulators.torture` tries, a function a row; each can be run by itself with the same seed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from simulators.torture.device import Home
from simulators.torture.guard import Guard
from simulators.torture.loopdisk import LoopDisk, missing
from simulators.torture.real import RealCuts
from simulators.torture.reel import reel
from simulators.torture.scene import Found, Sampling, Scene, after_cuts, after_kills, cut, different
from simulators.torture.stories import damaged, segment_lines, tell_duty, tell_refused, tell_taken_back
from simulators.torture.table import Row, row_of

REEL_S = 40
MODULE = "python -m simulators.torture"


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is tried. `seconds` of recording in the duty, lines in a segment, fates by chance at each step."""

    seed: int = 1
    seconds: int = 180
    segment: int = 64
    samples: int = 3
    starts_each: int = 2
    cuts: int = 200


QUICK = Effort(seconds=24, segment=16, samples=0, starts_each=1, cuts=5)
"""What `make test` has time for."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the work is done: `memory` should be a tmpfs, for the device's index; `disk` is any folder."""

    memory: Path
    disk: Path

    def home(self) -> Home:
        """A device, and media for its camera."""
        return Home.make(self.memory / "state", reel(self.disk / "media", REEL_S))


def again(name: str, effort: Effort) -> str:
    """The command that runs a row once more."""
    quick = " --quick" if effort.seconds == QUICK.seconds else ""
    return f"{MODULE} --only {name} --seed {effort.seed}{quick}"


# --------------------------------------------------------------------------- on the disk in memory


def duty(place: Place, effort: Effort, _say: Say) -> Iterator[Row]:
    """Every cut of a duty."""
    home = place.home()
    with segment_lines(effort.segment):
        scene = tell_duty(home, effort.seed, effort.seconds)
        found = cut(home, scene, _sampling(effort))
    yield row_of("power cut at every step of a duty", found, effort.seed, again("duty", effort), f"{len(scene.tape)} steps")


def starts(place: Place, effort: Effort, _say: Say) -> Iterator[Row]:
    """Every cut of the starts after cuts and kills."""
    home, how = place.home(), _sampling(effort)
    with segment_lines(effort.segment):
        scene = tell_duty(home, effort.seed, QUICK.seconds)
        for name, bases in (("cut", after_cuts), ("kill -9", after_kills)):
            found = _cut_starts(home, different(bases(home, scene, how), effort.starts_each), how)
            title = f"power cut at every step of the start after a {name}"
            yield row_of(title, found, effort.seed, again("starts", effort))


def refused(place: Place, effort: Effort, _say: Say) -> Iterator[Row]:
    """A disk that refuses a step, then cuts."""
    home, how = place.home(), _sampling(effort)
    with segment_lines(QUICK.segment):
        scene = tell_refused(home, effort.seed)
        found = cut(home, scene, how)
        found.join(_cut_starts(home, different(after_cuts(home, scene, how)), how))
        found.join(_cut_starts(home, different(after_kills(home, scene, how)), how))
    yield row_of("a disk that refused a step (EIO, ENOSPC), then power cut", found, effort.seed, again("refused", effort))


def taken_back(place: Place, effort: Effort, _say: Say) -> Iterator[Row]:
    """Cuts while lines are taken back from the server."""
    home, how = place.home(), _sampling(effort)
    with segment_lines(QUICK.segment):
        scene = tell_taken_back(home, tell_duty(home, effort.seed, QUICK.seconds))
        found = cut(home, scene, how)
        found.join(_cut_starts(home, different(after_cuts(home, scene, how)), how))
        found.join(_cut_starts(home, different(after_kills(home, scene, how)), how))
    yield row_of("power cut while lost lines are taken back", found, effort.seed, again("taken-back", effort))


def damage(place: Place, effort: Effort, _say: Say) -> Iterator[Row]:
    """Cards that lost or changed lines, and cuts of the start that finds it."""
    home, how, found = place.home(), _sampling(effort), Found()
    with segment_lines(QUICK.segment):
        for scene in damaged(home, tell_duty(home, effort.seed, QUICK.seconds)):
            found.join(cut(home, scene, how))
            found.join(_cut_starts(home, after_cuts(home, scene, how), how))
    yield row_of(
        "a card that lost or changed lines, then power cut at every step of the start", found, effort.seed, again("damage", effort)
    )


def guard(place: Place, effort: Effort, say: Say) -> Iterator[Row]:
    """Each sync taken away."""
    home = place.home()
    with segment_lines(QUICK.segment):
        judge = guard_of(home, effort.seed)
        names = judge.syncs()
        answers = [judge.ask(name) for name in names]
    for answer in answers:
        say(f"{'seen' if answer.red else 'NOT SEEN'}: {answer.sync}; relied on by {answer.relied_on_by or 'nothing'}")
    unseen = tuple(answer.sync for answer in answers if not answer.red)
    figures = {answer.sync: {"relied_on_by": answer.relied_on_by, "disks": answer.tried, "seen": answer.seen} for answer in answers}
    remarks = f"all {len(answers)} must be seen" if not unseen else f"{len(unseen)} of {len(answers)} NOT seen"
    title, command = "guard on the guard: a sync taken away", again("guard", effort)
    yield Row(title, len(answers), 0, len(unseen), None, str(effort.seed), command, remarks, figures, unseen)


def guard_of(home: Home, seed: int) -> Guard:
    """The guard over every story, and over the starts that the duty and the damaged cards lead to."""
    how = Sampling(seed, 0)
    first = tell_duty(home, seed, QUICK.seconds)
    cards = list(damaged(home, first))
    scenes: list[Scene] = [first, tell_refused(home, seed), tell_taken_back(home, first), *cards]
    for story in (first, *cards):
        scenes += different(after_cuts(home, story, how))
    scenes += different(after_kills(home, first, how))
    return Guard(home, scenes, how)


# --------------------------------------------------------------------------- on a real file system


def real(place: Place, effort: Effort, say: Say) -> Iterator[Row]:
    """The agent's process on a loop-mounted ext4; where there can be none, the duty once more with other seeds."""
    folder = place.disk / "real"
    folder.mkdir()
    if why := missing(folder):
        say(f"real cuts: NOT RUN HERE: {why}; the duty is cut in memory with other seeds instead")
        for seed in range(effort.seed + 1, effort.seed + 3):
            yield from duty(place, replace(effort, seed=seed), say)
        return
    with LoopDisk(folder) as disk:
        cuts = RealCuts(folder, disk, effort.seed)
        for number in range(effort.cuts):
            cuts.cut(number)
            if number % 20 == 19:
                say(f"real cuts: {number + 1} of {effort.cuts}")
    tried = cuts.tried
    found = Found()
    for where, findings in tried.findings:
        found.add(findings, where, 0.0)
    armed, lost = sorted(tried.armed_ms), sorted(tried.missing_ms)
    figures = {
        "armed_median_ms": armed[len(armed) // 2],
        "armed_slowest_ms": armed[-1],
        "resumed_by_itself": tried.resumed,
        "recordings_decoded": tried.decoded,
        "cut_while_recording": len(lost),
        "missing_median_ms": lost[len(lost) // 2] if lost else None,
        "load_average": os.getloadavg()[1],
    }
    remarks = f"armed again after {armed[len(armed) // 2] / 1000:.1f} s, at worst {armed[-1] / 1000:.1f} s"
    command = f"{MODULE} --only real --seed {effort.seed} --cuts {effort.cuts}"
    title, worst = "agent on a loop-mounted ext4, shut down without a flush, and killed", max(lost, default=0)
    yield Row(title, found.tried, found.lost, found.hidden, worst, str(effort.seed), command, remarks, figures, tuple(found.examples))


def _sampling(effort: Effort) -> Sampling:
    return Sampling(effort.seed, effort.samples)


def _cut_starts(home: Home, scenes: Iterator[Scene], how: Sampling) -> Found:
    found = Found()
    for scene in scenes:
        found.join(cut(home, scene, how))
    return found


ROWS: dict[str, Callable[[Place, Effort, Say], Iterator[Row]]] = {
    "duty": duty,
    "starts": starts,
    "refused": refused,
    "taken-back": taken_back,
    "damage": damage,
    "guard": guard,
    "real": real,
}
