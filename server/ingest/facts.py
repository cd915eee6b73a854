"""Reads out of a journal line what the catalogue wants to know, and skips cheaply what it does not.

A line counts only when it has meaning (`agent.core.lines`). Most lines are positions and fragments, a second each, and the
core's strict reader is slow; so two shortcuts, both for exactly the shape that the core's own writer gives to a line:
- A line that begins `{"at":…,"up":…,"kind":"<kind>"` is of that kind or without meaning, so a kind that is not wanted is skipped.
- A `fragment` line of plain ASCII, members in the usual order, is read by one expression that allows nothing else.
"""

from __future__ import annotations

import re
from typing import Any

from agent.core import kinds
from agent.core.errors import LineError

WANTED = ("start", "track", "fragment", "mark", "gap", "stop", "purge")

_INT = rb"(0|[1-9][0-9]{0,14})"
_HEAD = re.compile(rb'\{"at":' + _INT + rb',"up":' + _INT + rb',"kind":"([a-z]+)"')
_FRAGMENT = re.compile(
    rb'\{"at":(?:0|[1-9][0-9]{0,14}),"up":(?:0|[1-9][0-9]{0,14}),"kind":"fragment","recording":"([0-9A-Z]{26})","n":'
    + _INT
    + rb',"track":"([A-Za-z0-9_-]{1,64})","seq":'
    + _INT
    + rb',"offset":'
    + _INT
    + rb',"bytes":'
    + _INT
    + rb',"sha256":"([0-9a-f]{64})","pts":'
    + _INT
    + rb',"duration":'
    + _INT
    + rb'(?:,"pre":true)?(?:,"recovered":true)?,"salt":"[A-Za-z0-9_-]{22}"\}'
)


def read(line: bytes) -> dict[str, Any] | None:
    """The members of a line that the catalogue wants, or None."""
    head = _HEAD.match(line)
    if head is not None and head[3].decode() not in WANTED:
        return None
    found = _FRAGMENT.fullmatch(line) if head is not None and head[3] == b"fragment" else None
    if found is not None:
        recording, n, track, seq, offset, size, sha256, pts, duration = found.groups()
        return {
            "kind": "fragment",
            "recording": recording.decode(),
            "n": int(n),
            "track": track.decode(),
            "seq": int(seq),
            "offset": int(offset),
            "bytes": int(size),
            "sha256": sha256.decode(),
            "pts": int(pts),
            "duration": int(duration),
        }
    try:
        members = kinds.meaning(line)
    except LineError:
        return None
    return members if members["kind"] in WANTED else None
