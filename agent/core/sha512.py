"""SHA-512 (FIPS 180-4) for boards whose `hashlib` has none.

Rules:
- `digest` is the whole hash at once: Ed25519 hashes keys and signed notes, which are small.
- The round constants are kept as bytes, not as 80 big integers: 640 bytes of a board's heap instead of 2.5 KB.
- Where `hashlib` has SHA-512, `digest` is that (section 6.4 of the standard either way); `pure` is always ours.
"""

import hashlib
import struct
from binascii import unhexlify

_MASK = 0xFFFFFFFFFFFFFFFF

# First 64 bits of the fractional parts of the cube roots of the first eighty primes (FIPS 180-4, 4.2.3).
_K = unhexlify(
    b"428a2f98d728ae227137449123ef65cdb5c0fbcfec4d3b2fe9b5dba58189dbbc"
    b"3956c25bf348b53859f111f1b605d019923f82a4af194f9bab1c5ed5da6d8118"
    b"d807aa98a303024212835b0145706fbe243185be4ee4b28c550c7dc3d5ffb4e2"
    b"72be5d74f27b896f80deb1fe3b1696b19bdc06a725c71235c19bf174cf692694"
    b"e49b69c19ef14ad2efbe4786384f25e30fc19dc68b8cd5b5240ca1cc77ac9c65"
    b"2de92c6f592b02754a7484aa6ea6e4835cb0a9dcbd41fbd476f988da831153b5"
    b"983e5152ee66dfaba831c66d2db43210b00327c898fb213fbf597fc7beef0ee4"
    b"c6e00bf33da88fc2d5a79147930aa72506ca6351e003826f142929670a0e6e70"
    b"27b70a8546d22ffc2e1b21385c26c9264d2c6dfc5ac42aed53380d139d95b3df"
    b"650a73548baf63de766a0abb3c77b2a881c2c92e47edaee692722c851482353b"
    b"a2bfe8a14cf10364a81a664bbc423001c24b8b70d0f89791c76c51a30654be30"
    b"d192e819d6ef5218d69906245565a910f40e35855771202a106aa07032bbd1b8"
    b"19a4c116b8d2d0c81e376c085141ab532748774cdf8eeb9934b0bcb5e19b48a8"
    b"391c0cb3c5c95a634ed8aa4ae3418acb5b9cca4f7763e373682e6ff3d6b2b8a3"
    b"748f82ee5defb2fc78a5636f43172f6084c87814a1f0ab728cc702081a6439ec"
    b"90befffa23631e28a4506cebde82bde9bef9a3f7b2c67915c67178f2e372532b"
    b"ca273eceea26619cd186b8c721c0c207eada7dd6cde0eb1ef57d4f7fee6ed178"
    b"06f067aa72176fba0a637dc5a2c898a6113f9804bef90dae1b710b35131c471b"
    b"28db77f523047d8432caab7b40c724933c9ebe0a15c9bebc431d67c49c100d4c"
    b"4cc5d4becb3e42b6597f299cfc657e2a5fcb6fab3ad6faec6c44198c4a475817"
)

# First 64 bits of the fractional parts of the square roots of the first eight primes (FIPS 180-4, 5.3.5).
_START = unhexlify(
    b"6a09e667f3bcc908bb67ae8584caa73b3c6ef372fe94f82ba54ff53a5f1d36f1510e527fade682d19b05688c2b3e6c1f1f83d9abfb41bd6b5be0cd19137e2179"
)


def _block(state: "list[int]", block: bytes) -> None:
    """Take one block of 128 bytes into the state (FIPS 180-4, 6.4.2)."""
    mask = _MASK
    words = list(struct.unpack(">16Q", block))
    a, b, c, d, e, f, g, h = state
    for turn in range(80):
        slot = turn & 15
        if turn >= 16:
            # The schedule needs the last sixteen words only: a ring of sixteen.
            x = words[(turn + 1) & 15]
            y = words[(turn + 14) & 15]
            x = ((x >> 1 | x << 63) ^ (x >> 8 | x << 56)) & mask ^ x >> 7
            y = ((y >> 19 | y << 45) ^ (y >> 61 | y << 3)) & mask ^ y >> 6
            words[slot] = (words[slot] + x + words[(turn + 9) & 15] + y) & mask
        constant = struct.unpack_from(">Q", _K, turn * 8)[0]
        big = ((e >> 14 | e << 50) ^ (e >> 18 | e << 46) ^ (e >> 41 | e << 23)) & mask
        first = h + big + ((e & f) ^ (~e & g)) + constant + words[slot]
        big = ((a >> 28 | a << 36) ^ (a >> 34 | a << 30) ^ (a >> 39 | a << 25)) & mask
        second = big + ((a & b) ^ (a & c) ^ (b & c))
        h, g, f, e, d, c, b, a = g, f, e, (d + first) & mask, c, b, a, (first + second) & mask
    state[:] = [(old + new) & mask for old, new in zip(state, (a, b, c, d, e, f, g, h))]


def pure(data: bytes) -> bytes:
    """The 64 bytes of SHA-512(data), computed here."""
    state = list(struct.unpack(">8Q", _START))
    whole = len(data) - len(data) % 128
    for offset in range(0, whole, 128):
        _block(state, data[offset : offset + 128])
    tail = data[whole:] + b"\x80"
    tail += bytes((112 - len(tail)) % 128) + struct.pack(">QQ", 0, len(data) * 8)
    for offset in range(0, len(tail), 128):
        _block(state, tail[offset : offset + 128])
    return struct.pack(">8Q", *state)


def digest(data: bytes) -> bytes:
    """The 64 bytes of SHA-512(data), by `hashlib` where it can."""
    if hasattr(hashlib, "sha512"):
        return hashlib.sha512(data).digest()
    return pure(data)
