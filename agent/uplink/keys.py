"""The server's three keys as this device learned them at enrolment, each for its one purpose.

Signatures are checked with the machine's crypto library; the core's own Ed25519 is for boards that have none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.core import note, p256, wire
from agent.core.errors import NoteError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def ed25519_verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature holds (RFC 8032)."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


PRIMITIVES: dict[int, Callable[[bytes, bytes, bytes], bool]] = {note.ED25519: ed25519_verify, note.ECDSA: p256.verify}


@dataclass(frozen=True, slots=True)
class ServerKeys:
    """Verifiers of the deployment: `witness` cosigns our checkpoints, `ledger` signs receipts and beacons, `orders` orders."""

    witness: note.Verifier
    ledger: note.Verifier
    orders: note.Verifier
    ours: note.Verifier

    @classmethod
    def of(cls, origin: str, vkey: str, texts: Mapping[str, str]) -> ServerKeys:
        """Keys from an enrolment's vkeys; NoteError where one is of another deployment or of the wrong type."""
        domain, _, _ = wire.parse_origin(origin)
        opened = {purpose: _of_type(texts[purpose], purpose) for purpose in ("witness", "ledger", "orders")}
        for purpose in ("witness", "ledger"):
            if opened[purpose].name != f"{domain}/{purpose}":
                raise NoteError(f"the {purpose} key of {origin} is named {domain}/{purpose}, got {opened[purpose].name}")
        ours = note.verifier(vkey, PRIMITIVES)
        if ours.name != origin:
            raise NoteError(f"the evidence key of {origin} has the origin as its name, got {ours.name}")
        return cls(**opened, ours=ours)


def _of_type(vkey: str, purpose: str) -> note.Verifier:
    key = note.verifier(vkey, PRIMITIVES)
    if (key.algorithm == note.COSIGNATURE) != (purpose == "witness"):
        raise NoteError(f"the {purpose} key {key.name} is of type {key.algorithm}, which is not for that purpose")
    return key
