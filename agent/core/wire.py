"""Topics, origins and batches of journal lines: put together and taken apart.

Rules (docs/evidence-format.md, section 5):
- A batch is the index of its first line, the lines, a blank line, and the signed checkpoint over all lines up to its end:
  so the checkpoint's size is index + count. An empty batch (count 0) is a question: "what is the newest that you have?"
- At most 64 KiB and 256 lines; a line is 1 to 4,096 bytes of anything but newline.
- What is refused is refused for one of `REASONS`.

Signatures, roots and meaning are not looked at here.
"""

from . import note
from .errors import NoteError, WireError
from .lines import MAX_LINE

MYPY = False
if MYPY:  # read by type checkers alone: small boards have no typing module
    from typing import Sequence

MAX_BATCH_BYTES = 65536
MAX_BATCH_LINES = 256
MAX_DEVICE_ID = 32
LEDGER_TOPIC = "zhilu/ledger"

REASONS = (
    "bad-topic",  # not zhilu/<device>/<leaf>
    "bad-origin",  # not <domain>/<device>/<n>
    "too-large",  # more bytes than a batch may have
    "too-many-lines",
    "torn",  # no index, no blank line, an empty or over-long line
    "bad-note",  # the checkpoint can't be read
    "bad-size",  # the checkpoint is not the one at the end of these lines
)

_PREFIX = "zhilu/"
_ID = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-"


def device_id(text: str) -> str:
    """The text when it can be a device's id: 1 to 32 letters, digits and hyphens."""
    if not 1 <= len(text) <= MAX_DEVICE_ID or text.strip(_ID):
        raise WireError("bad-topic", "not a device id: %s" % text[:80])
    return text


def topic(device: str, leaf: str) -> str:
    """`zhilu/<device>/<leaf>`."""
    return _PREFIX + device_id(device) + "/" + leaf


def parse_topic(text: str) -> "tuple[str, str]":
    """(device id, leaf) of a device's topic."""
    parts = text.split("/")
    if len(parts) != 3 or parts[0] + "/" != _PREFIX or not parts[2]:
        raise WireError("bad-topic", "not a topic of ours: %s" % text[:80])
    return device_id(parts[1]), parts[2]


def origin(domain: str, device: str, n: int) -> str:
    """`<domain>/<device id>/<n>`: the name of a device's n-th journal and of its key."""
    return "%s/%s/%d" % (domain, device_id(device), n)


def parse_origin(text: str) -> "tuple[str, str, int]":
    """(domain, device id, n) of an origin; n counts from 1."""
    parts = text.split("/")
    if len(parts) < 3:
        raise WireError("bad-origin", "not an origin (domain/device/n): %s" % text[:80])
    try:
        n = note.decimal(parts[-1])
        device = device_id(parts[-2])
        domain = note.check_name("/".join(parts[:-2]))
    except ValueError:
        raise WireError("bad-origin", "not an origin (domain/device/n): %s" % text[:80])
    if n < 1:
        raise WireError("bad-origin", "journals are counted from 1, got %d" % n)
    return domain, device, n


class Batch:
    """Lines that begin at index `first`, and the signed checkpoint (`note`) of size `size` = first + count over them."""

    def __init__(self, first: int, lines: "list[bytes]", note_text: str, head: note.Checkpoint) -> None:
        self.first = first
        self.lines = lines
        self.note = note_text
        self.origin = head.origin
        self.size = head.size
        self.root = head.root


def encode_batch(first: int, lines: "Sequence[bytes]", note_text: str) -> bytes:
    """The payload; WireError when it is larger than a batch may be."""
    payload = b"\n".join([b"%d" % first] + list(lines) + [b"", note_text.encode()])
    if len(payload) > MAX_BATCH_BYTES:
        raise WireError("too-large", "a batch is at most %d bytes, got %d" % (MAX_BATCH_BYTES, len(payload)))
    if len(lines) > MAX_BATCH_LINES:
        raise WireError("too-many-lines", "a batch is at most %d lines, got %d" % (MAX_BATCH_LINES, len(lines)))
    return payload


def decode_batch(payload: bytes) -> Batch:
    """The batch in a payload; the first thing that does not fit is named by the WireError's `reason`."""
    if len(payload) > MAX_BATCH_BYTES:
        raise WireError("too-large", "a batch is at most %d bytes, got %d" % (MAX_BATCH_BYTES, len(payload)))
    cut = payload.find(b"\n\n")
    if cut < 0:
        raise WireError("torn", "a batch has a blank line before its checkpoint")
    rows = payload[:cut].split(b"\n")
    first, lines = _index(rows[0]), rows[1:]
    if len(lines) > MAX_BATCH_LINES:
        raise WireError("too-many-lines", "a batch is at most %d lines, got %d" % (MAX_BATCH_LINES, len(lines)))
    for line in lines:
        if not 1 <= len(line) <= MAX_LINE:
            raise WireError("torn", "a line is 1 to %d bytes, got %d" % (MAX_LINE, len(line)))
    try:
        text = note.text(payload[cut + 2 :])
        head = note.parse_checkpoint(note.split(text)[0])
    except NoteError as e:
        raise WireError("bad-note", "the batch's checkpoint: %s" % e)
    if head.size != first + len(lines):
        raise WireError("bad-size", "lines end at %d, the checkpoint's size is %d" % (first + len(lines), head.size))
    return Batch(first, lines, text, head)


def _index(row: bytes) -> int:
    try:
        return note.decimal(row.decode())
    except ValueError:  # UnicodeError and NoteError are both values that are wrong
        raise WireError("torn", "a batch begins with the index of its first line, got %s" % repr(row[:40]))
