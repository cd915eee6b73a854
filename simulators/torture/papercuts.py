"""Cuts on paper: a taped run of the server, cut after every step, with every fate of what was not synced; each disk is judged.

What `real` deaths can't do, this does: bytes reordered between syncs, torn, names lost that ext4 happens to keep. And it is the
guard on the guard: each sync that the tape shows is taken away in turn, and the judge must see that. A sync that is only late by
some steps tells what relies on it.

Rules:
- Each disk is judged once, at the last position that can leave it, when most was told.
- Nothing of the server reads these disks: the databases are written to a folder and opened by SQLite, media stay in memory. On some
  of them the server itself is started as well (`restarts`).
- A sync that never makes anything durable on the tape is `idle`; taking it away can't be seen.
"""

from __future__ import annotations

import random
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from simulators.torture.cuts import Replay, cuts
from simulators.torture.judge import Findings
from simulators.torture.kernel import Image, Step, Tape
from simulators.torture.restarts import restarted
from simulators.torture.scene import Found
from simulators.torture.store import Judge, Media, media_path
from simulators.torture.tapes import Message, Run
from simulators.torture.told import Told, Truth

Devices = Sequence[tuple[Truth, Told]]
DATABASES = ("logs.sqlite", "catalogue.sqlite")
WINDOW = 40
"""Steps behind a sync in which its absence is looked for first: a commit and what is told of it take fewer."""
DELAYS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


@dataclass(slots=True)
class Answer:
    """What the judge said when a sync was taken away, and which step could not come before it.

    `idle`: it never makes anything durable. `covered`: it was seen only when all syncs of the same files or folders were gone.
    """

    what: str
    idle: bool = False
    covered: bool = False
    tried: int = 0
    seen: str = ""
    relied_on_by: str = ""


class Paper:
    """One run; `folder` is a place in memory, `devices` say what had been told before it; `broken` is as for `Judge`."""

    def __init__(self, folder: Path, run: Run, devices: Devices, domain: str, broken: bytes = b"") -> None:
        self.broken = broken
        self.folder, self.run, self.domain, self.devices = folder, run, domain, devices
        self._judges: dict[int, Judge] = {}
        self.steps, self.started = len(run.tape), 0

    def _heard(self, tape: Tape) -> list[Devices]:
        """What each device had been told at each position."""
        now: Devices = [(truth, told.copy()) for truth, told in self.devices]
        found = [now]
        for step in tape:
            if step.kind == "tell":
                now = [(truth, told.copy()) for truth, told in now]
                self._tell(self.run.messages[int(step.name)], now)
            found.append(now)
        return found

    @staticmethod
    def _tell(message: Message, devices: Devices) -> None:
        for truth, told in devices:
            if message.kind == "answer" and f"/{truth.device}/" in f"{message.what}/":
                status, path = message.what.split(" ", 1)
                told.answered(status, path, message.text)
            elif message.kind == "publish" and message.what.split("/")[1] in (truth.device, "ledger"):
                told.published(message.what, message.text)

    # ----------------------------------------------------------------- judging

    def judged(self, image: Image, devices: Devices) -> Findings:
        """A disk after so much was told."""
        files = {name: data for name, data in image.files.items() if name.startswith(DATABASES)}
        key = hash(frozenset(files.items()))
        if key not in self._judges:
            for path in self.folder.iterdir():
                path.unlink()
            for name, data in files.items():
                (self.folder / name).write_bytes(data)
            self._judges[key] = Judge(self.folder, self.domain, self.broken)
        return self._judges[key].judge(devices, _media(image))

    def disks(self, tape: Tape, seed: int, samples: int, positions: Container[int] | None = None) -> Iterator[tuple[str, Devices, Image]]:
        """Each different disk once, with where it came from and what had been told by then."""
        last: dict[int, tuple[str, Devices, Image]] = {}
        heard = self._heard(tape)
        for one in cuts(Replay.of(self.run.image), tape, seed, samples, positions):
            last[one.image.key()] = f"after step {one.position}, {one.fate}", heard[one.position], one.image
        yield from last.values()

    def cut(self, seed: int, samples: int, share: float = 1.0, starts: int = 0) -> Found:
        """Cut at every position, or at this share of them; on so many of the disks the server is started too."""
        tape, found = self.run.tape, Found()
        chance = random.Random(seed)  # noqa: S311 — positions are chosen again by their seed
        positions = None if share >= 1 else {at for at in range(len(tape) + 1) if chance.random() < share}
        disks = list(self.disks(tape, seed, samples, positions))
        for where, devices, image in disks:
            found.add(self.judged(image, devices), where, 0.0)
        for where, devices, image in chance.sample(disks, min(starts, len(disks))):
            heard = [(truth, told.copy()) for truth, told in devices]
            found.add(restarted(self.folder.with_name("started"), image, heard, self.domain), f"{where}, started", 0.0)
            self.started += 1
        return found

    # ----------------------------------------------------------------- the guard

    def syncs(self) -> list[str]:
        """Every sync that the tape shows."""
        return sorted({step.site for step in self.run.tape if step.kind == "sync"})

    def ask(self, name: str, *, thorough: bool = True) -> Answer:
        """Take a sync away; where nobody sees that, with it all other syncs of the same files or folders.

        Not `thorough`: only the likeliest disks are looked at.
        """
        answer = Answer(name)
        places = self._places(name)
        answer.idle = not places
        if answer.idle:
            return answer
        alone = [step for step in self.run.tape if not _is(step, name)]
        self._look(answer, alone, self._quick(alone, places))
        if not answer.seen:
            nodes = {(step.node, step.folder) for step in self.run.tape if _is(step, name)}
            group = [step for step in self.run.tape if step.kind != "sync" or (step.node, step.folder) not in nodes]
            together = Answer(name)
            self._look(together, group, self._quick(group, places))
            if thorough or not together.seen:
                self._look(answer, alone, _near(places), 1)
                self._look(answer, alone, None, 1)
            if not answer.seen:
                answer.seen, answer.covered = together.seen, bool(together.seen)
        elif thorough:
            answer.relied_on_by = self._relied_on(name, places)
        return answer

    def _places(self, name: str) -> list[int]:
        """Where it makes something durable."""
        replay = Replay.of(self.run.image)
        return [at for at, step in enumerate(self.run.tape) if replay.play(step) and _is(step, name)]

    def _quick(self, tape: Tape, places: Sequence[int]) -> set[int]:
        """Positions where something is most likely seen: behind the first places, and behind all that is told."""
        return _near(places[:2]) | {at + 1 for at, step in enumerate(tape) if step.kind == "tell" and at >= places[0]}

    def _look(self, answer: Answer, tape: Tape, positions: Container[int] | None, samples: int = 0) -> None:
        if answer.seen:
            return
        for where, devices, image in self.disks(tape, 1, samples, positions):
            answer.tried += 1
            problems = self.judged(image, devices).problems
            if problems:
                answer.seen = f"{where}: {problems[0]}"
                return

    def _relied_on(self, name: str, places: Sequence[int]) -> str:
        """The step behind which the sync is seen to be late."""
        for steps in DELAYS:
            late = Answer(name)
            tape, behind = delayed(self.run.tape, name, steps)
            self._look(late, tape, self._quick(tape, places))
            if late.seen:
                return behind
        return f"something more than {DELAYS[-1]} steps behind"

    # ----------------------------------------------------------------- told too early

    def tells(self) -> list[str]:
        """Everything that the tape shows to be told and that promises anything."""
        tape = self.run.tape
        heard = self._heard(tape)
        return sorted({step.site for at, step in enumerate(tape) if step.kind == "tell" and heard[at] != heard[at + 1]})

    def hasty(self, name: str) -> Answer:
        """Tell it earlier, before one sync, two, four …, until the judge sees that."""
        answer = Answer(name)
        for syncs in DELAYS:
            tape = hastened(self.run.tape, name, syncs)
            self._look(answer, tape, {at + 1 for at, step in enumerate(tape) if step.kind == "tell" and step.site == name})
            if answer.seen:
                answer.relied_on_by = f"told {syncs} syncs earlier"
                break
        return answer


@dataclass(slots=True)
class _Late:
    step: Step
    left: int


def delayed(tape: Tape, name: str, steps: int) -> tuple[Tape, str]:
    """The tape with each such sync done only so many steps later; and the step that the first of them now follows."""
    waiting: list[_Late] = []
    late: Tape = []
    behind = ""
    for step in tape:
        if _is(step, name):
            waiting.append(_Late(step, steps))
            continue
        late.append(step)
        if step.kind == "sync":
            continue
        for one in waiting:
            one.left -= 1
        done = [one for one in waiting if one.left <= 0]
        behind = behind or (step.site if done else "")
        late += [one.step for one in done]
        waiting = [one for one in waiting if one.left > 0]
    return [*late, *(one.step for one in waiting)], behind


def hastened(tape: Tape, name: str, syncs: int) -> Tape:
    """The tape with each such thing told before the so many syncs that were before it."""
    early: Tape = []
    for step in tape:
        at = len(early)
        if step.kind == "tell" and step.site == name:
            left = syncs
            while at and left:
                at -= 1
                left -= early[at].kind == "sync"
        early.insert(at, step)
    return early


def _is(step: Step, name: str) -> bool:
    return step.kind == "sync" and step.site == name


def _near(places: Sequence[int]) -> set[int]:
    return {at + ahead for at in places for ahead in range(WINDOW)}


def _media(image: Image) -> Media:
    return lambda device, recording, begin, end: image.files.get(media_path(device, recording), b"")[begin:end]
