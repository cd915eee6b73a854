"""Lines, notes, proofs, keys, batches and sentences: hostile ones are refused by an error of the core's tree, and by nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.core import ed25519, kinds, lines, merkle, nmea, note, p256, ulid, wire
from agent.core.errors import CoreError, CryptoError, LineError, NoteError, ProofError, WireError
from agent.uplink.keys import PRIMITIVES
from tests.fuzz.hostile import HALF, bytes_like
from tests.server.virtual import Device

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "transparency.json").read_text())
LOGS = Path(__file__).parents[1] / "data" / "nmea"

DEVICE = Device()
RECORDING = DEVICE.record(fragments=2)
DEVICE.grow(3)
CHECKPOINT = DEVICE.notes[DEVICE.size]
BODY = note.split(CHECKPOINT)[0]
COSIGNED = note.add(CHECKPOINT, note.cosign(CHECKPOINT, "w", DEVICE.public, DEVICE.key.sign, 1_700_000_000))
VKEYS = [DEVICE.vkey, note.vkey("w", note.COSIGNATURE, DEVICE.public), note.vkey("p", note.ECDSA, bytes(91))]
KNOWN = [note.verifier(one, PRIMITIVES) for one in VKEYS]
LEAVES = [merkle.leaf_hash(line) for line in DEVICE.lines]
TREE = merkle.from_leaves(LEAVES)
TLOG = note.tlog_proof(1, merkle.inclusion(TREE, 1, DEVICE.size), CHECKPOINT, DEVICE.lines[1])
RANGES = [(0, 1), (3, 5)]
RANGE = note.range_proof(RANGES, merkle.range_hashes(TREE, RANGES, DEVICE.size), COSIGNED)
ANCHOR = note.anchor_proof(1, merkle.inclusion(TREE, 1, DEVICE.size), BODY)
ORDER = note.order(note.ORDER, DEVICE.origin, 3, '{"name":"start","expires":1700000000000}')
SENTENCES = (LOGS / "nmea-rtk.log").read_bytes()[:3000]
ONE_BY_ONE = tuple(row for row in SENTENCES.split(b"\r\n")[:-1] if row.startswith(b"$"))[:6]


@dataclass(frozen=True)
class Reader:
    """Something that reads bytes: what is genuine, and what may be raised; `again` writes what was read, where there is one way to."""

    read: Callable[[bytes], Any]
    genuine: tuple[bytes, ...]
    refuses: type[CoreError]
    again: Callable[[Any], bytes] | None = None


def _note(data: bytes) -> Any:
    return note.open_note(note.text(data), KNOWN)


def _tlog_again(read: note.TlogProof) -> bytes:
    return note.tlog_proof(read.index, read.hashes, read.checkpoint, read.extra).encode()


def _range_again(read: note.RangeProof) -> bytes:
    return note.range_proof(read.ranges, read.hashes, read.checkpoint).encode()


READERS = {
    "line": Reader(lines.read, tuple(DEVICE.lines), LineError),
    "meaning": Reader(kinds.meaning, tuple(DEVICE.lines), LineError),
    "note": Reader(_note, (CHECKPOINT.encode(), COSIGNED.encode()), NoteError),
    "checkpoint": Reader(
        lambda data: note.parse_checkpoint(note.text(data)),
        (BODY.encode(),),
        NoteError,
        lambda read: note.checkpoint(read.origin, read.size, read.root).encode(),
    ),
    "order": Reader(lambda data: note.parse_order(note.text(data)), (ORDER.encode(),), NoteError),
    "tlog-proof": Reader(lambda data: note.parse_tlog_proof(note.text(data)), (TLOG.encode(),), NoteError, _tlog_again),
    "range-proof": Reader(lambda data: note.parse_range_proof(note.text(data)), (RANGE.encode(),), NoteError, _range_again),
    "anchor-proof": Reader(
        lambda data: note.parse_anchor_proof(note.text(data)), (ANCHOR.encode(),), NoteError, lambda read: note.anchor_proof(*read).encode()
    ),
    "vkey": Reader(
        lambda data: note.verifier(note.text(data)), tuple(one.encode() for one in VKEYS), NoteError, lambda read: read.vkey.encode()
    ),
    "batch": Reader(
        wire.decode_batch,
        (DEVICE.batch(0), DEVICE.batch(3), wire.encode_batch(DEVICE.size, [], CHECKPOINT)),
        WireError,
        lambda read: wire.encode_batch(read.first, read.lines, read.note),
    ),
    "topic": Reader(
        lambda data: wire.parse_topic(note.text(data)), (b"zhilu/DSJ-1/journal",), CoreError, lambda read: wire.topic(*read).encode()
    ),
    "origin": Reader(
        lambda data: wire.parse_origin(note.text(data)),
        (b"evidence.example.gov/DSJ-1/1",),
        CoreError,
        lambda read: wire.origin(*read).encode(),
    ),
    "ulid": Reader(
        lambda data: ulid.parse(note.text(data)), (RECORDING.recording.encode(),), CoreError, lambda read: ulid.new(*read).encode()
    ),
    "sentence": Reader(nmea.sentence, ONE_BY_ONE, CoreError),
}


@pytest.mark.parametrize("name", READERS)
def test_what_is_genuine_is_read(name):
    reader = READERS[name]
    for data in reader.genuine:
        read = reader.read(data)
        assert reader.again is None or reader.again(read) == data


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
def test_anything_else_is_refused_in_our_words_or_reads_as_what_writes_the_same(name, data):
    reader = READERS[name]
    given_bytes = data.draw(bytes_like(*reader.genuine))
    try:
        read = reader.read(given_bytes)
    except (reader.refuses, NoteError) as refusal:
        said = str(refusal)
    else:
        assert reader.again is None or reader.again(read) == given_bytes
        return
    assert 0 < len(said) < 700


TEXT = st.text(max_size=20) | st.sampled_from(["", HALF, "a b", "a+b", "\0", "x" * 300, "d/" + HALF + "/1"])


def names(*known: str) -> list[bytes]:
    """Names that were let in can be written down."""
    return [one.encode() for one in known]


@given(TEXT, TEXT, st.integers())
@example(HALF, "", 0)
def test_text_that_never_was_bytes_is_refused_in_our_words_too(one, other, number):
    """JSON brings halves of surrogate pairs in: an enrolment's origin and keys are such text."""
    for act in (
        lambda: names(note.check_name(one)),
        lambda: note.verifier(f"{one}+{other}+{VKEYS[0].rpartition('+')[2]}"),
        lambda: names(*wire.parse_origin(f"{one}/DSJ-1/1")[:2]),
        lambda: wire.origin(one, other, number),
        lambda: wire.parse_topic(f"zhilu/{one}/{other}"),
        lambda: note.split(one + other),
        lambda: note.unbase64(one),
        lambda: note.decimal(one),
        lambda: lines.write({one: other}),
        lambda: lines.write([(one, number), (other, [{one: number}])]),
        lambda: ulid.new(number, other.encode("utf-8", "replace")),
    ):
        with suppress(CoreError):
            act()


# --------------------------------------------------------------------------- proofs, signatures

HASHES = st.lists(st.sampled_from([*LEAVES, bytes(32), b"", b"x" * 31]), max_size=70)
SIZES = st.integers(-2, 40) | st.sampled_from([1 << 31, 1 << 62, (1 << 63) - 1, 1 << 63, 1 << 64])


@given(SIZES, SIZES, HASHES, st.lists(st.tuples(SIZES, SIZES), max_size=4))
def test_proofs_of_any_size_end_and_are_refused_in_our_words(one, other, hashes, ranges):
    root = merkle.root_of(LEAVES)
    for act in (
        lambda: merkle.check_inclusion(LEAVES[0], one, other, hashes, root),
        lambda: merkle.check_consistency(one, root, other, root, hashes),
        lambda: merkle.range_root(one, ranges, hashes, hashes),
        lambda: merkle.Range(one, hashes[:8]),
    ):
        with suppress(ProofError):
            act()


SIGNATURE = DEVICE.key.sign(b"message")
SPKI = p256._SPKI_HEAD + p256._BASE_X.to_bytes(32, "big") + p256._BASE_Y.to_bytes(32, "big")
DER = bytes.fromhex("3006020101020101")


@given(bytes_like(DEVICE.public), bytes_like(SIGNATURE), bytes_like(SPKI), bytes_like(DER))
def test_no_key_and_no_signature_raises(public, signature, spki, der):
    ours, theirs = ed25519.verify(public, b"message", signature), PRIMITIVES[note.ED25519](public, b"message", signature)
    assert ours == theirs
    assert p256.verify(spki, b"message", der) in (True, False)
    try:
        ed25519.sign(public, b"message")
    except CryptoError:
        assert len(public) != 32


@given(st.lists(bytes_like(SENTENCES), max_size=4))
def test_a_receiver_can_send_what_it_will(pieces):
    parser = nmea.Parser()
    for piece in pieces:
        for fix in parser.feed(piece) + parser.flush():
            assert fix["lat"] is None or -900_000_000 <= fix["lat"] <= 900_000_000
        assert len(parser._line) <= nmea.MAX_SENTENCE
    assert set(parser.errors) == set(nmea.REASONS)
