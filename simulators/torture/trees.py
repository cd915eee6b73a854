"""RFC 6962 and signed notes once more, from their texts: the judge must not believe the code that it judges."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

NOTE_ROWS = 5


@lru_cache(maxsize=65_536)
def leaf(line: bytes) -> bytes:
    """Section 2.1: the hash of a leaf."""
    return hashlib.sha256(b"\0" + line).digest()


@lru_cache(maxsize=65_536)
def digest(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


@lru_cache(maxsize=262_144)
def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


class Folded:
    """A tree that grows: the roots of its complete subtrees, from left to right, as (leaves, hash)."""

    def __init__(self) -> None:
        self.size = 0
        self._stack: tuple[tuple[int, bytes], ...] = ()

    def append(self, hashed: bytes) -> None:
        """One leaf more."""
        self.size += 1
        stack, last = self._stack, (1, hashed)
        while stack and stack[-1][0] == last[0]:
            last = (2 * last[0], _node(stack[-1][1], last[1]))
            stack = stack[:-1]
        self._stack = (*stack, last)

    def stack(self) -> tuple[tuple[int, bytes], ...]:
        """For `root_of`, later."""
        return self._stack

    @staticmethod
    def root_of(stack: tuple[tuple[int, bytes], ...]) -> bytes:
        """The root: complete subtrees are joined from the right."""
        if not stack:
            return hashlib.sha256(b"").digest()
        root = stack[-1][1]
        for _, left in reversed(stack[:-1]):
            root = _node(left, root)
        return root


@dataclass(frozen=True, slots=True)
class Head:
    """A signed tree head, and where its note ends in the file."""

    size: int
    root: bytes
    end: int = 0


def heads(data: bytes, origin: str, public: bytes) -> tuple[list[Head], int]:
    """Signed notes one behind the other; those that hold, up to the first that does not, and where they end.

    Rows behind the first signature (a cosignature) belong to the note before them.
    """
    found: list[Head] = []
    rows = data.split(b"\n")
    at, end = 0, 0
    while at + NOTE_ROWS < len(rows):
        note = b"\n".join(rows[at : at + NOTE_ROWS]) + b"\n"
        head = _opened(note, origin, public)
        if head is None:
            break
        at += NOTE_ROWS
        end += len(note)
        while at + 1 < len(rows) and rows[at].startswith("\u2014 ".encode()):
            end += len(rows[at]) + 1
            at += 1
        found.append(replace(head, end=end))
    return found, end


@lru_cache(maxsize=16_384)
def _opened(note: bytes, origin: str, public: bytes) -> Head | None:
    try:
        name, size, root, blank, signature = note.decode().splitlines()
        dash, who, blob = signature.split(" ")
        raw = base64.b64decode(blob, validate=True)
        key_id = hashlib.sha256(origin.encode() + b"\n\x01" + public).digest()[:4]
        if (name, blank, dash, who) != (origin, "", "\u2014", origin) or raw[:4] != key_id:
            return None
        Ed25519PublicKey.from_public_bytes(public).verify(raw[4:], f"{name}\n{size}\n{root}\n".encode())
        return Head(int(size), base64.b64decode(root, validate=True))
    except (ValueError, InvalidSignature):
        return None
