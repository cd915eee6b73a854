"""Counts what left the devices, and how much of it a second time: bytes of media by their place in a track, lines by their index."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field

from simulators.universe.film import SCALE


@dataclass(slots=True)
class Places:
    """Which bytes of one thing have left: disjoint intervals, ascending."""

    begins: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def add(self, first: int, end: int) -> int:
        """These leave now; how many of them had left before."""
        low, high = bisect_left(self.ends, first), bisect_right(self.begins, end)
        again = sum(max(min(self.ends[i], end) - max(self.begins[i], first), 0) for i in range(low, high))
        if low < high:
            first, end = min(first, self.begins[low]), max(end, self.ends[high - 1])
        self.begins[low:high], self.ends[low:high] = [first], [end]
        return again


@dataclass(slots=True)
class Traffic:
    """All devices'. `media_again` and `lines_again` are bytes that left more than once, each time counted."""

    media: int = 0
    media_again: int = 0
    lines: int = 0
    lines_again: int = 0
    held_again: int = 0
    """Bytes of media that came though the server held them already."""
    _places: dict[tuple[str, str, str], Places] = field(default_factory=dict)
    _furthest: dict[str, int] = field(default_factory=dict)

    def handed(self, device: str, recording: str, track: str, offset: int, size: int) -> None:
        """Bytes of a track left."""
        places = self._places.setdefault((device, recording, track), Places())
        self.media += size
        self.media_again += places.add(offset, offset + size)

    def batch(self, origin: str, first: int, lines: list[bytes]) -> None:
        """Lines left."""
        furthest = self._furthest.get(origin, 0)
        self.lines += sum(map(len, lines))
        self.lines_again += sum(map(len, lines[: max(furthest - first, 0)]))
        self._furthest[origin] = max(furthest, first + len(lines))

    @property
    def sent_bytes(self) -> int:
        """All bytes that left."""
        return self.media * SCALE + self.lines

    @property
    def again_bytes(self) -> int:
        """Those of them that had left before."""
        return self.media_again * SCALE + self.lines_again

    @property
    def again_percent(self) -> float:
        """Of all bytes that left, how many had left before."""
        return 100 * self.again_bytes / self.sent_bytes if self.sent_bytes else 0.0
