"""Signed texts: notes, checkpoints, cosignatures, orders, and the proofs that are carried with them in files.

Rules:
- C2SP signed-note: text ending in newline, a blank line, signature lines `— name base64(key id ‖ signature)`. Signatures of
  unknown keys are ignored; one of a known key (same name and id) must hold, and at least one known key must have signed.
- Types: 0x01 Ed25519, 0x02 ECDSA P-256 (key id from the SPKI alone), 0x04 timestamped cosignature (C2SP tlog-cosignature).
- C2SP tlog-checkpoint: origin, size, root; no extension lines. C2SP tlog-proof: `.tlog-proof`, `extra` holds the line.
- Every text is read strictly: what is written again from what was read is the same text.

Who is trusted is the caller's decision: it hands in the verifiers. Signing goes through a function, so that a key can stay
in hardware; verification too may be handed a faster implementation than the core's own.
"""

import binascii
import hashlib

from . import ed25519, p256
from .errors import LineError, NoteError

MYPY = False
if MYPY:  # read by type checkers alone: small boards have no typing module
    from typing import Any, Callable, Iterable

ED25519 = 1
ECDSA = 2
COSIGNATURE = 4

MAX_NOTE = 65536
MAX_SIGNATURES = 32
MAX_SIZE = 1 << 63
MAX_HASHES = 65536

ORDER = "zhilu/order@v1"
DESIRED = "zhilu/desired@v1"
RANGE_PROOF = "zhilu/range-proof@v1"
ANCHOR_PROOF = "zhilu/anchor-proof@v1"
TLOG_PROOF = "c2sp.org/tlog-proof@v1"

_DASH = "\u2014 "

# --------------------------------------------------------------------------- small encodings


def text(data: bytes) -> str:
    """Text of bytes from outside; NoteError where they are too many or not UTF-8."""
    from .lines import decode

    if len(data) > MAX_NOTE:
        raise NoteError("a note is at most %d bytes, got %d" % (MAX_NOTE, len(data)))
    try:
        return decode(data)
    except LineError as e:
        raise NoteError("a note is UTF-8: %s" % e)


def base64(data: bytes) -> str:
    """Standard base64 with padding, no newline."""
    return binascii.b2a_base64(data).decode().strip()


def unbase64(word: str, length: "int | None" = None) -> bytes:
    """Bytes of strict base64 (only what `base64` writes); NoteError otherwise."""
    try:
        data = binascii.a2b_base64(word)
    except ValueError:  # what one interpreter passes over another refuses: writing it again decides
        data = b""
    if base64(data) != word:
        raise NoteError("not canonical base64: %s" % word[:80])
    if length is not None and len(data) != length:
        raise NoteError("expected %d bytes in base64, got %d" % (length, len(data)))
    return data


def decimal(word: str) -> int:
    """A number below 2**63 in ASCII digits without leading zeroes."""
    if not 1 <= len(word) <= 19 or word.strip("0123456789") or (word[0] == "0" and word != "0"):
        raise NoteError("not a decimal number: %s" % word[:40])
    if int(word) >= MAX_SIZE:
        raise NoteError("number is 2**63 or more: %s" % word)
    return int(word)


# str.isspace differs between interpreters; these are Unicode's White_Space beside the controls, which no note may hold.
_SPACES = " \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"

# What no note may hold: every character below the space except newline. Looking for each is faster than looking at each.
_CONTROLS = [chr(code) for code in range(32) if code != 10]
# Whether the interpreter's strings can say that they are plain; MicroPython's cannot.
_SAYS = hasattr("", "isascii")


def check_name(name: str) -> str:
    """A key's name: not empty, no spaces, no plus, no control characters, no half surrogate pairs (JSON can bring them in)."""
    if _SAYS and name.isascii() and name.isprintable() and " " not in name and "+" not in name and 1 <= len(name) <= 255:
        return name
    odd = 1 <= len(name) <= 255 and max(name) > "~" and any(c in _SPACES or 0xD800 <= ord(c) < 0xE000 for c in name)
    if odd or not 1 <= len(name) <= 255 or "+" in name or min(name) < "!":
        raise NoteError("not a key name: %s" % name[:80])
    return name


# --------------------------------------------------------------------------- keys


class Verifier:
    """A public key that a note may be signed with. `key` is 32 raw bytes, or SPKI DER for ECDSA."""

    def __init__(self, name: str, algorithm: int, key: bytes, check: "Callable[[bytes, bytes, bytes], bool]") -> None:
        self.name = check_name(name)
        self.algorithm = algorithm
        self.key = key
        self.key_id = key_id(name, algorithm, key)
        self._check = check

    @property
    def vkey(self) -> str:
        """The key as text: name, id and key."""
        return vkey(self.name, self.algorithm, self.key)

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether the raw signature over the message holds."""
        return self._check(self.key, message, signature)


PURE: "dict[int, Callable[[bytes, bytes, bytes], bool]]" = {ED25519: ed25519.verify, ECDSA: p256.verify}
"""The core's own implementations: algorithm → f(key, message, signature) → bool."""


def key_id(name: str, algorithm: int, key: bytes) -> bytes:
    """Four bytes that name a key in signature lines."""
    if algorithm == ECDSA:
        return hashlib.sha256(key).digest()[:4]
    return hashlib.sha256(name.encode() + b"\n" + bytes([algorithm]) + key).digest()[:4]


def vkey(name: str, algorithm: int, key: bytes) -> str:
    """`name+id+base64(type ‖ key)`: how a public key is handed on."""
    ident = binascii.hexlify(key_id(check_name(name), algorithm, key)).decode()
    return "%s+%s+%s" % (name, ident, base64(bytes([algorithm]) + key))


def verifier(text: str, primitives: "dict[int, Callable[[bytes, bytes, bytes], bool]] | None" = None) -> Verifier:
    """The key in a vkey; NoteError when its id does not fit or its type is unknown."""
    parts = text.split("+", 2)
    if len(parts) != 3:
        raise NoteError("not a vkey (name+id+key): %s" % text[:80])
    data = unbase64(parts[2])
    algorithm = data[0] if data else 0
    if algorithm not in (ED25519, ECDSA, COSIGNATURE):
        raise NoteError("vkey %s: unknown key type %d" % (parts[0][:80], algorithm))
    if algorithm != ECDSA and len(data) != 33:
        raise NoteError("vkey %s: an Ed25519 key has 32 bytes, got %d" % (parts[0][:80], len(data) - 1))
    check = (primitives or PURE)[ECDSA if algorithm == ECDSA else ED25519]
    key = Verifier(parts[0], algorithm, data[1:], check)
    if binascii.hexlify(key.key_id).decode() != parts[1]:
        raise NoteError("vkey %s: id %s does not belong to the key" % (parts[0][:80], parts[1][:16]))
    return key


# --------------------------------------------------------------------------- notes


class Signed:
    """One signature that holds: whose, by which key, and when for a cosignature (`seconds` since 1970, else None)."""

    def __init__(self, verifier: Verifier, seconds: "int | None") -> None:
        self.name = verifier.name
        self.verifier = verifier
        self.seconds = seconds


def signature_line(body: str, name: str, algorithm: int, key: bytes, signer: "Callable[[bytes], bytes]") -> str:
    """The signature line over a body; `signer` makes raw signatures of bytes."""
    if not body.endswith("\n"):
        raise NoteError("a note's text ends in newline")
    signature = signer(body.encode())
    return _DASH + check_name(name) + " " + base64(key_id(name, algorithm, key) + signature) + "\n"


def sign(body: str, name: str, algorithm: int, key: bytes, signer: "Callable[[bytes], bytes]") -> str:
    """The whole signed note."""
    return body + "\n" + signature_line(body, name, algorithm, key, signer)


def add(note: str, line: str) -> str:
    """The note with one signature line more."""
    split(note + line)
    return note + line


def _cosigned_message(body: str, seconds: int) -> bytes:
    return ("cosignature/v1\ntime %d\n" % seconds + body).encode()


def cosign(note: str, name: str, key: bytes, signer: "Callable[[bytes], bytes]", seconds: int) -> str:
    """A cosignature line (type 0x04) over a checkpoint, signed or bare, at a time in seconds since 1970."""
    body = split(note)[0] if "\n\n" in note else note
    parse_checkpoint(body)
    if not 0 < seconds < MAX_SIZE:
        raise NoteError("a cosignature's time is after 1970, got %d" % seconds)
    signature = seconds.to_bytes(8, "big") + signer(_cosigned_message(body, seconds))
    return _DASH + check_name(name) + " " + base64(key_id(name, COSIGNATURE, key) + signature) + "\n"


def split(note: str) -> "tuple[str, list[tuple[str, bytes, bytes]]]":
    """(body, [(name, key id, signature), …]) of a well-formed note; nothing is verified."""
    if len(note) > MAX_NOTE:
        raise NoteError("a note is at most %d characters, got %d" % (MAX_NOTE, len(note)))
    for control in _CONTROLS:
        if control in note:
            raise NoteError("a note holds no control characters")
    cut = note.rfind("\n\n")
    if cut < 0 or not note.endswith("\n") or cut + 2 >= len(note):
        raise NoteError("a note is text, a blank line and signature lines")
    signatures = [_parse_signature(line) for line in note[cut + 2 : -1].split("\n")]
    if len(signatures) > MAX_SIGNATURES:
        raise NoteError("a note has at most %d signatures, got %d" % (MAX_SIGNATURES, len(signatures)))
    return note[: cut + 1], signatures


def _parse_signature(line: str) -> "tuple[str, bytes, bytes]":
    words = line.split(" ")
    if len(words) != 3 or words[0] != _DASH[0]:
        raise NoteError("not a signature line: %s" % line[:80])
    data = unbase64(words[2])
    if len(data) < 5:
        raise NoteError("a signature has more than 4 bytes")
    return check_name(words[1]), data[:4], data[4:]


def open_note(note: str, verifiers: "Iterable[Verifier]") -> "tuple[str, list[Signed]]":
    """(body, [Signed, …]) of a note; NoteError unless a known key signed and every signature of known keys holds."""
    body, signatures = split(note)
    verifiers, held = list(verifiers), []
    for name, ident, signature in signatures:
        for known in verifiers:
            if known.name == name and known.key_id == ident:
                held.append(_verify(body, known, signature))
    if not held:
        raise NoteError("no known key signed this note: %s" % ", ".join([s[0] for s in signatures])[:200])
    return body, held


def _verify(body: str, known: Verifier, signature: bytes) -> Signed:
    message, seconds = body.encode(), None
    if known.algorithm == COSIGNATURE:
        if len(signature) != 72:
            raise NoteError("a cosignature of %s has 72 bytes, got %d" % (known.name, len(signature)))
        parse_checkpoint(body)
        seconds = int.from_bytes(signature[:8], "big")
        if not 0 < seconds < MAX_SIZE:
            raise NoteError("a cosignature of %s has a time out of range" % known.name)
        message, signature = _cosigned_message(body, seconds), signature[8:]
    if not known.verify(message, signature):
        raise NoteError("the signature of %s does not hold" % known.name)
    return Signed(known, seconds)


# --------------------------------------------------------------------------- checkpoints and orders


class Checkpoint:
    """A tree head: origin, size in lines, root (32 bytes)."""

    def __init__(self, origin: str, size: int, root: bytes) -> None:
        self.origin = origin
        self.size = size
        self.root = root


def checkpoint(origin: str, size: int, root: bytes) -> str:
    """The body of a checkpoint."""
    if not 0 <= size < MAX_SIZE or len(root) != 32:
        raise NoteError("a checkpoint needs a size below 2**63 and a root of 32 bytes")
    return "%s\n%d\n%s\n" % (check_name(origin), size, base64(root))


def parse_checkpoint(body: str) -> Checkpoint:
    """The tree head in a body; NoteError for extension lines or anything else."""
    parts = body.split("\n")
    if len(parts) != 4 or parts[3]:
        raise NoteError("a checkpoint is origin, size and root, a line each")
    return Checkpoint(check_name(parts[0]), decimal(parts[1]), unbase64(parts[2], 32))


def order(kind: str, origin: str, number: int, json_line: str) -> str:
    """The body of an order or a desired state: kind, the origin it is for, its number, one line of JSON."""
    body = "%s\n%s\n%d\n%s\n" % (kind, origin, number, json_line)
    parse_order(body)
    return body


def parse_order(body: str) -> "tuple[str, str, int, dict[str, Any]]":
    """(kind, origin, number, members) of an order's body."""
    from .lines import read

    parts = body.split("\n")
    if len(parts) != 5 or parts[4] or parts[0] not in (ORDER, DESIRED):
        raise NoteError("an order is kind, origin, number and one line of JSON")
    try:
        members = read(parts[3].encode())
    except LineError as e:
        raise NoteError("an order's JSON: %s" % e)
    return parts[0], check_name(parts[1]), decimal(parts[2]), members


# --------------------------------------------------------------------------- proofs in files


class TlogProof:
    """An inclusion proof: index, hashes from the leaf upward, the signed checkpoint, `extra` bytes or None."""

    def __init__(self, index: int, hashes: "list[bytes]", checkpoint: str, extra: "bytes | None") -> None:
        self.index = index
        self.hashes = hashes
        self.checkpoint = checkpoint
        self.extra = extra


class RangeProof:
    """Ranges [(first, end), …] of lines in a signed checkpoint and the outside hashes."""

    def __init__(self, ranges: "list[tuple[int, int]]", hashes: "list[bytes]", checkpoint: str) -> None:
        self.ranges = ranges
        self.hashes = hashes
        self.checkpoint = checkpoint


def _proof_text(head: "list[str]", hashes: "Iterable[bytes]", tail: str) -> str:
    return "\n".join(head + [base64(h) for h in hashes]) + "\n\n" + tail


def _proof_parts(proof: str, title: str) -> "tuple[list[str], str]":
    """(head and hash lines, text behind the first blank line) of a proof whose first line is `title`."""
    cut = proof.find("\n\n")
    if cut < 0 or not proof.startswith(title + "\n"):
        raise NoteError("not a %s" % title)
    rows = proof[:cut].split("\n")[1:]
    if len(rows) > MAX_HASHES:
        raise NoteError("a %s has at most %d lines, got %d" % (title, MAX_HASHES, len(rows)))
    return rows, proof[cut + 2 :]


def _word(row: str, name: str) -> str:
    if not row.startswith(name + " "):
        raise NoteError("expected %s, got %s" % (name, row[:80]))
    return row[len(name) + 1 :]


def tlog_proof(index: int, hashes: "Iterable[bytes]", checkpoint_note: str, extra: "bytes | None" = None) -> str:
    """The text of a `.tlog-proof` file."""
    head = [TLOG_PROOF] + ([] if extra is None else ["extra " + base64(extra)]) + ["index %d" % index]
    return _proof_text(head, hashes, checkpoint_note)


def parse_tlog_proof(proof: str) -> TlogProof:
    """Read a `.tlog-proof` file; `extra` proves nothing before its hash was led to the root."""
    rows, note = _proof_parts(proof, TLOG_PROOF)
    extra = unbase64(_word(rows.pop(0), "extra")) if rows and rows[0].startswith("extra ") else None
    if not rows:
        raise NoteError("a %s needs an index" % TLOG_PROOF)
    index = decimal(_word(rows.pop(0), "index"))
    split(note)
    return TlogProof(index, [unbase64(r, 32) for r in rows], note, extra)


def range_proof(ranges: "Iterable[tuple[int, int]]", hashes: "Iterable[bytes]", checkpoint_note: str) -> str:
    """The text of a `journal.proof` file."""
    head = [RANGE_PROOF] + ["range %d %d" % (first, end) for first, end in ranges]
    return _proof_text(head, hashes, checkpoint_note)


def parse_range_proof(proof: str) -> RangeProof:
    """Read a `journal.proof` file; that the ranges ascend is checked with the tree (`merkle.range_root`)."""
    rows, note = _proof_parts(proof, RANGE_PROOF)
    ranges = []
    for row in rows:
        if not row.startswith("range "):
            break
        words = row.split(" ")
        if len(words) != 3:
            raise NoteError("a range is two numbers, got %s" % row[:80])
        ranges.append((decimal(words[1]), decimal(words[2])))
    split(note)
    return RangeProof(ranges, [unbase64(r, 32) for r in rows[len(ranges) :]], note)


def anchor_proof(index: int, hashes: "Iterable[bytes]", body: str) -> str:
    """The text of an `anchor.proof` file: a device's checkpoint body in an anchor's tree."""
    return _proof_text([ANCHOR_PROOF, "index %d" % index], hashes, body)


def parse_anchor_proof(proof: str) -> "tuple[int, list[bytes], str]":
    """(index, hashes, checkpoint body) of an `anchor.proof` file."""
    rows, body = _proof_parts(proof, ANCHOR_PROOF)
    if not rows:
        raise NoteError("a %s needs an index" % ANCHOR_PROOF)
    index = decimal(_word(rows.pop(0), "index"))
    parse_checkpoint(body)
    return index, [unbase64(r, 32) for r in rows], body
