"""A receiver without a sky: plays what a real one sent, at the speed at which it was sent, over and over.

Rules:
- The log's bytes go through agent.core.nmea, as a receiver's do; a void fix is SignalLost.
- Places and speeds are the log's; the time is now: what a receiver says is the true time, whatever the device's clock believes.
- A log that does not tell its pace is played at one fix a second.

Orders: lose (no satellite in sight), hang (it says nothing at all) and find; shift {lat, lon} (every place is so many 1e-7 degrees
off, at once), mistime {by_ms} (its time is wrong by so much), misspeed {speed} (it says this speed in mm/s whatever it does; null: its
own). What it says is false stays so until the order is given with 0 or null.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.core.nmea import Parser
from hal.contracts import Fix
from hal.errors import DeviceFault, DeviceMissing, SignalLost
from simulators.orders import open_orders
from simulators.pace import pause, true_ms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hal.contracts import Clock

LOGS = Path(__file__).with_name("data") / "nmea"
MAX_LOG_BYTES = 16_777_216
PACE_MS = 1_000
PACES_MS = (100, 10_000)
"""What counts as a pace; logs were cut and joined by their collectors."""


class ReplayLocator:
    """Replays `log`: a name below simulators/data/nmea (bt451, beidou-bd, …) or the path of a receiver's log."""

    def __init__(self, clock: Clock, *, log: str = "bt451", world: str = "", script: str | Sequence[Mapping[str, Any]] = "") -> None:
        self._clock = clock
        self._fixes = load(log)
        self._orders = open_orders("locator", clock, world, script)
        self._sky = "find"
        self._shift = (0, 0)
        self._by_ms = 0
        self._speed: int | None = None
        self._next, self._due_us = 0, 0

    def start(self) -> None:
        """Begin with the log's first fix, now."""
        self._next, self._due_us = 0, self._clock.up_us()

    def read(self, timeout_s: float) -> Fix | None:
        """The next position; None when it does not come in time; SignalLost where the receiver had none."""
        deadline_us = self._clock.up_us() + round(timeout_s * 1e6)
        if self._due_us > deadline_us:
            self._wait(deadline_us)
            return None
        self._wait(self._due_us)
        self._obey()
        if self._sky == "hang":
            self._due_us += PACE_MS * 1_000
            return None
        stamp_us = self._due_us
        pace_ms, fix = self._fixes[self._next]
        self._next = (self._next + 1) % len(self._fixes)
        # who did not listen for a while hears the newest, not all that was said meanwhile
        self._due_us = max(stamp_us + pace_ms * 1_000, self._clock.up_us() - PACES_MS[1] * 1_000)
        if self._sky == "lose" or not fix["valid"] or fix["lat"] is None or fix["lon"] is None:
            raise SignalLost("locator: the receiver has no fix; give it a view of the sky")
        members = {name: fix[name] for name in ("lat", "lon", "alt", "speed", "course", "hdop")}
        members["lat"] += self._shift[0]
        members["lon"] += self._shift[1]
        members["speed"] = members["speed"] if self._speed is None else self._speed
        return Fix(up_us=stamp_us, time_ms=true_ms(self._clock) + self._by_ms, **members)

    def close(self) -> None:
        """End; twice is fine."""
        self._orders.close()

    def _obey(self) -> None:
        while (order := self._orders.take(0)) is not None:
            if order["do"] == "shift":
                self._shift = order["lat"], order["lon"]
            elif order["do"] == "mistime":
                self._by_ms = order["by_ms"]
            elif order["do"] == "misspeed":
                self._speed = order["speed"]
            else:
                self._sky = order["do"]

    def _wait(self, until_us: int) -> None:
        left_us = until_us - self._clock.up_us()
        if left_us > 0:
            pause(self._clock, left_us / 1e6)


def load(log: str) -> list[tuple[int, dict[str, Any]]]:
    """(ms until the next fix, fix as agent.core.nmea gives it) of a whole log; DeviceMissing or DeviceFault when it has none."""
    path = Path(log) if "/" in log else LOGS / f"{log}.log"
    try:
        if path.stat().st_size > MAX_LOG_BYTES:
            raise DeviceFault(f"locator: {path} has {path.stat().st_size} bytes; a log has at most {MAX_LOG_BYTES}")
        data = path.read_bytes()
    except OSError as problem:
        known = ", ".join(sorted(found.stem for found in LOGS.glob("*.log")))
        raise DeviceMissing(f"locator: {path} can't be read: {problem.strerror}; name a log that is there, such as {known}") from problem
    parser = Parser()
    fixes = parser.feed(b"".join(line for line in data.splitlines(keepends=True) if not line.startswith(b"#"))) + parser.flush()
    if not fixes:
        raise DeviceFault(f"locator: {path} holds no position; name a log of NMEA sentences")
    return [(_pace_ms(fix, later), fix) for fix, later in zip(fixes, [*fixes[1:], {}], strict=True)]


def _pace_ms(fix: Mapping[str, Any], later: Mapping[str, Any]) -> int:
    begun, ended = fix.get("time_ms"), later.get("time_ms")
    if begun is None or ended is None or not PACES_MS[0] <= ended - begun <= PACES_MS[1]:
        return PACE_MS
    return int(ended - begun)
