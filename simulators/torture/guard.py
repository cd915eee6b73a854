"""The guard on the guard: each sync and each order of two steps is found at run time and taken away; the judge must see it.

What can be taken away without anybody seeing it is either useless, and then it does not belong into the product, or the judge
is blind, and then its green means nothing. Nothing here is listed by hand: the tapes say what there is.

Rules:
- A *sync* is known by the line of code that decides about it, and by what is synced. It is taken away everywhere in a scene
  (what `Kernel.skip` would have recorded), in every scene in which it makes something durable, until the judge sees it.
- An *order* is a sync and the first step behind it that relies on it: it is found by doing the sync later and later, until
  the judge sees that. Turned round, the two are seen; one step less, and they are not.
- Disks that are possible without the change too are judged elsewhere (`scene.cut`), and not again.

What is done too early instead of a sync too late: `orders`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from simulators.torture.device import Home
from simulators.torture.kernel import Step, Tape
from simulators.torture.scene import Found, Sampling, Scene, cut

WINDOW = 16
"""Steps behind a sync in which its absence is looked for first: a durable append takes fewer."""
EVENTS = ("event",)


def sync_of(step: Step) -> str:
    """The name of a sync: the line that decides about it, and what is synced; empty for any other step.

    What the driver does inside `replace` and `make_folder` is decided there, whoever calls it.
    """
    if step.kind != "sync":
        return ""
    if step.by in ("sync", "sync_folder"):
        return f"{step.site} syncs {step.name or 'the state folder'}"
    return f"hal.drivers.linux:Files.{step.by.split('<')[-1]} syncs the {'folder' if step.folder else 'file'}"


def step_of(step: Step) -> str:
    """The name of a step that can wait for a sync."""
    return f"{step.site} {step.kind}" if step.by else step.site


@dataclass(slots=True)
class Watched:
    """A scene, where each sync makes something durable in it, and the disks that it leaves as it is."""

    scene: Scene
    places: dict[str, list[int]] = field(default_factory=dict)
    green: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, scene: Scene) -> Watched:
        """Look through the tape."""
        watched, replay = cls(scene), scene.replay.copy()
        for at, step in enumerate(scene.tape):
            if replay.play(step):
                watched.places.setdefault(sync_of(step), []).append(at)
        return watched

    def changed(self, home: Home, tape: Tape, how: Sampling, positions: set[int] | None) -> Found:
        """What the judge says of the disks that only the changed tape leaves."""
        if not self.green:
            for one in self.scene.cuts(replace(how, positions=None)):
                self.green[one.image.key()] = len(self.scene.promised(one.position))
        return cut(home, replace(self.scene, tape=tape), replace(how, positions=positions, first_red=True), self.green)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the judge said to one sync: how many disks it looked at, what it saw, and the first step that relies on the sync."""

    sync: str
    tried: int
    seen: str
    relied_on_by: str

    @property
    def red(self) -> bool:
        """Whether it saw anything."""
        return bool(self.seen)


class Guard:
    """Asks for every sync of these scenes."""

    def __init__(self, home: Home, scenes: Sequence[Scene], how: Sampling) -> None:
        self.home, self.how = home, how
        self.watched = [Watched.of(scene) for scene in scenes]

    def syncs(self) -> list[str]:
        """Every sync there is, whether it ever makes anything durable or not."""
        return sorted({name for watched in self.watched for step in watched.scene.tape if (name := sync_of(step))})

    def ask(self, name: str) -> Answer:
        """Take the sync away; where that is seen, find what relies on it."""
        tried = 0
        for watched, positions in self._where(name):
            tape = [step for step in watched.scene.tape if sync_of(step) != name]
            found = watched.changed(self.home, tape, self.how, positions)
            tried += found.tried
            if found.red:
                return Answer(name, tried, found.examples[0], self._relied_on(watched, name, positions))
        return Answer(name, tried, "", "")

    def _where(self, name: str) -> Iterator[tuple[Watched, set[int] | None]]:
        """Scenes in which the sync matters: near its places first, then everywhere."""
        mattering = [watched for watched in self.watched if name in watched.places]
        for watched in mattering:
            places = watched.places[name]
            if len(watched.scene.tape) > 4 * WINDOW:
                yield watched, {at + ahead for at in (*places[:3], *places[-1:]) for ahead in range(WINDOW)}
        for watched in sorted(mattering, key=lambda one: len(one.scene.tape)):
            yield watched, None

    def _relied_on(self, watched: Watched, name: str, positions: set[int] | None) -> str:
        """The first step that may not come before the sync."""
        most = len([step for step in watched.scene.tape if step.kind not in ("sync", "event")])
        low, high = 0, 1  # green and red delays
        while high < most and not self._late(watched, name, high, positions):
            low, high = high, high * 2
        high = min(high, most)
        while high - low > 1:
            middle = (low + high) // 2
            if self._late(watched, name, middle, positions):
                high = middle
            else:
                low = middle
        behind = [step for step in watched.scene.tape[watched.places[name][0] :] if step.kind not in ("sync", "event")]
        return step_of(behind[min(high, len(behind)) - 1]) if behind else "the end"

    def _late(self, watched: Watched, name: str, steps: int, positions: set[int] | None) -> bool:
        """Whether the judge sees that the sync is done so many steps later."""
        tape = delayed(watched.scene.tape, name, steps)
        if positions is not None:
            positions = {at + ahead for at in positions for ahead in range(0, steps + 1, max(steps, 1))} | positions
        return watched.changed(self.home, tape, self.how, positions).red


def delayed(tape: Tape, name: str, steps: int) -> Tape:
    """The tape with each such sync done only behind the next so many steps that are no syncs."""
    late: dict[int, list[Step]] = {}
    changes = [at for at, step in enumerate(tape) if step.kind not in ("sync", "event")]
    kept: list[Step | None] = list(tape)
    ahead = 0
    for at, step in enumerate(tape):
        if sync_of(step) == name:
            while ahead < len(changes) and changes[ahead] < at:
                ahead += 1
            behind = changes[min(ahead + steps - 1, len(changes) - 1)] if changes else at
            late.setdefault(max(behind, at), []).append(step)
            kept[at] = None
    return [one for at, step in enumerate(kept) for one in (*([step] if step else []), *late.get(at, ()))]
