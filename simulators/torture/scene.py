"""A scene is a tape and what surrounds it: the disk on which it began, what was promised, by whom. `cut` tries all of it.

A story is a scene; the agent's start after a cut, or after the process was killed, is one too, and is cut as well.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field, replace

from agent.errors import AgentError
from simulators.torture import cuts
from simulators.torture.cuts import Cut, Replay
from simulators.torture.device import Device, Home, StepClock
from simulators.torture.judge import Findings, Judge
from simulators.torture.kernel import Image, Kernel, Tape, Tree
from simulators.torture.promises import Promise, told

LATER_US = 60_000_000
"""How long the power stays away."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What happened on a disk. `known` was promised before it; the tape tells when each of `promises` was made.

    `alarms`: kinds of trouble besides cuts (`tamper`, `storage`) that may stand on record. `before`: the disk on which the first
    of several starts began. `start`: this is a start, which may repeat what another one has said to nobody.
    """

    name: str
    replay: Replay
    tape: Tape
    promises: list[Promise]
    clock_us: int
    known: tuple[Promise, ...] = ()
    alarms: frozenset[str] = frozenset()
    before: Image | None = None
    start: bool = False

    def promised(self, position: int) -> list[Promise]:
        """All that had been promised after so many steps."""
        return [*self.known, *told(self.promises, self.tape[:position])]

    def cuts(self, how: Sampling) -> Iterable[Cut]:
        """Each different disk once: where several cuts leave the same, the last, after which most was promised."""
        last: dict[int, Cut] = {}
        for cut in cuts.cuts(self.replay, self.tape, how.seed, how.samples, how.positions):
            last[cut.image.key()] = cut
        return last.values()

    def exact(self, position: int) -> bool:
        """Whether the next start must say exactly what is missing: nothing was said, or all was said to somebody."""
        if not self.start:
            return True
        first = next((at for at, step in enumerate(self.tape[:position]) if step.kind == "tell"), None)
        return first is not None and not any(step.kind in cuts.CHANGES for step in self.tape[first:position])


@dataclass(frozen=True, slots=True)
class Sampling:
    """How hard to look. `samples`: fates by chance at each position; `positions`: only these; `first_red`: stop at the first problem."""

    seed: int = 1
    samples: int = 1
    positions: Container[int] | None = None
    first_red: bool = False


@dataclass(slots=True)
class Found:
    """Totals of many cuts, and the first problems with what makes them again."""

    tried: int = 0
    lost: int = 0
    hidden: int = 0
    missing_ms: int = 0
    slow_ms: int = 0
    missing_before_ms: int = 0
    understated_ms: int = 0
    recovered: int = 0
    starts_ms: list[float] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)

    @property
    def red(self) -> bool:
        """Whether anything went wrong."""
        return bool(self.lost or self.hidden)

    def add(self, findings: Findings, where: str, seconds: float) -> None:
        """One more."""
        self.tried += 1
        self.lost += any(problem.startswith("lost") for problem in findings.problems)
        self.hidden += any(problem.startswith("hidden") for problem in findings.problems)
        self.recovered += findings.recovered
        self._worst(findings)
        self.starts_ms.append(seconds * 1000)
        if findings.problems and len(self.examples) < 20:
            self.examples.append(f"{where}: {'; '.join(findings.problems[:3])}")

    def _worst(self, other: Findings | Found) -> None:
        for name in ("missing_ms", "slow_ms", "missing_before_ms", "understated_ms"):
            setattr(self, name, max(getattr(self, name), getattr(other, name)))

    def join(self, other: Found) -> None:
        """The figures of another part."""
        self.tried += other.tried
        self.lost += other.lost
        self.hidden += other.hidden
        self.recovered += other.recovered
        self._worst(other)
        self.starts_ms += other.starts_ms
        self.examples = [*self.examples, *other.examples][:20]


# --------------------------------------------------------------------------- starting and judging


def restart(home: Home, scene: Scene, tree: Tree, before: Iterable[Promise]) -> tuple[Device, float]:
    """The agent's start on a disk, and how long it took; what it promises comes on top of what was promised before."""
    device = Device(home, Kernel(home.state, tree), 99, StepClock(0, scene.clock_us + LATER_US))
    device.promises = list(before)
    began = time.perf_counter()
    device.start()
    return device, time.perf_counter() - began


def judged(home: Home, scene: Scene, cut: Cut) -> tuple[Findings, float]:
    """Start on that disk and judge; a start that fails is a loss."""
    before = scene.promised(cut.position)
    try:
        device, seconds = restart(home, scene, Tree.of(cut.image), before)
    except (AgentError, OSError) as error:
        return Findings([f"lost: the start failed: {type(error).__name__}: {error}"]), 0.0
    device.end()
    after = device.kernel.tree.image()
    judge = Judge(home.identity, before, cut.image, after, scene.before or cut.image, alarms=scene.alarms, exact=scene.exact(cut.position))
    return judge.judge(), seconds


def cut(home: Home, scene: Scene, how: Sampling, green: dict[int, int] | None = None) -> Found:
    """Cut the scene at every step. `green`: disks that are known to be good as long as no more than so much was promised."""
    found = Found()
    for one in scene.cuts(how):
        if green is not None and green.get(one.image.key(), -1) >= len(scene.promised(one.position)):
            continue
        findings, seconds = judged(home, scene, one)
        found.add(findings, f"{scene.name}, cut {one.position} {one.fate}", seconds)
        if how.first_red and found.red:
            break
    return found


# --------------------------------------------------------------------------- starts


def after_cuts(home: Home, scene: Scene, how: Sampling) -> Iterator[Scene]:
    """The agent's starts on every different disk after a cut."""
    for one in scene.cuts(how):
        name = f"{scene.name}, cut {one.position} {one.fate}"
        yield _start(home, scene, name, Replay.of(one.image), scene.promised(one.position), one.image)


def after_kills(home: Home, scene: Scene, how: Sampling) -> Iterator[Scene]:
    """The process is killed after each step that is not durable yet; the machine goes on, with what it has in memory.

    Not where a sync has just failed: what it was for is seen, never durable, and no later sync says so (nobody can tell).
    """
    replay = scene.replay.copy()
    for position, step in enumerate(scene.tape, 1):
        replay.play(step)
        if replay.pending and not replay.doubtful and (how.positions is None or position in how.positions):
            yield _start(home, scene, f"{scene.name}, kill {position}", replay.copy(), scene.promised(position), None)


def _start(home: Home, scene: Scene, name: str, replay: Replay, known: list[Promise], image: Image | None) -> Scene:
    device, _ = restart(home, scene, replay.visible(), known)
    device.purges()
    device.end()
    made = device.promises[len(known) :]
    shift = len(known)
    tape = [replace(s, name=str(int(s.name) - shift)) if s.kind in ("tell", "event") else s for s in device.kernel.tape]
    return replace(scene, name=f"{name}, start", replay=replay, tape=tape, promises=made, known=tuple(known), before=image, start=True)


def different(scenes: Iterable[Scene], each: int = 1) -> Iterator[Scene]:
    """Of the starts that take the same set of steps, on disks that lack the same, `each`."""
    seen = Counter[frozenset[str]]()
    for scene in scenes:
        sign = frozenset(f"{step.kind} {step.site} {step.by}" for step in (*scene.replay.pending, *scene.tape))
        seen[sign] += 1
        if seen[sign] <= each:
            yield scene
