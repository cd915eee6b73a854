"""What forgers make: lines with other numbers in them, keys and certificates of their own."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Callable, Sequence

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from agent.core import merkle, note

_NUMBER = rb"(-?[0-9]+)"


def _shifted(lines: bytes, name: bytes, by: int) -> bytes:
    """Every number of that name, moved."""
    return re.sub(rb'"' + name + rb'":' + _NUMBER, lambda found: b'"%s":%d' % (name, int(found.group(1)) + by), lines)


def moved(lines: bytes) -> bytes:
    """Every position some kilometres to the north-east."""
    return _shifted(_shifted(lines, b"lat", 400_000), b"lon", 300_000)


def later(lines: bytes, by_ms: int) -> bytes:
    """Every wall time."""
    return _shifted(lines, b"at", by_ms)


def digest(data: bytes) -> str:
    """As lines have it."""
    return hashlib.sha256(data).hexdigest()


def indices_of(journal: Sequence[bytes], leaves: Sequence[str]) -> list[int]:
    """Where the lines with these leaf hashes stand."""
    return [i for i, line in enumerate(journal) if merkle.leaf_hash(line).hex() in leaves]


def governed(journal: Sequence[bytes], recording: str) -> list[bytes]:
    """The lines with the recording's start naming only governing lines that are there."""
    there = {merkle.leaf_hash(line).hex() for line in journal}
    lines = list(journal)
    for i, line in enumerate(lines):
        if b'"kind":"start"' in line and recording.encode() in line:
            said = json.loads(line)["governing"]
            kept = [leaf for leaf in said if leaf in there]
            lines[i] = line.replace(_compact(said), _compact(kept))
    return lines


def _compact(names: list[str]) -> bytes:
    return json.dumps(names, separators=(",", ":")).encode()


class Stranger:
    """A key of the forger's own, under whatever name."""

    def __init__(self, name: str, algorithm: int = note.ED25519) -> None:
        self.name, self.algorithm = name, algorithm
        self._key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"a stranger's: " + name.encode()).digest())
        self.public = self._key.public_key().public_bytes_raw()
        self.sign: Callable[[bytes], bytes] = self._key.sign

    def signed(self, body: str) -> str:
        """A note of his."""
        return note.sign(body, self.name, self.algorithm, self.public, self.sign)

    def cosigned(self, text: str, seconds: int) -> str:
        """A note with his cosignature."""
        return note.add(text, note.cosign(text, self.name, self.public, self.sign, seconds))


def certificate(pem: bytes) -> bytes:
    """A certificate with the same names and dates for a key of the forger's own, signed by himself."""
    old, key = x509.load_pem_x509_certificate(pem), Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"a stranger's").digest())
    return _certified(old, key, old.not_valid_before_utc, old.not_valid_after_utc)


def prolonged(pem: bytes) -> bytes:
    """The certificate with ten years more, for the same key; signed by the forger, who has no authority's key."""
    old, key = x509.load_pem_x509_certificate(pem), Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"a stranger's").digest())
    return _certified(old, key, old.not_valid_before_utc, old.not_valid_after_utc + dt.timedelta(days=3_650), old_key=True)


def _certified(old: x509.Certificate, key: Ed25519PrivateKey, first: dt.datetime, last: dt.datetime, *, old_key: bool = False) -> bytes:
    public = old.public_key() if old_key else key.public_key()
    made = (
        x509.CertificateBuilder(old.issuer, old.subject, public, old.serial_number)
        .not_valid_before(first)
        .not_valid_after(last)
        .sign(key, None)
    )
    return made.public_bytes(Encoding.PEM)
