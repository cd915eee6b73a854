"""Which line is due when, beside the media: clock, beacon, position, power, storage. Rules without clock, disk or device.

Rules (docs/evidence-format.md, section 2):
- `clock`: when its source changes, when wall time stepped against the monotonic clock, when what the source says of it changed by
  as much (a quartz that drifts takes `up` with it), every 10 minutes while recording, else hourly.
- `beacon`: just before each `start`, and hourly when there is a newer one.
- `fix`: once a second while recording, when it changed.
- `power` and `storage`: when a state changes that bears on the evidence, not with every per cent.

Times are milliseconds of this boot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hal.contracts import ClockReading, Fix, PowerReading

S = 1_000

UNVOUCHED = ("none", "rtc")
"""Sources that are our own quartz and nobody besides."""

TRUST_MS = 1_000
"""As for the time in the picture (capture.overlay)."""

BatteryState = Literal["unknown", "charging", "good", "low", "critical"]
SpaceState = Literal["good", "low", "full", "unwritable"]
SPACE_HYSTERESIS = 2
"""Space counts as good again above twice the threshold, so that a purge of a few bytes makes no flurry of lines."""


@dataclass(frozen=True, slots=True)
class ClockNote:
    """What the newest `clock` line said: the reading, and wall time minus `up` when it was written."""

    reading: ClockReading
    base_ms: int
    up_ms: int


@dataclass(frozen=True, slots=True)
class ClockRule:
    """How often a `clock` line is due, and from which step or drift on."""

    recording_s: int = 600
    idle_s: int = 3_600
    step_ms: int = 500


def clock_due(last: ClockNote | None, reading: ClockReading, at_ms: int, up_ms: int, rule: ClockRule, *, recording: bool) -> bool:
    """Whether a `clock` line is due now."""
    if last is None or reading.source != last.reading.source:
        return True
    if abs((at_ms - up_ms) - last.base_ms) >= rule.step_ms:
        return True
    if abs(reading.offset_ms - last.reading.offset_ms) >= max(rule.step_ms, reading.error_ms, last.reading.error_ms):
        return True
    every_s = rule.recording_s if recording else rule.idle_s
    return up_ms - last.up_ms >= every_s * S


def trusted(reading: ClockReading) -> bool:
    """Whether the time may be shown without a `*`: somebody other than our own quartz vouches for the second that is shown."""
    return reading.source not in UNVOUCHED and abs(reading.offset_ms) + reading.error_ms <= TRUST_MS


def beacon_due(written: str | None, known: str | None, since_ms: int, every_s: int, *, starting: bool) -> bool:
    """Whether a `beacon` line with the newest known body is due: at a start whenever it is news, else every so often."""
    if known is None or known == written:
        return False
    return starting or written is None or since_ms >= every_s * S


def fix_due(last: Fix | None, now: Fix, every_ms: int) -> bool:
    """Whether a position is due: it is another than the last one, and the last one is long enough ago."""
    if last is None:
        return True
    same = (last.lat, last.lon, last.alt, last.speed, last.course) == (now.lat, now.lon, now.alt, now.speed, now.course)
    # half a period of grace: receivers send once a second with jitter, and every second one must not be lost
    return not same and (now.up_us - last.up_us) // S >= every_ms - every_ms // 2


def battery_state(reading: PowerReading | None, low_percent: int, critical_percent: int) -> BatteryState:
    """What a reading of the battery means for the recording."""
    if reading is None or reading.percent is None:
        return "charging" if reading is not None and reading.charging else "unknown"
    if reading.charging:
        return "charging"
    if reading.percent <= critical_percent:
        return "critical"
    return "low" if reading.percent <= low_percent else "good"


def space_state(before: SpaceState, free_bytes: int, reserve_bytes: int, stop_below_bytes: int) -> SpaceState:
    """What the free space means: `full` stops the recording, `low` is said; better only well above the threshold.

    `unwritable`, a disk that does not say it or is read-only, is what was before and never the answer.
    """
    if free_bytes < stop_below_bytes or (before == "full" and free_bytes < stop_below_bytes * SPACE_HYSTERESIS):
        return "full"
    if free_bytes < reserve_bytes or (before in ("low", "full") and free_bytes < reserve_bytes * SPACE_HYSTERESIS):
        return "low"
    return "good"
