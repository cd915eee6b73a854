"""What is signed and what is there: checkpoints, the cosigned note and the lines of a journal that nobody has judged yet.

Only reads. `recovery.decide` says what follows from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from agent.core import merkle, wire
from agent.journal import segments
from agent.journal.checkpoints import Checkpoints, Stored
from agent.journal.errors import Damaged
from agent.journal.log import read_cosigned
from agent.journal.signer import verifier
from hal.contracts import Files, Signer


@dataclass(frozen=True, slots=True)
class Heads:
    """The heads of a journal and what they are worth.

    `lines` counts the whole lines, `torn` the bytes behind them; `newest_fits` is also true where there is no checkpoint;
    `cosigned` is the size of the cosigned note. `candidate` is the size that the journal goes on from: of the newest
    checkpoint or cosigned note if the newest checkpoint fits, else of the cosigned one, else of the largest that fits.
    `mend` is the segment whose range file is wrong though the lines before it are right. `cut_short`: the lines give the
    cosigned root, and our own checkpoint of them, which was durable before the server could cosign it, is gone.
    """

    checkpoints: Checkpoints
    lines: int
    torn: int
    newest_fits: bool
    cosigned: int | None
    candidate: int | None
    mend: int | None
    cut_short: bool

    @property
    def newest(self) -> Stored | None:
        """The newest valid checkpoint."""
        return self.checkpoints.newest


def open_checkpoints(folder: Path, origin: str, signer: Signer, files: Files) -> Checkpoints:
    """The checkpoint file of the journal."""
    return Checkpoints(folder, origin, verifier(origin, signer), files)


def read(folder: Path, origin: str, signer: Signer, files: Files) -> Heads:
    """Everything that recovery decides by."""
    checkpoints = open_checkpoints(folder, origin, signer, files)
    newest, note = checkpoints.newest, read_cosigned(files, folder, verifier(origin, signer))
    cosigned = note[1] if note and note[1].origin == origin else None
    found = segments.firsts(files, folder)
    last = segments.read(files, folder, found[-1] if found else 0)
    wanted = {head.size for head in (newest, cosigned) if head is not None}
    roots = _roots(files, folder, wanted)
    mend = None
    if newest is not None and roots.get(newest.size) != newest.root and newest.size <= last.end:
        roots = _roots(files, folder, wanted, trust=False)
        mend = last.first if roots.get(newest.size) == newest.root else None
    fits = newest is None or roots.get(newest.size) == newest.root
    safe = cosigned.size if cosigned is not None and roots.get(cosigned.size) == cosigned.root else None
    candidate: int | None
    if fits:
        candidate = max(newest.size if newest else 0, safe or 0)
    elif safe is not None:
        candidate = safe
    else:
        candidate = _largest_fit(files, folder, checkpoints, last.end)
    cut_short = safe is not None and safe > (newest.size if newest else 0)
    return Heads(checkpoints, last.end, len(last.torn), fits, cosigned.size if cosigned else None, candidate, mend, cut_short)


def lines_behind(folder: Path, files: Files, base: int) -> list[bytes]:
    """Whole lines from index `base` on: one more than may be adopted, if there are so many."""
    found: list[bytes] = []
    for first in segments.firsts(files, folder):
        begin = max(base - first, 0)
        follows = first <= base + len(found)  # lines behind a hole are not the next ones
        if first >= segments.first_of(base) and follows and len(found) <= wire.MAX_BATCH_LINES:
            found += segments.read(files, folder, first).lines()[begin : begin + wire.MAX_BATCH_LINES + 1]
    return found


def _roots(files: Files, folder: Path, sizes: Iterable[int], *, trust: bool = True) -> dict[int, bytes]:
    """Roots at those of the sizes that the lines reach."""
    roots: dict[int, bytes] = {}
    for first, group in groupby(sorted(sizes), lambda size: segments.first_of(max(size - 1, 0))):
        roots |= _roots_in(files, folder, first, set(group), trust=trust)
    return roots


def _roots_in(files: Files, folder: Path, first: int, sizes: set[int], *, trust: bool) -> dict[int, bytes]:
    """Roots at sizes behind line `first` of one segment."""
    try:
        tree, _ = segments.begin_of(files, folder, first, trust=trust)
    except Damaged:
        return {}
    roots = {tree.size: tree.root()} if tree.size in sizes else {}
    for line in segments.read(files, folder, first).lines()[: max(sizes) - first]:
        tree.append(merkle.leaf_hash(line))
        if tree.size in sizes:
            roots[tree.size] = tree.root()
    return roots


def _largest_fit(files: Files, folder: Path, checkpoints: Checkpoints, lines: int) -> int | None:
    """Size of the largest stored checkpoint that our key signed and that the lines give."""
    there = (stored for stored in checkpoints.backwards() if 0 < stored.size <= lines)
    for first, group in groupby(there, lambda stored: segments.first_of(stored.size - 1)):
        heads = list(group)
        roots = _roots_in(files, folder, first, {stored.size for stored in heads}, trust=False)
        for stored in heads:
            if roots.get(stored.size) == stored.root and checkpoints.holds(stored):
                return stored.size
    return None
