"""Muxes encoded packets into one fragmented MP4: an init segment, then whole fragments with exact times.

Rules:
- Media time 0 is the epoch. Packets come in by time, picture and sound merged; a fragment begins with a key frame (H.264) or, where
  there is no picture, with any frame.
- Fragments touch: the duration of one is the next one's rounded pts less its own, so that rounding opens no gap and no overlap.
- A fragment leaves as soon as the packet after its end is in; `close` gives the rest. Any prefix of init segment and whole fragments
  plays (ISO/IEC 14496-12 8.16, CMAF ISO/IEC 23000-19).

The muxer is libavformat's, by PyAV. Its options are chosen by measurement (tests hold it): of the variants with and without `cmaf`,
`delay_moov`, `frag_discont` and `use_editlist=0`, fed with tracks that begin after 0 (sound 8 ms after the picture, a camera that comes
later), only those with `frag_discont` and without `delay_moov` keep every sample where it was put, within 0.01 ms, and write the init
segment at once. The others pull a track's beginning forward to 0, or hold `moov` back until the first fragment is whole. With `cmaf` frames
that are shown out of order (B frames) stand right by the standard, without an edit list; FFmpeg's own demuxer shows them one frame late
all the same, so a camera should have none. Packets wait for the other track's next one: a fragment is whole two frames after its end.

What is missing in between is not decided here (`gaps`), nor which packets belong to a recording (`recording`).
"""

from __future__ import annotations

import io
from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.error import FFmpegError

from agent.capture.boxes import Cut, Cutter
from agent.capture.errors import MuxError
from agent.capture.gaps import ms
from agent.capture.h264 import Stream
from agent.capture.samples import AAC_FRAME, Picture, Sound, SoundFormat

PICTURE_TICKS = 90_000
"""Ticks a second of the picture's time scale, as in MPEG systems: 11 µs, and whole frames at 24, 25, 30, 50 and 60 a second."""

AAC_CODEC = "mp4a.40.2"

_FLAGS = "frag_keyframe+empty_moov+default_base_moof+cmaf+frag_discont+skip_trailer"
_CUT_SHARE = 0.75
"""A key frame may come this early, as part of the target, and still ends a fragment: cameras jitter."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """Whole boxes and where they lie in media time."""

    data: bytes
    pts_ms: int
    duration_ms: int


@dataclass(frozen=True, slots=True)
class _Fed:
    pts_us: int
    end_us: int


class Fragmenter:
    """One track file. Made with its first picture, or without one for sound alone; MuxError when libavformat refuses."""

    def __init__(self, first: Picture | None, sound: SoundFormat | None, epoch_us: int, fragment_ms: int) -> None:
        self._epoch_us = epoch_us
        self._main: deque[_Fed] = deque()  # samples of the leading track that are not in a fragment yet
        self._last_ticks: dict[int, int] = {}
        self._cutter = Cutter()
        self._stream = Stream(first.format.extradata) if first else None
        try:
            self._container = av.open(self._cutter, "w", format="mp4", options=_options(fragment_ms, with_picture=first is not None))
            self._picture = self._add_picture(first) if first else None
            self._sound = self._add_sound(sound) if sound else None
            self._container.start_encoding()
        except (FFmpegError, ValueError) as error:
            raise MuxError(f"muxer: the container can't be begun: {error}") from error
        self.init = self._cutter.init_segment()
        self.codecs = ", ".join([*([self._stream.codecs] if self._stream else []), *([AAC_CODEC] if sound else [])])

    def picture(self, picture: Picture) -> list[Fragment]:
        """Take a frame; the fragments that it completes."""
        if self._picture is None or self._stream is None:
            raise MuxError("muxer: expected sound alone, got a picture")
        packet = picture.packet
        made = av.Packet(self._stream.annex_b(packet.data))
        made.is_keyframe = packet.key
        made.dts = self._rising(self._picture, self._ticks(packet.dts_us, PICTURE_TICKS))
        made.pts = max(self._ticks(packet.pts_us, PICTURE_TICKS), made.dts)
        made.duration = PICTURE_TICKS * picture.period_us // 1_000_000
        self._main.append(_Fed(packet.pts_us, packet.pts_us + picture.period_us))
        return self._mux(made, self._picture, PICTURE_TICKS)

    def sound(self, sound: Sound) -> list[Fragment]:
        """Take an AAC frame; the fragments that it completes."""
        if self._sound is None:
            raise MuxError("muxer: expected pictures alone, got sound")
        made = av.Packet(sound.data)
        made.is_keyframe = True
        made.pts = made.dts = self._rising(self._sound, self._ticks(sound.up_us, sound.format.rate))
        made.duration = AAC_FRAME
        if self._picture is None:
            self._main.append(_Fed(sound.up_us, sound.end_us))
        return self._mux(made, self._sound, sound.format.rate)

    def close(self) -> list[Fragment]:
        """Whatever is pending, as a last fragment."""
        try:
            self._container.close()
        except FFmpegError as error:
            raise MuxError(f"muxer: the last fragment can't be written: {error}") from error
        made = [self._fragment(cut) for cut in self._cutter.fragments()]
        if self._cutter.rest:
            raise MuxError(f"muxer: expected whole fragments at the end, got {self._cutter.rest} bytes more")
        return made

    def _mux(self, packet: Any, stream: Any, rate: int) -> list[Fragment]:
        packet.time_base = Fraction(1, rate)
        packet.stream = stream
        try:
            self._container.mux_one(packet)
        except (FFmpegError, ValueError) as error:
            raise MuxError(f"muxer: a packet at {packet.pts}/{rate} s was refused: {error}") from error
        return [self._fragment(cut) for cut in self._cutter.fragments()]

    def _fragment(self, cut: Cut) -> Fragment:
        """Times by our own account: the cut says how many samples it took, and we know when each was."""
        leading = 1  # the first stream that was added
        taken = [self._main.popleft() for _ in range(min(cut.samples.get(leading, 0), len(self._main)))]
        if not taken:
            raise MuxError(f"muxer: expected samples of track {leading} in each fragment, got {cut.samples}")
        first_us = min(fed.pts_us for fed in taken)
        end_us = self._main[0].pts_us if self._main else max(fed.end_us for fed in taken)
        pts_ms = ms(first_us - self._epoch_us)
        return Fragment(cut.data, pts_ms, max(ms(end_us - self._epoch_us) - pts_ms, 1))

    def _ticks(self, up_us: int, rate: int) -> int:
        return round((up_us - self._epoch_us) * rate / 1_000_000)

    def _rising(self, stream: Any, ticks: int) -> int:
        """Decoding times must rise; two frames within a tick of each other are a driver's jitter, not a reason to lose one."""
        ticks = max(ticks, self._last_ticks.get(stream.index, ticks - 1) + 1)
        self._last_ticks[stream.index] = ticks
        return ticks

    def _add_picture(self, first: Picture) -> Any:
        """A stream with the camera's parameters.

        PyAV opens an encoder for a stream that it makes itself and takes that one's parameter sets; only a template brings ours in,
        so a raw H.264 demuxer reads them from the first key frame.
        """
        if self._stream is None:
            raise MuxError("muxer: expected a picture's parameters first")
        raw = self._stream.parameters + self._stream.annex_b(first.packet.data)
        with av.open(io.BytesIO(raw), format="h264") as template:
            stream = self._container.add_stream_from_template(template.streams.video[0], opaque=True)
        stream.time_base = Fraction(1, PICTURE_TICKS)
        return stream

    def _add_sound(self, sound: SoundFormat) -> Any:
        """A stream whose AudioSpecificConfig is that of our own encoder with the same rate and channels."""
        stream = self._container.add_stream("aac", rate=sound.rate)
        stream.layout = "mono" if sound.channels == 1 else "stereo"
        stream.time_base = Fraction(1, sound.rate)
        return stream


def _options(fragment_ms: int, *, with_picture: bool) -> dict[str, str]:
    options = {"movflags": _FLAGS, "use_editlist": "0"}
    if with_picture:
        options["min_frag_duration"] = str(int(fragment_ms * 1_000 * _CUT_SHARE))
    else:
        options["frag_duration"] = str(fragment_ms * 1_000)
    return options
