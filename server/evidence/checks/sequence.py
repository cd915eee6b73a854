"""Whether the recording's lines are all there, in their order, and mean something (docs/evidence-format.md, sections 2, 9).

Rules:
- A line of the recording names it. `n` counts from 0 (`start`) to the `stop`, in the order of the journal and without a gap; only
  `gap` and `purge` lines follow the `stop`, without `n`. In an excerpt `n` may be left out, never doubled or out of order.
- `start` names the governing lines by their leaf hashes, in order of index, all before it.
- A line that is neither the recording's nor governing nor line 0 does not belong here. One without meaning belongs to nobody: what it
  would have said is missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from server.evidence.claims import Claims
from server.evidence.reading import is_digest
from server.evidence.text import many
from server.evidence.verdict import Check

from .journal import LINES, Journal, Line

GOVERNING = ("boot", "clock", "beacon", "assign", "signon")
_AFTER = ("gap", "purge")


@dataclass
class Recording:
    """The recording's lines by their role. `lines` are those with `n`; `left_out` are ranges of `n` that are not there."""

    lines: list[Line] = field(default_factory=list)
    after: list[Line] = field(default_factory=list)
    governing: list[Line] = field(default_factory=list)
    start: Line | None = None
    stop: Line | None = None
    left_out: list[tuple[int, int]] = field(default_factory=list)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The members of all lines of a kind, in order."""
        return [line.members for line in self.lines + self.after if line.members is not None and line.kind == kind]


def check_sequence(check: Check, journal: Journal, claims: Claims) -> Recording:
    """Sort the lines, and count `n`."""
    recording = Recording()
    rest = _sort(check, journal, claims, recording)
    _check_edges(check, journal, claims, recording)
    _check_numbers(check, journal, claims, recording)
    _check_governing(check, journal, recording, rest)
    for line in rest:
        check.tampered(journal.place(line), f"a {line.kind} line that does not belong to this recording")
    _say(check, claims, recording)
    return recording


def _sort(check: Check, journal: Journal, claims: Claims, recording: Recording) -> list[Line]:
    """Give each line its role; the ones that may be governing are returned."""
    rest = []
    for line in journal.lines:
        if line.members is None:
            check.incomplete(journal.place(line), f"a line without meaning: {line.reason}")
        elif line.members.get("recording") != claims.recording:
            if line.index or line.kind != "enrol":
                rest.append(line)
        elif "n" in line.members:
            recording.lines.append(line)
        elif line.kind in _AFTER:
            recording.after.append(line)
        else:
            check.tampered(journal.place(line), f"a {line.kind} line of the recording without n")
    return rest


def _check_edges(check: Check, journal: Journal, claims: Claims, recording: Recording) -> None:
    for kind in ("start", "stop"):
        found = [line for line in recording.lines if line.kind == kind]
        for line in found[1:]:
            check.tampered(journal.place(line), f"a second {kind} line")
        setattr(recording, kind, found[0] if found else None)
    start, stop = recording.start, recording.stop
    if start is None:
        check.incomplete(LINES, f"the start line of {claims.recording} is not there")
    elif _n(start) != 0:
        check.tampered(journal.place(start), f"the start line has n {_n(start)}, expected 0")
    if stop is None:
        check.incomplete(LINES, "the stop line is not there: how the recording ended is not covered")
    elif stop is not recording.lines[-1]:
        check.tampered(journal.place(recording.lines[-1]), "a line with n after the stop line")
    for line in recording.after:
        if stop is None or line.index < stop.index:
            check.tampered(journal.place(line), f"a {line.kind} line without n that is not after the stop line")


def _check_numbers(check: Check, journal: Journal, claims: Claims, recording: Recording) -> None:
    expected = 0
    for line in recording.lines:
        n = _n(line)
        if n < expected:
            check.tampered(journal.place(line), f"n is {n}, expected {expected} or more: doubled or out of order")
            continue
        if n > expected:
            recording.left_out.append((expected, n))
            if not claims.part:
                check.incomplete(
                    journal.place(line), f"n {expected} to {n - 1} are not there: {n - expected} lines are missing before this one"
                )
        expected = n + 1


def _check_governing(check: Check, journal: Journal, recording: Recording, rest: list[Line]) -> None:
    """Take the governing lines out of the rest."""
    if recording.start is None or recording.start.members is None:
        rest[:] = [line for line in rest if line.kind not in GOVERNING]
        return
    by_leaf = {line.leaf.hex(): line for line in rest}
    last = -1
    for leaf in recording.start.members["governing"]:
        line = by_leaf.get(leaf) if is_digest(leaf) else None
        if not is_digest(leaf):
            check.tampered(journal.place(recording.start), f"governing: not a leaf hash: {leaf:.80}")
        elif line is None:
            check.incomplete(journal.place(recording.start), f"governing: the line with leaf hash {leaf} is not there")
        elif line.kind not in GOVERNING:
            check.tampered(journal.place(line), f"governing: a {line.kind} line does not govern a recording")
        elif not last < line.index < recording.start.index:
            check.tampered(journal.place(line), "governing: out of order, or after the start line")
        else:
            last = line.index
            recording.governing.append(line)
    taken = {line.index for line in recording.governing}
    rest[:] = [line for line in rest if line.index not in taken]


def _n(line: Line) -> int:
    return int(line.members["n"]) if line.members is not None else -1


def _say(check: Check, claims: Claims, recording: Recording) -> None:
    left_out = sum(end - first for first, end in recording.left_out)
    total = _n(recording.stop) + 1 if recording.stop is not None else None
    check.figures = {"lines": len(recording.lines), "of": total, "left_out": left_out, "governing": len(recording.governing)}
    check.figures["left_out_n"] = [list(r) for r in recording.left_out[:100]]
    until = f"from start to stop, n 0 to {total - 1}" if total is not None else "from start, without a stop"
    missing = f"; {many(left_out, 'line')} left out ({_ranges(recording.left_out)})" if left_out else ", without a gap"
    check.says = f"{many(len(recording.lines), 'line')} of {claims.recording} {until}{missing}; {len(recording.governing)} governing lines"


def _ranges(ranges: list[tuple[int, int]]) -> str:
    shown = ", ".join(f"n {first}" if end - first == 1 else f"n {first} to {end - 1}" for first, end in ranges[:10])
    return shown + (f" and {len(ranges) - 10} more ranges" if len(ranges) > 10 else "")
