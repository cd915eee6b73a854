"""The server's half of replication: what a signed batch means for the lines that are held. Values in, values out.

Rules (docs/evidence-format.md, section 5), after the signature has been checked:
- What is held never changes; a log only grows, and only to the root that the device signed.
- Doubled and late batches are answered with the newest; so is one that begins beyond what is held (`AHEAD`).
- A checkpoint of a size that is held, with another root than the log's at that size, is a fork.
- A larger one that held and offered lines do not give is `WRONG_ROOT`: lines were damaged on the way. The same checkpoint
  again, complete from the held size on, is a suspected fork.

So any order, doubling and loss of a device's batches end in the same log; a test holds it to that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agent.core import merkle, wire
from server.ingest.reasons import Reason


@dataclass(slots=True)
class Held:
    """What the server knows of a journal: its compact range (never changed in place) and the heads that it could not explain."""

    range: merkle.Range = field(default_factory=merkle.Range)
    unexplained: frozenset[tuple[int, bytes]] = frozenset()


@dataclass(slots=True)
class Admitted:
    """The lines that are new, from index `first`; `held` is what is known with them."""

    held: Held
    first: int
    lines: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Answered:
    """Nothing new: the device hears the newest."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing of the log changes; `held` remembers what could not be explained."""

    reason: Reason
    held: Held
    detail: str


Decision = Admitted | Answered | Refused

MAX_UNEXPLAINED = 16


def decide(held: Held, offer: wire.Batch, root_at: Callable[[int], bytes]) -> Decision:
    """What to do with a batch whose signature holds. `root_at` gives the root of the first so many held lines."""
    size = held.range.size
    if offer.size <= size:
        if offer.root == (held.range.root() if offer.size == size else root_at(offer.size)):
            return Answered()
        return Refused(Reason.FORK, held, f"size {offer.size} is held with another root")
    if offer.first > size:
        return Refused(Reason.AHEAD, held, f"begins at {offer.first}, held are {size}")
    new = offer.lines[size - offer.first :]
    grown = held.range.copy()
    for line in new:
        grown.append(merkle.leaf_hash(line))
    if grown.root() == offer.root:
        return Admitted(Held(grown), size, new)
    return _unexplained(held, offer)


def _unexplained(held: Held, offer: wire.Batch) -> Refused:
    head = (offer.size, offer.root)
    if head in held.unexplained and offer.first == held.range.size:
        return Refused(Reason.SUSPECTED_FORK, held, f"size {offer.size} came again, complete from {offer.first} on")
    kept = held.unexplained if len(held.unexplained) < MAX_UNEXPLAINED else frozenset()
    return Refused(Reason.WRONG_ROOT, Held(held.range, kept | {head}), f"lines to {offer.size} do not give the signed root")
