"""A report as lines for a terminal, in plain English with the verdict in Chinese beside it; and as JSON.

What comes from a package is shown without its control characters: a file must not be able to paint over the verdict.
"""

from __future__ import annotations

import json
import time

from .verdict import CHINESE, EXCERPT, INCOMPLETE, INTACT, TAMPERED, UNTRUSTED, Check, Report

MEANS = {
    INTACT: "the whole recording, every byte as the device signed it, cosigned and bounded in time",
    EXCERPT: "a genuine part of a recording; what is left out is stated below",
    INCOMPLETE: "genuine as far as it goes; what is missing is stated below",
    TAMPERED: "something does not fit; the first place is named",
    UNTRUSTED: "all of it fits together, and none of the given keys vouches for it",
}
MEANS_OF_AUDIT = {
    INTACT: "every recording that was ever started is there, purged with a receipt, or disposed of",
    INCOMPLETE: "genuine as far as it goes; what is missing is named below",
    TAMPERED: "something does not fit; the first place is named",
    UNTRUSTED: "all of it fits together, and none of the given keys vouches for it",
}
_LAST_MS = 253_402_300_800_000
"""The year 10000: beyond it a number is shown as it is."""


def utc(ms: int) -> str:
    """A time in ms since 1970 for people, UTC."""
    if not 0 <= ms < _LAST_MS:
        return f"{ms} ms since 1970"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(ms // 1000)) + f".{ms % 1000:03d} UTC"


def span(ms: int) -> str:
    """A length of time for people."""
    sign, ms = ("-" if ms < 0 else ""), abs(ms)
    hours, rest = divmod(ms, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{sign}{hours}:{minutes:02d}:{rest // 1000:02d}.{rest % 1000:03d}"


def many(count: int, word: str) -> str:
    """A count with its word: 1 line, 2 lines."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def plain(text: str) -> str:
    """Text without control characters, direction marks and the like."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def as_json(report: Report) -> str:
    """The report as one JSON object; what a terminal would obey is escaped, which JSON readers undo."""
    out = json.dumps(report.as_json(), ensure_ascii=False, indent=1)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in out) + "\n"


def as_text(report: Report, means: dict[str, str] = MEANS) -> str:
    """The report for a terminal; `means` says what each verdict is."""
    verdict = report.verdict
    out = [f"{report.subject}: {verdict} {CHINESE[verdict]} — {means[verdict]}"]
    first = report.first
    if first is not None:
        out += [f"  first: {first.place}: {first.message}"]
    out.append("")
    for check in report.checks:
        out += _check(check)
    out += [f"  [ – ] {name}: not reached" for name in report.unmade]
    return "\n".join(plain(line) for line in out) + "\n"


def _check(check: Check) -> list[str]:
    mark = " ok " if check.ok else " !! " if check.verdict == TAMPERED else " ?? "
    out = [f"  [{mark}] {check.name}: {check.says or '; '.join(dict.fromkeys(f.verdict for f in check.findings))}"]
    out += [f"           {f.verdict}: {f.place}: {f.message}" for f in check.findings[:8]]
    if check.count > 8:
        out.append(f"           … {check.count} findings in all")
    return out + [f"           note: {n}" for n in check.notes]
