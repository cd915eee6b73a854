"""The keys that a person trusts, and what they say about a signed note.

Rules:
- Only keys that were given count. `<domain>/ledger` is a ledger's key, an origin (`<domain>/<device>/<n>`) a device's; a
  cosignature key (type 0x04) is a witness's, under whatever name (C2SP tlog-cosignature).
- A signature with a known key's name and id must hold. One by an unknown key says nothing.

One key, one purpose: a ledger's key never vouches for a recording, nor a witness's for a ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from agent.core import note
from agent.core.errors import CoreError, NoteError

from .errors import MisfitError, TrustError

MAX_KEY_FILE = 1 << 20

Primitives = dict[int, Callable[[bytes, bytes, bytes], bool]]
"""Algorithm → f(key, message, signature) → bool, for who has a faster library than the core's own."""


@dataclass
class Keyring:
    """The given keys."""

    verifiers: list[note.Verifier] = field(default_factory=list)
    primitives: Primitives | None = None

    def named(self, name: str) -> list[note.Verifier]:
        """Keys that sign under a name (not cosignatures)."""
        return [v for v in self.verifiers if v.name == name and v.algorithm != note.COSIGNATURE]

    def witnesses(self) -> list[note.Verifier]:
        """Keys whose cosignatures count."""
        return [v for v in self.verifiers if v.algorithm == note.COSIGNATURE]

    def verifier(self, vkey: str) -> note.Verifier:
        """A key that is not trusted (yet), checked by the same implementation."""
        return note.verifier(vkey, self.primitives)


def keyring(given: Iterable[str], primitives: Primitives | None = None) -> Keyring:
    """The trusted keys from vkeys and files with a vkey a line (`#` begins a remark); TrustError names what is neither."""
    ring = Keyring(primitives=primitives)
    for text in given:
        words = [text.strip()]
        try:
            ring.verifiers.append(note.verifier(words[0], primitives))
        except CoreError as e:
            ring.verifiers.extend(_from_file(text, e, primitives))
    return ring


def _from_file(name: str, reason: CoreError, primitives: Primitives | None) -> list[note.Verifier]:
    try:
        path = Path(name)
        if not path.is_file():
            why = reason if "+" in name else "name+id+key"
            raise TrustError(f"--key {name[:200]}: neither a vkey ({why}) nor a file that is there; the agency gives out its keys.txt")
        text = path.read_bytes()[: MAX_KEY_FILE + 1].decode()
    except (OSError, ValueError) as e:
        raise e if isinstance(e, TrustError) else TrustError(f"--key {name[:200]}: can't be read: {e}") from e
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not line.startswith("#"):
            try:
                found.append(note.verifier(line.strip(), primitives))
            except CoreError as e:
                raise TrustError(f"--key {name[:200]} line {number}: {e}") from e
    if not found or len(text) > MAX_KEY_FILE:
        raise TrustError(f"--key {name[:200]}: expected a vkey a line")
    return found


# --------------------------------------------------------------------------- signed notes

MAX_PROOF = 4 << 20
"""Of 65,536 hashes and a note: more than any proof has."""


def signed_by(text: str, place: str, keys: list[note.Verifier]) -> tuple[str, list[note.Signed]]:
    """(body, signatures of these keys that hold); MisfitError when the note is malformed or one of them fails."""
    try:
        body, signatures = note.split(text)
        known = {(v.name, v.key_id) for v in keys}
        if not any((name, ident) in known for name, ident, _ in signatures):
            return body, []
        return note.open_note(text, keys)
    except NoteError as e:
        raise MisfitError(place, str(e)) from e


def signers(text: str) -> str:
    """Who signed a well-formed note, by their own word: name+id, for messages."""
    return ", ".join(f"{name}+{ident.hex()}" for name, ident, _ in note.split(text)[1])


def checkpoint_of(body: str, place: str) -> note.Checkpoint:
    """The tree head in a body; MisfitError otherwise."""
    try:
        return note.parse_checkpoint(body)
    except NoteError as e:
        raise MisfitError(place, str(e)) from e
