"""Read `.tlog-proof` files of the server's ledger: a line, proved under a checkpoint that the ledger signed.

Rules (docs/evidence-format.md, section 7; C2SP tlog-proof):
- `extra` holds the line; it counts once its hash leads to the root. The checkpoint is of `<domain>/ledger`, the domain being the
  journal's own: another agency's ledger, however trusted, says nothing about this device.
- A given ledger key's signature must hold. Where no given key signed, the line is well proved and *not trusted*.
- Many proofs share a checkpoint; its signature is checked once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from agent.core import merkle, note
from agent.core.errors import CoreError, LineError
from server.evidence.bag import Bag
from server.evidence.errors import MisfitError
from server.evidence.keys import MAX_PROOF, Keyring, checkpoint_of, signed_by, signers
from server.evidence.reading import ledger_line
from server.evidence.verdict import Check


@dataclass(frozen=True)
class LedgerLine:
    """A proved ledger line: index, bytes, members; the checkpoint's body, size; whether a given ledger key signed it."""

    index: int
    raw: bytes
    members: dict[str, Any]
    body: str
    size: int
    trusted: bool
    signers: str


@dataclass
class LedgerProofs:
    """Reads proofs of one deployment's ledger under the given keys."""

    domain: str
    keys: Keyring
    _seen: dict[bytes, tuple[str, bool]] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        """The ledger's name."""
        return f"{self.domain}/ledger"

    def signed(self, text: str, place: str) -> tuple[str, bool]:
        """(body, whether a given ledger key signed) of a ledger checkpoint; MisfitError when a known key's signature fails."""
        key = hashlib.sha256(text.encode()).digest()  # a note may be 64 KiB long, and a package may hold a hundred thousand
        if key not in self._seen:
            body, held = signed_by(text, place, self.keys.named(self.origin))
            self._seen[key] = (body, bool(held))
        return self._seen[key]

    def distrust(self, check: Check, place: str, signers: str) -> None:
        """Note that no given ledger key signed: untrusted when one was given, else a part of the proof that is missing."""
        message = f"the ledger's checkpoint is signed by {signers}: none of the given keys as {self.origin}"
        if self.keys.named(self.origin):
            check.untrusted(place, message)
        else:
            check.incomplete(place, message)

    def read(self, bag: Bag, name: str) -> LedgerLine:
        """The line in a `.tlog-proof` file; MissingError when there is none, MisfitError when it proves nothing."""
        return self.line(bag.text(name, MAX_PROOF), name)

    def line(self, text: str, name: str) -> LedgerLine:
        """The line in the text of a proof."""
        try:
            proof = note.parse_tlog_proof(text)
            body, trusted = self.signed(proof.checkpoint, name)
            head = checkpoint_of(body, name)
            if head.origin != self.origin:
                raise MisfitError(name, f"the checkpoint is of {head.origin}, expected {self.origin}")
            if proof.extra is None:
                raise MisfitError(name, "holds no line (extra)")
            merkle.check_inclusion(merkle.leaf_hash(proof.extra), proof.index, head.size, proof.hashes, head.root)
            members = ledger_line(proof.extra)
        except LineError as e:
            raise MisfitError(name, f"the proved line has no meaning: {e}") from e
        except CoreError as e:
            raise MisfitError(name, str(e)) from e
        return LedgerLine(proof.index, proof.extra, members, body, head.size, trusted, signers(proof.checkpoint))
