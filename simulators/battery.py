"""A battery that empties by itself, or shows what it is told.

Order: set {percent, charging}; None where it can't be measured.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from hal.contracts import PowerReading
from simulators.orders import open_orders

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hal.contracts import Clock

HOUR_US = 3_600_000_000


class Battery:
    """Begins at `percent` and loses `percent_per_hour` while it is not charging (gains it while it is)."""

    def __init__(
        self,
        clock: Clock,
        *,
        percent: int | None = 100,
        charging: bool | None = False,
        percent_per_hour: int = 0,
        world: str = "",
        script: str | Sequence[Mapping[str, Any]] = "",
    ) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._percent, self._charging = percent, charging
        self._rate = percent_per_hour
        self._since_us = clock.up_us()
        self._orders = open_orders("power", clock, world, script)
        self._told: PowerReading | None = None

    def read(self) -> PowerReading:
        """The charge now; the host, where there is one, hears of every change."""
        with self._lock:
            now = self._reading()
            if now != self._told:
                self._told = now
                self._orders.report("level", {"percent": now.percent, "charging": now.charging})
            return now

    def _reading(self) -> PowerReading:
        while (order := self._orders.take(0)) is not None:
            self._percent, self._charging = order["percent"], order["charging"]
            self._since_us = self._clock.up_us()
        if self._percent is None:
            return PowerReading(None, self._charging)
        moved = self._rate * (self._clock.up_us() - self._since_us) // HOUR_US
        level = self._percent + moved if self._charging else self._percent - moved
        return PowerReading(min(max(level, 0), 100), self._charging)

    def close(self) -> None:
        """End the orders."""
        self._orders.close()
