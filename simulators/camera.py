"""Cameras without a lens: a clip or a drawing, encoded as it is "taken", or an encoded file handed out as it is.

Rules:
- When a frame comes and which are lost is the shutter's business; a loss shows in `dropped` of the next packet and in the
  numbers of the strip.
- A key frame is the first frame of every `gop_ms` by number. A frame lost before it was encoded asks for no other one.
- Words first, then the agent's overlay, the strip last: nothing hides the number.

The cut into fragments, and what a loss means to the record, are the agent's. `CopyCamera` stands in its own module.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import av

from hal.contracts import VideoFormat, VideoPacket
from hal.errors import DeviceFault, HalError, SignalLost
from simulators import pictures, strip
from simulators.copycamera import CopyCamera
from simulators.jpeg import jpeg
from simulators.lettering import Lettering
from simulators.orders import open_orders
from simulators.shutter import Shutter
from simulators.x264 import Encoder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from hal.contracts import Clock, Painter

__all__ = ["CopyCamera", "FileCamera", "PatternCamera"]

MAX_RATE = 120


@dataclass(kw_only=True, eq=False)
class EncodingCamera:
    """Draws pictures and encodes them; a subclass says where the pictures come from. The fields are its settings."""

    clock: Clock
    width: int = 640
    height: int = 360
    rate: int = 25
    gop_ms: int = 1_000
    kbit_s: int = 1_000
    preset: str = "veryfast"
    text: str = ""
    numbered: bool = True
    buffer_ms: int = 500
    world: str = ""
    script: str | Sequence[Mapping[str, Any]] = ""

    def __post_init__(self) -> None:
        """Judge the settings before anything is opened."""
        if self.width % 2 or self.height % 2 or not 0 < self.rate <= MAX_RATE:
            raise HalError(f"camera: {self.width}x{self.height} at {self.rate}/s; expected even sides and a rate of 1 to {MAX_RATE}")
        if self.numbered and (self.width < strip.WIDTH or self.height < strip.CELL_HEIGHT):
            raise HalError(f"camera: the strip needs a width of {strip.WIDTH}, the picture has {self.width}; set numbered = false")
        self._gop = max(self.gop_ms * self.rate // 1_000, 1)
        self._lettering = Lettering(self.text, self.width, self.height) if self.text else None
        self._orders = open_orders("camera", self.clock, self.world, self.script)
        self._shutter = Shutter(self.clock, self._orders, self.rate, self.buffer_ms)
        self._lock = threading.Lock()
        self._source: pictures.Source | None = None
        self._encoder: Encoder | None = None
        self._painter: Painter | None = None
        self._group = -1
        self._newest: NDArray[np.uint8] | None = None

    def source(self) -> pictures.Source:
        """Where the pictures come from."""
        raise NotImplementedError

    def start(self, painter: Painter | None) -> VideoFormat:
        """Begin with frame 0; a camera that ran begins again."""
        with self._lock:
            if self._source is None:
                self._source = self.source()
            self._encoder = Encoder(self.width, self.height, self.rate, self.kbit_s, self.preset)
            self._painter, self._group = painter, -1
            self._source.at(self.clock.up_us())  # finding its place in the clip takes a while: not the first frame's time
            self._shutter.open()
            return VideoFormat(self.width, self.height, self.rate, self._encoder.extradata, f"simulators {self._source.name}")

    def read(self, timeout_s: float) -> VideoPacket | None:
        """The next frame; None when it does not come in time; SignalLost while the cable is out."""
        found = self._shutter.next(timeout_s)
        if found is None:
            return None
        number, dropped = found
        taken_us = self._shutter.taken_us(number)
        with self._lock:
            if self._source is None or self._encoder is None:
                raise DeviceFault("camera: it was not started, or is closed; call start first")
            picture = self._source.at(taken_us)
            self._draw(picture, number, taken_us)
            key = number // self._gop != self._group
            self._group = number // self._gop
            self._newest = picture
            data = self._encoder.encode(picture, taken_us, key=key)
        return VideoPacket(data, taken_us, taken_us, key, dropped, self._shutter.cause)

    def still(self) -> bytes:
        """A JPEG of the newest picture, with all that was drawn into it."""
        with self._lock:
            if self._newest is None:
                raise SignalLost("camera: there is no picture yet; read one first")
            return jpeg(av.VideoFrame.from_ndarray(self._newest, "yuv420p"))

    def close(self) -> None:
        """End; twice is fine."""
        with self._lock:
            if self._source is not None:
                self._source.close()
            self._source = self._encoder = None
        self._orders.close()

    def _draw(self, picture: NDArray[np.uint8], number: int, taken_us: int) -> None:
        plane = pictures.luma(picture)
        if self._lettering is not None:
            self._lettering.stamp(picture)
        if self._painter is not None:
            self._painter(plane, taken_us)
        if self.numbered:
            strip.burn(plane, number)
            pictures.bleach(picture, strip.WIDTH, strip.CELL_HEIGHT)


@dataclass(kw_only=True, eq=False)
class FileCamera(EncodingCamera):
    """Plays the video file `path` in a loop, scaled with its shape kept."""

    path: str

    def source(self) -> pictures.Source:
        """The clip."""
        return pictures.Clip(self.path, self.width, self.height)


@dataclass(kw_only=True, eq=False)
class PatternCamera(EncodingCamera):
    """Draws colour bars and a ball, and a white flash at every whole second of `up`."""

    def source(self) -> pictures.Source:
        """The drawing."""
        return pictures.Pattern(self.width, self.height)
