"""Ed25519 in plain Python decides as the library that the server uses, for good, damaged and contrived signatures."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core import ed25519
from agent.core.errors import CryptoError

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "ed25519.json").read_text())["vectors"]

seeds = st.binary(min_size=32, max_size=32)


def library_verifies(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def flipped(data: bytes, bit: int) -> bytes:
    return (int.from_bytes(data, "little") ^ 1 << bit % (8 * len(data))).to_bytes(len(data), "little")


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_known_answers_of_rfc_8032(vector: dict[str, str]) -> None:
    seed, public, message, signature = (bytes.fromhex(vector[name]) for name in ("seed", "public", "message", "signature"))
    assert ed25519.public_key(seed) == public
    assert ed25519.sign(seed, message) == signature
    assert ed25519.verify(public, message, signature)


@settings(deadline=None, max_examples=40)
@given(seeds, st.binary(max_size=300))
def test_signs_as_the_library_does(seed: bytes, message: bytes) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    assert ed25519.public_key(seed) == key.public_key().public_bytes_raw()
    assert ed25519.sign(seed, message) == key.sign(message)


@settings(deadline=None, max_examples=100)
@given(seeds, st.binary(min_size=1, max_size=80), st.sampled_from(["none", "public", "message", "signature"]), st.integers(0, 511))
def test_one_flipped_bit_is_judged_as_the_library_judges_it(seed: bytes, message: bytes, what: str, bit: int) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = key.public_key().public_bytes_raw(), key.sign(message)
    if what == "public":
        public = flipped(public, bit)
    elif what == "message":
        message = flipped(message, bit)
    elif what == "signature":
        signature = flipped(signature, bit)
    assert ed25519.verify(public, message, signature) is library_verifies(public, message, signature) is (what == "none")


@settings(deadline=None, max_examples=100)
@given(seeds, st.binary(min_size=64, max_size=64))
def test_random_keys_and_signatures_are_refused_as_by_the_library(public: bytes, signature: bytes) -> None:
    assert ed25519.verify(public, b"message", signature) is library_verifies(public, b"message", signature)


@pytest.mark.parametrize("times", [1, 2, 3, 14])
def test_refuses_an_s_that_is_not_reduced(times: int) -> None:
    seed = bytes(range(32))
    public, signature = ed25519.public_key(seed), ed25519.sign(seed, b"m")
    s = int.from_bytes(signature[32:], "little") + times * ed25519.L
    assert not ed25519.verify(public, b"m", signature[:32] + s.to_bytes(32, "little"))


def small_order_encodings() -> Iterator[bytes]:
    """Every encoding of the eight points of small order: y as it is, plus p where that fits, and both signs of x = 0."""
    p = ed25519.P
    root = pow(2, (p - 1) // 4, p)  # of -1
    ys = {1, p - 1, 0}
    # A point of order 8 doubles to (±root, 0), so x² = -y² and D·y⁴ + 2·y² - 1 = 0.
    inverse = pow(ed25519.D, p - 2, p)
    discriminant = pow(1 + ed25519.D, (p + 3) // 8, p)
    if (discriminant * discriminant - 1 - ed25519.D) % p:
        discriminant = discriminant * root % p
    for sign in (1, -1):
        square = (-1 + sign * discriminant) * inverse % p
        y = pow(square, (p + 3) // 8, p)
        for candidate in (y, y * root % p):
            if candidate * candidate % p == square:
                ys |= {candidate, p - candidate}
    for y in sorted(ys):
        for value in (y, y + p):
            if value < 1 << 255:
                for top in (0, 1 << 255):
                    yield (value | top).to_bytes(32, "little")


def test_contrived_points_are_judged_as_the_library_judges_them() -> None:
    """Small order, non-canonical y, "minus zero": where implementations differ, ours and the library's do not."""
    encodings = list(small_order_encodings())
    assert len(encodings) == 14  # eight points, six of them written once more
    verdicts = set()
    for key in encodings:
        for point in encodings:
            for message in (b"0", b"1", b"2"):
                signature = point + bytes(32)
                ours = ed25519.verify(key, message, signature)
                assert ours is library_verifies(key, message, signature), (key.hex(), point.hex(), message)
                verdicts.add(ours)
    assert verdicts == {True, False}


def test_a_key_that_is_no_point_is_refused() -> None:
    no_point = (2).to_bytes(32, "little")
    assert not library_verifies(no_point, b"", bytes(64))
    assert not ed25519.verify(no_point, b"", bytes(64))


@pytest.mark.parametrize(("key", "signature"), [(31, 64), (33, 64), (32, 63), (32, 65), (0, 0)])
def test_another_length_is_no_signature(key: int, signature: int) -> None:
    assert ed25519.verify(bytes(key), b"", bytes(signature)) is False


def test_a_seed_of_another_length_is_an_error() -> None:
    with pytest.raises(CryptoError, match="an Ed25519 seed has 32 bytes, not 31"):
        ed25519.sign(bytes(31), b"")
