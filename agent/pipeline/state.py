"""What the daemons know of each other: a few values that are written by one and read by others, and the alarms that stand.

An alarm is a sentence with a name; it stands until the same name is cleared. Everything here is for lamp, screen and status; what
counts as evidence is in the journal.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

ORDER = ("disk", "camera", "microphone", "journal", "power", "server", "storage")
"""Which alarm is named first."""


@dataclass(slots=True)
class State:
    """`space` and `battery` are the states of `due`; `percent` … are the newest readings, None where there is none."""

    space: str = "good"
    free_bytes: int | None = None
    waiting_bytes: int = 0
    battery: str = "unknown"
    percent: int | None = None
    charging: bool | None = None
    clock_source: str = "none"
    clock_error_ms: int = 0
    clock_trusted: bool = False
    position: bool = False
    _alarms: dict[str, str] = field(default_factory=dict)
    _happened: deque[str] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def alarm(self, name: str, sentence: str) -> bool:
        """Set an alarm; whether it is news."""
        with self._lock:
            news = self._alarms.get(name) != sentence
            self._alarms[name] = sentence
            if news:
                self._happened.append("alarm")
            return news

    def clear(self, name: str) -> bool:
        """The reason of an alarm is over; whether there was one."""
        with self._lock:
            return self._alarms.pop(name, None) is not None

    @property
    def alarms(self) -> tuple[str, ...]:
        """The sentences, the most serious first."""
        with self._lock:
            names = sorted(self._alarms, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))
            return tuple(self._alarms[name] for name in names)

    def happened(self, what: str) -> None:
        """Something that the officer feels and hears: one of `signals.PATTERNS`."""
        with self._lock:
            self._happened.append(what)

    def next_happening(self) -> str:
        """The oldest thing that was not signalled yet; empty when there is none."""
        with self._lock:
            return self._happened.popleft() if self._happened else ""

    @property
    def waiting(self) -> int:
        """How much happened and was not signalled yet."""
        with self._lock:
            return len(self._happened)

    @property
    def may_record(self) -> bool:
        """Whether a recording may begin: there is room for it and power to end it properly."""
        return self.space != "full" and self.battery != "critical"
