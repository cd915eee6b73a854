"""The server's key files, and verification by the fast library."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from agent.core import note
from server.errors import KeyUnusable
from server.ledger import keys
from server.ledger.witness import Witness


def written(path, private, mode=0o600):
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(mode)
    return path


def test_a_key_from_its_file_signs_what_its_vkey_verifies(tmp_path):
    key = keys.load(written(tmp_path / "k", Ed25519PrivateKey.generate()), "a.example/ledger")
    body = note.checkpoint("a.example/ledger", 0, b"\0" * 32)
    assert note.open_note(key.signed(body), [note.verifier(key.vkey)])[0] == body


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path, "can't be read"),
        (lambda path: written(path, Ed25519PrivateKey.generate(), 0o640), "expected mode 600, got 640"),
        (lambda path: written(path, ec.generate_private_key(ec.SECP256R1())), "expected an Ed25519 key, got EC"),
        (lambda path: (path.write_text("no key"), path.chmod(0o600)), "expected a PEM private key"),
    ],
)
def test_a_file_that_is_no_key_of_ours(tmp_path, make, said):
    make(tmp_path / "k")
    with pytest.raises(KeyUnusable, match=said):
        keys.load(tmp_path / "k", "a.example/ledger")


def test_the_witness_writes_what_the_core_would(services):
    witness: Witness = services.witness
    body = note.checkpoint("a.example/X/1", 7, b"\7" * 32)
    key = witness.key
    assert witness.line(body, 1_700_000_000) == note.cosign(body, key.name, key.public, key.sign, 1_700_000_000)


@pytest.mark.parametrize("kind", ["ed25519", "p256"])
def test_the_fast_verifier_says_what_the_cores_own_says(kind):
    private = Ed25519PrivateKey.generate() if kind == "ed25519" else ec.generate_private_key(ec.SECP256R1())
    if isinstance(private, Ed25519PrivateKey):
        vkey = note.vkey("x", note.ED25519, private.public_key().public_bytes_raw())
        signature = private.sign(b"message")
    else:
        vkey = note.vkey("x", note.ECDSA, private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
        signature = private.sign(b"message", ec.ECDSA(hashes.SHA256()))
    for message, expected in ((b"message", True), (b"massage", False)):
        for verifier in (keys.verifier(vkey), note.verifier(vkey)):
            assert verifier.verify(message, signature) is expected
    assert keys.verifier(vkey).vkey == vkey
