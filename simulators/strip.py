"""The strip: a frame's number burnt into the picture so that it survives any camera encoder and every lost frame is found.

At the top left, 36 cells of 16 × 32 px, luma 235 for 1 and 16 for 0: `1 0`, 24 bits of the frame's number from camera
start (most significant first), 8 bits CRC-8 (polynomial 0x07, start 0) of those three bytes, `1 0`. A cell is as wide as a
macroblock, so that it costs next to nothing to encode and is read from its middle.

Pure: arrays in, numbers out. Whether a picture is meant to carry a strip is the caller's to know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

CELLS = 36
CELL_WIDTH = 16
CELL_HEIGHT = 32
WIDTH = CELLS * CELL_WIDTH
NUMBER_BITS = 24
DARK, BRIGHT = 16, 235

# The outermost pixels of a cell take up what the encoder smears over from its neighbour.
_INSET = 4


def crc8(data: bytes) -> int:
    """CRC-8 with polynomial 0x07, start 0, no reflection (CRC-8/SMBUS; of b"123456789": 0xF4)."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ 0x07) & 0xFF if value & 0x80 else value << 1
    return value


def bits(number: int) -> list[int]:
    """The 36 cells of a frame's number; it counts modulo 2^24 (7.7 days at 25 frames a second)."""
    number %= 1 << NUMBER_BITS
    body = number << 8 | crc8(number.to_bytes(3, "big"))
    return [1, 0, *(body >> shift & 1 for shift in range(31, -1, -1)), 1, 0]


def burn(luma: NDArray[np.uint8], number: int) -> None:
    """Draw the strip into a luma plane (height × width); ValueError where it has no room."""
    height, width = luma.shape
    if width < WIDTH or height < CELL_HEIGHT:
        raise ValueError(f"a picture of {width}x{height} has no room for the strip; it needs {WIDTH}x{CELL_HEIGHT}")
    row = np.repeat(np.where(bits(number), BRIGHT, DARK).astype(np.uint8), CELL_WIDTH)
    luma[:CELL_HEIGHT, :WIDTH] = row


def read(luma: NDArray[np.uint8]) -> int | None:
    """The frame's number; None where there is no strip or it can't be trusted."""
    height, width = luma.shape
    if width < WIDTH or height < CELL_HEIGHT:
        return None
    cells = luma[_INSET : CELL_HEIGHT - _INSET, :WIDTH].reshape(CELL_HEIGHT - 2 * _INSET, CELLS, CELL_WIDTH)
    levels = cells[:, :, _INSET : CELL_WIDTH - _INSET].mean(axis=(0, 2))
    if abs(levels - (DARK + BRIGHT) / 2).min() < (BRIGHT - DARK) / 8:
        return None  # a cell is neither: this is a picture, not a strip
    seen = [int(level > (DARK + BRIGHT) / 2) for level in levels]
    number = int("".join(map(str, seen[2 : 2 + NUMBER_BITS])), 2)
    return number if seen == bits(number) else None
