"""Signed-digit windows of a scalar, for the two curves (width-5 non-adjacent form).

A scalar becomes digits that are 0 or odd in -15..15, at most one of five in a row not 0: a table of eight odd multiples
then serves every digit, which is what a small board can hold. Not constant in time: see `ed25519`.
"""

BITS = 257
"""Digits of any scalar below 2**256; the last takes the carry."""

ZERO = 16
"""How the digit 0 is stored: every digit is kept plus 16, so that a bytearray holds it."""


def digits(scalar: int) -> bytearray:
    """The digits plus `ZERO`, least significant first, for 0 <= scalar < 2**256."""
    out = bytearray(BITS)
    for index in range(BITS):
        digit = 0
        if scalar & 1:
            digit = scalar & 31
            if digit > 15:
                digit -= 32
            scalar -= digit
        out[index] = digit + ZERO
        scalar >>= 1
    return out
