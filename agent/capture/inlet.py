"""The bounded queue between the readers and the encoder: a slow disk or encoder costs counted frames, never memory without end.

Rules:
- A reader never waits: what does not fit is left out and counted, with the reason why it did not (`storage` while events were being
  written, else `encoder`); the count travels with the next packet that fits and becomes a gap.
- After a frame that was left out the picture begins again with a key frame: frames that refer to one that is not there show garbage.
- Notices (a device came or went) always fit: there are few, and losing one would leave a medium in the wrong state.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition
from typing import TypeAlias

from hal.contracts import AudioChunk, AudioFormat, VideoFormat, VideoPacket

SAMPLE_BYTES = 2
"""Of one channel (`hal.contracts.AudioFormat`)."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame that was read; `skipped` frames before it were left out because of `reason`."""

    packet: VideoPacket
    skipped: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples that were read; `skipped` sample frames before them were left out because of `reason`."""

    chunk: AudioChunk
    skipped: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Began:
    """A device works now, and this is what it gives."""

    format: VideoFormat | AudioFormat


@dataclass(frozen=True, slots=True)
class Gone:
    """A device (`camera` or `microphone`) gives nothing any more, and why."""

    device: str
    detail: str


Item: TypeAlias = Frame | Samples | Began | Gone


class Inlet:
    """A queue of items for one consumer; `dropped` counts packets that did not fit."""

    def __init__(self, max_items: int, max_bytes: int, reason: Callable[[], str]) -> None:
        self._max_items, self._max_bytes, self._reason = max_items, max_bytes, reason
        self._items: deque[Item] = deque()
        self._bytes = 0
        self._changed = Condition()
        self._closed = False
        self._frames_out, self._samples_out, self._channels = 0, 0, 1
        self._frames_why, self._samples_why = "", ""
        self.dropped = 0

    def frame(self, packet: VideoPacket) -> None:
        """Queue a frame, or count it."""
        with self._changed:
            if not self._fits(len(packet.data)) or (self._frames_out and not packet.key):
                self._frames_why = self._frames_why or self._reason()
                self._frames_out += 1 + packet.dropped
                self.dropped += 1
                return
            self._add(Frame(packet, self._frames_out, self._frames_why), len(packet.data))
            self._frames_out, self._frames_why = 0, ""

    def samples(self, chunk: AudioChunk) -> None:
        """Queue samples, or count them."""
        with self._changed:
            if not self._fits(len(chunk.samples)):
                self._samples_why = self._samples_why or self._reason()
                self._samples_out += chunk.lost + len(chunk.samples) // (SAMPLE_BYTES * self._channels)
                self.dropped += 1
                return
            self._add(Samples(chunk, self._samples_out, self._samples_why), len(chunk.samples))
            self._samples_out, self._samples_why = 0, ""

    def notice(self, item: Began | Gone) -> None:
        """Queue a notice; it always fits."""
        with self._changed:
            if isinstance(item, Began) and isinstance(item.format, AudioFormat):
                self._channels = item.format.channels
            self._add(item, 0)

    def take(self, timeout_s: float) -> Item | None:
        """The oldest item; None after the timeout, or at once when the inlet is closed and empty."""
        with self._changed:
            if not self._items and timeout_s > 0:
                self._changed.wait_for(lambda: self._items or self._closed, timeout_s)
            if not self._items:
                return None
            item = self._items.popleft()
            self._bytes -= _bytes(item)
            return item

    @property
    def waiting(self) -> int:
        """Items that wait: while there are some, nobody may conclude that a device is silent."""
        with self._changed:
            return len(self._items)

    def wake(self) -> None:
        """Nobody needs to wait any longer: the recorder is closing."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _fits(self, size: int) -> bool:
        return len(self._items) < self._max_items and self._bytes + size <= self._max_bytes

    def _add(self, item: Item, size: int) -> None:
        self._items.append(item)
        self._bytes += size
        self._changed.notify()


def _bytes(item: Item) -> int:
    if isinstance(item, Frame):
        return len(item.packet.data)
    return len(item.chunk.samples) if isinstance(item, Samples) else 0
