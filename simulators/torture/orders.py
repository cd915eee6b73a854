"""The other half of the guard: each step that takes something away or gives it another name is done too early.

`guard` does syncs too late. Here every rename, unlink and truncation that the tapes have is done before the sync that stands in
front of it, before the two in front of it, and so on; the judge must see that. Nothing is listed by hand.

Rules:
- A step is known by the line of code that decides about it; what the driver does inside `replace` is decided there.
- It can't come before the step that made what it takes, names or shortens.
- One that may come as early as it likes needs no order with what stands before it. Then the sync behind it must be one that
  something relies on, or nobody would see whether it was done at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from simulators.torture.cuts import CHANGES
from simulators.torture.guard import WINDOW, Guard, Watched, step_of, sync_of
from simulators.torture.kernel import Step, Tape

TAKING = ("rename", "unlink", "truncate")
SYNCS = (1, 2, 3, 4, 6)
"""How many syncs earlier it is tried: a durable append has three, with a new folder some more."""
SCENES = 60
"""Of the scenes that have the step, the shortest: more of them say nothing new."""
PLACES = 3


@dataclass(frozen=True, slots=True)
class Order:
    """What the judge said when `step` was done too early: the sync that it must come behind, or none; and what it saw."""

    step: str
    tried: int
    behind: str
    seen: str
    then: str
    """The sync that makes it durable."""


def name_of(step: Step) -> str:
    """The name of a step that takes something away, by who decides about it; empty for any other."""
    if step.kind not in TAKING:
        return ""
    inner = step.by.split("<")[-1]
    return f"hal.drivers.linux:Files.{inner} {step.kind}" if inner == "replace" else step_of(step)


class Orders:
    """Asks for every such step of the guard's scenes."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def steps(self) -> list[str]:
        """Every step there is that takes something away or gives it another name."""
        return sorted({name for watched in self._guard.watched for step in watched.scene.tape if (name := name_of(step))})

    def ask(self, name: str) -> Order:
        """Do it earlier and earlier."""
        tried = 0
        having = [watched for watched in self._guard.watched if any(name_of(step) == name for step in watched.scene.tape)]
        having.sort(key=lambda watched: len(watched.scene.tape))
        for watched in having[:SCENES]:
            for syncs in SYNCS:
                tape, moves = hoisted(watched.scene.tape, name, syncs)
                if not moves:
                    break
                found = watched.changed(self._guard.home, tape, self._guard.how, _near(moves))
                tried += found.tried
                if found.red:
                    return Order(name, tried, moves[0].over, found.examples[0], _then(watched, name))
        return Order(name, tried, "", "", _then(having[0], name))


@dataclass(frozen=True, slots=True)
class Move:
    """From where to where on the tape, over which sync (the first that it had to wait for)."""

    at: int
    to: int
    over: str


def hoisted(tape: Tape, name: str, syncs: int) -> tuple[Tape, list[Move]]:
    """The tape with each such step done before so many of the syncs in front of it, as far as there was something to do it to."""
    moves = [move for at, step in enumerate(tape) if name_of(step) == name and (move := _move(tape, at, syncs)) is not None]
    moved = {move.at for move in moves}
    early: dict[int, list[Step]] = {}
    for move in moves:
        early.setdefault(move.to, []).append(tape[move.at])
    return list(_merged(tape, early, moved)), moves


def _merged(tape: Tape, early: dict[int, list[Step]], moved: set[int]) -> Iterator[Step]:
    for at, step in enumerate(tape):
        yield from early.get(at, ())
        if at not in moved:
            yield step


def _move(tape: Tape, at: int, syncs: int) -> Move | None:
    found = None
    for back in range(at - 1, -1, -1):
        if _makes(tape[back], tape[at]):
            break
        if tape[back].kind == "sync":
            found, syncs = Move(at, back, sync_of(tape[back])), syncs - 1
            if not syncs:
                break
    return found


def _makes(before: Step, step: Step) -> bool:
    """Whether a step made what another one takes away, names or shortens."""
    if before.kind not in CHANGES:
        return False
    if step.kind == "truncate":
        return before.node == step.node and before.kind in ("write", "truncate")
    named = before.kind == "rename" and (before.to, before.new_name) in ((step.node, step.name), (step.to, step.new_name))
    return named or before.child == step.child


def _near(moves: list[Move]) -> set[int]:
    chosen = (*moves[:PLACES], *moves[-1:])
    return {position for move in chosen for position in range(max(move.to - 1, 0), move.at + WINDOW)}


def _then(watched: Watched, name: str) -> str:
    """The first sync behind the step that is for the same file or folder."""
    tape = watched.scene.tape
    at = next(at for at, step in enumerate(tape) if name_of(step) == name)
    return next((sync_of(step) for step in tape[at:] if step.kind == "sync" and step.node == tape[at].node), "")
