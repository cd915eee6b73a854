"""Which lines and fragments an excerpt shows: a stretch of media time of a recording (docs/evidence-format.md, section 9).

Rules:
- Always `start`, `stop`, every `track` line, and seq 0 (the init segment) of each track that has a fragment in the stretch.
- Fragments that meet the stretch, whole: a fragment can't be cut without losing its proof.
- Gaps that meet it. Other lines (positions, marks, climate …) that were written during it, by media time: `up` minus `epoch`.
- The rest stays hidden behind its hashes.

Pure: lines in, indices out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .errors import ExportError

ALWAYS = ("start", "stop", "track")


@dataclass(frozen=True)
class Stretch:
    """A stretch of media time in ms, [first, end)."""

    first_ms: int
    end_ms: int

    def __post_init__(self) -> None:
        if not 0 <= self.first_ms < self.end_ms:
            raise ExportError(f"an excerpt goes from a time to a later one, got {self.first_ms} to {self.end_ms} ms")

    def meets(self, first_ms: int, length_ms: int) -> bool:
        """Whether a span of media time has a moment in common with it."""
        return first_ms < self.end_ms and max(first_ms + length_ms, first_ms + 1) > self.first_ms


def select(lines: Iterable[tuple[int, dict[str, Any]]], stretch: Stretch) -> set[int]:
    """Indices of the lines that the excerpt shows, of (index, members) in order from `start` on."""
    rows = list(lines)
    epoch = next(m["epoch"] for _, m in rows if m["kind"] == "start")
    stills = {m["track"] for _, m in rows if m["kind"] == "track" and m["media"] == "image/jpeg"}
    shown = {
        (m["track"], m["seq"])
        for _, m in rows
        if m["kind"] == "fragment" and (m["seq"] > 0 or m["track"] in stills) and stretch.meets(m["pts"], m["duration"])
    }
    if not shown:
        raise ExportError(f"no media between {stretch.first_ms} and {stretch.end_ms} ms of this recording")
    tracks = {track for track, _ in shown}

    def wanted(m: dict[str, Any]) -> bool:
        kind = m["kind"]
        if kind in ALWAYS:
            return True
        if kind == "fragment":
            return (m["track"], m["seq"]) in shown or (m["seq"] == 0 and m["track"] in tracks)
        if kind == "gap":
            return stretch.meets(m["from"], m["lost"])
        return stretch.meets(m["up"] - epoch, 0)

    return {index for index, m in rows if wanted(m)}
