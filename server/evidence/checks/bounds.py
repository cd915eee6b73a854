"""When it was, at the earliest and at the latest: beacon, anchors, cosignature (docs/evidence-format.md, sections 7, 9).

Rules:
- Not before: the `beacon` line in force names a ledger checkpoint, which nobody could know before it was signed. The newest outside
  cosignature by a given key inside that checkpoint's anchor dates it; without one the anchor's own `at` does, "by the operator's own word".
- Not after: the time at which a given witness cosigned the device's checkpoint.
- An anchor of the device's checkpoint in the ledger is not required. Where it is in the package it must fit: the anchor proves that very
  checkpoint, and stands in the ledger.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.core import merkle, note
from agent.core.errors import CoreError
from server.evidence.bag import Bag
from server.evidence.errors import MisfitError, MissingError
from server.evidence.keys import MAX_PROOF, Keyring, checkpoint_of, signed_by
from server.evidence.reading import is_digest
from server.evidence.text import span, utc
from server.evidence.verdict import Check

from .journal import LINES, Journal
from .proofs import LedgerLine, LedgerProofs
from .sequence import Recording

BEACON = "data/beacon.note"
BEACON_ANCHOR = "data/beacon.tlog-proof"
ANCHOR = "data/anchor.proof"
ANCHOR_LINE = "data/anchor.tlog-proof"

LEDGER_SKEW_MS = 60_000
"""Ledger and witness are of one operator and may run on two machines: their clocks may differ by this much without a contradiction."""


@dataclass(frozen=True)
class Bounds:
    """Earliest and latest, in ms since 1970; None where nobody trusted says."""

    not_before: int | None = None
    not_after: int | None = None


def check_not_before(check: Check, bag: Bag, recording: Recording, proofs: LedgerProofs, keys: Keyring) -> int | None:
    """The earliest time of the start line, in ms."""
    beacon = next((line for line in reversed(recording.governing) if line.kind == "beacon"), None)
    if beacon is None or beacon.members is None:
        check.incomplete(LINES, "no beacon line was in force: nothing says before when the recording can't have begun")
        return None
    place = f"{LINES} (index {beacon.index})"
    known = beacon.members["checkpoint"]
    if checkpoint_of(known, place).origin != proofs.origin:
        raise MisfitError(place, f"the beacon is not a checkpoint of {proofs.origin}")
    body, trusted = proofs.signed(bag.text(BEACON, MAX_PROOF), BEACON)
    if body != known:
        raise MisfitError(BEACON, f"not the checkpoint that the beacon line (index {beacon.index}) names")
    anchor = proofs.read(bag, BEACON_ANCHOR)
    if anchor.members["kind"] != "anchor" or anchor.body != known:
        raise MisfitError(BEACON_ANCHOR, "expected an anchor line, proved under the beacon's checkpoint")
    if not trusted or not anchor.trusted:
        proofs.distrust(check, BEACON if not trusted else BEACON_ANCHOR, anchor.signers)
        return None
    at, by = _dated(anchor, proofs, keys)
    check.figures = {"not_before": at, "by": by, "ledger_size": anchor.size}
    word = f"{by} cosigned the ledger then" if by != proofs.origin else "by the operator's own word"
    check.says = f"not before {utc(at)}: a ledger checkpoint of that time stands in the journal before the start line ({word})"
    return at


def _dated(anchor: LedgerLine, proofs: LedgerProofs, keys: Keyring) -> tuple[int, str]:
    """(ms, by whom) of an anchor: its newest outside cosignature by a given key, else its own word."""
    previous = anchor.members.get("previous")
    if previous is None:
        return anchor.members["at"], proofs.origin
    if not isinstance(previous, str):
        raise MisfitError(BEACON_ANCHOR, "previous: expected a signed note")
    head = checkpoint_of(proofs.signed(previous, BEACON_ANCHOR)[0], BEACON_ANCHOR)
    if head.origin != proofs.origin or head.size > anchor.index:
        raise MisfitError(BEACON_ANCHOR, f"previous: expected a checkpoint of {proofs.origin} of at most {anchor.index} lines")
    outside = [w for w in keys.witnesses() if w.name != f"{proofs.domain}/witness"]
    _, held = signed_by(previous, BEACON_ANCHOR, outside)
    if not held:
        return anchor.members["at"], proofs.origin
    seconds, name = max((s.seconds or 0, s.name) for s in held)
    return seconds * 1000, name


def check_not_after(check: Check, seconds: int | None, not_before: int | None) -> int | None:
    """The latest time of every line, in ms; it must lie behind the earliest."""
    if seconds is None:
        check.incomplete("data/journal.proof", "without a cosignature nothing says after when the recording can't have been made")
        return None
    not_after = seconds * 1000 + 999
    check.figures = {"not_after": not_after}
    check.says = f"not after {utc(not_after)}, when the witness cosigned"
    if not_before is not None:
        check.figures["window_ms"] = not_after - not_before
        check.says += f"; the recording began within {span(not_after - not_before)} before that"
        if not_after < not_before - LEDGER_SKEW_MS:
            check.tampered("data/journal.proof", f"cosigned at {utc(not_after)}, before it can have begun: {utc(not_before)}")
    return not_after


def check_anchor(check: Check, bag: Bag, journal: Journal, proofs: LedgerProofs) -> None:
    """The device's checkpoint in an anchor of the ledger, when the package has it."""
    there = [name for name in (ANCHOR, ANCHOR_LINE) if name in bag.files]
    if not there:
        check.says = "the package holds no anchor of this checkpoint in the ledger; none is required"
        return
    if len(there) == 1:
        raise MissingError(ANCHOR if ANCHOR not in there else ANCHOR_LINE, f"belongs to {there[0]}, and is not there")
    line = proofs.read(bag, ANCHOR_LINE)
    m = line.members
    if m["kind"] != "anchor" or not is_digest(m["root"]):
        raise MisfitError(ANCHOR_LINE, "expected an anchor line with a root")
    try:
        index, hashes, body = note.parse_anchor_proof(bag.text(ANCHOR, MAX_PROOF))
        if body != journal.body:
            raise MisfitError(ANCHOR, "is about another checkpoint than journal.proof")
        merkle.check_inclusion(merkle.leaf_hash(body.encode()), index, m["count"], hashes, bytes.fromhex(m["root"]))
    except CoreError as e:
        raise MisfitError(ANCHOR, str(e)) from e
    if not line.trusted:
        proofs.distrust(check, ANCHOR_LINE, line.signers)
    check.figures = {"index": line.index, "at": m["at"], "count": m["count"]}
    check.says = f"the checkpoint is one of {m['count']} in the ledger's anchor of {utc(m['at'])} (line {line.index})"
