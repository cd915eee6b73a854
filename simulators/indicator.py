"""Lamp, buzzer, vibration and small screen, shown by a host's page or written to a file.

A signal that can't be shown is a DeviceFault, as with a broken lamp; the recording does not depend on it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hal.errors import DeviceFault, HalError

if TYPE_CHECKING:
    from hal.contracts import Clock, Signal

LAMPS = ("off", "ready", "recording", "alarm", "unenrolled")
MAX_SCREEN_LINES = 8
MAX_SCREEN_CHARACTERS = 64


class Indicator:
    """Tells the world every signal, or appends it with its `up` in ms to the file `log` as a JSON line (or both)."""

    def __init__(self, clock: Clock, *, world: str = "", log: str = "") -> None:
        self._clock = clock
        self._log = Path(log) if log else None
        self._link: Any = None
        if world:
            from simulators.world import Link

            self._link = Link("indicator", world)

    def show(self, signal: Signal) -> None:
        """Show it; HalError for a lamp that there is none of."""
        if signal.lamp not in LAMPS:
            raise HalError(f"indicator: lamp {signal.lamp!r}; expected one of {', '.join(LAMPS)}")
        screen = [line[:MAX_SCREEN_CHARACTERS] for line in signal.screen[:MAX_SCREEN_LINES]]
        members = {"lamp": signal.lamp, "sound": signal.sound, "vibration": signal.vibration, "screen": screen}
        if self._log is not None:
            try:
                with self._log.open("a", encoding="utf-8") as log:
                    log.write(json.dumps({"up": self._clock.up_us() // 1_000, **members}, ensure_ascii=False) + "\n")
            except OSError as problem:
                raise DeviceFault(f"indicator: {self._log} can't be written: {problem.strerror}; name another log") from problem
        if self._link is not None:
            self._link.report("signal", members)

    def close(self) -> None:
        """End."""
        if self._link is not None:
            self._link.close()
