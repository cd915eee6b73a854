"""Whether an excerpt is the stretch that the ledger says was handed over: nothing outside of it, and nothing of it left out.

Rules (docs/evidence-format.md, section 9):
- Fragments stay whole, so the first and the last may reach beyond the stretch; one that lies wholly outside does not belong.
- An excerpt leaves lines out, but not within its stretch: the shown fragments of a track follow each other, begin before the stretch or
  at the track's beginning, and reach its end or the track's. Where a `gap` line covers the rest, nothing is missing.

A track that shows nothing at all may have had nothing in the stretch: the lines that are here can't tell.
"""

from __future__ import annotations

from typing import Any

from server.evidence.text import span
from server.evidence.verdict import Check

from .sequence import Recording
from .timeline import TOLERANCE_MS, covered, merged

Members = dict[str, Any]


def check_stretch(check: Check, recording: Recording, first: int, end: int) -> None:
    """Hold the shown fragments against a stretch in ms of media time."""
    tracks: dict[str, list[Members]] = {}
    for m in recording.of("fragment"):
        if m["duration"] > 0 and (m["pts"] >= end or m["pts"] + m["duration"] <= first):
            what = f"the ledger exported {first} to {end} ms, and this fragment is of {m['pts']} to {m['pts'] + m['duration']} ms"
            check.tampered(f"track {m['track']} fragment {m['seq']}", what)
            return
        if m["seq"] > 0:
            tracks.setdefault(m["track"], []).append(m)
    gaps: dict[str, list[tuple[int, int]]] = {}
    for gap in recording.of("gap"):
        gaps.setdefault(gap["track"], []).append((gap["from"], gap["from"] + max(gap["lost"], 0)))
    for name, shown in tracks.items():
        shown.sort(key=lambda m: int(m["seq"]))
        spans = merged(gaps.get(name, []))
        for seq, a, b in _left_out(shown, _last(recording, name), first, end):
            if b - a - covered(a, b, spans) > TOLERANCE_MS:
                what = (
                    f"left out, and the ledger exported {first} to {end} ms: {b - a} ms are missing from {span(a)}, and no gap line says so"
                )
                check.incomplete(f"track {name} fragment {seq}", what)


def _left_out(shown: list[Members], last: int, first: int, end: int) -> list[tuple[int, int, int]]:
    """(seq, from, to) of what is not shown of a track within the stretch, if there was something."""
    found = []
    if shown[0]["seq"] > 1:
        found.append((shown[0]["seq"] - 1, first, shown[0]["pts"]))
    for before, after in zip(shown, shown[1:]):  # noqa: B905, RUF007 — Python 3.9
        if after["seq"] > before["seq"] + 1:
            found.append((before["seq"] + 1, before["pts"] + before["duration"], after["pts"]))
    if shown[-1]["seq"] < last:
        found.append((shown[-1]["seq"] + 1, shown[-1]["pts"] + shown[-1]["duration"], end))
    return found


def _last(recording: Recording, track: str) -> int:
    """The last seq of a track, by the stop line; 0 where nothing says."""
    rows = recording.stop.members["tracks"] if recording.stop is not None and recording.stop.members is not None else []
    return max((int(row["fragments"]) - 1 for row in rows if row["track"] == track), default=0)
