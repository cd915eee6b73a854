"""Where a simulated camera's pictures come from: a clip, or a drawing that moves.

A picture is one planar YUV 4:2:0 array of uint8, (height × 3/2) rows of `width`, as PyAV takes it: luma, then both
chroma planes. A source answers "what is seen at this microsecond of `up`", so that the sound of the same clip, asked the
same way, stays with it however late either began.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import av
import numpy as np

from hal.errors import DeviceFault, DeviceMissing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

NEUTRAL = 128
BLACK, WHITE = 16, 235
FLASH_US = 80_000
"""How long the drawing is white at every whole second of `up`: two frames at 25 a second, so that one is always seen."""


class Source(Protocol):
    """Gives pictures by time."""

    @property
    def name(self) -> str:
        """What a `track` line says the picture came from."""
        ...

    def at(self, up_us: int) -> NDArray[np.uint8]:
        """A fresh picture that the caller may draw on."""
        ...

    def close(self) -> None:
        """End."""
        ...


def luma(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The luma plane, a view."""
    return picture[: picture.shape[0] * 2 // 3]


def chroma(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Both chroma planes one above the other, (height) × (width / 2), a view."""
    rows, width = picture.shape
    return picture[rows * 2 // 3 :].reshape(-1, width // 2)


def bleach(picture: NDArray[np.uint8], width: int, height: int) -> None:
    """Take the colour away from the top left corner."""
    for half in np.split(chroma(picture), 2):
        half[: height // 2, : width // 2] = NEUTRAL


def fitted(source_width: int, source_height: int, width: int, height: int) -> tuple[int, int]:
    """The largest size of the source's shape that fits, even as 4:2:0 wants it."""
    scale = min(width / source_width, height / source_height)
    return max(round(source_width * scale / 2) * 2, 2), max(round(source_height * scale / 2) * 2, 2)


class Clip:
    """A video file in a loop, scaled into the picture with its shape kept."""

    def __init__(self, path: str, width: int, height: int) -> None:
        try:
            self._container = av.open(path)
            self._stream = self._container.streams.video[0]
        except (av.FFmpegError, OSError, IndexError) as problem:
            raise DeviceMissing(f"camera: {path} can't be played: {problem}; name a video file that is there") from problem
        self._stream.thread_type = "NONE"  # 360p decodes faster than threads start, and the cores are shared
        self.name = f"file {path.rsplit('/', 1)[-1]}"
        self._path, self._width, self._height = path, width, height
        self.length_us = self._measure()
        self._frames = self._decoded()
        self._now: NDArray[np.uint8] = blank(width, height)
        self._now_us, self._next = -1, next(self._frames)

    def at(self, up_us: int) -> NDArray[np.uint8]:
        """The newest frame at that place of the loop."""
        place_us = up_us % self.length_us
        if place_us < self._now_us:
            self._frames = self._decoded()
            self._now_us, self._next = -1, next(self._frames)
        newest = None
        while self._next is not None and self._next[0] <= place_us:
            newest = self._next
            self._next = next(self._frames)
        if newest is not None:
            self._now = self._scaled(newest[1])
        self._now_us = place_us
        return self._now.copy()

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def _measure(self) -> int:
        """The clip's length in µs; a file without one is no clip."""
        base = self._stream.time_base
        if self._stream.duration and base:
            return int(self._stream.duration * base * 1_000_000)
        if self._container.duration:
            return int(self._container.duration)  # AV_TIME_BASE is µs
        raise DeviceFault(f"camera: {self._path} does not say how long it is; convert it to MP4")

    def _decoded(self) -> Iterator[Any]:
        """(µs since the clip's first frame, frame) from the beginning; then None for ever."""
        try:
            self._container.seek(0)
            first: int | None = None
            for frame in self._container.decode(self._stream):
                if frame.pts is None or frame.time_base is None:
                    continue
                first = frame.pts if first is None else first
                yield int((frame.pts - first) * frame.time_base * 1_000_000), frame
        except (OSError, av.FFmpegError) as problem:
            raise DeviceFault(f"camera: {self._path} can't be decoded: {problem}; name another file") from problem
        while True:
            yield None

    def _scaled(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        width, height = fitted(frame.width, frame.height, self._width, self._height)
        inner = np.asarray(frame.reformat(width, height, "yuv420p").to_ndarray(), np.uint8)
        if (width, height) == (self._width, self._height):
            return inner
        picture = blank(self._width, self._height)
        top, left = (self._height - height) // 4 * 2, (self._width - width) // 4 * 2
        luma(picture)[top : top + height, left : left + width] = luma(inner)
        for outer_half, inner_half in zip(np.split(chroma(picture), 2), np.split(chroma(inner), 2), strict=True):
            outer_half[top // 2 : (top + height) // 2, left // 2 : (left + width) // 2] = inner_half
        return picture


class Pattern:
    """Colour bars, a ramp and a ball that goes round once in 4 s; the whole picture is white for 80 ms at every second of `up`."""

    name = "pattern"

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        self._still = _bars(width, height)

    def at(self, up_us: int) -> NDArray[np.uint8]:
        """The drawing at that time."""
        picture = self._still.copy()
        plane = luma(picture)
        if up_us % 1_000_000 < FLASH_US:
            plane[:] = WHITE
            chroma(picture)[:] = NEUTRAL
            return picture
        angle = up_us % 4_000_000 / 4_000_000 * 2 * np.pi
        size = self._height // 6
        top = int((0.5 + 0.3 * np.sin(angle)) * self._height) - size // 2
        left = int((0.5 + 0.3 * np.cos(angle)) * self._width) - size // 2
        rows, columns = np.ogrid[:size, :size]
        ball = (rows - size / 2) ** 2 + (columns - size / 2) ** 2 < size**2 / 4
        plane[top : top + size, left : left + size][ball] = WHITE
        return picture

    def close(self) -> None:
        """Nothing to end."""


def blank(width: int, height: int) -> NDArray[np.uint8]:
    """A black picture."""
    picture = np.full((height * 3 // 2, width), NEUTRAL, np.uint8)
    luma(picture)[:] = BLACK
    return picture


def _bars(width: int, height: int) -> NDArray[np.uint8]:
    """75 % bars (ITU-R BT.601: Y, Cb, Cr of white, yellow, cyan, green, magenta, red, blue) above a grey ramp."""
    colours = ((180, 128, 128), (162, 44, 142), (131, 156, 44), (112, 72, 58), (84, 184, 198), (65, 100, 212), (35, 212, 114))
    picture = blank(width, height)
    bar = np.arange(width) * len(colours) // width
    table = np.array(colours, np.uint8)
    luma(picture)[:] = table[bar, 0]
    luma(picture)[height * 3 // 4 :] = np.linspace(BLACK, WHITE, width).astype(np.uint8)
    for plane, column in zip(np.split(chroma(picture), 2), (1, 2), strict=True):
        plane[: height * 3 // 8] = table[bar[::2], column]
    return picture
