"""Burns time, device and officer into the picture before it is encoded (GA/T 947-2015: device number of 7, officer number of 6 characters).

Rules:
- The time is the frame's own, not that of drawing, with its offset from UTC; a `*` stands beside it while the clock is not trusted.
- It stands at the bottom left, on as many lines as the width needs, and never above the lower half: a strip at the top belongs to
  the camera.
- Only luma is drawn, white with a dark edge, legible on any picture. What has not changed is not drawn anew: text is rendered once a
  second, blending it in touches its own rectangle only.

DejaVu, or Noto CJK where a character is beyond Latin (Debian: fonts-dejavu-core, fonts-noto-cjk); Pillow's own small font where neither
is installed. What the texts say is the pipeline's business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hal.contracts import Clock
from hal.errors import HalError

LATIN_FONT = Path("/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf")
CJK_FONT = Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc")
CJK_SIMPLIFIED = 2
"""Index of "Noto Sans CJK SC" in its collection."""

LINES_IN_PICTURE = 26
"""A line is this part of the height: 28 px at 720."""

SMALLEST_PX = 10
EDGE_PX = 1
MARGIN_PX = 4
WHITE, DARK = 235, 16
TRUSTED_SOURCES = ("gnss", "ntp", "server")
TRUST_MS = 1_000
TRUST_EVERY_US = 10_000_000
"""How often the clock is asked how right it is: drivers may ask a daemon for it."""

_FIRST_WIDE = "\u2e80"


@dataclass(frozen=True, slots=True)
class OverlayText:
    """What stands beside the time; empty texts are left out."""

    device: str = ""
    officer: str = ""
    note: str = ""
    offset_minutes: int = 480

    def parts(self, wall_ms: int, *, trusted: bool) -> tuple[str, ...]:
        """What is shown at a wall time, the time first."""
        zone = timezone(timedelta(minutes=self.offset_minutes))
        moment = datetime.fromtimestamp(wall_ms // 1_000, UTC).astimezone(zone)
        time = moment.strftime("%Y-%m-%d %H:%M:%S") + _offset(self.offset_minutes) + ("" if trusted else "*")
        return tuple(part for part in (time, self.device, self.officer, self.note) if part)


class Overlay:
    """A `hal.contracts.Painter`; `text` may be exchanged at any time, from any thread."""

    def __init__(self, text: OverlayText, clock: Clock) -> None:
        self.text = text
        self._clock = clock
        self._asked_us: int | None = None
        self._trusted = False
        self._key: tuple[tuple[str, ...], int, int] | None = None
        self._stamp: Stamp | None = None

    def __call__(self, luma: Any, up_us: int) -> None:
        """Draw into a height × width array of uint8."""
        wall_ms = self._clock.wall_ms() - (self._clock.up_us() - up_us) // 1_000
        parts = self.text.parts(wall_ms, trusted=self._is_trusted(up_us))
        height, width = luma.shape
        if self._key != (parts, width, height):
            self._key = (parts, width, height)
            self._stamp = Stamp(parts, width, height)
        if self._stamp is not None:
            self._stamp.blend(luma)

    def _is_trusted(self, up_us: int) -> bool:
        if self._asked_us is None or up_us - self._asked_us >= TRUST_EVERY_US:
            self._asked_us = up_us
            try:
                reading = self._clock.reading()
            except HalError:
                self._trusted = False
            else:
                self._trusted = reading.source in TRUSTED_SOURCES and abs(reading.offset_ms) + reading.error_ms <= TRUST_MS
        return self._trusted


class Stamp:
    """Rendered text and where it goes: `top`, `left` and its size in px."""

    def __init__(self, parts: tuple[str, ...], width: int, height: int) -> None:
        size = max(height // LINES_IN_PICTURE, SMALLEST_PX)
        font = _font("".join(parts), size)
        lines = _fitted(parts, font.getlength, width - 2 * MARGIN_PX)
        step = sum(font.getmetrics()) + 2 * EDGE_PX
        lines = lines[: max((height // 2 - MARGIN_PX) // step, 1)]
        image = Image.new("LA", (width - 2 * MARGIN_PX, step * len(lines)), (DARK, 0))
        draw = ImageDraw.Draw(image)
        for at, line in enumerate(lines):
            draw.text((EDGE_PX, at * step + EDGE_PX), line, font=font, fill=(WHITE, 255), stroke_width=EDGE_PX, stroke_fill=(DARK, 255))
        self.top, self.left = height - MARGIN_PX - image.height, MARGIN_PX
        box = image.getchannel("A").getbbox() or (0, 0, 0, 0)
        self.top, self.left = self.top + box[1], self.left + box[0]
        pixels = np.asarray(image.crop(box), np.uint16)
        self._keep = 255 - pixels[:, :, 1]
        self._add = pixels[:, :, 0] * pixels[:, :, 1]
        self.height, self.width = self._keep.shape

    def blend(self, luma: NDArray[np.uint8]) -> None:
        """Draw into a luma plane."""
        part = luma[self.top : self.top + self.height, self.left : self.left + self.width]
        part[:] = (part * self._keep + self._add) // 255


def _fitted(parts: tuple[str, ...], length: Callable[[str], float], width: int) -> list[str]:
    """Parts side by side as far as they fit, then on the next line; a part that is wider than the picture ends in `…`."""
    lines: list[str] = []
    for part in parts:
        beside = f"{lines[-1]}  {part}" if lines else part
        if lines and length(beside) <= width:
            lines[-1] = beside
            continue
        lines.append(_cut(part, length, width))
    return lines


def _cut(part: str, length: Callable[[str], float], width: int) -> str:
    whole = part
    while part and length(part) > width:
        part = part[:-1]
    return part if part == whole else f"{part[:-1]}…"


def _font(text: str, size: int) -> Any:
    """The first font that is installed and has the text's characters."""
    wide = any(character >= _FIRST_WIDE for character in text)
    for path, index in ((CJK_FONT, CJK_SIMPLIFIED), (LATIN_FONT, 0)) if wide else ((LATIN_FONT, 0), (CJK_FONT, CJK_SIMPLIFIED)):
        try:
            return ImageFont.truetype(str(path), size, index=index)
        except OSError:
            continue
    return ImageFont.load_default(size)


def _offset(minutes: int) -> str:
    sign = "-" if minutes < 0 else "+"
    return f" UTC{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
