"""The seconds before the press: encoded packets in memory, and nothing of them on disk before somebody presses.

Rules:
- It begins with a key frame (`agent.core.preroll` decides which), so that everything in it can be shown. With 0 s it holds what the
  present picture needs: the frames since the last key frame.
- Bounded by time and by bytes. When the bytes do not suffice the oldest group of pictures goes, and `short` says so.
- Sound and holes older than its first picture go with it; where there is no picture, sound alone fills the time.

Timestamps are `up` microseconds; both media arrive each in its own order.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

from agent.capture.samples import Hole, Picture, Sound
from agent.core import preroll

AWAY_US = 3_000_000
"""Sound runs ahead of the pictures by no more than their delays; from here on the camera is away."""


class Ring:
    """Holds `length_us` of both media; `short` is true since the bound of bytes took something that was young enough."""

    def __init__(self, length_us: int, max_bytes: int) -> None:
        self._length_us = length_us
        self._max_bytes = max_bytes
        self._bytes = 0
        self._pictures: deque[Picture] = deque()
        self._sounds: deque[Sound] = deque()
        self._holes: deque[Hole] = deque()
        self.short = False

    @property
    def pictures(self) -> list[Picture]:
        """In decoding order, a key frame first."""
        return list(self._pictures)

    @property
    def sounds(self) -> list[Sound]:
        """By time, none before the first picture where the pictures fill the ring."""
        return list(self._sounds)

    @property
    def holes(self) -> list[Hole]:
        """In the order in which they were found."""
        return list(self._holes)

    @property
    def size(self) -> int:
        """Bytes of media held."""
        return self._bytes

    @property
    def oldest_us(self) -> int | None:
        """When the oldest sample was taken."""
        firsts = [self._pictures[0].packet.pts_us] if self._pictures else []
        if self._sounds:
            firsts.append(self._sounds[0].up_us)
        return min(firsts, default=None)

    def picture(self, picture: Picture) -> None:
        """Add a frame; frames before the first key frame can't be shown and are not kept."""
        if not self._pictures and not picture.packet.key:
            return
        self._pictures.append(picture)
        self._bytes += len(picture.packet.data)
        if picture.packet.key:
            self._trim(picture.packet.pts_us)
        self._bound()

    def sound(self, sound: Sound) -> None:
        """Add an AAC frame."""
        self._sounds.append(sound)
        self._bytes += len(sound.data)
        if self._pictures and sound.up_us - self._pictures[-1].packet.pts_us > self._length_us + AWAY_US:
            self._drop_pictures(len(self._pictures))
        if not self._pictures:
            self._trim(sound.up_us)  # no camera: time goes on with the sound
        self._bound()

    def hole(self, hole: Hole) -> None:
        """Add something that is missing."""
        self._holes.append(hole)

    def _trim(self, now_us: int) -> None:
        oldest_us = now_us - self._length_us
        if self._pictures:
            times = [(picture.packet.pts_us, picture.packet.key) for picture in self._pictures]
            self._drop_pictures(preroll.keep(times, self._length_us))
            oldest_us = min(oldest_us, self._pictures[0].packet.pts_us)
        self._drop_sounds(oldest_us)
        while self._holes and self._holes[0].until_us <= oldest_us:
            self._holes.popleft()

    def _bound(self) -> None:
        """Let whole groups of pictures go, the sound of their time with them, until the bytes suffice."""
        while self._bytes > self._max_bytes:
            self.short = True
            following = next((at for at, picture in enumerate(islice(self._pictures, 1, None), 1) if picture.packet.key), None)
            if following is not None:
                self._drop_pictures(following)
                self._drop_sounds(self._pictures[0].packet.pts_us)
            elif self._pictures:
                self._drop_pictures(len(self._pictures))
            elif self._sounds:
                self._drop_sounds(self._sounds[0].up_us + 1)
            else:
                return

    def _drop_pictures(self, count: int) -> None:
        for _ in range(count):
            self._bytes -= len(self._pictures.popleft().packet.data)

    def _drop_sounds(self, before_us: int) -> None:
        while self._sounds and self._sounds[0].up_us < before_us:
            self._bytes -= len(self._sounds.popleft().data)
