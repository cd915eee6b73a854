"""Make a hand-over package of a recording, whole or a stretch of it (docs/evidence-format.md, section 9).

Rules:
- The ledger's `export` line for this very package is appended before, by whoever lets the package go out; the package ends its custody
  with it. Without it nothing is exported.
- All ledger proofs but the beacon's stand under one checkpoint, the newest; the beacon's stands under the beacon's own.
- The same source gives the same bytes: dates come from the lines, never from a clock.

What belongs in is found by `gather` and `excerpt`; how it is written, `bagwriter`'s business; what people read, `report`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.core import lines as core_lines
from agent.core import note
from agent.core.errors import NoteError

from . import bagwriter, claims, gather, report
from .bagwriter import Member, of_bytes
from .errors import ExportError
from .excerpt import Stretch
from .gather import Found
from .source import Custody, Source
from .text import utc


@dataclass(frozen=True)
class Package:
    """A package that is ready to be written. Its bytes are read from the source while it is."""

    name: str
    members: list[Member]

    @property
    def zip_size(self) -> int:
        """Bytes of the .zip."""
        return bagwriter.zip_size(self.members, self.name)

    def zip_pieces(self) -> Iterator[bytes]:
        """The .zip, piece by piece."""
        return bagwriter.zip_pieces(self.members, self.name)

    def write_folder(self, folder: Path) -> None:
        """Write the bag as a folder."""
        bagwriter.write_folder(self.members, folder)


@dataclass(frozen=True)
class Wanted:
    """Which package: the recording whose `start` line has index `start` in the journal `origin`, whole or a stretch of it.

    `export` is the index of this package's own line in the ledger; without it the newest custody line must be one.
    """

    origin: str
    recording: str
    start: int
    stretch: Stretch | None = None
    export: int | None = None


def make(source: Source, wanted: Wanted, verifier: bytes | None = None) -> Package:
    """The package; `verifier` are the bytes of verify.pyz, when it goes along. ExportError says what is missing."""
    origin, recording, stretch = wanted.origin, wanted.recording, wanted.stretch
    found = gather.find(source, origin, recording, wanted.start, stretch)
    custody = [c for c in source.custody(found.device, recording) if wanted.export is None or c.index <= wanted.export]
    ledger_size = source.ledger_size()
    tracks, files = gather.media(source, found)
    payload = [of_bytes(claims.FILE, claims.write(origin, recording, tracks, part=stretch is not None)), *files]
    payload.append(of_bytes("data/journal.jsonl", b"".join(gather.all_rows(found))))
    payload.append(of_bytes("data/journal.proof", gather.range_proof(source, found).encode()))
    payload.append(_proof(source, "data/device.tlog-proof", source.enrolment(origin), ledger_size))
    beacon = _beacon(source, found)
    payload += beacon
    payload += _anchor(source, found, ledger_size)
    payload += _custody(source, custody, ledger_size)
    for name, pem in sorted(source.certificates(origin).items()):
        payload.append(of_bytes(f"data/certificates/{name}", pem))
    payload.append(of_bytes("data/keys.txt", "".join(f"{vkey}\n" for vkey in source.vkeys()).encode()))
    history = gather.custody_members(c.line for c in custody)
    made_at = history[-1]["at"]
    page = report.page(report.Subject(found, tracks, history, stretch, _anchor_time(beacon)))
    payload.append(of_bytes("data/report.html", page.encode()))
    tools = [of_bytes("verify.pyz", verifier)] if verifier is not None else []
    return Package(_name(found, stretch), bagwriter.bag(payload, _info(found, stretch, made_at), tools))


def _name(found: Found, stretch: Stretch | None) -> str:
    return found.recording if stretch is None else f"{found.recording}_{stretch.first_ms}-{stretch.end_ms}"


def _info(found: Found, stretch: Stretch | None, made_at: int) -> list[tuple[str, str]]:
    part = "whole" if stretch is None else f"excerpt, {stretch.first_ms} to {stretch.end_ms} ms of media time"
    return [
        ("Source-Organization", found.origin.rsplit("/", 2)[0]),
        ("External-Identifier", found.recording),
        ("External-Description", f"Recording of {found.device}, {part}"),
        ("Bagging-Date", utc(made_at)[:10]),
        ("Bag-Software-Agent", "Zhilu; format docs/evidence-format.md, version 1"),
    ]


def _proof(source: Source, name: str, index: int, size: int) -> Member:
    return of_bytes(name, source.ledger_proof(index, size).encode())


def _beacon(source: Source, found: Found) -> list[Member]:
    """The ledger checkpoint that the device knew when it began, and the newest anchor under it; nothing when it knew none."""
    beacons = [row.members["checkpoint"] for row in found.governing if row.members["kind"] == "beacon"]
    if not beacons:
        return []
    try:
        size = note.parse_checkpoint(beacons[-1]).size
    except NoteError as e:
        raise ExportError(f"{found.recording}: its beacon line holds no checkpoint: {e}") from e
    signed = of_bytes("data/beacon.note", source.ledger_note(beacons[-1]).encode())
    return [signed, _proof(source, "data/beacon.tlog-proof", source.newest_anchor(size), size)]


def _anchor_time(beacon: list[Member]) -> int | None:
    """When the beacon's anchor was made, by the ledger's own word, for the report."""
    if not beacon:
        return None
    extra = note.parse_tlog_proof(b"".join(beacon[1].pieces()).decode()).extra
    return int(core_lines.read(extra)["at"]) if extra is not None else None


def _anchor(source: Source, found: Found, ledger_size: int) -> list[Member]:
    if found.anchored is None or found.anchored.line >= ledger_size:
        return []
    return [
        of_bytes("data/anchor.proof", found.anchored.proof.encode()),
        _proof(source, "data/anchor.tlog-proof", found.anchored.line, ledger_size),
    ]


def _custody(source: Source, custody: list[Custody], ledger_size: int) -> list[Member]:
    members = gather.custody_members(c.line for c in custody)
    if not members or members[-1]["kind"] != "export":
        raise ExportError("the ledger has no export line for this package: append it before")
    if custody[-1].index >= ledger_size:
        raise ExportError("the ledger has not yet signed the export line")
    out = [of_bytes("data/custody.jsonl", b"".join(c.line + b"\n" for c in custody))]
    for line, m in zip(custody, members, strict=True):
        out.append(_proof(source, f"data/custody/{m['c']}.tlog-proof", line.index, ledger_size))
    return out
