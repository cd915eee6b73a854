"""Opens the stages that hold evidence: key, journal, media, receipts, and the index of what waits.

Rules (docs/evidence-format.md, section 4):
- After every start recovery decides before anything else is believed, and what it found is the first thing on record.
- Where no signed state fits the disk, or the server's copy excludes ours, recording goes on in journal n+1: the same key and
  certificate under the new name. The enrolment is what says which journal is written; the old one is kept as it is.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent import health
from agent.buffer.errors import BufferFault
from agent.buffer.index import Index
from agent.core import note, wire
from agent.journal.adopt import next_journal
from agent.journal.errors import JournalError, Lost, Storage
from agent.journal.media import MediaFiles
from agent.journal.receipts import Receipts
from agent.journal.recovery import Recovered, announce, recover
from agent.journal.scribe import Scribe
from agent.journal.signer import FileSigner, vkey
from agent.pipeline import enrolment as enrolments
from agent.pipeline.enrolment import Enrolment

if TYPE_CHECKING:
    from agent.uplink.ports import Fragment
    from hal.contracts import Clock, Files, Signer

log = logging.getLogger(__name__)

RANDOM = os.urandom


@dataclass(slots=True)
class Evidence:
    """Everything of a device that holds evidence, open for writing. `unfinished` recordings were ended by recovery."""

    enrolment: Enrolment
    signer: Signer
    scribe: Scribe
    media: MediaFiles
    receipts: Receipts
    index: Index
    unfinished: list[str]
    tampered: str

    def read(self, fragment: Fragment) -> bytes:
        """A fragment's bytes from the disk; OSError where they can't be read."""
        try:
            return self.media.read(fragment.recording, fragment.track, fragment.offset, fragment.bytes)
        except Storage as error:
            raise OSError(error.errno, str(error)) from error

    def close(self) -> None:
        """Close the index; everything else is durable already."""
        self.index.close()


def open_evidence(
    state: Path, enrolment: Enrolment, files: Files, clock: Clock, changed: Callable[[], None], random: Callable[[int], bytes] = RANDOM
) -> Evidence:
    """Recover, say what was found, open the index. `changed` is called after every durable append; `random` makes salts."""
    signer = FileSigner.load(state / "evidence" / "evidence.key")
    if vkey(enrolment.origin, signer) != enrolment.vkey:
        raise JournalError(f"{state}: the evidence key is not the one that {enrolment.origin} was enrolled with; provision the device anew")
    media, receipts = MediaFiles(state / "media", files), Receipts(state / "receipts", files)
    enrolment, recovered, previous = _recovered(state, enrolment, signer, files, media)
    scribe = Scribe(recovered.journal, media, clock, random)
    with scribe.batch():
        if not recovered.journal.size:
            scribe.enrol(enrolment.vkey, enrolment.certificate, previous)
        announce(scribe, recovered, health.software(), health.hardware())
    receipts.settle()
    index = Index.open(state / "buffer.sqlite", recovered.journal, media, receipts.recordings)
    scribe.on_durable = _taken(index, changed)
    return Evidence(enrolment, signer, scribe, media, receipts, index, recovered.unfinished, recovered.tampered)


def _taken(index: Index, changed: Callable[[], None]) -> Callable[[int, Sequence[bytes]], None]:
    """What follows from a durable append. The index may fail: it catches up with the next one, and the lines are durable."""

    def take(first: int, lines: Sequence[bytes]) -> None:
        try:
            index.add(first, lines)
        except BufferFault as error:
            log.error("the index is behind", extra={"why": str(error)})  # noqa: TRY400 — the sentence says it all
        changed()

    return take


def _recovered(
    state: Path, enrolment: Enrolment, signer: Signer, files: Files, media: MediaFiles
) -> tuple[Enrolment, Recovered, list[tuple[str, Any]] | None]:
    """The journal that is to be written, and the `previous` of its first line where there is an older one."""
    folder = state / "journal"
    older = folder / str(enrolment.n - 1)
    if files.list(older):
        before = wire.origin(enrolment.domain, enrolment.device, enrolment.n - 1)
        return enrolment, *next_journal(older, before, signer, files, media)
    try:
        return enrolment, recover(folder / str(enrolment.n), enrolment.origin, signer, files, media), None
    except Lost as error:
        log.exception("journal can't go on; beginning the next one")
        succeeding = succeed(state, enrolment, files, str(error))
        return succeeding, *next_journal(folder / str(enrolment.n), enrolment.origin, signer, files, media)


def succeed(state: Path, enrolment: Enrolment, files: Files, why: str) -> Enrolment:
    """Make journal n+1 the one that is written from the next start on; the enrolment with it, durably."""
    path = state / enrolments.NAME
    members = json.loads(path.read_bytes())
    n = enrolment.n + 1
    origin = wire.origin(enrolment.domain, enrolment.device, n)
    key = note.verifier(enrolment.vkey)
    members |= {"n": n, "origin": origin, "vkey": note.vkey(origin, key.algorithm, key.key), "because": why[:500]}
    files.replace(state / f"enrolment-{enrolment.n}.json", path.read_bytes())
    files.replace(path, json.dumps(members, indent=2).encode() + b"\n")
    return enrolments.load(state)
