"""Whether media time is whole, and what is known of the device's clock (docs/evidence-format.md, sections 2 and 9).

Rules:
- Between two fragments of a track that follow each other no media is missing, or a `gap` line of that track says so. Rounding to ms and a
  frame's length are no hole. The same holds between a video track and the one that follows it (`front`, `front-2`).
- The `stop` line's totals are those of the lines. `seq` counts from 0 without a hole.
- The clock changes no verdict: what bounds a recording in time is signed by others. How wrong it was is said in figures.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Any

from server.evidence.claims import Claims
from server.evidence.text import many, span, utc
from server.evidence.verdict import Check

from .fragments import TrackLines
from .journal import LINES
from .sequence import Recording

TOLERANCE_MS = 100
"""Two frames at 20 a second: what rounding, jitter and a frame dropped at the cut can come to."""

BETWEEN_TRACKS_MS = 1000
"""A track that follows another begins with a key frame: up to a group of pictures later."""

STOP = "the stop line"
_FOLLOWER = re.compile(r"(.+)-([2-9]|[1-9][0-9]+)")


def check_totals(check: Check, claims: Claims, recording: Recording, tracks: dict[str, TrackLines]) -> None:
    """The stop line's count and bytes for each track, and an unbroken seq."""
    for track in tracks.values():
        if claims.part and track.fragments and 0 not in track.fragments:
            check.incomplete(LINES, f"track {track.name}: seq 0, which every excerpt holds, is not there")
        elif not claims.part:
            hole = next((i for i, seq in enumerate(sorted(track.fragments)) if i != seq), None)
            if hole is not None:
                check.incomplete(LINES, f"track {track.name}: no line names fragment {hole}")
    if recording.stop is None or recording.stop.members is None:
        check.says = "without a stop line there are no totals to compare"
        return
    stated: dict[str, dict[str, Any]] = {row["track"]: row for row in recording.stop.members["tracks"]}
    if len(stated) != len(recording.stop.members["tracks"]):
        check.tampered(STOP, "a track stands in it twice")
    lines_missing = bool(recording.left_out)
    for name in tracks:
        if name not in stated:
            check.tampered(STOP, f"track {name} is not in it")
    for name, row in stated.items():
        fragments = tracks[name].fragments if name in tracks else {}
        figures = [row["fragments"], row["bytes"], row["duration"]]
        lines = [len(fragments), sum(m["bytes"] for m in fragments.values()), sum(m["duration"] for m in fragments.values())]
        fits = all(a <= b for a, b in zip(lines, figures)) if lines_missing else lines == figures  # noqa: B905 — Python 3.9
        if not fits:
            check.tampered(STOP, f"track {name}: it counts {_totals(figures)}; the lines come to {_totals(lines)}")
    fragments, total = sum(r["fragments"] for r in stated.values()), sum(r["bytes"] for r in stated.values())
    check.figures = {"tracks": len(stated), "fragments": fragments, "bytes": total}
    check.says = (
        f"the device counted {many(fragments, 'fragment')} and {many(total, 'byte')} in {many(len(stated), 'track')}; the lines "
        + ("do not exceed that" if lines_missing else "come to the same")
    )


def _totals(figures: list[int]) -> str:
    return "{} fragments, {} bytes, {} ms".format(*figures)


def check_gaps(check: Check, claims: Claims, recording: Recording, tracks: dict[str, TrackLines]) -> None:
    """Holes in media time are stated by gap lines."""
    stated: dict[str, list[tuple[int, int]]] = {}
    gaps = recording.of("gap")
    for gap in gaps:
        stated.setdefault(gap["track"], []).append((gap["from"], gap["from"] + max(gap["lost"], 0)))
        check.note(f"gap in {gap['track']} from {span(gap['from'])}, {gap['lost']} ms lost: {gap['reason']}")
    media_ms = 0
    for track in tracks.values():
        playable = [track.fragments[seq] for seq in sorted(track.fragments) if seq > 0]
        media_ms = max(media_ms, sum(m["duration"] for m in playable))
        spans = merged(stated.get(track.name, []))
        for before, after in zip(playable, playable[1:]):  # noqa: B905, RUF007 — Python 3.9
            if after["seq"] == before["seq"] + 1:
                _between(check, track.name, before, after, spans)
    if not claims.part:
        _check_followers(check, tracks, stated)
    lost = sum(max(gap["lost"], 0) for gap in gaps)
    check.figures = {"gaps": len(gaps), "lost_ms": lost, "media_ms": media_ms}
    what = "the part's media" if claims.part else "media"
    check.says = f"{span(media_ms)} of {what}; " + (
        f"{many(len(gaps), 'gap')} stated, {lost} ms lost" if gaps else "nothing is missing in between"
    )


def _between(check: Check, track: str, before: dict[str, Any], after: dict[str, Any], gaps: Gaps) -> None:
    """The time between a fragment's end and the next one's beginning."""
    end, begin = before["pts"] + before["duration"], after["pts"]
    place = f"track {track} fragment {after['seq']}"
    if begin < end - TOLERANCE_MS:
        check.tampered(place, f"begins at {span(begin)}, before the end of the one before it at {span(end)}")
    elif begin - end - covered(end, begin, gaps) > TOLERANCE_MS:
        check.incomplete(place, f"{begin - end} ms of media are missing before it (from {span(end)}), and no gap line says so")


def _check_followers(check: Check, tracks: dict[str, TrackLines], stated: dict[str, list[tuple[int, int]]]) -> None:
    """A video track that goes on under the next name leaves no hole behind the one before it."""
    for name, track in tracks.items():
        match = _FOLLOWER.fullmatch(name)
        if match is None or track.begun is None or track.begun["media"] != "video/mp4":
            continue
        base, number = match.group(1), int(match.group(2))
        before = tracks.get(base if number == 2 else f"{base}-{number - 1}")
        if before is None or not before.fragments or not track.fragments:
            continue
        end = max(m["pts"] + m["duration"] for m in before.fragments.values())
        begin = min((m["pts"] for m in track.fragments.values() if m["seq"] > 0), default=end)
        gaps = merged(stated.get(name, []) + stated.get(before.name, []))
        if begin - end - covered(end, begin, gaps) > BETWEEN_TRACKS_MS:
            check.incomplete(
                f"track {name}", f"{begin - end} ms are missing behind {before.name} (from {span(end)}), and no gap line says so"
            )


Gaps = list[tuple[int, int, int]]
"""Stated gaps in order, none of which meet: first, end, and how much the ones before cover."""


def merged(gaps: list[tuple[int, int]]) -> Gaps:
    """The stated gaps in order, those that meet as one: so each moment is counted once."""
    found: Gaps = []
    for first, end in sorted(gaps):
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end), found[-1][2])
        else:
            found.append((first, end, found[-1][2] + found[-1][1] - found[-1][0] if found else 0))
    return found


def covered(first: int, end: int, gaps: Gaps) -> int:
    """How much of [first, end) the stated gaps cover: found by halving, for whoever signs himself may have it asked a million times."""
    return _covered_before(end, gaps) - _covered_before(first, gaps) if first < end else 0


def _covered_before(at: int, gaps: Gaps) -> int:
    place = bisect_right(gaps, (at, at, 0)) - 1
    # A gap that begins just here stands behind (at, at, 0), and covers nothing before.
    return gaps[place][2] + min(gaps[place][1], at) - gaps[place][0] if place >= 0 else 0


def check_clock(check: Check, recording: Recording, not_before: int | None, not_after: int | None) -> None:
    """What the device knew of its clock, and how its start and stop lie between the bounds."""
    clocks = [line.members for line in recording.governing + recording.lines if line.members is not None and line.kind == "clock"]
    known = [c for c in clocks if c["source"] != "none"]
    sources = sorted({c["source"] for c in known})
    check.figures = {"lines": len(clocks), "sources": sources}
    if known:
        low, high, worst = min(c["offset"] for c in known), max(c["offset"] for c in known), max(abs(c["error"]) for c in known)
        check.figures.update(offset_min_ms=low, offset_max_ms=high, error_max_ms=worst)
        check.says = f"set by {', '.join(sources)}; off by {low} to {high} ms, known to {worst} ms"
    else:
        check.says = "the device did not know how right its clock was"
    for line, name in ((recording.start, "start"), (recording.stop, "stop")):
        if line is not None and line.members is not None:
            at = line.members["at"]
            check.figures[f"{name}_at"] = at
            if not_before is not None and at < not_before - 1000:
                check.note(f"by the device's clock the {name} was at {utc(at)}, earlier than possible: the clock was slow or set back")
            if not_after is not None and at > not_after + 1000:
                check.note(f"by the device's clock the {name} was at {utc(at)}, later than possible: the clock was fast")
