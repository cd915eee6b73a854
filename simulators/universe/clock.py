"""A device's clocks: one that counts from its start, and a wall clock that may be wrong in every way that wall clocks are.

Rules:
- `up` is what the world's time is since the start; it never jumps.
- The wall clock is the true time, off by so much, drifting by so much, or not set since a start without a battery for its quartz
  (1970). Somebody may set it: that is a jump.
- `reading` is what the device knows of that: with source `none` nothing.
"""

from __future__ import annotations

from hal.contracts import ClockReading
from simulators.universe.agenda import Agenda

EPOCH_MS = 1_763_712_000_000
"""When the world begins: 2025-11-21 08:00 UTC."""

PPM = 1_000_000


class DeviceClock:
    """`hal.contracts.Clock` of one device; `changed` is called when somebody set it."""

    def __init__(self, agenda: Agenda) -> None:
        self._agenda = agenda
        self._booted_us = 0
        self._offset_ms, self._since_us, self._ppm = 0, 0, 0
        self.source, self.error_ms = "ntp", 20
        self.keeps_time = True
        """Whether its quartz has a battery; without one every start is in 1970."""

    def true_ms(self) -> int:
        """What time it is."""
        return EPOCH_MS + self._agenda.now_us // 1_000

    def boot(self) -> None:
        """The device starts."""
        self._booted_us = self._agenda.now_us
        if not self.keeps_time:
            self.put(-self.true_ms())
            self.trust("none")

    def put(self, offset_ms: int) -> None:
        """Set the wall clock to so much off the true time."""
        self._offset_ms, self._since_us = offset_ms, self._agenda.now_us

    def move(self, by_ms: int) -> None:
        """Let the wall clock jump."""
        self.put(self._wrong_ms() + by_ms)

    def drift(self, ppm: int) -> None:
        """Let it go wrong from here: 35 ppm are 3 s a day."""
        self.put(self._wrong_ms())
        self._ppm = ppm

    def trust(self, source: str, error_ms: int = 20) -> None:
        """Who says that it is right, from here on."""
        self.source, self.error_ms = source, error_ms

    def _wrong_ms(self) -> int:
        return self._offset_ms + (self._agenda.now_us - self._since_us) * self._ppm // (1_000 * PPM)

    # ----------------------------------------------------------------- hal.contracts.Clock

    def wall_ms(self) -> int:
        """Ms since 1970, as the device believes."""
        return max(self.true_ms() + self._wrong_ms(), 0)

    def up_us(self) -> int:
        """Microseconds since this start."""
        return self._agenda.now_us - self._booted_us

    def reading(self) -> ClockReading:
        """How right it is, as far as the device knows."""
        if self.source == "none":
            return ClockReading("none", 0, 0)
        return ClockReading(self.source, self._wrong_ms(), self.error_ms)
