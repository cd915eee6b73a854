"""Who may speak: takes a batch apart and checks whose it is, before anybody asks what it means.

Rules: the journal is one that the ledger lists and has not revoked, the topic is its device's own, and its key signed the
checkpoint. Signatures of others in the note are dropped: nobody has checked them.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass

from agent.core import note, wire
from agent.core.errors import WireError
from server.ingest.reasons import Reason, Refusal
from server.ledger.enrolments import Enrolment, Enrolments


@dataclass(slots=True)
class Offer:
    """A batch whose signature holds: its checkpoint's body, and the note with the device's own signature only."""

    device: str
    batch: wire.Batch
    body: str
    signed: str


def open_batch(device: str, payload: bytes, enrolments: Enrolments) -> Offer | Refusal:
    """The offer in a payload that came on the device's topic, or why there is none."""
    try:
        batch = wire.decode_batch(payload)
        known = enrolments.get(batch.origin)
        owner = known.device if known else wire.parse_origin(batch.origin)[1]
    except WireError as e:
        return Refusal(Reason(e.reason), str(e))
    if owner != device:
        return Refusal(Reason.WRONG_TOPIC, f"{batch.origin} on the topic of {device}")
    if known is None:
        return Refusal(Reason.UNKNOWN_ORIGIN, batch.origin)
    if known.revoked is not None:
        return Refusal(Reason.REVOKED, f"{batch.origin} by line {known.revoked} of the ledger")
    return _verified(device, batch, known)


def _verified(device: str, batch: wire.Batch, known: Enrolment) -> Offer | Refusal:
    """Look for the journal's own signature. The note's format was checked when the batch was taken apart."""
    own, text = known.verifier, batch.note
    cut = text.rfind("\n\n")
    body, head = text[: cut + 1], f"\u2014 {own.name} "
    for line in text[cut + 2 : -1].split("\n"):
        if line.startswith(head):
            data = binascii.a2b_base64(line[len(head) :])
            if data[:4] == own.key_id:
                if not own.verify(body.encode(), data[4:]):
                    return Refusal(Reason.FOREIGN_SIGNATURE, f"{batch.origin}: the signature does not hold")
                return Offer(device, batch, body, f"{body}\n{line}\n")
    names = ", ".join(name for name, _, _ in note.split(text)[1])
    return Refusal(Reason.FOREIGN_SIGNATURE, f"{batch.origin}: signed by {names[:200]}")
