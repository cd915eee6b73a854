"""What the daemons know of each other: a few values that are written by one and read by others, and the alarms that stand.

An alarm is a fault of the table in `agent.faults`; it stands until its place is cleared, or for a minute where it passes. Everything
here is for lamp, screen and status; what counts as evidence is in the journal.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.faults import FAULTS, ORDER, PASSES_AFTER_US
from agent.pipeline.due import BatteryState, SpaceState


@dataclass(frozen=True, slots=True)
class Alarm:
    """A fault that stands, until `until_us` where it passes by itself."""

    fault: str
    sentence: str
    until_us: int | None


@dataclass(slots=True)
class State:
    """`space` and `battery` are the states of `due`; `percent` … are the newest readings, None where there is none.

    `refusing`: what was to be written last was not taken. `up_us` is the clock by which alarms pass.
    """

    up_us: Callable[[], int] = lambda: 0
    space: SpaceState = "good"
    free_bytes: int | None = None
    waiting_bytes: int = 0
    battery: BatteryState = "unknown"
    percent: int | None = None
    charging: bool | None = None
    clock_source: str = "none"
    clock_error_ms: int = 0
    clock_trusted: bool = False
    position: bool = False
    refusing: bool = False
    _alarms: dict[str, Alarm] = field(default_factory=dict)
    _happened: deque[str] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def alarm(self, fault: str, **figures: object) -> bool:
        """Set an alarm, with the figures of its sentence; whether it is news."""
        row = FAULTS[fault]
        sentence = row.says.format(**figures)
        now_us = self.up_us()
        with self._lock:
            before = self._standing(now_us).get(row.place)
            self._alarms[row.place] = Alarm(fault, sentence, now_us + PASSES_AFTER_US if row.passes else None)
            news = before is None or before.sentence != sentence
            if news:
                self._happened.append("alarm")
            return news

    def clear(self, place: str) -> bool:
        """The reason of an alarm is over; whether there was one."""
        with self._lock:
            return self._alarms.pop(place, None) is not None

    @property
    def alarms(self) -> tuple[str, ...]:
        """The sentences, the most serious first."""
        now_us = self.up_us()
        with self._lock:
            standing = self._standing(now_us)
        return tuple(standing[place].sentence for place in sorted(standing, key=ORDER.index))

    @property
    def grave(self) -> bool:
        """Whether one of them is for the lamp as well."""
        now_us = self.up_us()
        with self._lock:
            return any(not FAULTS[one.fault].mild for one in self._standing(now_us).values())

    def _standing(self, now_us: int) -> dict[str, Alarm]:
        return {place: one for place, one in self._alarms.items() if one.until_us is None or now_us < one.until_us}

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
        """Whether a recording may begin: the disk takes it, there is room for it, and power to end it properly."""
        return not self.refusing and self.space not in {"full", "unwritable"} and self.battery != "critical"
