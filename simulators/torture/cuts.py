"""What may be on a disk after the power went: every prefix of a tape, and for each what may have become of what was not synced.

Rules (POSIX, and what ext4, xfs and cheap cards really do):
- Written bytes are durable after a sync of their file, names after a sync of their folder; nothing before that.
- What is not durable may be there or not, each piece by itself and in any order: a page of 4 KiB of a write, a truncation, a
  name. A page may be torn at any byte, or read as zeros though the file is long enough.
- A rename within a folder is never half. One that leads to another folder gives the new name and takes the old one away, each
  durable with its own folder; until one of them is, the file has at least one of its names.
- Chance comes from a seed, so that a fate can be made again.

Fates that need no chance come first; they find most of what can be found.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field, replace

from simulators.torture.kernel import Image, Step, Tape, Tree

PAGE = 4096
NAMES = frozenset(("link", "unlink", "rename"))
BYTES = frozenset(("write", "truncate"))
CHANGES = NAMES | BYTES


@dataclass(slots=True)
class Replay:
    """A disk while a tape is played: what is durable, and what was done and is not durable yet."""

    durable: Tree
    pending: list[Step] = field(default_factory=list)
    doubtful: list[Step] = field(default_factory=list)
    """What a failed sync was for: it may be there, and no later sync makes sure of it."""

    @classmethod
    def of(cls, image: Image) -> Replay:
        """A disk at rest."""
        return cls(Tree.of(image))

    def play(self, step: Step) -> bool:
        """Go on by one step; whether it was a sync that made something durable."""
        if step.kind == "sync":
            return self._sync(step)
        if step.kind == "fail":
            self.doubtful += [one for one in self.pending if one.kind in BYTES and one.node == step.node]
            self.pending = [one for one in self.pending if one.kind not in BYTES or one.node != step.node]
        elif step.kind == "rename" and step.to != step.node:
            self.pending.append(replace(step, kind="link", node=step.to, name=step.new_name))
            self.pending.append(replace(step, kind="unlink"))
        elif step.kind in CHANGES:
            self.pending.append(step)
        return False

    def _sync(self, step: Step) -> bool:
        kinds = NAMES if step.folder else BYTES
        done = [one for one in self.pending if one.kind in kinds and one.node == step.node]
        self.pending = [one for one in self.pending if one.kind not in kinds or one.node != step.node]
        for one in done:
            apply(self.durable, one)
        _settle(self.durable)
        self.doubtful = [one for one in self.doubtful if step.folder or one.node != step.node]
        return bool(done)

    def waiting(self) -> list[Step]:
        """Everything of which nobody knows whether it is there, in the order in which it was done."""
        return [*self.doubtful, *self.pending]

    def copy(self) -> Replay:
        """An independent one."""
        return Replay(_copy(self.durable), list(self.pending), list(self.doubtful))

    def visible(self) -> Tree:
        """What whoever uses the disk sees while the power is there."""
        return self.survivor(self.waiting())

    def survivor(self, kept: Sequence[Step]) -> Tree:
        """The disk with these of the pending steps, or parts of them."""
        tree = _copy(self.durable)
        for step in kept:
            if step.kind != "unlink" or not step.new_name or tree.folders.get(step.to, {}).get(step.new_name) == step.child:
                apply(tree, step)
        return _settle(tree)


def _copy(tree: Tree) -> Tree:
    return Tree(dict(tree.files), {number: dict(names) for number, names in tree.folders.items()})


def _settle(tree: Tree) -> Tree:
    """From now on its contents may be shared with other trees."""
    for number, data in tree.files.items():
        if isinstance(data, bytearray):
            tree.files[number] = bytes(data)
    return tree


def apply(tree: Tree, step: Step) -> None:
    """Do a step to a tree; one that finds its ground gone does what is left to do."""
    if step.kind == "write":
        data = tree.files.get(step.node, b"")
        if isinstance(data, bytes):  # content that other trees have too; `_settle` makes it such again
            data = tree.files[step.node] = bytearray(data)
        data += bytes(max(step.offset - len(data), 0))
        data[step.offset : step.offset + len(step.data)] = step.data
    elif step.kind == "truncate":
        tree.files[step.node] = bytes(tree.files.get(step.node, b"")[: step.offset])
    else:
        _rename(tree, step)


def _rename(tree: Tree, step: Step) -> None:
    names = tree.folders.setdefault(step.node, {})
    if step.kind != "link" and names.get(step.name) == step.child:
        del names[step.name]
    if step.kind != "unlink":
        names[step.name if step.kind == "link" else step.new_name] = step.child
        if step.folder:
            tree.folders.setdefault(step.child, {})
        else:
            tree.files.setdefault(step.child, b"")


# --------------------------------------------------------------------------- fates


Fate = Callable[[Sequence[Step], random.Random], list[Step]]


def _dropped(_pending: Sequence[Step], _chance: random.Random) -> list[Step]:
    """Nothing that was not synced is there."""
    return []


def _kept(pending: Sequence[Step], _chance: random.Random) -> list[Step]:
    """Everything is there."""
    return list(pending)


def _newest(pending: Sequence[Step], _chance: random.Random) -> list[Step]:
    """Only the last step is there: the order was turned round."""
    return list(pending[-1:])


def _oldest_lost(pending: Sequence[Step], _chance: random.Random) -> list[Step]:
    """Only the first step is not there."""
    return list(pending[1:])


def _names_only(pending: Sequence[Step], _chance: random.Random) -> list[Step]:
    """Names are there and bytes are not: what delayed allocation is known for."""
    return [step for step in pending if step.kind in NAMES]


def _bytes_only(pending: Sequence[Step], _chance: random.Random) -> list[Step]:
    """Bytes are there and names are not."""
    return [step for step in pending if step.kind in BYTES]


def _torn(pending: Sequence[Step], chance: random.Random) -> list[Step]:
    """The newest write is cut off inside a page; all before it is there."""
    kept = list(pending)
    for at in range(len(kept) - 1, -1, -1):
        if kept[at].kind == "write":
            kept[at] = replace(kept[at], data=kept[at].data[: chance.randrange(len(kept[at].data))])
            return kept[: at + 1]
    return kept


def _length_only(pending: Sequence[Step], _chance: random.Random) -> list[Step]:
    """Files are as long as they were, and what was written last reads as zeros."""
    return [replace(step, data=bytes(len(step.data))) if step.kind == "write" else step for step in pending]


def shuffled(pending: Sequence[Step], chance: random.Random) -> list[Step]:
    """Each piece by itself: there, not there, torn, or zeros."""
    kept: list[Step] = []
    for step in pending:
        if step.kind != "write":
            kept += [step] if chance.random() < 0.5 else []
            continue
        for piece in _pages(step):
            choice = chance.randrange(8)
            if choice < 4:
                kept.append(piece)
            elif choice == 4:
                kept.append(replace(piece, data=piece.data[: chance.randrange(len(piece.data))]))
            elif choice == 5:
                kept.append(replace(piece, data=bytes(len(piece.data))))
    return kept


def _pages(step: Step) -> Iterator[Step]:
    """A write as the pages that it touches."""
    at, end = step.offset, step.offset + len(step.data)
    while at < end:
        until = min((at // PAGE + 1) * PAGE, end)
        yield replace(step, offset=at, data=step.data[at - step.offset : until - step.offset])
        at = until


CERTAIN: dict[str, Fate] = {
    "dropped": _dropped,
    "kept": _kept,
    "newest": _newest,
    "oldest lost": _oldest_lost,
    "names only": _names_only,
    "bytes only": _bytes_only,
    "zeros": _length_only,
}
"""Fates that are the same every time."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The power went after `position` steps of the tape, and this is what the next start finds."""

    position: int
    fate: str
    image: Image


def cuts(replay: Replay, tape: Tape, seed: int, samples: int, positions: Container[int] | None = None) -> Iterator[Cut]:
    """Every different disk after a cut at each position (all of them, or those given), with `samples` fates by chance each.

    Chance goes with the number of changes: the same disk has the same fates with and without a sync.
    """
    replay, changes = replay.copy(), 0
    for position in range(len(tape) + 1):
        if positions is None or position in positions:
            yield from fates(replay, position, f"{seed}/{changes}", samples)
        if position < len(tape):
            replay.play(tape[position])
            changes += tape[position].kind in CHANGES


def fates(replay: Replay, position: int, seed: str, samples: int) -> Iterator[Cut]:
    """Every different disk if the power goes now."""
    seen: set[int] = set()
    waiting = replay.waiting()
    chosen: list[tuple[str, Fate]] = list(CERTAIN.items())
    if waiting:
        chosen += [("torn", _torn), *((f"shuffled {number}", shuffled) for number in range(samples))]
    else:
        chosen = chosen[:1]
    for name, fate in chosen:
        chance = random.Random(f"{seed}/{name}")  # noqa: S311 — faults are made again by their seed
        image = replay.survivor(fate(waiting, chance)).image()
        if (key := image.key()) not in seen:
            seen.add(key)
            yield Cut(position, name, image)
