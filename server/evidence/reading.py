"""Read journal lines and ledger lines for their meaning.

Rules:
- What a line means is decided by `agent.core`. A first look with the interpreter's C reader saves most of the time, and
  is only believed for lines of a shape in which no two readers can differ: flat, ASCII without backslashes, integers of at most
  15 digits, no name twice. A test holds both against each other.
- The ledger's lines have `at`, `kind`, `salt` and no `up`; the kinds that a package needs are in a table.
"""

from __future__ import annotations

import json
import re
from typing import Any

from agent.core import kinds, lines
from agent.core.errors import LineError

_MEMBER = rb'"[a-z0-9_]+":(?:-?[1-9][0-9]{0,14}|0|"[ !#-\[\]-~]*"|true|false)'
_FLAT = re.compile(rb"\{" + _MEMBER + rb"(?:," + _MEMBER + rb")*\}")
_FREQUENT = {
    kind: (("at", int), ("up", int), ("salt", str), ("recording", str), ("n", int), *kinds.KINDS[kind][1].items())
    for kind in ("fragment", "fix")
}

_PAIRS = json.JSONDecoder(object_pairs_hook=list)

LEDGER_KINDS: dict[str, dict[str, type]] = {
    "enrol": {"origin": str, "vkey": str, "certificate": str},
    "anchor": {"root": str, "count": int},
    "stored": {"device": str, "recording": str, "c": int, "origin": str, "stop": str, "fragments": int, "bytes": int},
    "export": {"device": str, "recording": str, "c": int},
}
"""kind → members that it must have, of the ledger's lines that bear on a package (docs/evidence-format.md, section 7)."""

_HEX = re.compile(r"[0-9a-f]{64}")


def meaning(line: bytes) -> dict[str, Any]:
    """The members of a journal line that has meaning; LineError as `kinds.meaning`."""
    if len(line) <= lines.MAX_LINE and _FLAT.fullmatch(line):
        pairs = _PAIRS.decode(line.decode("ascii"))
        members = dict(pairs)
        table = _FREQUENT.get(str(members.get("kind")))
        if table and len(members) == len(pairs) and all(type(members.get(name)) is kind for name, kind in table):
            return members
    return kinds.meaning(line)


def ledger_line(line: bytes) -> dict[str, Any]:
    """The members of a ledger line that has meaning; LineError says what is missing."""
    members = lines.read(line)
    table: dict[str, type] = {"at": int, "kind": str, "salt": str}
    if isinstance(members.get("kind"), str):
        table.update(LEDGER_KINDS.get(members["kind"], {}))
    for name, kind in table.items():
        if type(members.get(name)) is not kind:
            raise LineError(f"a ledger line: {name} is missing or not of type {kind.__name__}")
    return members


def is_digest(value: object) -> bool:
    """Whether a value is a SHA-256 in lower-case hex."""
    return isinstance(value, str) and _HEX.fullmatch(value) is not None
