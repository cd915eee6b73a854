"""A clock that is wrong on purpose.

Only the wall clock lies; `up` is the machine's monotonic clock, as it is on a real device with a bad wall clock.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from hal.contracts import ClockReading
from hal.drivers.linux import SystemClock
from simulators.orders import open_orders
from simulators.pace import pause

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hal.contracts import Clock
    from simulators.orders import Order


class SimulatedClock:
    """The machine's clock with a fault: off by `offset_ms`, drifting by `ppm`, or starting at `wall_ms` (0: in 1970).

    Orders: set {offset_ms}, drift {ppm}, trust {source, error_ms}. `clock` is the true one.
    """

    def __init__(
        self,
        *,
        offset_ms: int = 0,
        drift_ppm: int = 0,
        wall_ms: int | None = None,
        source: str = "ntp",
        error_ms: int = 10,
        world: str = "",
        script: str | Sequence[Mapping[str, Any]] = "",
        clock: Clock | None = None,
    ) -> None:
        self._true = clock if clock is not None else SystemClock()
        self._lock = threading.RLock()
        self._since_us = self._true.up_us()
        self._offset_ms = offset_ms if wall_ms is None else wall_ms - self._true.wall_ms()
        self._ppm = drift_ppm
        self._source, self._error_ms = source, error_ms
        self._orders = open_orders("clock", self._true, world, script)

    def wall_ms(self) -> int:
        """The wall time that the device believes in."""
        with self._lock:
            self._obey()
            return self._true.wall_ms() + self._wrong_ms()

    def true_ms(self) -> int:
        """What time it is; for the simulated world, the device can't see it."""
        return self._true.wall_ms()

    def up_us(self) -> int:
        """The machine's own."""
        return self._true.up_us()

    def reading(self) -> ClockReading:
        """How wrong the device knows that it is; with source `none` it knows nothing."""
        with self._lock:
            self._obey()
            if self._source == "none":
                return ClockReading("none", 0, 0)
            return ClockReading(self._source, self._wrong_ms(), self._error_ms)

    def pause(self, seconds: float) -> None:
        """Wait as the true clock waits."""
        pause(self._true, seconds)

    def close(self) -> None:
        """End the orders."""
        self._orders.close()

    def _wrong_ms(self) -> int:
        return self._offset_ms + (self._true.up_us() - self._since_us) * self._ppm // 1_000_000_000

    def _obey(self) -> None:
        while (order := self._orders.take(0)) is not None:
            self._do(order)

    def _do(self, order: Order) -> None:
        if order["do"] == "set":
            self._offset_ms, self._since_us = order["offset_ms"], self._true.up_us()
        elif order["do"] == "drift":
            self._offset_ms, self._since_us, self._ppm = self._wrong_ms(), self._true.up_us(), order["ppm"]
        else:
            self._source, self._error_ms = order["source"], order["error_ms"]
