"""The evidence key in a file: Ed25519, mode 600, and how signatures of it are checked fast.

Rules:
- One key, one purpose: this key signs checkpoints and nothing else (docs/evidence-format.md, section 1).
- The file is PKCS#8 PEM. It is written beside, synced and renamed, so that there is never half a key; a file that others may
  read is refused, because a key that may have been copied proves nothing.

Keys in hardware implement `hal.contracts.Signer` in a driver; nothing else changes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
)

from agent.core import note
from agent.journal.errors import JournalError, storage_error
from hal.contracts import Signer

PRIVATE_MODE = 0o600
OTHERS = 0o077


class KeyFault(JournalError):
    """The evidence key can't be used; the message says why and what to do."""


class FileSigner:
    """`hal.contracts.Signer` over a private key in a file."""

    algorithm = note.ED25519

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @classmethod
    def load(cls, path: Path) -> FileSigner:
        """The key in the file; KeyFault when it is missing, readable for others, or no Ed25519 key."""
        try:
            mode, data = path.stat().st_mode, path.read_bytes()
        except OSError as error:
            raise KeyFault(f"evidence key {path}: {error.strerror}; enrol the device first") from error
        if mode & OTHERS:
            raise KeyFault(f"evidence key {path}: expected mode 600, got {mode & 0o777:o}; replace the key, it may have been copied")
        try:
            key = load_pem_private_key(data, None)
        except (ValueError, TypeError, UnsupportedAlgorithm, InternalError) as error:
            raise KeyFault(f"evidence key {path}: not a private key in PEM: {error}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyFault(f"evidence key {path}: expected an Ed25519 key, got {type(key).__name__}")
        return cls(key)

    @classmethod
    def create(cls, path: Path) -> FileSigner:
        """A new key in a new file; KeyFault when there is one already: a key is never written over."""
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        beside = path.with_name(f".{path.name}.new")
        try:
            _write_private(beside, pem)
            os.link(beside, path)  # unlike a rename it fails where a key is
            beside.unlink()
            _sync_folder(path.parent)
        except FileExistsError as error:
            with suppress(OSError):
                beside.unlink()
            raise KeyFault(f"evidence key {path}: there is one already; it is never replaced") from error
        except OSError as error:
            raise storage_error("write key", path, error) from error
        return cls(key)

    @classmethod
    def from_seed(cls, seed: bytes) -> FileSigner:
        """The key of a 32-byte seed: fixed keys for golden packages."""
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    def public_key(self) -> bytes:
        return self._public

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


def _write_private(path: Path, data: bytes) -> None:
    with suppress(FileNotFoundError):
        path.unlink()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_MODE)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(handle)


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def verify_ed25519(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether an Ed25519 signature holds (RFC 8032)."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def verify_p256(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether an ECDSA P-256 signature with SHA-256 holds; the key is SubjectPublicKeyInfo DER."""
    try:
        public = load_der_public_key(key)
        if not isinstance(public, ec.EllipticCurvePublicKey):
            return False
        public.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        return False
    return True


PRIMITIVES: dict[int, Callable[[bytes, bytes, bytes], bool]] = {note.ED25519: verify_ed25519, note.ECDSA: verify_p256}
"""Verification by a fast library instead of the core's own: the same answers, some hundred times sooner."""


def vkey(origin: str, signer: Signer) -> str:
    """The public half of the evidence key under the name `origin`."""
    return note.vkey(origin, signer.algorithm, signer.public_key())


def verifier(origin: str, signer: Signer) -> note.Verifier:
    """The verifier of the checkpoints that `signer` signs under `origin`."""
    return note.verifier(vkey(origin, signer), PRIMITIVES)
