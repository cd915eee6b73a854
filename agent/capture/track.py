"""One track of a recording while it is written: its line's figures once, then its fragments in order.

A track has one set of parameters from begin to end: pictures of one stream with or without sound, or sound alone. When that changes
the track ends and another begins (evidence format, kind `track`); who decides so is `recording`.
"""

from __future__ import annotations

from collections.abc import Callable

from agent.capture.events import Event, FragmentMade, TrackBegun
from agent.capture.fragmenter import Fragment, Fragmenter
from agent.capture.samples import Picture, Sound, SoundFormat


class Track:
    """Emits `TrackBegun` and the init segment when it is made; `end_us` is the end of its newest sample."""

    def __init__(
        self,
        recording: str,
        name: str,
        first: Picture | None,
        sound: SoundFormat | None,
        epoch_us: int,
        press_us: int,
        fragment_ms: int,
        emit: Callable[[Event], None],
    ) -> None:
        """MuxError or PictureError before anything was emitted."""
        self.name = name
        self.format = first.format if first else None
        self.sound = sound
        self.end_us = epoch_us
        self.written_us = epoch_us
        self._recording, self._epoch_us, self._press_us, self._emit = recording, epoch_us, press_us, emit
        self._fragmenter = Fragmenter(first, sound, epoch_us, fragment_ms)
        self._seq = 0
        emit(self._begun())
        self._made(Fragment(self._fragmenter.init, 0, 0))

    def picture(self, picture: Picture) -> None:
        """Write a frame."""
        self.end_us = max(self.end_us, picture.packet.pts_us + picture.period_us)
        self._all(self._fragmenter.picture(picture))

    def hear(self, sound: Sound) -> None:
        """Write an AAC frame."""
        if self.format is None:
            self.end_us = max(self.end_us, sound.end_us)
        self._all(self._fragmenter.sound(sound))

    def close(self) -> None:
        """Write what is pending."""
        self._all(self._fragmenter.close())

    def _all(self, fragments: list[Fragment]) -> None:
        for fragment in fragments:
            self._made(fragment)

    def _made(self, fragment: Fragment) -> None:
        end_us = self._epoch_us + (fragment.pts_ms + fragment.duration_ms) * 1_000
        pre = self._seq > 0 and end_us <= self._press_us
        self._emit(FragmentMade(self._recording, self.name, self._seq, fragment.data, fragment.pts_ms, fragment.duration_ms, pre))
        self._seq += 1
        self.written_us = max(self.written_us, end_us if self._seq > 1 else self.written_us)

    def _begun(self) -> TrackBegun:
        codecs = self._fragmenter.codecs
        if self.format is not None:
            shape = self.format
            return TrackBegun(self._recording, self.name, "video/mp4", codecs, shape.width, shape.height, shape.rate, shape.source)
        assert self.sound is not None
        return TrackBegun(self._recording, self.name, "audio/mp4", codecs, 0, 0, self.sound.rate, self.sound.source)
