"""Words burnt into a simulated camera's pictures: big, outlined, between the strip above and the overlay below.

A stranger who gives the demonstration a word of his own must find it in the package's pictures with the bare eye.
The words' colour is taken away beneath them, so that they stay readable over any picture.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hal.errors import DeviceMissing, HalError
from simulators import pictures, strip

if TYPE_CHECKING:
    from numpy.typing import NDArray

FONTS = (
    "/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Bold.ttc",
    "/usr/share/fonts/opentype/noto/NotoSerifCJK-Bold.ttc",
)
MAX_CHARACTERS = 64
SMALLEST_PX = 14
OVERLAY_SHARE = 5
"""One fifth of the height, at the bottom, is the overlay's."""


class Lettering:
    """Text laid out once for one size of picture, stamped into each."""

    def __init__(self, text: str, width: int, height: int) -> None:
        if len(text) > MAX_CHARACTERS or not text.isprintable():
            raise HalError(f"camera: text has {len(text)} characters; expected at most {MAX_CHARACTERS}, all of them printable")
        self._top = strip.CELL_HEIGHT + 8
        room = height - height // OVERLAY_SHARE - self._top
        mask = Image.new("L", (width, room))
        draw = ImageDraw.Draw(mask)
        font, lines = _largest(draw, text, width * 9 // 10, room)
        edge = max(round(font.size / 12), 2)
        draw.multiline_text((width // 2, room // 2), lines, 255, font, "mm", align="center", stroke_width=edge, stroke_fill=128)
        levels = np.asarray(mask)
        self._fill, self._edge = levels >= 192, (levels >= 64) & (levels < 192)
        self._bare = (levels[::2, ::2] >= 64) | (levels[1::2, 1::2] >= 64) if room % 2 == 0 else levels[::2, ::2] >= 64

    def stamp(self, picture: NDArray[np.uint8]) -> None:
        """Draw the words into the picture."""
        plane = pictures.luma(picture)[self._top : self._top + len(self._fill)]
        plane[self._edge] = pictures.BLACK
        plane[self._fill] = pictures.WHITE
        for half in np.split(pictures.chroma(picture), 2):
            half[self._top // 2 : self._top // 2 + len(self._bare)][self._bare] = pictures.NEUTRAL


def _font(text: str) -> str:
    """The first font that is here and has the text's script."""
    wide = any(unicodedata.east_asian_width(character) in "WF" for character in text)
    for font in FONTS[1:] if wide else FONTS:
        if Path(font).exists():
            return font
    wanted = "fonts-noto-cjk" if wide else "fonts-dejavu-core"
    raise DeviceMissing(f"camera: no font to draw {text!r} with; install the Debian package {wanted}, or leave text empty")


def _largest(draw: ImageDraw.ImageDraw, text: str, width: int, height: int) -> tuple[ImageFont.FreeTypeFont, str]:
    """The largest size, on one line or more, that fits; HalError when not even the smallest does."""
    name = _font(text)
    for size in range(height // 4, SMALLEST_PX - 1, -2):
        font = ImageFont.truetype(name, size)
        for count in (1, 2, 3, 4):
            per_line = -(-len(text) // count)
            lines = "\n".join(text[at : at + per_line] for at in range(0, len(text), per_line))
            left, top, right, bottom = draw.multiline_textbbox((0, 0), lines, font, align="center", stroke_width=max(round(size / 12), 2))
            if right - left <= width and bottom - top <= height:
                return font, lines
    raise HalError(f"camera: text {text!r} does not fit into the picture; use fewer than {len(text)} characters or a larger picture")
