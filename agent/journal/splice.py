"""Changing the end of a journal in one step that a power cut can't halve: the lines to come are noted before the old ones go.

Rules (docs/evidence-format.md, section 4, handshake):
- Only lines that never left the device may be taken away; whoever asks for a splice has made sure of that.
- The note (`splice`) holds everything that is to stand behind line `at`; it is durable before anything is cut, and removed
  when the new end is durable under a checkpoint. Done again from the beginning it gives the same journal.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.journal.errors import disk
from agent.journal.journal import Journal
from hal.contracts import Files

NAME = "splice"


@dataclass(frozen=True, slots=True)
class Splice:
    """Line `at` and everything behind it become `fetched`, of which `note` is the server's cosigned checkpoint, and `own`."""

    at: int
    fetched: list[bytes]
    own: list[bytes]
    note: str


def perform(journal: Journal, files: Files, splice: Splice) -> None:
    """Note the splice, then carry it out."""
    head = {"at": splice.at, "fetched": len(splice.fetched), "note": splice.note}
    rows: Sequence[bytes] = [json.dumps(head).encode(), *splice.fetched, *splice.own, b""]
    with disk("note a splice in", journal.folder):
        files.replace(journal.folder / NAME, b"\n".join(rows))
    carry_out(journal, files, splice)


def noted(files: Files, folder: Path) -> Splice | None:
    """The splice that a power cut interrupted; None too where its note can't be read: the journal is then judged as it stands."""
    try:
        rows = files.read(folder / NAME).split(b"\n")
        head = json.loads(rows[0])
        at, count, text = head["at"], head["fetched"], head["note"]
    except (FileNotFoundError, ValueError, TypeError, KeyError, RecursionError):
        return None
    if type(at) is not int or type(count) is not int or type(text) is not str or not 0 <= count <= len(rows) - 2 or at < 0:
        return None
    return Splice(at, rows[1 : count + 1], rows[count + 1 : -1], text)


def carry_out(journal: Journal, files: Files, splice: Splice) -> None:
    """Cut the old end off, append the new one, forget the note."""
    journal.rewind(splice.at)
    for lines in (splice.fetched, splice.own):
        if lines:
            journal.append(lines)
    journal.keep_cosigned(splice.note)
    with disk("finish a splice in", journal.folder):
        files.remove(journal.folder / NAME)
        files.sync_folder(journal.folder)
