"""Read a device's journals from its state folder, as they lie there: segments, checkpoints, the cosigned note.

Rules (docs/evidence-format.md, section 4):
- Segments follow each other without a hole; the first may begin behind what was trimmed, with the compact range of the tree before it.
  A trim is a line of the journal, written before the first byte goes: lines that are missing without one were taken away.
  What a trim that was cut off left behind such a hole is named, and not read again.
- A torn tail of the last segment or of the checkpoint file is what a power cut leaves: it is named, and changes no verdict.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from agent.core import lines as core_lines
from agent.core import merkle, note
from agent.core.errors import CoreError, LineError
from server.evidence.errors import AuditError, UnreadableError
from server.evidence.reading import meaning
from server.evidence.verdict import Check

from .fold import Fold
from .media import Media

_SEGMENT = re.compile(r"segment-([0-9]{12})\.jsonl")
NOTE_LINES = 5
SEGMENT_LINES = 65_536


@dataclass
class Journal:
    """One journal as it lies there: its fold, the roots at the sizes that checkpoints are of."""

    folder: Path
    fold: Fold
    origin: str
    notes: list[tuple[note.Checkpoint, str]] = field(default_factory=list)
    cosigned: str | None = None
    roots: dict[int, bytes] = field(default_factory=dict)


def journal_folders(folder: Path) -> list[Path]:
    """The folders of a device's journals, in the order of their numbers."""
    found = [p for p in (folder / "journal").iterdir() if p.is_dir() and p.name.isdecimal()]
    if not found:
        raise AuditError(f"{folder}: there is no journal in it (journal/1)")
    return sorted(found, key=lambda p: int(p.name))


def open_journal(check: Check, path: Path, store: Media) -> Journal:
    """A journal with its notes read, and no line taken yet."""
    notes = list(_notes(check, path))
    cosigned = path / "cosigned"
    origin = notes[0][0].origin if notes else _origin_without_notes(path)
    oldest = min((first for first, _ in _segments(path)), default=0)
    first = _begin_of(path)
    if first != oldest:
        check.note(f"{origin}: lines from {oldest} on, before a hole, were left by a trim that was cut off; they are not read")
    journal = Journal(path, Fold(check, origin, store, lambda name: name, first), origin, notes)
    if cosigned.exists():
        try:
            journal.cosigned = note.text(cosigned.read_bytes())
        except (CoreError, OSError) as e:
            check.tampered(f"{path.name}/cosigned", str(e))
    return journal


def _origin_without_notes(path: Path) -> str:
    """Of a journal whose checkpoints are gone: what its first line says, else what enrolment.json says."""
    with suppress(LineError):
        m = meaning(first_line(path) or b"")
        if m["kind"] == "enrol":
            return str(m["origin"])
    return claimed_origin(path)


def first_line(path: Path) -> bytes | None:
    """A journal's line 0, where it is there."""
    segments = _segments(path)
    if not segments or segments[0][0]:
        return None
    try:
        with segments[0][1].open("rb") as file:
            line = file.readline(core_lines.MAX_LINE + 1)
    except OSError as e:
        raise UnreadableError(f"{segments[0][1]}: {e.strerror or e}") from e
    return line[:-1] if line.endswith(b"\n") else None


def claimed_origin(path: Path) -> str:
    """What enrolment.json says that the journal is: a label, for a journal without checkpoints, and what it is held against."""
    try:
        said = json.loads((path.parent.parent / "enrolment.json").read_text(encoding="utf-8"))
        return f"{said['domain']}/{said['device']}/{path.name}"
    except (OSError, ValueError, KeyError, TypeError):
        return f"journal/{path.name}"


def _segments(path: Path) -> list[tuple[int, Path]]:
    found = ((_SEGMENT.fullmatch(p.name), p) for p in path.iterdir())
    return sorted((int(match.group(1)), p) for match, p in found if match)


def _begin_of(path: Path) -> int:
    """Where to begin reading: at the first segment, or behind a hole that a trim line in what follows accounts for."""
    segments = _segments(path)
    begin = segments[-1][0] if segments else 0
    for first, _ in reversed(segments):
        if begin - first > SEGMENT_LINES:
            trimmed = any(_trimmed(file) >= begin for after, file in segments if after >= begin)
            return begin if trimmed else segments[0][0]
        begin = first
    return begin


def _trimmed(segment: Path) -> int:
    """The largest size that a trim line in a segment names."""
    try:
        rows = [line for line in segment.read_bytes().split(b"\n") if b'"kind":"trim"' in line]
    except OSError as e:
        raise UnreadableError(f"{segment}: {e.strerror or e}") from e
    size = 0
    for row in rows:
        with suppress(LineError):
            m = meaning(row)
            size = max(size, m["size"] if m["kind"] == "trim" else 0)
    return size


def _lines(check: Check, journal: Journal) -> Iterator[bytes]:
    """The lines of all segments; a torn tail of the last is named, a hole before it as well."""
    expected = journal.fold.first
    segments = [(first, path) for first, path in _segments(journal.folder) if first >= expected]
    for number, (first, path) in enumerate(segments):
        if first != expected:
            check.tampered(
                f"{journal.origin} line {expected}", f"lines {expected} to {first - 1} are not there: {path.name} begins behind them"
            )
            return
        try:
            data = path.read_bytes()
        except OSError as e:
            raise UnreadableError(f"{path}: {e.strerror or e}") from e
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            if number + 1 < len(segments):
                check.tampered(path.name, "torn, and it is not the last segment")
            check.note(f"{path.name}: {len(data) - whole} bytes behind the last whole line: a start of the device sets them aside")
        for line in data[:whole].split(b"\n")[:-1]:
            expected += 1
            yield line


def _notes(check: Check, path: Path) -> Iterator[tuple[note.Checkpoint, str]]:
    """The stored checkpoints in order; what is no note is named once."""
    file = path / "checkpoints"
    rows_ = file.read_text(encoding="utf-8", errors="replace").split("\n") if file.exists() else []
    for at in range(0, len(rows_) - NOTE_LINES, NOTE_LINES):
        text = "\n".join(rows_[at : at + NOTE_LINES]) + "\n"
        try:
            yield note.parse_checkpoint(note.split(text)[0]), text
        except CoreError as e:
            check.tampered(f"journal/{path.name}/checkpoints line {at + 1}", f"not a signed checkpoint: {e}")
            return
    if rows_ and (rows_[-1] or len(rows_) % NOTE_LINES != 1):
        check.note(f"journal/{path.name}/checkpoints: a torn note at its end: a start of the device sets it aside")


def walk(check: Check, journal: Journal, wanted: Iterable[int]) -> None:
    """Take every line; keep the roots at the sizes that somebody signed, and at those that are `wanted`."""
    tree = _begin(check, journal)
    begin = tree.root()
    sizes = {head.size for head, _ in journal.notes} | set(wanted)
    if journal.cosigned is not None:
        try:
            sizes.add(note.parse_checkpoint(note.split(journal.cosigned)[0]).size)
        except CoreError as e:
            check.tampered(f"journal/{journal.folder.name}/cosigned", str(e))
            journal.cosigned = None
    if tree.size in sizes:
        journal.roots[tree.size] = tree.root()
    for line in _lines(check, journal):
        if not 1 <= len(line) <= core_lines.MAX_LINE:
            check.tampered(journal.fold.place(journal.fold.size), f"a line is 1 to {core_lines.MAX_LINE} bytes, got {len(line)}")
        leaf = merkle.leaf_hash(line)
        tree.append(leaf)
        journal.fold.add(line, leaf)
        if tree.size in sizes:
            journal.roots[tree.size] = tree.root()
    journal.fold.close()
    _check_trimmed(check, journal, begin)


def _check_trimmed(check: Check, journal: Journal, begin: bytes) -> None:
    """Lines below the first one went by a trim that is on record, of this very tree."""
    first, trims = journal.fold.first, journal.fold.trims
    if first and max(trims, default=0) < first:
        check.incomplete(journal.fold.place(0), f"lines 0 to {first - 1} are not there, and no trim line says so")
    elif trims.get(first, begin.hex()) != begin.hex():
        check.tampered(journal.fold.place(first), "the trim line says that the tree was another one here")


def _begin(check: Check, journal: Journal) -> merkle.Range:
    """The tree before the first line that is there: of nothing, or what trimming left."""
    first = journal.fold.first
    if not first:
        return merkle.Range()
    name = journal.folder / f"segment-{first:012d}.range"
    try:
        rows_ = name.read_text(encoding="ascii").split("\n")
        check.note(f"{journal.origin}: lines below {first} were trimmed; their tree is known by its compact range")
        return merkle.Range(first, [note.unbase64(row, 32) for row in rows_[1:-1]])
    except (OSError, ValueError) as e:
        check.incomplete(
            f"journal/{journal.folder.name}/{name.name}", f"lines below {first} are not there, nor the range of their tree: {e}"
        )
        # Whatever root comes of this fits nothing that anybody signed.
        return merkle.Range(first, [bytes(32)] * first.bit_count())
