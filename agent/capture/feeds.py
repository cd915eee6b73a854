"""One feed per medium: what a reader brings becomes pictures or sounds, and holes where some are missing.

Rules:
- A device that is silent for `lost_after` is gone, whatever its driver says; so is one whose driver says so at once.
- A microphone that stalls for less is heard as silence and told as a gap: players go on, and nobody takes it for quiet.
- A loss that goes on is told every `gap_report`, and whatever is open when a recording ends.

Pure but for the AAC encoder: packets and times in, media and holes out. The threads are in `sources`, the order of both media in
`recording`.
"""

from __future__ import annotations

import numpy as np

from agent.capture.encoder import SoundLine
from agent.capture.flat import Flat
from agent.capture.gaps import Silence, Watch
from agent.capture.samples import Hole, Picture, Sound, SoundFormat
from agent.capture.settings import CaptureSettings
from hal.contracts import AudioChunk, AudioFormat, VideoFormat, VideoPacket

SILENCE_AFTER_US = 1_500_000
"""Sound may be this late (buffers of microphones are below 200 ms, a busy machine adds to it) before silence stands in its place.

Pictures wait as long; a sample that comes later than this is left out and told as missing."""


class PictureFeed:
    """The camera's side; `here` while pictures come, `failed` since it was given up (a camera that is starting is neither)."""

    def __init__(self, settings: CaptureSettings, now_us: int) -> None:
        self._watch = Watch("camera", settings.stall_ms * 1_000, settings.gap_report_ms * 1_000, now_us)
        self._silence = Silence(now_us)
        self._lost_after_us = settings.lost_after_ms * 1_000
        self._empty = 0
        self._last: VideoFormat | None = None
        self.format: VideoFormat | None = None
        self.failed = False
        self.newest_us = now_us

    @property
    def here(self) -> bool:
        """Pictures come, or have stopped so short a time ago that they may be expected."""
        return self.format is not None

    def begin(self, format_: VideoFormat, now_us: int) -> None:
        """The camera gave its format: pictures are expected from now."""
        self.format = self._last = format_
        self.failed = False
        self._silence.heard(now_us)

    def lost(self) -> None:
        """The camera is gone until it begins again, or a picture comes."""
        self.format, self.failed = None, True

    def feed(self, packet: VideoPacket, skipped: int, reason: str) -> tuple[list[Hole], Picture | None]:
        """Take a frame; `skipped` frames before it were left out here, because of `reason`. No picture without a format or bytes."""
        if self._last is None:
            return [], None
        if not packet.data:
            self._empty += 1 + packet.dropped  # a frame without content is one that is not there
            return [], None
        self.format, self.failed = self._last, False
        self._silence.heard(packet.dts_us)
        picture = Picture(packet, self.format)
        missing, self._empty = packet.dropped + skipped + self._empty, 0
        why = reason if skipped else packet.cause if packet.dropped else ""
        hole = self._watch.sample(packet.dts_us, picture.period_us, missing * picture.period_us, why)
        self.newest_us = max(self.newest_us, packet.dts_us)
        return [hole] if hole else [], picture

    def idle(self, now_us: int) -> tuple[list[Hole], bool]:
        """Time passed; the holes to tell, and whether the camera is lost by that."""
        hole = self._watch.idle(now_us)
        silent_us = self._silence.length_us(now_us)
        return [hole] if hole else [], self.format is not None and silent_us >= self._lost_after_us

    def close(self, now_us: int) -> list[Hole]:
        """The hole that is open at the end of a recording."""
        hole = self._watch.close(now_us)
        return [hole] if hole else []


class SoundFeed:
    """The microphone's side; sounds come out continuously while it is `here`, silence included."""

    def __init__(self, settings: CaptureSettings, now_us: int) -> None:
        self._watch = Watch("microphone", settings.stall_ms * 1_000, settings.gap_report_ms * 1_000, now_us)
        self._settings = settings
        self._silence = Silence(now_us)
        self._flat = Flat(settings.silent_after_s * 1_000_000, settings.silent_spread)
        self._raw: AudioFormat | None = None
        self._line: SoundLine | None = None
        self.failed = False
        self.end_us = now_us

    @property
    def here(self) -> bool:
        """Sound comes, or silence stands in for it."""
        return self._line is not None

    @property
    def silent(self) -> bool:
        """Samples come and have not changed for a while."""
        return self._flat.silent

    @property
    def format(self) -> SoundFormat | None:
        """The stream that comes out."""
        return self._line.format if self._line else None

    def begin(self, format_: AudioFormat, now_us: int) -> None:
        """The microphone gave its format. SoundError where it can't be encoded."""
        self._line = SoundLine(format_, self._settings.sound_bit_s)
        self._raw, self.failed = format_, False
        self.end_us = now_us
        self._silence.heard(now_us)

    def lost(self) -> None:
        """The microphone is gone until it begins again, or sound comes; samples that were not a whole frame yet go with it."""
        self._line, self.failed = None, True
        self._flat.reset()

    def listen(self, chunk: AudioChunk) -> bool:
        """Hear whether the microphone is alive; whether `silent` changed."""
        if self._line is None or not chunk.samples:
            return False
        samples = np.frombuffer(chunk.samples, "<i2")
        length_us = len(samples) * 1_000_000 // (self._line.format.channels * self._line.format.rate)
        return self._flat.heard(int(samples.min()), int(samples.max()), length_us)

    def feed(self, chunk: AudioChunk, skipped: int, reason: str) -> tuple[list[Hole], list[Sound]]:
        """Take samples; `skipped` samples before them were left out here, because of `reason`."""
        if self._raw is None or not chunk.samples:
            return [], []
        line = self._line
        if line is None or (line.next_us is not None and chunk.up_us - line.next_us >= self._settings.lost_after_ms * 1_000):
            line = self._line = SoundLine(self._raw, self._settings.sound_bit_s)  # nobody fills that much: another stream begins
        self.failed = False
        fed = line.feed(AudioChunk(chunk.samples, chunk.up_us, chunk.lost + skipped))
        if not fed.length_us:
            return [], self._out(fed.sounds)
        self._silence.heard(fed.first_us + fed.length_us)
        hole = self._watch.sample(fed.first_us, fed.length_us, fed.missing_us, reason if skipped else "")
        return [hole] if hole else [], self._out(fed.sounds)

    def idle(self, now_us: int) -> tuple[list[Hole], list[Sound], bool]:
        """Time passed; the holes to tell, silence in place of late sound, and whether the microphone is lost by that."""
        hole = self._watch.idle(now_us)
        silent_us = self._silence.length_us(now_us)
        lost = self._line is not None and silent_us >= self._settings.lost_after_ms * 1_000
        made: list[Sound] = []
        if self._line is not None and self._line.next_us is not None and silent_us > SILENCE_AFTER_US:
            made = self._out(self._line.silence(now_us - SILENCE_AFTER_US - self._line.next_us))
        return [hole] if hole else [], made, lost

    def close(self, now_us: int, *, flush: bool) -> tuple[list[Hole], list[Sound]]:
        """The hole that is open at the end of a recording; with `flush`, at the agent's end, what the encoder still holds."""
        hole = self._watch.close(now_us)
        made: list[Sound] = []
        if flush and self._line is not None and self._line.next_us is not None:
            made = self._out(self._line.flush())
            self._line = None
        return [hole] if hole else [], made

    def _out(self, sounds: list[Sound]) -> list[Sound]:
        if sounds:
            self.end_us = sounds[-1].end_us
        return sounds
