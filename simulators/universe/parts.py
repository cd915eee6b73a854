"""The small devices of a simulated board: buttons, lamp, battery, receiver. Stories and the world move them; the agent reads them.

Each is the role of `hal.contracts` in virtual time: a read that waits lets time pass for the task that reads.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

from hal.contracts import Edge, Fix, PowerReading, Signal
from hal.errors import DeviceFault, SignalLost
from simulators.universe.agenda import US_PER_S, Bell

HOUR_US = 3_600 * US_PER_S


class Buttons:
    """All buttons; `push` is the finger's."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._edges: deque[Edge] = deque()

    def push(self, button: str, *, down: bool, up_us: int) -> None:
        """An edge."""
        self._edges.append(Edge(button, down, up_us))
        self._bell.set()

    def read(self, timeout_s: float) -> Edge | None:
        if not self._edges:
            self._bell.clear()
            self._bell.wait(timeout_s)
        return self._edges.popleft() if self._edges else None

    def close(self) -> None:
        """Nothing is open."""


class Indicator:
    """Lamp, buzzer, vibration and screen; `felt` is what was played, with its time."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        self._now_us = now_us
        self.shown = Signal("off")
        self.felt: list[tuple[int, str]] = []

    def show(self, signal: Signal) -> None:
        self.shown = signal
        if signal.vibration or signal.sound:
            self.felt.append((self._now_us(), signal.vibration or signal.sound))

    def close(self) -> None:
        """Nothing is open."""


class Battery:
    """`percent` now; it empties while it is not charging."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        self._now_us = now_us
        self._percent, self._since_us = 100.0, 0
        self.charging = True
        self.per_hour = 0.0
        self.answers = True

    @property
    def percent(self) -> int:
        """The charge."""
        hours = (self._now_us() - self._since_us) / HOUR_US
        moved = self._percent + hours * (20.0 if self.charging else -self.per_hour)
        return max(0, min(100, int(moved)))

    def put(self, percent: int, *, charging: bool | None = None) -> None:
        """So full it is from here on."""
        self._percent, self._since_us = float(percent), self._now_us()
        self.charging = self.charging if charging is None else charging

    def plug(self, *, charging: bool) -> None:
        """The charger comes or goes."""
        self.put(self.percent, charging=charging)

    def read(self) -> PowerReading:
        if not self.answers:
            raise DeviceFault("battery: the gauge does not answer")
        return PowerReading(self.percent, self.charging)


class Receiver:
    """A position every so often while somebody asks; it may be silent, jump, or lie."""

    def __init__(self, bell: Bell, up_us: Callable[[], int], true_ms: Callable[[], int], chance: random.Random, every_s: float) -> None:
        self._bell, self._up_us, self._true_ms, self._chance, self._every_s = bell, up_us, true_ms, chance, every_s
        self.state = "well"
        self._lat, self._lon = 312_304_000, 1_214_737_000

    def start(self) -> None:
        """It runs."""

    def read(self, timeout_s: float) -> Fix | None:
        self._bell.clear()
        self._bell.wait(max(timeout_s, self._every_s))
        if self.state == "lost":
            raise SignalLost("receiver: no satellite in sight")
        if self.state == "stuck":
            return None
        step = 500_000 if self.state == "jumps" else 100
        self._lat += self._chance.randint(-step, step)
        self._lon += self._chance.randint(-step, step)
        lat = -self._lat if self.state == "lies" else self._lat
        return Fix(self._up_us(), lat, self._lon, alt=12_000, speed=900, course=0, hdop=90, time_ms=self._true_ms())

    def close(self) -> None:
        """Nothing is open."""
