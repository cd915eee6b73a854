"""P-256 in plain Python decides as the library that the server uses."""

import json
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core import p256

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "p256.json").read_text())["vectors"]

scalars = st.integers(1, p256.N - 1)


def spki(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def signed(secret: int, message: bytes) -> tuple[bytes, bytes]:
    key = ec.derive_private_key(secret, ec.SECP256R1())
    return spki(key.public_key()), key.sign(message, ec.ECDSA(hashes.SHA256()))


def library_verifies(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        key = serialization.load_der_public_key(public)
        assert isinstance(key, ec.EllipticCurvePublicKey)
        key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_known_answers_of_rfc_6979(vector: dict[str, str]) -> None:
    public, message, signature = (bytes.fromhex(vector[name]) for name in ("public", "message", "signature"))
    assert p256.verify(public, message, signature)
    assert not p256.verify(public, message + b"\0", signature)


@settings(deadline=None, max_examples=50)
@given(scalars, st.binary(min_size=1, max_size=80), st.sampled_from(["none", "message", "signature"]), st.integers(0, 600))
def test_one_flipped_bit_is_judged_as_the_library_judges_it(secret: int, message: bytes, what: str, bit: int) -> None:
    public, signature = signed(secret, message)
    if what == "message":
        message = bytes([message[0] ^ 1 << bit % 8]) + message[1:]
    elif what == "signature":
        place = bit // 8 % len(signature)
        signature = signature[:place] + bytes([signature[place] ^ 1 << bit % 8]) + signature[place + 1 :]
    assert p256.verify(public, message, signature) is library_verifies(public, message, signature) is (what == "none")


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=80))
def test_random_bytes_are_no_signature(signature: bytes) -> None:
    assert not p256.verify(bytes.fromhex(VECTORS[0]["public"]), b"sample", signature)


@settings(max_examples=200)
@given(scalars | st.integers(1, 300), scalars | st.integers(1, 300))
def test_reads_every_signature_that_der_can_write(r: int, s: int) -> None:
    assert p256.signature(encode_dss_signature(r, s)) == (r, s)


def test_both_s_and_its_negative_pass() -> None:
    public, signature = signed(7, b"m")
    r, s = decode_dss_signature(signature)
    other = encode_dss_signature(r, p256.N - s)
    assert p256.verify(public, b"m", other) is library_verifies(public, b"m", other) is True


PUBLIC, SIGNATURE = signed(7, b"m")
R, S = decode_dss_signature(SIGNATURE)


def der(r: bytes, s: bytes, tail: bytes = b"") -> bytes:
    body = b"\x02" + bytes([len(r)]) + r + b"\x02" + bytes([len(s)]) + s + tail
    return b"\x30" + bytes([len(body)]) + body


def shortest(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big")


MALFORMED = {
    "empty": b"",
    "cut off": SIGNATURE[:-1],
    "something behind": SIGNATURE + b"\0",
    "something behind, counted": der(shortest(R), shortest(S), b"\0"),
    "a needless zero": der(b"\0" + shortest(R), shortest(S)),
    "long form of the length": b"\x30\x81" + SIGNATURE[1:],
    "indefinite length": b"\x30\x80" + SIGNATURE[2:] + b"\0\0",
    "negative r": der((-R).to_bytes(33, "big", signed=True), shortest(S)),
    "r = 0": encode_dss_signature(0, S),
    "s = 0": encode_dss_signature(R, 0),
    "r = n": encode_dss_signature(p256.N, S),
    "s + n": encode_dss_signature(R, S + p256.N),
    "an empty integer": der(b"", shortest(S)),
    "a set": b"\x31" + SIGNATURE[1:],
    "raw r and s": R.to_bytes(32, "big") + S.to_bytes(32, "big"),
    "one integer": b"\x30\x03\x02\x01\x05",
    "no integers": b"\x30\x00",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_refuses_what_is_not_exactly_a_signature(name: str) -> None:
    assert p256.verify(PUBLIC, b"m", SIGNATURE)
    assert p256.verify(PUBLIC, b"m", MALFORMED[name]) is library_verifies(PUBLIC, b"m", MALFORMED[name]) is False


def test_refuses_a_key_that_is_not_on_the_curve() -> None:
    assert p256.point(PUBLIC)
    assert not p256.verify(PUBLIC[:-1] + bytes([PUBLIC[-1] ^ 1]), b"m", SIGNATURE)
    assert not p256.verify(PUBLIC[:27] + bytes(64), b"m", SIGNATURE)


def test_refuses_coordinates_beyond_the_field() -> None:
    """X = 5 lies on the curve; 5 + p is the same point in another writing and no key."""
    x = 5
    y = pow(x**3 - 3 * x + p256.B, (p256.P + 1) // 4, p256.P)
    head = PUBLIC[:27]
    assert p256.point(head + x.to_bytes(32, "big") + y.to_bytes(32, "big")) == (x, y)
    assert p256.point(head + (x + p256.P).to_bytes(32, "big") + y.to_bytes(32, "big")) is None


def test_refuses_keys_of_other_forms() -> None:
    key = ec.derive_private_key(7, ec.SECP256R1()).public_key()
    raw = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    compressed = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    other = spki(ec.derive_private_key(7, ec.SECP256K1()).public_key())
    for wrong in (b"", raw, compressed, other, PUBLIC + b"\0", PUBLIC[:-1]):
        assert not p256.verify(wrong, b"m", SIGNATURE)


def test_sums_that_meet_infinity_and_doubling() -> None:
    """The group law where points are equal or opposite: table entries meet themselves only for contrived keys."""
    x, y = p256._BASE_X, p256._BASE_Y
    base = (x, y, 1)
    assert p256._add(base, (x, p256.P - y, 1))[2] == 0
    assert p256._add(p256._INFINITY, base) == p256._add(base, p256._INFINITY) == base
    assert p256._double(p256._INFINITY)[2] == 0
    doubled, added = p256._double(base), p256._add(base, base)
    assert doubled == added


@settings(deadline=None, max_examples=20)
@given(st.sampled_from([1, 2, 3, 5, 15, p256.N - 1, p256.N - 2, p256.N - 3]), st.binary(max_size=20))
def test_keys_close_to_the_base_point(secret: int, message: bytes) -> None:
    """The key's table shares points with the base's: additions of equal and opposite points really happen."""
    public, signature = signed(secret, message)
    assert p256.verify(public, message, signature)
