"""How values are shown: times in the agency's zone, lengths, sizes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import Any

FIRST_MS, LAST_MS = 0, 253_370_764_800_000
"""1970 to the last day but one of the year 9999: what a calendar can show in every zone."""
_UNITS = ("B", "KB", "MB", "GB", "TB")


def moment_in(zone: tzinfo) -> Callable[[int], str]:
    """A filter: ms since 1970 → `2026-11-21 19:17:56 +08:00`."""

    def moment(ms: int) -> str:
        if not FIRST_MS <= ms <= LAST_MS:
            return f"{ms} ms"  # a device may claim any time; the page shows what it claims
        there = datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone)
        return there.strftime("%Y-%m-%d %H:%M:%S ") + there.strftime("%z")[:3] + ":" + there.strftime("%z")[3:]

    return moment


def length_of(ms: int | None) -> str:
    """ms → `1:02:03` or `2:03`."""
    if ms is None:
        return "–"
    seconds = ms // 1000
    hours, minutes, rest = seconds // 3600, seconds // 60 % 60, seconds % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def size(octets: int | None) -> str:
    """Bytes → `4.2 MB` (powers of 1,000)."""
    if octets is None:
        return "–"
    value, unit = float(octets), 0
    while value >= 1000 and unit + 1 < len(_UNITS):
        value, unit = value / 1000, unit + 1
    return f"{octets} B" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def rest_of(members: dict[str, Any]) -> str:
    """A ledger line's members beside time, kind and salt, shortened: `device=… recording=…`."""
    shown = {k: v for k, v in members.items() if k not in {"at", "kind", "salt", "previous"}}
    return " ".join(f"{k}={str(v)[:70]}" for k, v in shown.items())
