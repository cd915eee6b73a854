"""What can be known of the device's clock, and what the officer is told of it. Rules; `moment` alone asks a clock.

Rules:
- Nobody sets the clock here and nothing waits for it: lines are in order by `up`, recordings begin and end whatever it says.
- Where nobody vouches for the clock (`none`, `rtc`) a receiver's time does: source `gnss`. An NMEA sentence says when its second
  began and comes within that second, so the bound is one second, and grows with what a quartz may drift since.
- *Wrong* is a clock that is off by more than the setting, by a source's word; and one that shows a time that is over: earlier than
  the newest cosignature that the device holds, or than this software. Without any source a clock that is ahead is not known to be.
- *Jumped* is one that moved against `up` from one look to the next and nobody vouches for what it shows now. One that a source put
  right has jumped too: that is a `clock` line and no alarm.

When a `clock` line is due is `due`'s.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.pipeline.due import UNVOUCHED
from hal.contracts import Clock, ClockReading, Fix

MS = 1_000
TRIES, CLOSE_US = 3, 20_000

NOT_BEFORE_MS = 1_672_531_200_000
"""2023-01-01 UTC, before this software was written: an earlier clock was never set."""

RECEIVER_MS = 1_000
QUARTZ_PPM = 50
"""3 s a day are 35 ppm; a cheap quartz in the cold drifts by more."""

HOLDS_US = 3_600_000_000
"""An hour after the newest fix, 1.2 s off at most, the receiver's word is too old."""

STEPS = (
    (365 * 86_400_000, "a year"),
    (86_400_000, "a day"),
    (3_600_000, "an hour"),
    (600_000, "10 min"),
    (60_000, "a minute"),
    (10_000, "10 s"),
    (0, "some seconds"),
)
"""How wrong, in words that change seldom: a drift must not be felt with every second."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Wall time and `up` of one moment; `spread_ms` is how long asking for both took."""

    at_ms: int
    up_us: int
    spread_ms: int = 0

    @property
    def base_ms(self) -> int:
        """Wall time of `up` 0: it stays the same while the clock runs."""
        return self.at_ms - self.up_us // MS


def moment(clock: Clock) -> Moment:
    """Both clocks at once, as nearly as a busy machine lets: a thread that is held between two questions makes no jump of it."""
    best = None
    for _ in range(TRIES):
        first_us, at_ms, last_us = clock.up_us(), clock.wall_ms(), clock.up_us()
        found = Moment(at_ms, (first_us + last_us) // 2, (last_us - first_us) // MS)
        best = found if best is None or found.spread_ms < best.spread_ms else best
        if last_us - first_us <= CLOSE_US:
            break
    assert best is not None
    return best


def time_off_ms(fix: Fix, reading: ClockReading, now: Moment, past_ms: int) -> int | None:
    """A receiver's time less the true one; None where nobody knows that. Where nobody vouches for the clock: less what is over."""
    if fix.time_ms is None:
        return None
    if reading.source in UNVOUCHED:
        return min(fix.time_ms - past_ms, 0)
    true_ms = now.at_ms - reading.offset_ms - (now.up_us - fix.up_us) // MS
    off_ms = fix.time_ms - true_ms
    beyond_ms = max(abs(off_ms) - reading.error_ms, 0)
    return beyond_ms if off_ms > 0 else -beyond_ms


def reference(reading: ClockReading, now: Moment, fix: Fix | None, past_ms: int) -> ClockReading:
    """The reading, or a receiver's where nobody else vouches; a receiver that tells a time which is over does not."""
    if reading.source not in UNVOUCHED or fix is None or fix.time_ms is None or fix.time_ms < past_ms:
        return reading
    age_us = now.up_us - fix.up_us
    if not 0 <= age_us <= HOLDS_US:
        return reading
    offset_ms = now.at_ms - age_us // MS - fix.time_ms
    return ClockReading("gnss", offset_ms, RECEIVER_MS + age_us * QUARTZ_PPM // (1_000_000 * MS))


def wrong_ms(reading: ClockReading, at_ms: int, past_ms: int) -> int:
    """By how much the clock is wrong at least: positive is ahead, negative behind, 0 where nothing says that it is."""
    if reading.source in UNVOUCHED:
        return min(at_ms - max(past_ms, NOT_BEFORE_MS), 0)
    beyond_ms = max(abs(reading.offset_ms) - reading.error_ms, 0)
    return beyond_ms if reading.offset_ms > 0 else -beyond_ms


class Timekeeper:
    """Looks once a second; `how` is empty or the words of an alarm, `jumped` whether that happened since the look before."""

    def __init__(self, wrong_from_ms: int, step_ms: int) -> None:
        self._from_ms, self._step_ms = wrong_from_ms, step_ms
        self._before: Moment | None = None
        self._words = ""
        self._ahead = False
        self.jumped = False

    def look(self, now: Moment, reading: ClockReading, past_ms: int) -> str:
        """Take a reading; what is wrong with the clock."""
        off_ms = wrong_ms(reading, now.at_ms, past_ms)
        before, self._before = self._before, now
        moved_ms = abs(now.base_ms - before.base_ms) - now.spread_ms - before.spread_ms if before else 0
        self.jumped = moved_ms >= self._step_ms and reading.source in UNVOUCHED
        size_ms = abs(off_ms)
        if size_ms < self._from_ms * (4 if self._words else 5) // 5:  # a fifth less than what began it, or it would come and go
            self._words = ""
        elif size_ms >= self._from_ms or self._words:
            self._words = self._worded(size_ms, same_side=(off_ms > 0) == self._ahead)
            self._ahead = off_ms > 0
        return f"{'ahead' if self._ahead else 'behind'} by more than {self._words}" if self._words else ""

    def _worded(self, size_ms: int, *, same_side: bool) -> str:
        for least_ms, words in STEPS:
            if size_ms >= least_ms or (same_side and words == self._words and size_ms * 5 >= least_ms * 4):
                return words
        raise AssertionError("the last step takes all")
