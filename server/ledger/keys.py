"""The server's keys: each for one purpose, in a file of its own, and fast verification of everybody else's.

Rules (docs/evidence-format.md, section 1): ledger, witness and orders are never the same key, and none of them is a TLS key.
A key file is PEM PKCS#8 with an Ed25519 key, mode 600.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from agent.core import note
from agent.core.errors import NoteError
from server.errors import KeyUnusable

COSIGNATURE = note.COSIGNATURE


@dataclass(frozen=True, slots=True)
class Key:
    """A private key under its name. `algorithm` is the signed-note type its signatures have."""

    name: str
    algorithm: int
    public: bytes
    sign: Callable[[bytes], bytes]

    @property
    def vkey(self) -> str:
        """The public half, as text."""
        return note.vkey(self.name, self.algorithm, self.public)

    def signed(self, body: str) -> str:
        """The body as a signed note."""
        return note.sign(body, self.name, self.algorithm, self.public, self.sign)


def load(path: Path, name: str, algorithm: int = note.ED25519) -> Key:
    """The key in a file; KeyUnusable where it is missing, open to others, or no Ed25519 key."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        data = path.read_bytes()
    except OSError as e:
        raise KeyUnusable(f"{path}: can't be read ({e.strerror}); make the deployment's keys first") from e
    if mode & 0o077:
        raise KeyUnusable(f"{path}: expected mode 600, got {mode:o}; others may have read it, so make a new key")
    try:
        private = serialization.load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm, InternalError) as e:
        raise KeyUnusable(f"{path}: expected a PEM private key without password: {e}") from e
    if not isinstance(private, Ed25519PrivateKey):
        raise KeyUnusable(f"{path}: expected an Ed25519 key, got {type(private).__name__}")
    return of(private, name, algorithm)


def of(private: Ed25519PrivateKey, name: str, algorithm: int = note.ED25519) -> Key:
    """A key of memory under a name."""
    return Key(name, algorithm, private.public_key().public_bytes_raw(), private.sign)


def verifier(vkey: str) -> note.Verifier:
    """The public key in a vkey, parsed once; NoteError when it is none that can be used."""
    plain = note.verifier(vkey)
    check = _ecdsa(plain.key) if plain.algorithm == note.ECDSA else _ed25519(plain.key)
    return note.Verifier(plain.name, plain.algorithm, plain.key, check)


def _ed25519(raw: bytes) -> Callable[[bytes, bytes, bytes], bool]:
    try:
        key = Ed25519PublicKey.from_public_bytes(raw)
    except ValueError as e:
        raise NoteError(f"not an Ed25519 public key: {e}") from e

    def check(_key: bytes, message: bytes, signature: bytes) -> bool:
        try:
            key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    return check


def _ecdsa(spki: bytes) -> Callable[[bytes, bytes, bytes], bool]:
    try:
        key = serialization.load_der_public_key(spki)
    except (ValueError, UnsupportedAlgorithm) as e:
        raise NoteError(f"not a public key: {e}") from e
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise NoteError("expected an ECDSA key on P-256")
    public = key

    def check(_key: bytes, message: bytes, signature: bytes) -> bool:
        try:
            public.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True

    return check
