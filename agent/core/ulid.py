"""ULIDs: recordings' names that sort by time (github.com/ulid/spec).

Rules:
- 48 bits of milliseconds since 1970 and 80 random bits, 26 characters of Crockford's base 32, most significant first.
- Capitals only: a name stands in lines, paths and URLs and is compared there byte by byte, so there is one way to write it.
- Two of the same millisecond do not rise by one another: the random part alone keeps them apart.

The time is the device's wall clock and as wrong as that: order within a journal comes from the journal, not from here.
"""

from .errors import CoreError

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH = 26
_RANDOM_BYTES = 10
_TIME_LIMIT = 1 << 48


def new(at_ms: int, random10: bytes) -> str:
    """The ULID of a time and 10 random bytes; CoreError when either is out of range."""
    if not 0 <= at_ms < _TIME_LIMIT:
        raise CoreError(f"a ULID's time is 0 to 2^48 - 1 ms since 1970, not {at_ms}")
    if len(random10) != _RANDOM_BYTES:
        raise CoreError(f"a ULID takes 10 random bytes, not {len(random10)}")
    value = at_ms << 80 | int.from_bytes(random10, "big")
    return "".join([ALPHABET[value >> shift & 31] for shift in range(125, -1, -5)])


def parse(text: str) -> "tuple[int, bytes]":
    """Milliseconds since 1970 and the 10 random bytes; CoreError when it is none."""
    if not is_ulid(text):
        raise CoreError(f"expected a ULID of 26 characters 0-9 A-Z without I L O U, the first at most 7, got {text[:80]}")
    value = 0
    for character in text:
        value = value << 5 | ALPHABET.index(character)
    return value >> 80, (value & (1 << 80) - 1).to_bytes(_RANDOM_BYTES, "big")


def is_ulid(text: str) -> bool:
    """Whether this is a ULID as `new` writes it."""
    return len(text) == _LENGTH and text[0] <= "7" and all(character in ALPHABET for character in text)
