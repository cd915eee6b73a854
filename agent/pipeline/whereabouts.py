"""What can be known of a receiver's word: that it has stopped, that it jumps, that it contradicts itself or the clock. Pure.

Rules:
- A position is written as the receiver gave it, whatever is thought of it here: it is the receiver's statement, and the line beside it
  (`camera`, event `locator-doubt`) says why it is doubted. Nothing is put right, nothing left out.
- *Lost*: no position for as long as the setting says; two minutes longer after the start, because a receiver that was off looks for
  the sky that long.
- *Jump*: farther from the last position than the fastest vehicle of the setting comes in that time, and JUMP_MM besides, which is
  what a receiver wanders among high houses.
- *Speed*: over WINDOW_US the way between its positions and the speed that it says differ by more than half and SLACK_MM: a position
  that stands still while it says that it drives, or one that is dragged along while it says that it stands.
- *Time*: its time and that of a clock somebody vouches for are more than TIME_MS apart, or its time is over by a cosignature.
- A doubt is told when it begins, and when it is over: CALM_US without another one.

Not found, by nobody on the device alone: a whole sky that is forged well, with places, speeds and time that fit each other and move
slowly away from the true ones. The record then says where the receiver believed to be, no more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from hal.contracts import Fix

S = 1_000_000
FIRST_US = 120 * S
CALM_US = 30 * S
WINDOW_US = 10 * S
APART_US = 5 * S
"""Positions that are farther apart than this say nothing about the way between them."""

EVENTS = ("locator-lost", "locator-doubt", "locator-back")

JUMP_MM = 200_000
SLACK_MM = 50_000
TIME_MS = 3_000
"""A sentence comes within its second, a busy machine may read it a second later still."""

MM_PER_UNIT = 40_007_863_000 / 3_600_000_000
"""Of 1e-7 degrees of a meridian (WGS 84: 40,007.863 km around)."""

ROUND = 3_600_000_000
KMH = 1_000_000 / 3_600
"""mm/s in a km/h."""


def apart_mm(one: Fix, two: Fix) -> int:
    """How far two positions are apart, on a plane: 1 % off at 500 km, and enough for what is asked here."""
    degrees = math.cos(math.radians((one.lat + two.lat) / 2e7))
    east = ((two.lon - one.lon + ROUND // 2) % ROUND - ROUND // 2) * degrees
    return int(math.hypot(two.lat - one.lat, east) * MM_PER_UNIT)


@dataclass(slots=True)
class Way:
    """What was said since `since_us`: the way between positions, and the way by the speeds."""

    since_us: int
    path_mm: int = 0
    said_mm: int = 0


class Whereabouts:
    """One receiver's; `seen` and `idle` answer with what is to be told: (event, detail)."""

    def __init__(self, lost_us: int, max_kmh: int, now_us: int) -> None:
        self._lost_us, self._max_mm_s = lost_us, int(max_kmh * KMH)
        self._heard_us = now_us + FIRST_US
        self._last: Fix | None = None
        self._way: Way | None = None
        self._doubted_us = 0
        self._doubts: set[str] = set()
        self._count = 0
        self.lost = False

    def seen(self, fix: Fix, time_off_ms: int | None) -> list[tuple[str, str]]:
        """A position came; `time_off_ms`: its time less the true one, None where nobody knows that."""
        doubts = self._doubted(fix, time_off_ms)
        told = []
        if self.lost and not doubts:
            told.append(("locator-back", "locator: positions come again"))
        self.lost, self._last, self._heard_us = False, fix, fix.up_us
        for name, why in doubts:
            self._count += 1
            self._doubted_us = fix.up_us
            if name not in self._doubts:
                self._doubts.add(name)
                told.append(("locator-doubt", f"{name}: {why}"))
        if self._doubts and fix.up_us - self._doubted_us >= CALM_US:
            told.append(("locator-back", f"locator: nothing to doubt for {CALM_US // S} s; {self._count} positions were doubted"))
            self._doubts.clear()
            self._count = 0
        return told

    def idle(self, now_us: int) -> list[tuple[str, str]]:
        """Nothing came."""
        if self.lost or not self._lost_us or now_us - self._heard_us < self._lost_us:
            return []
        self.lost = True
        self._doubts.clear()  # what comes after it is doubted for itself
        self._count = 0
        since = "since the start" if self._last is None else f"for {(now_us - self._heard_us) // S} s"
        return [("locator-lost", f"locator: no position {since}")]

    def _doubted(self, fix: Fix, time_off_ms: int | None) -> list[tuple[str, str]]:
        found = []
        last = self._last
        if last is not None and fix.up_us > last.up_us:
            length_us, way_mm = fix.up_us - last.up_us, apart_mm(last, fix)
            if way_mm > JUMP_MM + self._max_mm_s * length_us // S:
                found.append(("jump", f"{way_mm // 1_000} m in {length_us // 1_000} ms"))
                self._way = None
            elif why := self._contradiction(last, fix, way_mm):
                found.append(("speed", why))
        if time_off_ms is not None and abs(time_off_ms) > TIME_MS:
            found.append(("time", f"it says a time {abs(time_off_ms)} ms {'ahead' if time_off_ms > 0 else 'behind'}"))
        return found

    def _contradiction(self, last: Fix, fix: Fix, way_mm: int) -> str:
        """Add to the way; what does not fit once it is long enough."""
        length_us = fix.up_us - last.up_us
        if last.speed is None or fix.speed is None or length_us > APART_US:
            self._way = None
            return ""
        way = self._way = self._way or Way(last.up_us)
        way.path_mm += way_mm
        way.said_mm += (last.speed + fix.speed) * length_us // (2 * S)
        if fix.up_us - way.since_us < WINDOW_US:
            return ""
        self._way = None
        if abs(way.path_mm - way.said_mm) <= SLACK_MM + max(way.path_mm, way.said_mm) // 2:
            return ""
        seconds = (fix.up_us - way.since_us) // S
        return f"{way.path_mm // 1_000} m between its positions in {seconds} s, {way.said_mm // 1_000} m by its speeds"
