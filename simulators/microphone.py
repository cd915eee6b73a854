"""Microphones without sound: a file in a loop, or a beep at every whole second; as 16-bit samples in chunks of 20 ms.

Rules:
- A chunk is stamped with the moment of its first sample and is there when its last one has been "heard".
- What is heard at a microsecond of `up` is a function of that microsecond, as with a simulated camera's picture: a clip's
  sound, as long as its picture, stays with it for ever.
- Whoever is more than `buffer_ms` behind finds the samples between lost and counted.

Orders: unplug (SignalLost from then on) and plug (what was said meanwhile is lost), mute (silence) and unmute.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.audio.resampler import AudioResampler

from hal.contracts import AudioChunk, AudioFormat
from hal.errors import DeviceFault, DeviceMissing, HalError, SignalLost
from simulators.orders import open_orders
from simulators.pace import pause

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from hal.contracts import Clock

MAX_SECONDS = 600
"""A sound file is held in memory: 10 min are 58 MB a channel."""

BEEP_HZ = 1_000
BEEP_US = 80_000
"""As long as the white flash of simulators.pictures.Pattern: together they show how far sound and picture are apart."""


@dataclass(kw_only=True, eq=False)
class _Microphone:
    clock: Clock
    rate: int = 48_000
    channels: int = 1
    chunk_ms: int = 20
    buffer_ms: int = 1_000
    world: str = ""
    script: str | Sequence[Mapping[str, Any]] = ""

    def __post_init__(self) -> None:
        """Judge the settings, get the sound."""
        if self.channels not in (1, 2) or not 8_000 <= self.rate <= 192_000 or not 1 <= self.chunk_ms <= 1_000:
            raise HalError(
                f"microphone: {self.channels} channels of {self.rate} Hz by {self.chunk_ms} ms; "
                "expected 1 or 2 channels, 8000 to 192000 Hz, chunks of 1 to 1000 ms",
            )
        self._sound = self.sound()
        self._orders = open_orders("microphone", self.clock, self.world, self.script)
        self._unplugged = self._muted = self._told = self._back = False
        self._start_us, self._next = 0, 0

    def sound(self) -> NDArray[np.int16]:
        """The loop: samples × channels."""
        raise NotImplementedError

    @property
    def source(self) -> str:
        """What it plays, for the `track` line."""
        raise NotImplementedError

    def start(self) -> AudioFormat:
        """Begin now."""
        self._start_us, self._next = self.clock.up_us(), 0
        return AudioFormat(self.rate, self.channels, f"simulators {self.source}")

    def read(self, timeout_s: float) -> AudioChunk | None:
        """The next chunk; None when it is not there in time; SignalLost while the cable is out."""
        deadline_us = self.clock.up_us() + round(timeout_s * 1e6)
        self._obey()
        if self._unplugged:
            if self._told:
                self._wait(deadline_us - self.clock.up_us())
            self._told = True
            raise SignalLost("microphone: the cable is unplugged; plug it in")
        self._told = False
        heard_us = self._begins_us(self._next + 1)
        if heard_us > deadline_us:
            self._wait(deadline_us - self.clock.up_us())
            return None
        self._wait(heard_us - self.clock.up_us())
        behind_us = self.clock.up_us() - heard_us
        lost = behind_us // (self.chunk_ms * 1_000) if self._back or behind_us > self.buffer_ms * 1_000 else 0
        self._back = False
        if not self._next:
            self._orders.report("running", {})
        self._next += lost + 1
        return AudioChunk(self._samples(self._next - 1), self._begins_us(self._next - 1), lost * self._frames)

    def close(self) -> None:
        """End; twice is fine."""
        self._orders.close()

    @property
    def _frames(self) -> int:
        return self.rate * self.chunk_ms // 1_000

    def _begins_us(self, chunk: int) -> int:
        return self._start_us + chunk * self._frames * 1_000_000 // self.rate

    def _samples(self, chunk: int) -> bytes:
        if self._muted:
            return bytes(self._frames * self.channels * 2)
        first = self._start_us * self.rate // 1_000_000 + chunk * self._frames
        return self._sound.take(np.arange(first, first + self._frames), axis=0, mode="wrap").astype("<i2").tobytes()

    def _obey(self) -> None:
        while (order := self._orders.take(0)) is not None:
            if order["do"] in ("unplug", "plug"):
                self._back = self._unplugged and order["do"] == "plug"
                self._unplugged = order["do"] == "unplug"
            else:
                self._muted = order["do"] == "mute"

    def _wait(self, microseconds: int) -> None:
        if microseconds > 0:
            pause(self.clock, microseconds / 1e6)


@dataclass(kw_only=True, eq=False)
class FileMicrophone(_Microphone):
    """Plays the sound of `path` (whatever FFmpeg reads) in a loop."""

    path: str

    @property
    def source(self) -> str:
        """The file's name."""
        return f"file {self.path.rsplit('/', 1)[-1]}"

    def sound(self) -> NDArray[np.int16]:
        """The file's first audio track, in this microphone's rate and channels."""
        try:
            return decoded(self.path, self.rate, self.channels)
        except (av.FFmpegError, OSError, IndexError) as problem:
            raise DeviceMissing(f"microphone: {self.path} can't be played: {problem}; name a sound file that is there") from problem


@dataclass(kw_only=True, eq=False)
class ToneMicrophone(_Microphone):
    """A beep of 80 ms at every whole second of `up`, a low hum between."""

    source = "tone"

    def sound(self) -> NDArray[np.int16]:
        """One second."""
        place = np.arange(self.rate) / self.rate
        loud = np.where(place < BEEP_US / 1e6, 12_000, 0) * np.sin(2 * np.pi * BEEP_HZ * place)
        hum = 60 * np.sin(2 * np.pi * 50 * place)
        return np.repeat((loud + hum).astype(np.int16)[:, np.newaxis], self.channels, axis=1)


def decoded(path: str, rate: int, channels: int) -> NDArray[np.int16]:
    """A file's first audio track as samples × channels; OSError or IndexError where there is none."""
    resampler = AudioResampler("s16", "mono" if channels == 1 else "stereo", rate)
    pieces: list[NDArray[np.int16]] = []
    count = 0
    with av.open(path) as container:
        stream = container.streams.audio[0]
        frames: list[av.AudioFrame | None] = [None]
        for frame in (*container.decode(stream), *frames):
            for out in resampler.resample(frame):
                piece = np.asarray(out.to_ndarray(), np.int16).reshape(-1, channels)
                pieces.append(piece)
                count += len(piece)
            if count > MAX_SECONDS * rate:
                raise DeviceFault(f"microphone: {path} is longer than {MAX_SECONDS} s; cut it")
    if not count:
        raise DeviceFault(f"microphone: {path} holds no sound; name another file")
    return np.concatenate(pieces)
