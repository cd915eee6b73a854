"""The server as far as a recorder sees it: cosignatures and receipts, by real keys that are the same every time."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.core import lines, merkle, note

DOMAIN = "evidence.example.gov"
SECONDS = 1_763_712_400


def _key(purpose: str) -> tuple[Ed25519PrivateKey, bytes]:
    key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"torture {purpose}".encode()).digest())
    return key, key.public_key().public_bytes_raw()


class Witness:
    """Cosigns what it is shown, and keeps a ledger of its own with what it has stored."""

    def __init__(self) -> None:
        self._keys = {purpose: _key(purpose) for purpose in ("witness", "ledger", "orders")}
        self._leaves: list[bytes] = []

    def vkeys(self) -> dict[str, str]:
        """Return purpose → vkey."""
        kinds = {"witness": note.COSIGNATURE}
        return {purpose: note.vkey(f"{DOMAIN}/{purpose}", kinds.get(purpose, note.ED25519), key[1]) for purpose, key in self._keys.items()}

    def public(self, purpose: str) -> bytes:
        """The raw public key."""
        return self._keys[purpose][1]

    def cosign(self, text: str, seconds: int = SECONDS) -> str:
        """The note with the witness's cosignature."""
        key, public = self._keys["witness"]
        return note.add(text, note.cosign(text, f"{DOMAIN}/witness", public, key.sign, seconds))

    def checkpoint(self) -> str:
        """The ledger's signed checkpoint."""
        key, public = self._keys["ledger"]
        body = note.checkpoint(f"{DOMAIN}/ledger", len(self._leaves), merkle.root_of(self._leaves))
        return note.sign(body, f"{DOMAIN}/ledger", note.ED25519, public, key.sign)

    def beacon(self) -> str:
        """Body of the newest checkpoint."""
        return note.split(self.checkpoint())[0]

    def stored(self, origin: str, recording: str, stop: bytes, fragments: int, size: int) -> tuple[str, str]:
        """(leaf hash in hex, receipt) of a `stored` line."""
        members = {"device": origin.split("/")[1], "origin": origin, "recording": recording}
        figures = {"stop": stop.hex(), "fragments": fragments, "bytes": size, "c": 1}
        line = lines.build(
            "stored", SECONDS * 1000, None, lines.salt_text(hashlib.sha256(recording.encode()).digest()[:16]), {**members, **figures}
        )
        self._leaves.append(merkle.leaf_hash(line))
        index, size_now = len(self._leaves) - 1, len(self._leaves)
        hashes = merkle.inclusion(merkle.from_leaves(self._leaves), index, size_now)
        return self._leaves[-1].hex(), note.tlog_proof(index, hashes, self.checkpoint(), line)
