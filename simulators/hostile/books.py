"""What devices hold against what the server holds: every line once and in order, every byte once and in its place.

Reads a device's state folder and the server's data folder as they lie on the disk, shares no code with either, and then asks
`zhilu audit` about both. Each problem is a sentence that names the place; no sentences is balanced.

Also what went over the wire more than once (`Wire`), from the agents' own counts and from what the relays saw.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from server.evidence.audit import audit, fast_primitives

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from simulators.hostile.arena import Arena, Unit

SUFFIX = {"video/mp4": "mp4", "audio/mp4": "mp4", "image/jpeg": "jpg"}


def balance(arena: Arena) -> list[str]:
    """Every problem with everything that an arena's recorders and its server hold. The server must have been stopped."""
    server, keys = arena.deployment.server_folder, [str(arena.deployment.keys_file)]
    problems = []
    for one in arena.units.values():
        problems += [f"{one.name}: {said}" for said in _device(one.folder, server, one.name, arena.deployment.domain, one.n)]
        problems += [f"{one.name}: audit: {said}" for said in _audited(one.folder, keys)]
    return problems + [f"server: audit: {said}" for said in _audited(server, keys)]


def _device(state: Path, server: Path, device: str, domain: str, n: int) -> list[str]:
    mine = _own_lines(state / "journal" / str(n))
    theirs = server_lines(server, f"{domain}/{device}/{n}")
    if mine != theirs:
        same = next((at for at, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b), min(len(mine), len(theirs)))
        return [f"{len(mine)} lines here, {len(theirs)} at the server; they agree up to line {same}"]
    return _media(server / "media" / device, [json.loads(line) for line in mine if _is_json(line)]) + _receipts(state, mine)


def _own_lines(journal: Path) -> list[bytes]:
    return [line for path in sorted(journal.glob("segment-*.jsonl")) for line in path.read_bytes().split(b"\n")[:-1]]


def server_lines(server: Path, origin: str) -> list[bytes]:
    """The server's copy of a journal, from its own tables."""
    with sqlite3.connect(f"file:{server / 'logs.sqlite'}?mode=ro", uri=True) as database:
        rows = database.execute(
            "SELECT batch.first, batch.count, batch.lines FROM batch JOIN log ON log.id = batch.log WHERE log.origin = ? ORDER BY first",
            (origin,),
        ).fetchall()
    found: list[bytes] = []
    for first, count, lines in rows:
        cut = lines.split(b"\n")
        assert (first, count) == (len(found), len(cut)), f"{origin}: a batch begins at {first} after {len(found)} lines"
        found += cut
    return found


def _media(folder: Path, lines: list[dict[str, Any]]) -> list[str]:
    """Each fragment that a line names and no gap excuses stands at its offset; nothing else stands in the file."""
    media = {(line["recording"], line["track"]): line["media"] for line in lines if line["kind"] == "track"}
    gone = {(line["recording"], line["track"], line["from"], line["lost"]) for line in lines if line["kind"] == "gap"}
    problems: list[str] = []
    ends: dict[Path, int] = {}
    for line in (line for line in lines if line["kind"] == "fragment"):
        path = folder / line["recording"] / f"{line['track']}.{SUFFIX[media[line['recording'], line['track']]]}"
        if (line["recording"], line["track"], line["pts"], line["duration"]) in gone:
            continue
        ends[path] = line["offset"] + line["bytes"]
        data = path.read_bytes()[line["offset"] : ends[path]] if path.exists() else b""
        if hashlib.sha256(data).hexdigest() != line["sha256"]:
            problems.append(f"{line['recording']}/{line['track']}: fragment {line['seq']} is not at byte {line['offset']} at the server")
    sizes = {path: path.stat().st_size for path in ends if path.exists()}
    return problems + [f"{path}: {size} bytes, the lines name {ends[path]}" for path, size in sizes.items() if size != ends[path]]


def _receipts(state: Path, lines: list[bytes]) -> list[str]:
    ended = [json.loads(line)["recording"] for line in lines if b'"kind":"stop"' in line]
    return [f"{one}: no receipt" for one in ended if not (state / "receipts" / f"{one}.tlog-proof").is_file()]


def _is_json(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _audited(folder: Path, keys: list[str]) -> list[str]:
    report = audit(str(folder), keys, primitives=fast_primitives()).as_json()
    if report["verdict"] == "intact":
        return []
    wrong = [f"{check['name']}: {check['says']}" for check in report["checks"] if not check["ok"]]
    return [report["verdict"], *wrong]


# --------------------------------------------------------------------------- what went over the wire


@dataclass(frozen=True, slots=True)
class Wire:
    """Bytes of one agent's life. `signed`: of lines and media, each once; `twice`: of lines and media that went again, as the agent counts.

    The relays' own figures know nothing of what the bytes are: `taken` is all that they got from the agent, passed on or not, TLS,
    headers and reports included, and `media_taken` the part of it that was meant for the server's HTTPS. What is left when
    what had to go once is taken away (`over`, `media_over`) is a second upper bound of what went twice.
    """

    signed: int
    twice: int
    taken: int
    media: int
    media_taken: int

    def __add__(self, other: Wire) -> Wire:
        """Of both together."""
        return Wire(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    @property
    def over(self) -> int:
        """Everything beyond lines and media, each once."""
        return self.taken - self.signed

    @property
    def media_over(self) -> int:
        """Everything to the server beyond media, each byte once."""
        return self.media_taken - self.media


NOTHING = Wire(0, 0, 0, 0, 0)


def wire(unit: Unit, counts: Mapping[str, int]) -> Wire:
    """What an agent that was never restarted says of itself (`health`, `counts`), and its relays of it."""
    lines = _own_lines(unit.folder / "journal" / str(unit.n))
    media = sum(json.loads(line)["bytes"] for line in lines if b'"kind":"fragment"' in line)
    unanswered = max(counts["upload_bytes"] - counts["uploaded"], 0)
    twice = counts["batch_bytes_twice"] + unanswered + counts["upload_bytes_missed"]
    taken = {name: relay.counts.taken_up_bytes for name, relay in unit.host.network.relays.items()}
    return Wire(media + sum(len(line) + 1 for line in lines), twice, sum(taken.values()), media, taken["server"])
