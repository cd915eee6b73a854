"""What flows from the sources to the ring and to an open recording: encoded media and the holes in it, in `up` microseconds."""

from __future__ import annotations

from dataclasses import dataclass

from hal.contracts import VideoFormat, VideoPacket

AAC_FRAME = 1_024
"""Samples in an AAC-LC frame (ISO/IEC 14496-3)."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame and the stream it belongs to: another format object is another stream, even with the same figures."""

    packet: VideoPacket
    format: VideoFormat

    @property
    def period_us(self) -> int:
        """What a frame lasts by the camera's own rate."""
        return 1_000_000 // max(self.format.rate, 1)


@dataclass(frozen=True, slots=True)
class SoundFormat:
    """An AAC-LC stream; `config` is its AudioSpecificConfig (ISO/IEC 14496-3)."""

    rate: int
    channels: int
    config: bytes
    source: str

    @property
    def frame_us(self) -> int:
        """What a frame lasts, rounded up: the end of one is never before its last sample."""
        return -(-AAC_FRAME * 1_000_000 // self.rate)


@dataclass(frozen=True, slots=True)
class Sound:
    """An AAC frame whose first sample was taken at `up_us`."""

    data: bytes
    up_us: int
    format: SoundFormat

    @property
    def end_us(self) -> int:
        """Where the next frame begins."""
        return self.up_us + self.format.frame_us


@dataclass(frozen=True, slots=True)
class Hole:
    """From `from_us` to `until_us` something that should exist does not; `medium` is `camera` or `microphone`."""

    medium: str
    from_us: int
    until_us: int
    reason: str
