"""Encodes a microphone's samples as AAC-LC, without a break from the microphone's start, and keeps them on the device's clock.

Rules:
- A frame's time is when its first sample was taken. The encoder's own first frame (priming, ISO/IEC 14496-3: 1,024 samples that were
  never taken) is left out, or sound would come 21 ms late at 48 kHz.
- A sound card's clock and the device's differ by some 100 ppm, 360 ms in an hour: frames follow the `up` that the driver stamps,
  smoothed, so that sound stays with the picture and a stamp's jitter does not show.
- Where samples are missing there is silence of that length, so that players go on; the hole is told as a gap.
- Samples that come after their time was filled (a driver that stalled and then delivers) are left out: the gap was told already.

How long silence is filled before the microphone counts as gone is the feed's decision (`feeds`).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.codec.context import Flags
from av.error import FFmpegError
from numpy.typing import NDArray

from agent.capture.errors import SoundError
from agent.capture.samples import AAC_FRAME, Sound, SoundFormat
from hal.contracts import AudioChunk, AudioFormat

SAMPLE_BYTES = 2
FULL_SCALE = 32_768

SLEW_US = 2_000_000
"""Time constant of the smoothing: 100 ppm of drift stand 0.2 ms off, a stamp that is 20 ms late moves sound by 0.2 ms."""

JUMP_US = 40_000
"""Sound and picture may be this far apart; an error beyond it that lasts is no jitter, samples are missing."""

JUMP_CHUNKS = 5
"""How long "lasts" is: 100 ms of the usual 20 ms chunks."""

JUMP_AT_ONCE_US = 200_000


@dataclass(frozen=True, slots=True)
class Fed:
    """What became of a chunk: the frames that are ready; where its kept samples began, how long they are, what is missing before them."""

    sounds: list[Sound]
    first_us: int
    length_us: int
    missing_us: int


class AacEncoder:
    """AAC-LC by libavcodec: a block of 1,024 samples in, at some time later its frame out."""

    def __init__(self, format_: AudioFormat, bit_s: int) -> None:
        """SoundError where libavcodec has no AAC for this rate or these channels."""
        if format_.channels not in {1, 2}:
            raise SoundError(f"microphone {format_.source}: expected 1 or 2 channels, got {format_.channels}")
        context = av.CodecContext.create("aac", "w")
        if not isinstance(context, av.AudioCodecContext):
            raise SoundError("microphone: this PyAV has no AAC encoder; install the wheel from PyPI")
        self._layout = "mono" if format_.channels == 1 else "stereo"
        context.sample_rate, context.layout, context.format = format_.rate, self._layout, "fltp"
        context.time_base = Fraction(1, format_.rate)
        context.bit_rate = bit_s * format_.channels
        context.flags |= Flags.global_header
        try:
            context.open()
        except (FFmpegError, ValueError) as error:
            raise SoundError(f"microphone {format_.source}: AAC refuses {format_.rate} samples a second: {error}") from error
        self._context = context
        self._times: deque[int] = deque()
        self._primed = False
        self._count = 0
        self.format = SoundFormat(format_.rate, format_.channels, bytes(context.extradata or b""), format_.source)

    def encode(self, block: NDArray[np.float32], up_us: int) -> list[Sound]:
        """Take a block of channels × 1,024 taken at `up_us`; the frames that are ready, oldest first."""
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=self._layout)
        frame.sample_rate, frame.pts, frame.time_base = self.format.rate, self._count * AAC_FRAME, self._context.time_base
        self._times.append(up_us)
        self._count += 1
        try:
            packets = self._context.encode(frame)
        except FFmpegError as error:
            raise SoundError(f"microphone {self.format.source}: AAC failed at {up_us} µs: {error}") from error
        made = []
        for packet in packets:
            if not self._primed:
                self._primed = True
            else:
                made.append(Sound(bytes(packet), self._times.popleft(), self.format))
        return made


class SoundLine:
    """Samples to AAC frames on the device's clock; `next_us` is when the next sample is due."""

    def __init__(self, format_: AudioFormat, bit_s: int) -> None:
        self._encoder = AacEncoder(format_, bit_s)
        self._rate, self._channels = format_.rate, format_.channels
        self._frame_bytes = SAMPLE_BYTES * format_.channels
        self._buffer = bytearray()
        self._off: list[int] = []
        self._filled_us = 0.0
        self.next_us: float | None = None

    @property
    def format(self) -> SoundFormat:
        """The stream that comes out."""
        return self._encoder.format

    def feed(self, chunk: AudioChunk) -> Fed:
        """Take samples: jumps are filled with silence, samples for a time that is filled already are left out, drift is followed."""
        if len(chunk.samples) % self._frame_bytes:
            raise SoundError(f"microphone: expected whole samples of {self._frame_bytes} bytes, got {len(chunk.samples)} bytes")
        if self.next_us is None:
            self.next_us = float(chunk.up_us)
        count = len(chunk.samples) // self._frame_bytes
        jump_us = self._jump(chunk, count)
        made = self.silence(jump_us) if jump_us > 0 else []
        left_out = min(round(-jump_us * self._rate / 1_000_000), count) if jump_us < 0 else 0
        left_out_us = left_out * 1_000_000 / self._rate
        made += self._push(chunk.samples[left_out * self._frame_bytes :])
        missing_us = max(self._filled_us, left_out_us, chunk.lost * 1_000_000 / self._rate)
        if left_out < count:
            self._filled_us = 0.0
        first_us = round(chunk.up_us + left_out_us)
        return Fed(made, first_us, round((count - left_out) * 1_000_000 / self._rate), round(missing_us))

    def silence(self, length_us: float) -> list[Sound]:
        """Silence of that length in place of samples that did not come."""
        count = max(round(length_us * self._rate / 1_000_000), 0)
        self._filled_us += count * 1_000_000 / self._rate
        return self._push(bytes(self._frame_bytes * count))

    def flush(self) -> list[Sound]:
        """What was taken and is still in the encoder; silence pushes it out, so nothing real is cut short."""
        return self.silence(3 * AAC_FRAME * 1_000_000 / self._rate)

    def _jump(self, chunk: AudioChunk, count: int) -> float:
        """How much is missing (positive) or came too late (negative) before the chunk, in µs; small errors are slewed away instead."""
        assert self.next_us is not None
        error_us = chunk.up_us - self.next_us
        self._off = [*(off for off in self._off if (off > 0) == (error_us > 0)), round(error_us)] if abs(error_us) >= JUMP_US else []
        lasting_us = min(self._off, key=abs) if len(self._off) >= JUMP_CHUNKS else 0
        if chunk.lost or self._filled_us or lasting_us or abs(error_us) >= JUMP_AT_ONCE_US:
            self._off.clear()
            return lasting_us or error_us
        if not self._off:
            self.next_us += error_us * min(count * 1_000_000 / self._rate / SLEW_US, 1.0)
        return 0.0

    def _push(self, samples: bytes) -> list[Sound]:
        assert self.next_us is not None
        self._buffer += samples
        self.next_us += len(samples) // self._frame_bytes * 1_000_000 / self._rate
        block_bytes = AAC_FRAME * self._frame_bytes
        made: list[Sound] = []
        while len(self._buffer) >= block_bytes:
            first_us = self.next_us - len(self._buffer) // self._frame_bytes * 1_000_000 / self._rate
            block = np.frombuffer(bytes(self._buffer[:block_bytes]), "<i2").reshape(-1, self._channels).T
            del self._buffer[:block_bytes]
            made += self._encoder.encode(np.ascontiguousarray(block, np.float32) / np.float32(FULL_SCALE), round(first_us))
        return made
