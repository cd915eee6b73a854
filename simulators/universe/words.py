"""Times and figures as people write them in stories, read and written."""

from __future__ import annotations

import re

from simulators.errors import ScriptError

US_PER_S = 1_000_000
UNITS_S = {"ms": 0.001, "s": 1, "min": 60, "h": 3_600, "day": 86_400, "days": 86_400, "year": 31_536_000, "years": 31_536_000}
DAY_US = 86_400 * US_PER_S

_SPAN = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)\s*(ms|s|min|h|days?|years?)")
_MOMENT = re.compile(r"(?:day (\d{1,6}) )?(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d{1,12})?))?")


def span_us(text: str) -> int:
    """Microseconds of `90 s`, `5 min`, `2 h`, `3 days`, `1 year`; ScriptError for anything else."""
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise ScriptError(f"expected a span of time as in 90 s, 5 min, 2 h, 3 days, got {text!r}")
    return round(float(found[1]) * UNITS_S[found[2]] * US_PER_S)


def moment_us(text: str) -> int:
    """Microseconds since the story's beginning of `00:10`, `08:30:15`, `day 3 12:00`; the first day is day 1."""
    found = _MOMENT.fullmatch(text.strip())
    if found is None or int(found[3]) > 59 or (found[4] and float(found[4]) >= 60):
        raise ScriptError(f"expected a moment as in 00:10, 08:30:15, day 3 12:00, got {text!r}")
    day = int(found[1] or 1) - 1
    if day < 0 or int(found[2]) > 23:
        raise ScriptError(f"expected a day from 1 on and an hour to 23, got {text!r}")
    return day * DAY_US + round((int(found[2]) * 3_600 + int(found[3]) * 60 + float(found[4] or 0)) * US_PER_S)


def moment(at_us: int) -> str:
    """The moment as a story has it."""
    day, rest = divmod(at_us, DAY_US)
    seconds = rest / US_PER_S
    whole = int(seconds)
    parts = f"{whole // 3_600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"
    if rest % US_PER_S:
        parts += f"{seconds % 1:.6f}"[1:].rstrip("0")
    return f"day {day + 1} {parts}" if day else parts


def span(length_us: int) -> str:
    """A span of time as a story has it, in the largest unit that gives a whole number."""
    for name in ("days", "h", "min", "s"):
        unit_us = UNITS_S[name] * US_PER_S
        if length_us >= unit_us and length_us % unit_us == 0:
            return f"{int(length_us // unit_us)} {name}"
    return f"{length_us / US_PER_S:g} s"
