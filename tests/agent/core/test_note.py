"""Signed texts, against Go's sumdb (vectors) and `cryptography`; and every way to bend a note."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from agent.core import merkle, note
from agent.core.errors import NoteError

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/transparency.json").read_text())
KEYS = VECTORS["keys"]
DEVICE = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(KEYS["device_seed_hex"]))
WITNESS = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(KEYS["witness_seed_hex"]))
KNOWN = [note.verifier(KEYS["device_vkey"]), note.verifier(KEYS["witness_vkey"])]
COSIGNED = VECTORS["checkpoints"][2]["cosigned"]


def raw(key):
    return key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def test_vkeys_are_those_of_the_vectors():
    assert note.vkey(KEYS["origin"], note.ED25519, raw(DEVICE)) == KEYS["device_vkey"]
    assert note.vkey(KEYS["witness"], note.COSIGNATURE, raw(WITNESS)) == KEYS["witness_vkey"]
    assert note.verifier(VECTORS["ecdsa"]["vkey"]).vkey == VECTORS["ecdsa"]["vkey"]


@pytest.mark.parametrize("known", VECTORS["checkpoints"], ids=lambda c: str(c["size"]))
def test_checkpoints_and_cosignatures_are_byte_for_byte_those_of_the_vectors(known):
    head = note.parse_checkpoint(known["body"])
    assert note.checkpoint(head.origin, head.size, head.root) == known["body"]
    signed = note.sign(known["body"], KEYS["origin"], note.ED25519, raw(DEVICE), DEVICE.sign)
    assert signed == known["signed"]
    line = note.cosign(signed, KEYS["witness"], raw(WITNESS), WITNESS.sign, known["cosigned_at"])
    assert note.add(signed, line) == known["cosigned"]
    body, held = note.open_note(known["cosigned"], KNOWN)
    assert body == known["body"]
    assert [(s.name, s.seconds) for s in held] == [(KEYS["origin"], None), (KEYS["witness"], known["cosigned_at"])]


def test_an_ecdsa_note_of_another_implementation_opens():
    body, held = note.open_note(VECTORS["ecdsa"]["signed"], [note.verifier(VECTORS["ecdsa"]["vkey"])])
    assert body == VECTORS["ecdsa"]["body"]
    assert held[0].verifier.algorithm == note.ECDSA


def test_our_ecdsa_notes_open():
    key = ec.generate_private_key(ec.SECP256R1())
    spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    signed = note.sign("hello\n", "a/b", note.ECDSA, spki, lambda m: key.sign(m, ec.ECDSA(hashes.SHA256())))
    assert note.open_note(signed, [note.verifier(note.vkey("a/b", note.ECDSA, spki))])[0] == "hello\n"


def test_strangers_are_ignored_and_at_least_one_known_key_is_needed():
    stranger = Ed25519PrivateKey.generate()
    line = note.signature_line(VECTORS["checkpoints"][2]["body"], "evil.example/x", note.ED25519, raw(stranger), stranger.sign)
    assert len(note.open_note(note.add(COSIGNED, line), KNOWN)[1]) == 2
    with pytest.raises(NoteError, match="no known key"):
        note.open_note(COSIGNED, [])
    with pytest.raises(NoteError, match="no known key signed this note: evil"):
        note.open_note(note.sign("x\n", "evil.example/x", note.ED25519, raw(stranger), stranger.sign), KNOWN)


def test_a_known_name_with_a_strangers_key_is_not_that_key():
    stranger = Ed25519PrivateKey.generate()
    signed = note.sign(VECTORS["checkpoints"][2]["body"], KEYS["origin"], note.ED25519, raw(stranger), stranger.sign)
    with pytest.raises(NoteError, match="no known key"):
        note.open_note(signed, KNOWN)


@given(st.integers(0, len(COSIGNED.encode()) - 1), st.integers(1, 255))
def test_no_byte_of_a_signed_checkpoint_can_change(place, change):
    data = bytearray(COSIGNED.encode())
    data[place] ^= change
    try:
        body, held = note.open_note(note.text(bytes(data)), KNOWN)
    except NoteError:
        return
    # A changed name or id makes a signature a stranger's; then the other one still holds for the same body.
    assert body == VECTORS["checkpoints"][2]["body"]
    assert len(held) == 1


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "\n",
        "\n\n",
        "body\n",
        "body\n\n",
        "body\n\n— a AAAAAAA=",
        "body\n\n- a AAAAAAA=\n",
        "body\n\n— a+b AAAAAAA=\n",
        "body\n\n—  AAAAAAA=\n",
        "body\n\n— a AAAAAAA\n",
        "body\n\n— a AAAAAAB=\n",
        "body\n\n— a AAAA\n",
        "body\n\n— a AAAAAAA= \n",
        "bo\tdy\n\n— a AAAAAAA=\n",
        "body\n\n— a\u2003b AAAAAAA=\n",
        "body\n\n" + "— a AAAAAAA=\n" * 33,
        "x" * 70000 + "\n\n— a AAAAAAA=\n",
    ],
)
def test_malformed_notes_are_refused(bad):
    with pytest.raises(NoteError):
        note.split(bad)


def test_sixteen_signatures_are_accepted():
    assert len(note.split("body\n\n" + "— a AAAAAAA=\n" * 16)[1]) == 16


@pytest.mark.parametrize(
    "body",
    [
        "",
        "o\n1\n",
        "o\n1\nAAAA\n",
        "o\n01\n" + note.base64(b"x" * 32) + "\n",
        "o\n-1\n" + note.base64(b"x" * 32) + "\n",
        f"o\n{2**63}\n" + note.base64(b"x" * 32) + "\n",
        "o\n1\n" + note.base64(b"x" * 32) + "\nextension\n",
        "o o\n1\n" + note.base64(b"x" * 32) + "\n",
        "o\n1\n" + note.base64(b"x" * 33) + "\n",
        "o\n\uff11\n" + note.base64(b"x" * 32) + "\n",
    ],
)
def test_malformed_checkpoints_are_refused(body):
    with pytest.raises(NoteError):
        note.parse_checkpoint(body)


def test_vkeys_whose_parts_do_not_fit_are_refused():
    name, ident, key = KEYS["device_vkey"].split("+", 2)
    for bad in (
        f"{name}x+{ident}+{key}",
        f"{name}+00000000+{key}",
        f"{name}+{ident}",
        f"{name}+{ident}+AAAA",
        "++",
        f"{name}+{ident}+{key}A",
    ):
        with pytest.raises(NoteError):
            note.verifier(bad)


def test_bytes_from_outside_that_are_no_text():
    for bad in (b"\xff", b"x" * 70000):
        with pytest.raises(NoteError):
            note.text(bad)


HASHES = st.lists(st.binary(min_size=32, max_size=32), max_size=5)


@given(st.integers(0, 2**63 - 1), HASHES, st.none() | st.binary(max_size=50))
def test_tlog_proofs_read_as_they_were_written(index, proof, extra):
    text = note.tlog_proof(index, proof, COSIGNED, extra)
    read = note.parse_tlog_proof(text)
    assert (read.index, read.hashes, read.checkpoint, read.extra) == (index, proof, COSIGNED, extra)


@given(st.lists(st.tuples(st.integers(0, 2**62), st.integers(0, 2**62)), min_size=1, max_size=4), HASHES)
def test_range_proofs_read_as_they_were_written(ranges, proof):
    read = note.parse_range_proof(note.range_proof(ranges, proof, COSIGNED))
    assert (read.ranges, read.hashes, read.checkpoint) == (ranges, proof, COSIGNED)


@given(st.integers(0, 2**62), HASHES)
def test_anchor_proofs_read_as_they_were_written(index, proof):
    body = VECTORS["checkpoints"][2]["body"]
    assert note.parse_anchor_proof(note.anchor_proof(index, proof, body)) == (index, proof, body)


PROOF = note.tlog_proof(1, [merkle.EMPTY_ROOT], COSIGNED, b"line")


def tlog_again(text: str) -> str:
    read = note.parse_tlog_proof(text)
    return note.tlog_proof(read.index, read.hashes, read.checkpoint, read.extra)


def range_again(text: str) -> str:
    read = note.parse_range_proof(text)
    return note.range_proof(read.ranges, read.hashes, read.checkpoint)


def anchor_again(text: str) -> str:
    return note.anchor_proof(*note.parse_anchor_proof(text))


@given(st.integers(0, len(PROOF)), st.text(max_size=3), st.integers(0, 3))
def test_bent_proofs_are_refused_or_read_as_something_that_writes_the_same(place, extra, cut):
    bent = PROOF[:place] + extra + PROOF[place + cut :]
    for again_of in (tlog_again, range_again, anchor_again):
        try:
            again = again_of(bent)
        except NoteError:
            continue
        assert again == bent


def test_orders():
    body = note.order(note.ORDER, KEYS["origin"], 7, '{"name":"start","expires":1763712300000}')
    assert note.parse_order(body) == (note.ORDER, KEYS["origin"], 7, {"name": "start", "expires": 1763712300000})
    for bad in (body + "x\n", body.replace("order", "ordre"), body.replace("\n7\n", "\n07\n"), body.replace("{", "{{")):
        with pytest.raises(NoteError):
            note.parse_order(bad)
