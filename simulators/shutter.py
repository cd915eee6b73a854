"""When a simulated camera's next frame comes, and which frames are lost: the same for every camera here.

Rules:
- Frame n is taken at start + n / rate on the device's clock; that is its time stamp, whenever the encoder is done.
- What isn't fetched in time is gone: whoever is more than the buffer behind finds the newest frame next, and it was the encoder's
  fault; what is lost otherwise is the camera's.

Orders: unplug (SignalLost from then on), plug, stall {ms} (nothing comes for so long), drop {nth} (every nth frame is lost, 0: none),
slow {ms} (encoding a frame takes so much longer). What was taken while it was unplugged or stalled is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hal.errors import SignalLost
from simulators.pace import pause

if TYPE_CHECKING:
    from hal.contracts import Clock
    from simulators.orders import Orders


class Shutter:
    """Numbers frames from the camera's start; `buffer_ms` is how late a frame may be fetched."""

    def __init__(self, clock: Clock, orders: Orders, rate: int, buffer_ms: int) -> None:
        self._clock, self._orders = clock, orders
        self._rate = rate
        self._slack = max(buffer_ms * rate // 1_000, 1)
        self._unplugged = self._told = False
        self._stalled_until_us = 0
        self._nth = 0
        self._slow_us = 0
        self.cause = "camera"
        """Why the frames before the last one that `next` gave were lost."""
        self._expected = 0
        self._start_us = 0
        self._number = 0

    def open(self) -> None:
        """The camera starts now: its next frame is number 0."""
        self._start_us, self._number, self._expected = self._clock.up_us(), 0, 0

    def taken_us(self, number: int) -> int:
        """When that frame is taken."""
        return self._start_us + number * 1_000_000 // self._rate

    def next(self, timeout_s: float) -> tuple[int, int] | None:
        """(number, frames lost just before it), waiting for it; None when it is not due in time. SignalLost while unplugged."""
        deadline_us = self._clock.up_us() + round(timeout_s * 1e6)
        if self._number == self._expected:
            self.cause = "camera"
        while True:
            now_us = self._clock.up_us()
            self._obey(now_us)
            self._signal(deadline_us - now_us)
            due_us = max(self.taken_us(self._number), self._stalled_until_us)
            if due_us > deadline_us:
                self._wait(deadline_us - now_us)
                return None
            if due_us > now_us:
                self._wait(due_us - now_us)
                continue
            self._skip(now_us)
            number, self._number = self._number, self._number + 1
            if not self._nth or self._number % self._nth:
                expected, self._expected = self._expected, self._number
                if not expected:
                    self._orders.report("running", {})
                self._wait(self._slow_us)
                return number, number - expected

    def _skip(self, now_us: int) -> None:
        newest = (now_us - self._start_us) * self._rate // 1_000_000
        stalled = self._stalled_until_us > self.taken_us(self._number)
        if newest - self._number > (0 if stalled else self._slack):
            self._number = newest
            self.cause = "camera" if stalled else "encoder"

    def _signal(self, left_us: int) -> None:
        """The first read after the cable went says so at once, each later one only when its time is over."""
        if not self._unplugged:
            self._told = False
            return
        if self._told:
            self._wait(left_us)
        self._told = True
        raise SignalLost("camera: the cable is unplugged; plug it in")

    def _obey(self, now_us: int) -> None:
        while (order := self._orders.take(0)) is not None:
            if order["do"] in ("unplug", "plug"):
                if self._unplugged and order["do"] == "plug":
                    self._stalled_until_us = now_us  # nobody keeps what a cable does not bring
                self._unplugged = order["do"] == "unplug"
            elif order["do"] == "stall":
                self._stalled_until_us = now_us + order["ms"] * 1_000
            elif order["do"] == "slow":
                self._slow_us = max(order["ms"], 0) * 1_000
            else:
                self._nth = max(order["nth"], 0)

    def _wait(self, microseconds: int) -> None:
        if microseconds > 0:
            pause(self._clock, microseconds / 1e6)
