"""What waits for the journal's thread: one queue, bounded in bytes for capture and unbounded for everything else.

Capture may wait: behind it is a bounded queue of its own that counts what it must leave out (`capture.inlet`), so a slow disk
costs counted frames and never memory without end. Everything else is a few lines a minute, and its threads must not wait.

What a power cut may take is what waits here, what is being appended, and what the camera sees meanwhile. So:
- What capture hands over at once (a start with the seconds before it) is taken at once: nobody is told of a recording whose first
  seconds still wait.
- A fragment is under way for less than its own length, or the disk is slower than the recording: that is told when the next
  fragment comes, and from then on more than two seconds are at risk.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition
from threading import Event as ThreadEvent
from typing import TYPE_CHECKING, TypeAlias

from agent.capture.events import Event, FragmentMade

if TYPE_CHECKING:
    from agent.journal.scribe import Scribe

ROOM_BYTES = 67_108_864
"""30 s before the event at 8 Mbit/s come at once, and as much again may wait for a card that stalls."""

TOGETHER = 256
TOGETHER_BYTES = 33_554_432
"""What shares one durable append at most."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to go on record. `durable` is called once it is; `alone` keeps it out of batches (it writes by itself)."""

    write: Callable[[Scribe], object]
    durable: Callable[[], None] | None = None
    alone: bool = False


Thing: TypeAlias = Event | Entry


def weight(thing: Thing) -> int:
    """Bytes of media that the thing carries."""
    return len(thing.data) if isinstance(thing, FragmentMade) else 0


class Tray:
    """First in, first out; safe from any thread."""

    def __init__(self, room_bytes: int = ROOM_BYTES) -> None:
        self._room = room_bytes
        self._held = 0
        self._things: deque[Thing] = deque()
        self._changed = Condition()
        self._open, self._blocked = 0, 0
        self._up_us: Callable[[], int] = lambda: 0
        self._late: Callable[[int], object] = lambda _us: None
        self._since: deque[int] = deque()
        """When each fragment came that is not durable; the first `_under_way` of them are being appended."""
        self._under_way = 0

    def watch(self, up_us: Callable[[], int], late: Callable[[int], object]) -> None:
        """From now on `late` hears in µs how long a fragment has waited, where that is longer than a fragment."""
        self._up_us, self._late = up_us, late

    def event(self) -> ThreadEvent:
        """What one waits on for something that was put in here."""
        return ThreadEvent()

    def __len__(self) -> int:
        return len(self._things)

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is put in meanwhile is taken at once, as far as there is room for it and for one append."""
        with self._changed:
            self._open += 1
        try:
            yield
        finally:
            with self._changed:
                self._open -= 1
                self._changed.notify_all()

    def put(self, thing: Thing) -> None:
        """Add it at once."""
        with self._changed:
            late_us = self._add(thing)
        if late_us:
            self._late(late_us)

    def put_when_room(self, thing: Thing) -> None:
        """Add it once there is room; something that is larger than all the room goes alone."""
        with self._changed:
            self._blocked += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._held or self._held + weight(thing) <= self._room)
            self._blocked -= 1
            late_us = self._add(thing)
        if late_us:
            self._late(late_us)

    def done(self) -> None:
        """What was taken is durable, or lost and counted."""
        with self._changed:
            while self._under_way:
                self._since.popleft()
                self._under_way -= 1

    def take(self, timeout_s: float) -> list[Thing]:
        """What waits, oldest first, as much as may share an append; empty after the timeout. What was taken before is done."""
        self.done()
        with self._changed:
            if not self._changed.wait_for(lambda: bool(self._things) and (not self._open or bool(self._blocked)), timeout_s):
                return []
            taken: list[Thing] = []
            held = 0
            while self._things and len(taken) < TOGETHER and held < TOGETHER_BYTES:
                taken.append(self._things.popleft())
                held += weight(taken[-1])
                self._under_way += _is_live(taken[-1])
            self._held -= held
            self._changed.notify_all()
            return taken

    def _add(self, thing: Thing) -> int:
        """Add it; how long a fragment before it has waited, where that is too long, else 0."""
        late_us = 0
        if isinstance(thing, FragmentMade) and _is_live(thing):
            now_us = self._up_us()
            waited_us = now_us - self._since[0] if self._since else 0
            late_us = waited_us if waited_us >= thing.duration_ms * 1_000 else 0
            self._since.append(now_us)
        self._things.append(thing)
        self._held += weight(thing)
        self._changed.notify_all()
        return late_us


def _is_live(thing: Thing) -> bool:
    """Whether it is a fragment of what is filmed now: the seconds before a press come at once."""
    return isinstance(thing, FragmentMade) and thing.duration_ms > 0 and not thing.pre
