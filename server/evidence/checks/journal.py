"""Whether the lines stand in the signed tree: data/journal.jsonl and data/journal.proof (docs/evidence-format.md, section 9).

Rules:
- The lines of the ranges, in order, and the outside hashes must give the checkpoint's root, with nothing missing and nothing left over.
- The bytes are the record. A line is read for its meaning only after its hash has its place in the tree.
- Of what a line says only what some check asks for is kept: whoever signs himself can sign lines of a thousand members.

Who signed the checkpoint is `checks.trust`'s question, what the lines say `checks.sequence`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from agent.core import kinds, lines, merkle, note
from agent.core.errors import CoreError, LineError
from server.evidence.bag import Bag
from server.evidence.claims import Claims
from server.evidence.errors import MisfitError
from server.evidence.keys import MAX_PROOF, checkpoint_of
from server.evidence.manifest import MAX_FILE
from server.evidence.reading import meaning
from server.evidence.text import many
from server.evidence.verdict import Check

LINES = "data/journal.jsonl"
PROOF = "data/journal.proof"

MAX_LINES = 2_000_000
"""Two weeks without a pause."""

USUAL_MEMBERS = 24
"""More than any line of ours has: one with no more, and without lists, is kept as it was read."""

ASKED_OF_ANY = ("at", "up", "kind", "salt", "recording", "n", "continues", "recovered")


@dataclass(frozen=True)
class Line:
    """One proved line: its index in the journal, its bytes and leaf hash, its members or why it has no meaning."""

    index: int
    raw: bytes
    leaf: bytes
    members: dict[str, Any] | None
    reason: str = ""

    @property
    def kind(self) -> str:
        """Its kind; empty without meaning."""
        return str(self.members["kind"]) if self.members is not None else ""


@dataclass
class Journal:
    """The proved lines in order, and the checkpoint that they were proved under."""

    checkpoint: note.Checkpoint
    body: str
    note: str
    lines: list[Line] = field(default_factory=list)

    def place(self, line: Line) -> str:
        """How a line is named in findings."""
        return f"{LINES} (index {line.index})"


def check_journal(check: Check, bag: Bag, claims: Claims) -> Journal:
    """Prove the lines; MisfitError when they do not lead to the root."""
    proof = _proof(bag)
    body = note.split(proof.checkpoint)[0]
    head = checkpoint_of(body, PROOF)
    if head.origin != claims.origin:
        raise MisfitError(PROOF, f"the checkpoint is of {head.origin}, the package claims {claims.origin}")
    raw = _raw_lines(bag, sum(end - first for first, end in proof.ranges))
    leaves = [merkle.leaf_hash(line) for line in raw]
    try:
        root = merkle.range_root(head.size, proof.ranges, leaves, proof.hashes)
    except CoreError as e:
        raise MisfitError(PROOF, str(e)) from e
    if root != head.root:
        raise MisfitError(
            LINES, f"the {len(raw)} lines and {len(proof.hashes)} hashes do not lead to the root of the checkpoint at size {head.size}"
        )
    journal = Journal(head, body, proof.checkpoint)
    indices = (index for first, end in proof.ranges for index in range(first, end))
    asked = _Asked(claims.recording)
    for place, index in enumerate(indices):
        journal.lines.append(_line(index, raw[place], leaves[place], asked))
    check.figures = {"lines": len(raw), "ranges": len(proof.ranges), "hashes": len(proof.hashes), "size": head.size}
    check.figures["root"] = head.root.hex()
    check.says = f"{many(len(raw), 'line')} of the tree of {head.size}, unchanged and in this order"
    return journal


def _proof(bag: Bag) -> note.RangeProof:
    try:
        return note.parse_range_proof(bag.text(PROOF, MAX_PROOF))
    except CoreError as e:
        raise MisfitError(PROOF, str(e)) from e


def _raw_lines(bag: Bag, expected: int) -> list[bytes]:
    data = bag.read(LINES, MAX_FILE[LINES])
    if not data.endswith(b"\n"):
        raise MisfitError(LINES, "torn: its last line has no end")
    count = data.count(b"\n")
    if count != expected or count > MAX_LINES:
        raise MisfitError(LINES, f"the proof is about {expected} lines, the file has {count}; at most {MAX_LINES} are read")
    rows = data[:-1].split(b"\n")
    for number, row in enumerate(rows, 1):
        if not 1 <= len(row) <= lines.MAX_LINE:
            raise MisfitError(f"{LINES} line {number}", f"a line is 1 to {lines.MAX_LINE} bytes, got {len(row)}")
    return rows


class _Asked:
    """What checks ask for of lines: the members of their kinds, and of a recording's one start and one stop their lists."""

    def __init__(self, recording: str) -> None:
        self._recording = recording
        self._listed: set[str] = set()

    def of(self, raw: bytes, members: dict[str, Any]) -> dict[str, Any]:
        """The members to keep."""
        if len(members) <= USUAL_MEMBERS and b"[" not in raw and raw.count(b"{") == 1:
            return members
        kind = members["kind"]
        kept = {name: members[name] for name in (*ASKED_OF_ANY, *kinds.KINDS.get(kind, ("", {}))[1]) if name in members}
        lists = [name for name, value in kept.items() if isinstance(value, (dict, list))]
        if lists and (kind not in ("start", "stop") or kind in self._listed or members.get("recording") != self._recording):
            kept.update({name: type(kept[name])() for name in lists})
        elif lists:
            self._listed.add(kind)
        return kept


def _line(index: int, raw: bytes, leaf: bytes, asked: _Asked) -> Line:
    try:
        return Line(index, raw, leaf, asked.of(raw, meaning(raw)))
    except LineError as e:
        return Line(index, raw, leaf, None, str(e))
