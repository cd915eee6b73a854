"""What became of every recording, said in findings and figures: there, purged with a receipt, disposed of, or missing and named."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from server.evidence.text import many
from server.evidence.verdict import Check

from .fold import DISPOSED, MISSING, OPEN, PARTLY, PURGED, THERE, Recording


def say_recordings(check: Check, recordings: Iterable[Recording], unnamed: list[str]) -> None:
    """A finding for each recording that is not all there, the counts, and files that belong to none."""
    if unnamed:
        check.note(f"{many(len(unnamed), 'media file')} that no line names, and that prove nothing: {', '.join(unnamed[:5])}")
    counts = dict.fromkeys((THERE, PURGED, DISPOSED, PARTLY, OPEN, MISSING), 0)
    total = 0
    for recording in recordings:
        total += 1
        counts[recording.state] += 1
        place = f"recording {recording.name} of {recording.origin}"
        if recording.wrong:
            check.tampered(f"{place}, {recording.wrong[0]}", f"{len(recording.wrong)} fragments are not what the device signed")
        if recording.state == OPEN:
            check.incomplete(place, f"started at line {recording.start}, and its stop is not there")
        elif recording.state in (PARTLY, MISSING):
            named = f"{len(recording.missing)} of {recording.fragments} fragments are missing, first {recording.missing[0]}"
            check.incomplete(place, named + (f"; {recording.gaps} gap lines" if recording.gaps else ", and no gap line says so"))
    check.figures = {"recordings": total, **{state.replace(" ", "_"): count for state, count in counts.items()}}
    listed = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    check.says = f"{many(total, 'recording')} started" + (f": {listed}" if listed else "")


def rows(recordings: Iterable[Recording]) -> list[dict[str, Any]]:
    """Every recording for the JSON report."""
    return [
        {"recording": r.name, "origin": r.origin, "state": r.state, "fragments": r.fragments, "missing": len(r.missing), "gaps": r.gaps}
        for r in recordings
    ]
