"""How a simulated device waits, and the clock that a test moves by hand.

A device waits through `pause` only: a clock that has a `pause` of its own (ManualClock) makes time pass by itself, any
other is waited for by sleeping. So a test of an hour takes no longer than its work.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from hal.contracts import ClockReading

if TYPE_CHECKING:
    from hal.contracts import Clock


def pause(clock: Clock, seconds: float) -> None:
    """Let `seconds` of `up` pass."""
    own = getattr(clock, "pause", None)
    if own is None:
        time.sleep(max(seconds, 0.0))
    else:
        own(seconds)


def true_ms(clock: Clock) -> int:
    """What time it really is: what a satellite says, whatever the device's wall clock (SimulatedClock) believes."""
    own = getattr(clock, "true_ms", None)
    return int(own()) if own is not None else clock.wall_ms()


class ManualClock:
    """A clock that stands still until somebody advances it, or waits on it: waiting is what makes it go."""

    def __init__(self, up_us: int = 0, wall_ms: int = 1_700_000_000_000) -> None:
        self._lock = threading.Lock()
        self._up_us = up_us
        self._epoch_ms = wall_ms - up_us // 1_000
        self.answer = ClockReading("ntp", 0, 0)

    def advance(self, seconds: float) -> None:
        """Move on by so much."""
        with self._lock:
            self._up_us += max(round(seconds * 1e6), 0)

    def pause(self, seconds: float) -> None:
        """A wait that is over at once, and took that long."""
        self.advance(seconds)

    def wall_ms(self) -> int:
        """As given at the start, moved with `up`."""
        with self._lock:
            return self._epoch_ms + self._up_us // 1_000

    def up_us(self) -> int:
        """How far it was moved."""
        with self._lock:
            return self._up_us

    def reading(self) -> ClockReading:
        """What the test set as `answer`."""
        return self.answer
