"""What waits for the journal's thread: one queue, bounded in bytes for capture and unbounded for everything else.

Capture may wait: behind it is a bounded queue of its own that counts what it must leave out (`capture.inlet`), so a slow disk
costs counted frames and never memory without end. Everything else is a few lines a minute, and its threads must not wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
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

    def event(self) -> ThreadEvent:
        """What one waits on for something that was put in here."""
        return ThreadEvent()

    def __len__(self) -> int:
        return len(self._things)

    def put(self, thing: Thing) -> None:
        """Add it at once."""
        with self._changed:
            self._add(thing)

    def put_when_room(self, thing: Thing) -> None:
        """Add it once there is room; something that is larger than all the room goes alone."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held or self._held + weight(thing) <= self._room)
            self._add(thing)

    def take(self, timeout_s: float) -> list[Thing]:
        """What waits, oldest first, as much as may share an append; empty after the timeout."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._things), timeout_s)
            taken: list[Thing] = []
            held = 0
            while self._things and len(taken) < TOGETHER and held < TOGETHER_BYTES:
                taken.append(self._things.popleft())
                held += weight(taken[-1])
            self._held -= held
            self._changed.notify_all()
            return taken

    def _add(self, thing: Thing) -> None:
        self._things.append(thing)
        self._held += weight(thing)
        self._changed.notify_all()
