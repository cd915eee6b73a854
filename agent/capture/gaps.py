"""Finds what is missing in a stream: frames that a driver counted, stalls that nobody counted, outages that go on.

Rules:
- Loss is never silent (evidence format, kind `gap`), and never told twice: the holes of one watch do not overlap.
- A loss that the driver counts is told whatever its length; a hole that nobody counted from `stall_us` on, because cameras slow
  down in the dark and that is no loss.
- Where count and time contradict each other (frames counted as lost, timestamps without a hole), the count is believed.

Pure: times in, holes out. Frames in decoding order with reordering (B frames) are watched by their decoding times.
"""

from __future__ import annotations

from agent.capture.samples import Hole

NAP_US = 1_000_000
"""We listen every 50 ms; who has not for this long was stopped by a busy machine or a slow disk, not by a device."""


class Watch:
    """One medium's accounting; `end_us` is the time up to which it is told whether media exist."""

    def __init__(self, medium: str, stall_us: int, report_us: int, since_us: int) -> None:
        self.medium = medium
        self.end_us = since_us
        self._stall_us = stall_us
        self._report_us = report_us
        self._told_us = since_us

    def sample(self, start_us: int, length_us: int, missing_us: int = 0, reason: str = "") -> Hole | None:
        """A frame came; `missing_us` is what the driver says was lost just before it, `reason` why if it was not the device."""
        hole_us = start_us - self.end_us
        first_us = self.end_us
        if missing_us > 0 and hole_us * 2 < missing_us:
            first_us = start_us - missing_us
            hole_us = missing_us
        self.end_us = max(self.end_us, start_us + length_us)
        if missing_us <= 0 and hole_us < self._stall_us and not (reason and hole_us > 0):
            return None
        return self._told(first_us, start_us, reason)

    def idle(self, now_us: int) -> Hole | None:
        """Nothing came: an outage that goes on is told once every `report_us`."""
        if now_us - self.end_us < self._report_us:
            return None
        return self.close(now_us)

    def close(self, now_us: int) -> Hole | None:
        """The hole that is open now, if it is one; what follows begins at `now_us`."""
        if now_us - self.end_us < self._stall_us:
            return None
        first_us, self.end_us = self.end_us, now_us
        return self._told(first_us, now_us, "")

    def _told(self, first_us: int, until_us: int, reason: str) -> Hole | None:
        first_us = max(first_us, self._told_us)
        if until_us <= first_us:
            return None
        self._told_us = until_us
        return Hole(self.medium, first_us, until_us, reason or self.medium)


TELL_US = 500_000
"""So much lost at once is told the officer: a word of a sentence."""

LEAK = 20
"""Losses of less than one part in this many are gaps on record and no alarm: a camera that drops a frame now and then."""


class Toll:
    """Whether frames are lost faster than they may be: each loss fills it, time empties it at a rate of 1 / LEAK.

    What keeps losing more than that share is told, sooner or later, whatever the pieces; what loses less never is, unless TELL_US
    come together. `standing` from then until it is empty, 10 to 20 s after the last loss.
    """

    def __init__(self, now_us: int) -> None:
        self._level_us, self._at_us = 0, now_us
        self.standing = False
        self.lost_us = 0
        """Since it began to stand."""

    def lost(self, missing_us: int, now_us: int) -> bool:
        """Something was lost; whether it must be told now."""
        self._drain(now_us)
        self.lost_us += missing_us
        self._level_us = min(self._level_us + missing_us, 2 * TELL_US)
        if self.standing or self._level_us < TELL_US:
            return False
        self.standing = True
        return True

    def over(self, now_us: int) -> bool:
        """Time passed; whether it is over by that."""
        self._drain(now_us)
        if self._level_us:
            return False
        was, self.standing = self.standing, False
        return was

    def _drain(self, now_us: int) -> None:
        drained_us = max(now_us - self._at_us, 0) // LEAK
        self._at_us += drained_us * LEAK
        self._level_us = max(self._level_us - drained_us, 0)
        if not self._level_us:
            self._at_us = max(self._at_us, now_us)
            self.lost_us = 0 if not self.standing else self.lost_us


class Silence:
    """How long a device has been silent while somebody listened: what it said while we stood still is on its way, and no silence."""

    def __init__(self, now_us: int) -> None:
        self._since_us = self._listened_us = now_us

    def heard(self, up_us: int) -> None:
        """It said something."""
        self._since_us = max(self._since_us, up_us)

    def length_us(self, now_us: int) -> int:
        """To be asked again and again; after a pause of more than NAP_US it begins anew."""
        if now_us - self._listened_us > NAP_US:
            self._since_us = max(self._since_us, now_us)
        self._listened_us = now_us
        return max(now_us - self._since_us, 0)


def in_media_time(hole: Hole, epoch_us: int, until_us: int) -> tuple[int, int] | None:
    """(from, lost) in ms of media time, cut to the recording; None outside of it. Both ends are rounded, so holes that touch stay so."""
    first_us = max(hole.from_us, epoch_us)
    last_us = min(hole.until_us, until_us)
    if last_us <= first_us:
        return None
    first_ms, last_ms = ms(first_us - epoch_us), ms(last_us - epoch_us)
    return first_ms, max(last_ms - first_ms, 1)


def ms(us: int) -> int:
    """Microseconds as the nearest ms."""
    return (us + 500) // 1_000
