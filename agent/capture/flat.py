"""Finds a microphone that is there and hears nothing: samples that do not change.

Rules:
- Silent is not lost: samples come, so nothing is missing and no gap is told; but nobody will hear anything later, and the officer can
  still do something about it now.
- Flat is what no converter gives that has a live microphone before it. A capsule of 65 dB signal-to-noise that overloads at 120 dB SPL
  makes noise of (94 − 65) − 120 = −91 dB of full scale, and one step of 16 bits is −90 dB: in the quietest room some of the 480,000
  samples of ten seconds differ from the others. Ten seconds of one and the same value are a dead capsule, a torn wire, a mute switch.
- So the default tells nothing but exact constancy, of all channels at once. A board whose converter is known to make noise of its own
  can allow a spread of some steps; one whose microphone gates its noise to zero must switch this off: it can't tell quiet from dead.

Not found: hiss, hum or a wrong input that sounds like noise; one dead channel of two. Pure: lowest and highest sample in, changes out.
"""

from __future__ import annotations


class Flat:
    """Watches one microphone; `silent` while its samples have not changed for `after_us` (0: never)."""

    def __init__(self, after_us: int, spread: int = 0) -> None:
        self._after_us, self._spread = after_us, spread
        self._low: int | None = None
        self._high = 0
        self.length_us = 0
        self.silent = False

    def heard(self, low: int, high: int, length_us: int) -> bool:
        """Take samples between `low` and `high`; whether `silent` changed by that."""
        if self._low is not None and max(self._high, high) - min(self._low, low) <= self._spread:
            self._low, self._high = min(self._low, low), max(self._high, high)
            self.length_us += length_us
        elif high - low <= self._spread:
            self._low, self._high, self.length_us = low, high, length_us
        else:
            self._low, self.length_us = None, 0
        silent = 0 < self._after_us <= self.length_us
        changed, self.silent = silent != self.silent, silent
        return changed

    def reset(self) -> None:
        """The microphone went: what comes next is heard for itself."""
        self._low, self.length_us, self.silent = None, 0, False
