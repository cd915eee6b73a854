"""ECDSA signatures over P-256 with SHA-256, to verify only (FIPS 186-5, section 6.4.2; SEC 1, section 4.1.4).

Rules:
- A key is a SubjectPublicKeyInfo in DER with the named curve and an uncompressed point, 91 bytes (RFC 5480, section 2). Compressed
  points, which nobody in signed notes uses and Go does not read, are refused.
- A signature is a DER SEQUENCE of two INTEGERs, both of shortest form, nothing behind them (RFC 3279, 2.2.3); r and s lie
  in 1..n-1. Both s and n - s pass, as FIPS 186-5 and every library have it.
- Points are in Jacobian coordinates, scalars in signed windows.

Signing is left to the hardware that has no Ed25519: it is why this module is here.
"""

import hashlib

from . import wnaf

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
"""The field (SP 800-186, 3.2.1.3)."""

N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order of the base point."""

B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_BASE_X = 0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296
_BASE_Y = 0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5

# SEQUENCE { SEQUENCE { id-ecPublicKey, secp256r1 }, BIT STRING { 0x04 …: there is one way to write it.
_SPKI_HEAD = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04"

_INFINITY = (1, 1, 0)


def _double(p: "tuple[int, int, int]") -> "tuple[int, int, int]":
    """Twice a Jacobian point (x = X/Z², y = Y/Z³), a = -3; infinity stays infinity."""
    x, y, z = p
    delta = z * z % P
    gamma = y * y % P
    beta = x * gamma % P
    alpha = 3 * (x - delta) * (x + delta) % P
    x3 = (alpha * alpha - 8 * beta) % P
    return x3, (alpha * (4 * beta - x3) - 8 * gamma * gamma) % P, 2 * y * z % P


def _add(p: "tuple[int, int, int]", q: "tuple[int, int, int]") -> "tuple[int, int, int]":
    """The sum of two Jacobian points, whatever they are."""
    x1, y1, z1 = p
    x2, y2, z2 = q
    if not z1:
        return q
    if not z2:
        return p
    zz1 = z1 * z1 % P
    zz2 = z2 * z2 % P
    u1 = x1 * zz2 % P
    s1 = y1 * z2 * zz2 % P
    h = (x2 * zz1 - u1) % P
    r = (y2 * z1 * zz1 - s1) % P
    if not h:
        return _INFINITY if r else _double(p)
    hh = h * h % P
    hhh = h * hh % P
    v = u1 * hh % P
    x3 = (r * r - hhh - 2 * v) % P
    return x3, (r * (v - x3) - s1 * hhh) % P, z1 * z2 * h % P


def _table(x: int, y: int) -> "list[tuple[int, int, int]]":
    """The odd multiples 1, 3 … 15 of an affine point."""
    point = (x, y, 1)
    twice = _double(point)
    table = [point]
    for _ in range(7):
        point = _add(point, twice)
        table.append(point)
    return table


def _sum(terms: "list[tuple[int, list[tuple[int, int, int]]]]") -> "tuple[int, int, int]":
    """The sum of scalar times point, the doublings shared (Straus)."""
    terms_digits = [(wnaf.digits(scalar), table) for scalar, table in terms]
    point = _INFINITY
    for index in range(wnaf.BITS - 1, -1, -1):
        point = _double(point)
        for digits, table in terms_digits:
            digit = digits[index] - wnaf.ZERO
            if digit > 0:
                point = _add(point, table[digit >> 1])
            elif digit < 0:
                x, y, z = table[-digit >> 1]
                point = _add(point, (x, -y, z))
    return point


def _integer(der: bytes, offset: int) -> "tuple[int, int] | None":
    """A positive DER INTEGER of at most 33 bytes at `offset`: its value and where it ends."""
    if len(der) < offset + 3 or der[offset] != 2 or not 1 <= der[offset + 1] <= 33:
        return None
    end = offset + 2 + der[offset + 1]
    first, second = der[offset + 2], der[offset + 3 : offset + 4]
    if end > len(der) or first > 127 or (first == 0 and end > offset + 3 and second[0] < 128):
        return None
    return int.from_bytes(der[offset + 2 : end], "big"), end


def signature(der: bytes) -> "tuple[int, int] | None":
    """The r and s of a DER signature, or None where it is not exactly one, with both in 1..n-1."""
    # Two integers of at most 33 bytes: the length is always of the short form.
    if len(der) < 2 or der[0] != 0x30 or der[1] != len(der) - 2 or der[1] > 127:
        return None
    r = _integer(der, 2)
    s = _integer(der, r[1]) if r else None
    if not r or not s or s[1] != len(der):
        return None
    return (r[0], s[0]) if 0 < r[0] < N and 0 < s[0] < N else None


def point(spki: bytes) -> "tuple[int, int] | None":
    """The affine point of a key, or None where it is no P-256 key of the one form or not on the curve."""
    head = len(_SPKI_HEAD)
    if len(spki) != head + 64 or spki[:head] != _SPKI_HEAD:
        return None
    x = int.from_bytes(spki[head : head + 32], "big")
    y = int.from_bytes(spki[head + 32 :], "big")
    if x >= P or y >= P or (y * y - x * x * x + 3 * x - B) % P:
        return None
    return x, y


def verify(spki: bytes, message: bytes, der: bytes) -> bool:
    """Whether `der` is a signature of the key `spki` over `message`; a key or signature of another form is False."""
    public = point(spki)
    rs = signature(der)
    if not public or not rs:
        return False
    r, s = rs
    digest = int.from_bytes(hashlib.sha256(message).digest(), "big")
    inverse = pow(s, N - 2, N)
    x, _, z = _sum([(digest * inverse % N, _table(_BASE_X, _BASE_Y)), (r * inverse % N, _table(public[0], public[1]))])
    if not z:
        return False
    return x * pow(z * z, P - 2, P) % P % N == r
