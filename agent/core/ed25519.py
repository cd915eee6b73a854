"""Ed25519 signatures (RFC 8032, section 5.1), for boards and for `verify.pyz`, which have no crypto library.

Rules:
- `verify` decides as OpenSSL does, so that a note which the server's library accepted never fails here and the other way
  round. Accepted is a signature whose R is, byte for byte, the encoding of [S]B - [k]A (the equation without cofactor;
  RFC 8032, 5.1.7 permits it). Refused therefore: S >= L, every R that is not the canonical encoding, keys that are no point of the curve.
- As OpenSSL and Go do, and unlike RFC 8032, 5.1.3, a key's y is taken modulo p and "minus zero" is read as x = 0. Keys of small
  order verify what their equation gives: nobody who chose such a key is trusted, since keys come from vkeys.
- Points are in extended coordinates (Hisil, Wong, Carter, Dawson 2008, a = -1), scalars in signed windows.

It leaves secrecy in time to others: Python's integers are not constant in time. A recorder signs with `cryptography` or a
hardware key; a board that signs here is one that can be watched only by who holds it, and thereby the key.
"""

from . import sha512, wnaf
from .errors import CryptoError

P = 2**255 - 19
"""The field (RFC 8032, 5.1)."""

L = 2**252 + 27742317777372353535851937790883648493
"""The order of the base point."""

D = 37095705934669439343138083508754565189542113879843219016388785533085940283555
_SQRT_MINUS_1 = 19681161376707505956807079304988542015446066515923890162744021073123829784752
_BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
_BASE_Y = 46316835694926478169428394003475163141307993866256225615783033603165251855960

_base_table: "list[tuple[int, int, int, int]]" = []

# A point is (X, Y, Z, T): x = X/Z, y = Y/Z, xy = T/Z. A table entry is (Y - X, Y + X, 2dT, 2Z): what an addition needs of it.


def _add(p: "tuple[int, int, int, int]", q: "tuple[int, int, int, int]") -> "tuple[int, int, int, int]":
    """Point plus table entry."""
    x, y, z, t = p
    a = (y - x) * q[0] % P
    b = (y + x) * q[1] % P
    c = t * q[2] % P
    d = z * q[3] % P
    e = b - a
    f = d - c
    g = d + c
    h = b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _double(p: "tuple[int, int, int, int]") -> "tuple[int, int, int, int]":
    x, y, z, _ = p
    a = x * x % P
    b = y * y % P
    h = a + b
    x += y
    e = h - x * x % P
    g = a - b
    f = 2 * z * z % P + g
    return e * f % P, g * h % P, f * g % P, e * h % P


def _entry(p: "tuple[int, int, int, int]") -> "tuple[int, int, int, int]":
    x, y, z, t = p
    return (y - x) % P, (y + x) % P, 2 * D * t % P, 2 * z % P


def _table(x: int, y: int) -> "list[tuple[int, int, int, int]]":
    """The odd multiples 1, 3 … 15 of an affine point, as entries."""
    point = (x, y, 1, x * y % P)
    twice = _entry(_double(point))
    table = [_entry(point)]
    for _ in range(7):
        point = _add(point, twice)
        table.append(_entry(point))
    return table


def _base() -> "list[tuple[int, int, int, int]]":
    """The base point's table: made when first needed, 2 KB on a board."""
    if not _base_table:
        _base_table.extend(_table(_BASE_X, _BASE_Y))
    return _base_table


def _sum(terms: "list[tuple[int, list[tuple[int, int, int, int]]]]") -> bytes:
    """The encoded sum of scalar times point, the doublings shared (Straus)."""
    terms_digits = [(wnaf.digits(scalar), table) for scalar, table in terms]
    point = (0, 1, 1, 0)
    for index in range(wnaf.BITS - 1, -1, -1):
        point = _double(point)
        for digits, table in terms_digits:
            digit = digits[index] - wnaf.ZERO
            if digit > 0:
                point = _add(point, table[digit >> 1])
            elif digit < 0:
                a, b, c, d = table[-digit >> 1]
                point = _add(point, (b, a, -c, d))
    return _encode(point)


def _encode(point: "tuple[int, int, int, int]") -> bytes:
    """RFC 8032, 5.1.2: y, and the lowest bit of x on top."""
    x, y, z, _ = point
    inverse = pow(z, P - 2, P)
    return (y * inverse % P | (x * inverse % P & 1) << 255).to_bytes(32, "little")


def _decode(encoded: bytes) -> "tuple[int, int] | None":
    """Affine x and y, or None where there is no such point (RFC 8032, 5.1.3, with the two liberties stated at the top)."""
    number = int.from_bytes(encoded, "little")
    y = (number & (1 << 255) - 1) % P
    u = (y * y - 1) % P
    v = (D * y * y + 1) % P
    x = u * v**3 * pow(u * v**7 % P, (P - 5) // 8, P) % P
    if (v * x * x - u) % P:
        x = x * _SQRT_MINUS_1 % P
        if (v * x * x - u) % P:
            return None
    if x & 1 != number >> 255:
        x = -x % P
    return x, y


def _secret(seed: bytes) -> "tuple[int, bytes]":
    """The secret scalar and the prefix (RFC 8032, 5.1.5)."""
    if len(seed) != 32:
        raise CryptoError(f"an Ed25519 seed has 32 bytes, not {len(seed)}")
    hashed = sha512.digest(seed)
    scalar = int.from_bytes(hashed[:32], "little") & (1 << 254) - 8 | 1 << 254
    return scalar, hashed[32:]


def _hash_scalar(data: bytes) -> int:
    return int.from_bytes(sha512.digest(data), "little") % L


def public_key(seed: bytes) -> bytes:
    """The 32-byte public key of a 32-byte seed."""
    return _sum([(_secret(seed)[0], _base())])


def sign(seed: bytes, message: bytes) -> bytes:
    """The 64-byte signature (RFC 8032, 5.1.6)."""
    scalar, prefix = _secret(seed)
    public = _sum([(scalar, _base())])
    nonce = _hash_scalar(prefix + message)
    point = _sum([(nonce, _base())])
    answer = (nonce + _hash_scalar(point + public + message) * scalar) % L
    return point + answer.to_bytes(32, "little")


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes) is one of `public` (32 bytes) over `message`; lengths that differ are False."""
    if len(public) != 32 or len(signature) != 64:
        return False
    answer = int.from_bytes(signature[32:], "little")
    if answer >= L:
        return False
    point = _decode(public)
    if point is None:
        return False
    challenge = _hash_scalar(signature[:32] + public + message)
    minus = _table(-point[0] % P, point[1])
    return _sum([(answer, _base()), (challenge, minus)]) == signature[:32]
