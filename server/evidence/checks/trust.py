"""Who signed: the device's key, who vouches for it, and the witness's cosignature (docs/evidence-format.md, sections 3, 5, 9).

Rules:
- The device's key is the one that the ledger's `enrol` line names for this origin. It counts when that line is proved under a given
  ledger key, or when the device's own vkey was given. The journal's line 0 must name the same key and certificate.
- The checkpoint must be signed by that key. A cosignature counts when a given witness key made it; of several the earliest time
  bounds the recording.
- A certificate in the package is information. One that belongs to another key or was not the enrolled one does not fit, all the same.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Any

from agent.core import note
from agent.core.errors import CoreError
from server.evidence.bag import Bag
from server.evidence.claims import Claims
from server.evidence.errors import MisfitError, MissingError
from server.evidence.keys import Keyring, signed_by, signers
from server.evidence.text import utc
from server.evidence.verdict import Check

from .certificate import validity
from .journal import LINES, PROOF, Journal
from .proofs import LedgerProofs

ENROLMENT = "data/device.tlog-proof"
CERTIFICATE = "data/certificates/evidence.pem"
MAX_CERTIFICATE = 64 << 10


@dataclass(frozen=True)
class Device:
    """The device's key, whether a given key vouches for it, and when its certificate was valid, in ms."""

    verifier: note.Verifier
    vouched: bool
    certified: tuple[int, int] | None = None


def check_device(check: Check, bag: Bag, claims: Claims, journal: Journal, proofs: LedgerProofs, keys: Keyring) -> Device:
    """Find the device's key and who vouches for it."""
    first = journal.lines[0]
    own = first.members if first.index == 0 and first.kind == "enrol" else None
    if own is None:
        check.incomplete(f"{LINES} (index 0)", "the journal's first line, its enrolment, is not there")
    try:
        line = proofs.read(bag, ENROLMENT)
    except MissingError as e:
        check.incomplete(e.place, "the ledger's enrol line is not there")
        if own is None:
            raise
        enrolled, by_ledger = own, False
    else:
        if line.members["kind"] != "enrol":
            raise MisfitError(ENROLMENT, f"expected an enrol line, got {line.members['kind']}")
        enrolled, by_ledger = line.members, line.trusted
        if not line.trusted:
            check.note(f"the ledger's checkpoint is signed by {line.signers}: none of the given keys")
        _compare(own, enrolled)
    if enrolled["origin"] != claims.origin:
        raise MisfitError(ENROLMENT, f"enrols {enrolled['origin']}, the package is of {claims.origin}")
    device = _device(check, claims.origin, enrolled["vkey"], by_ledger=by_ledger, keys=keys)
    certified = _check_certificate(check, bag, enrolled["certificate"], device.verifier)
    return Device(device.verifier, device.vouched, certified)


def _compare(own: dict[str, Any] | None, enrolled: dict[str, Any]) -> None:
    for name in ("origin", "vkey", "certificate"):
        if own is not None and own[name] != enrolled[name]:
            raise MisfitError(f"{LINES} (index 0)", f"{name} is {own[name]:.100}, the ledger enrolled {enrolled[name]:.100}")


def _device(check: Check, origin: str, vkey: str, *, by_ledger: bool, keys: Keyring) -> Device:
    try:
        verifier = keys.verifier(vkey)
    except CoreError as e:
        raise MisfitError(ENROLMENT, f"the device's vkey: {e}") from e
    if verifier.name != origin or verifier.algorithm == note.COSIGNATURE:
        raise MisfitError(ENROLMENT, f"the device's vkey is named {verifier.name} and of type {verifier.algorithm}: not a key of {origin}")
    given = [v.vkey for v in keys.named(origin)]
    if given and vkey not in given and by_ledger:
        raise MisfitError(ENROLMENT, "the ledger enrolled another key than the device's key that was given")
    by_key = vkey in given
    if not by_ledger and not by_key:
        check.untrusted(ENROLMENT, f"no given key vouches for the device's key {vkey}")
    who = "the ledger, under a given key," if by_ledger else "a given key" if by_key else "nobody who is trusted"
    kind = "ECDSA P-256" if verifier.algorithm == note.ECDSA else "Ed25519"
    check.says = f"the key of {origin} is {vkey} ({kind}); {who} vouches for it"
    check.figures = {"origin": origin, "vkey": vkey, "algorithm": kind, "by_ledger": by_ledger, "by_given_key": by_key}
    return Device(verifier, by_ledger or by_key)


_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END CERTIFICATE-----\s*")


def _check_certificate(check: Check, bag: Bag, digest: str, verifier: note.Verifier) -> tuple[int, int] | None:
    """Whether it is the enrolled one; when it was valid, where that can be read."""
    if CERTIFICATE not in bag.files:
        check.note("the device's certificate is not in the package; nothing depends on it")
        return None
    pem = _PEM.fullmatch(bag.text(CERTIFICATE, MAX_CERTIFICATE))
    try:
        der = binascii.a2b_base64(pem.group(1)) if pem else b""
    except ValueError:
        der = b""
    if hashlib.sha256(der).hexdigest() != digest:
        check.tampered(CERTIFICATE, f"not the certificate that was enrolled (SHA-256 {digest:.64})")
    elif verifier.key not in der:
        check.tampered(CERTIFICATE, "does not hold the device's key")
    else:
        return validity(der)
    return None


def check_signature(check: Check, journal: Journal, device: Device) -> None:
    """The checkpoint is signed by the device."""
    _, held = signed_by(journal.note, PROOF, [device.verifier])
    if not held:
        check.tampered(PROOF, f"the checkpoint is not signed by the device's key; it is signed by {signers(journal.note)}")
        return
    check.figures = {"size": journal.checkpoint.size, "key": device.verifier.key_id.hex()}
    check.says = f"the checkpoint over {journal.checkpoint.size} lines is signed by {device.verifier.name}"


def check_cosignature(check: Check, journal: Journal, keys: Keyring, device: Device | None) -> int | None:
    """When a given witness cosigned the checkpoint, in seconds since 1970; None when none did."""
    _, held = signed_by(journal.note, PROOF, keys.witnesses())
    if not held:
        check.incomplete(PROOF, f"no given witness key cosigned the checkpoint; it is signed by {signers(journal.note)}")
        return None
    seconds, name = min((s.seconds or 0, s.name) for s in held)
    check.figures = {"cosignatures": len(held), "witness": name, "seconds": seconds}
    check.says = f"{name} cosigned the checkpoint at {utc(seconds * 1000)}: nothing up to there was changed afterwards"
    if device is not None and device.certified is not None:
        _note_validity(check, *device.certified, seconds * 1000)
    return seconds


def _note_validity(check: Check, first: int, last: int, at: int) -> None:
    """A certificate that did not hold then is said. What vouches for the key is the ledger, and that it was not revoked, the witness."""
    if at > last:
        check.note(f"the certificate had run out by then, at {utc(last)}; what vouches for the key is the ledger's enrol line")
    elif at < first:
        check.note(f"the certificate was to hold from {utc(first)} on only; what vouches for the key is the ledger's enrol line")
