"""The evidence key's file, and what a signature is worth."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from agent.core import ed25519, note
from agent.journal import signer
from agent.journal.signer import FileSigner, KeyFault, verify_ed25519, verify_p256
from hal.contracts import Signer


def test_a_key_is_created_once_for_its_owner_alone(tmp_path):
    path = tmp_path / "evidence.key"
    made: Signer = FileSigner.create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["evidence.key"]
    loaded = FileSigner.load(path)
    assert loaded.public_key() == made.public_key()
    assert ed25519.verify(loaded.public_key(), b"message", loaded.sign(b"message"))
    before = path.read_bytes()
    with pytest.raises(KeyFault, match="there is one already"):
        FileSigner.create(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["evidence.key"]


def test_a_key_that_others_may_read_is_refused(tmp_path):
    path = tmp_path / "evidence.key"
    FileSigner.create(path)
    path.chmod(0o640)
    with pytest.raises(KeyFault, match="expected mode 600, got 640"):
        FileSigner.load(path)


def test_what_is_no_key_is_said(tmp_path):
    path = tmp_path / "evidence.key"
    with pytest.raises(KeyFault, match="enrol the device first"):
        FileSigner.load(path)
    path.write_bytes(b"rubbish")
    path.chmod(0o600)
    with pytest.raises(KeyFault, match="not a private key in PEM"):
        FileSigner.load(path)
    pem = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(pem)
    with pytest.raises(KeyFault, match="expected an Ed25519 key, got RSAPrivateKey"):
        FileSigner.load(path)


def test_fast_verification_answers_as_the_cores(make):
    message, signature = b"message", make.key.sign(b"message")
    for wrong in (signature, signature[:-1], signature[::-1], b"", bytes(64)):
        assert verify_ed25519(make.key.public_key(), message, wrong) == ed25519.verify(make.key.public_key(), message, wrong)
    assert not verify_ed25519(b"short", message, signature)
    key = ec.generate_private_key(ec.SECP256R1())
    der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    good = key.sign(message, ec.ECDSA(hashes.SHA256()))
    assert verify_p256(der, message, good)
    assert not verify_p256(der, b"other", good)
    assert not verify_p256(b"no key", message, good)


def test_a_checkpoint_is_verified_under_its_origins_name(make):
    text = note.sign(note.checkpoint(make.origin, 0, bytes(32)), make.origin, 1, make.key.public_key(), make.key.sign)
    assert note.open_note(text, [signer.verifier(make.origin, make.key)])
    assert signer.vkey(make.origin, make.key).startswith(f"{make.origin}+")
