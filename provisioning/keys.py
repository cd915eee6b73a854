"""The Ed25519 keys of a deployment and of a device: made, kept in files of mode 600, and named as vkeys.

A file holds PKCS#8 PEM (RFC 8410), so that other people's tools read it. Each key has one purpose: `ledger` signs the ledger's checkpoints,
`witness` cosigns the devices' (signed-note type 0x04), `orders` signs orders; a device's evidence key signs its journal's.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from agent.core import note
from provisioning import authority, files
from provisioning.errors import DeploymentError

SERVER_KEYS = {"ledger": note.ED25519, "witness": note.COSIGNATURE, "orders": note.ED25519}
"""Purpose → type in the vkey; the name is `<domain>/<purpose>`."""
FOR_EXPERTS = ("ledger", "witness")
"""What somebody must trust to verify a package; the orders key has no say in that."""


def create(path: Path) -> Ed25519PrivateKey:
    """Make a key and its file."""
    key = Ed25519PrivateKey.generate()
    files.write(path, authority.key_pem(key), files.PRIVATE)
    return key


def load(path: Path) -> Ed25519PrivateKey:
    """Read a key's file; DeploymentError where it is none."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise DeploymentError(f"{path}: expected a key, got: {error.strerror}") from error
    except authority.UNREADABLE as error:
        raise DeploymentError(f"{path}: expected an Ed25519 key in PKCS#8 PEM, got: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise DeploymentError(f"{path}: expected an Ed25519 key, got {type(key).__name__}")
    return key


def raw(public: Ed25519PublicKey) -> bytes:
    """Return the 32 bytes of a public key."""
    return public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def vkey(name: str, key: Ed25519PrivateKey, algorithm: int = note.ED25519) -> str:
    """Return the public half as text."""
    return note.vkey(name, algorithm, raw(key.public_key()))


def server_vkeys(folder: Path, domain: str) -> dict[str, str]:
    """Return purpose → vkey of the server's keys in a folder."""
    return {purpose: vkey(f"{domain}/{purpose}", load(folder / f"{purpose}.key"), algorithm) for purpose, algorithm in SERVER_KEYS.items()}
