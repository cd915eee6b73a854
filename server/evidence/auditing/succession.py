"""A device's journals one after the other: journal n+1 says in its first line where journal n ended (docs/evidence-format.md, section 4).

Rules:
- `previous` names the origin, size and root of journal n's newest signed head. These lines must lead to it, or some were taken away.
- A journal lies in the folder of its number, and all journals of a folder are of one device.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from agent.core import wire
from agent.core.errors import CoreError, LineError
from server.evidence.reading import is_digest, meaning
from server.evidence.verdict import Check


@dataclass(frozen=True)
class Previous:
    """Where a journal goes on from, and which journal says so."""

    by: str
    origin: str
    size: int
    root: bytes


@dataclass(frozen=True)
class Read:
    """A journal as it was read: its lines, the first one that is not trimmed, its roots at the sizes that were asked for."""

    size: int
    first: int
    roots: dict[int, bytes]


def of_line(line: bytes | None) -> Previous | None:
    """What a journal's first line says of the one before; None where there was none, or it can't be read."""
    try:
        m: dict[str, Any] = meaning(line or b"")
    except LineError:
        return None
    said = m.get("previous") if m["kind"] == "enrol" else None
    if not isinstance(said, dict) or type(said.get("size")) is not int or not is_digest(said.get("root")):
        return None
    return Previous(str(m["origin"]), str(said.get("origin")), said["size"], bytes.fromhex(said["root"]))


def sizes(all_said: Iterable[Previous | None], origin: str) -> set[int]:
    """At which sizes of a journal its root is asked for."""
    return {one.size for one in all_said if one is not None and one.origin == origin}


def check_previous(check: Check, said: Previous, journal: Read | None) -> None:
    """Hold what a journal says of the one before against that one."""
    if journal is None:
        check.incomplete(said.origin, f"{said.by} began behind {said.size} lines of it, and it is not here")
    elif said.size > journal.size:
        gone = said.size - journal.size
        check.incomplete(
            f"{said.origin} line {journal.size}", f"{said.by} began behind {said.size} signed lines of it: {gone} are not here"
        )
    elif said.size >= journal.first and said.size and journal.roots.get(said.size) != said.root:
        check.tampered(f"{said.origin} size {said.size}", f"these lines are not those that {said.by} goes on from")


def check_names(check: Check, place: str, number: str, origin: str, said: str) -> None:
    """A journal in a folder: it is of that number, and of the device that the folder says it is of (`said`, an origin)."""
    try:
        domain, device, n = wire.parse_origin(origin)
    except CoreError:
        return  # a label of ours: there is nothing that is signed
    if str(n) != number:
        check.tampered(place, f"holds the journal {origin}, in the folder of journal {number}")
    try:
        expected = wire.parse_origin(said)
    except CoreError:
        return
    if (domain, device) != expected[:2]:
        check.tampered(place, f"holds the journal {origin}, in the folder of {expected[0]}/{expected[1]}")
