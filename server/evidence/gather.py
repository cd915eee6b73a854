"""Find what belongs into a package: the recording's lines, its checkpoint, the governing lines, the fragments that are held.

Rules (docs/evidence-format.md, section 9):
- Which checkpoint: the smallest anchored cosigned one that covers `stop`, else the smallest cosigned one that does; without a
  `stop`, the newest cosigned. Lines beyond it, and `purge` lines, are not exported.
- Governing lines are found by the leaf hashes that `start` names, looking back from it.
- A fragment is held when its stored bytes are there *and* hash to its line: a package never hands on bytes that went bad here.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any

from agent.core import lines as core_lines
from agent.core import merkle, note, wire
from agent.core.errors import LineError

from .bagwriter import Member
from .claims import EXTENSIONS, Track
from .errors import ExportError
from .excerpt import Stretch, select
from .manifest import MEDIA
from .reading import meaning
from .source import Anchored, Source

CHUNK = 4096
"""Lines looked at in one go."""


@dataclass(frozen=True)
class Row:
    """A journal line: index, bytes, members."""

    index: int
    raw: bytes
    members: dict[str, Any]


@dataclass
class Found:
    """A recording as the journal has it, up to the checkpoint under which it is exported."""

    origin: str
    recording: str
    rows: list[Row] = field(default_factory=list)
    governing: list[Row] = field(default_factory=list)
    enrolment: Row | None = None
    checkpoint: str = ""
    size: int = 0
    anchored: Anchored | None = None

    @property
    def device(self) -> str:
        """The device's id."""
        return str(wire.parse_origin(self.origin)[1])

    @property
    def start(self) -> Row:
        """The `start` line."""
        return self.rows[0]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Members of the lines of a kind, in order."""
        return [row.members for row in self.rows if row.members["kind"] == kind]

    def fragments(self) -> dict[str, list[dict[str, Any]]]:
        """Track → members of its fragment lines, in order."""
        tracks: dict[str, list[dict[str, Any]]] = {}
        for m in self.of("fragment"):
            tracks.setdefault(m["track"], []).append(m)
        return tracks

    def shown(self) -> list[Row]:
        """Every line that the package holds, in order of index."""
        rows = {row.index: row for row in [*self.governing, *self.rows]}
        if self.enrolment is not None:
            rows[self.enrolment.index] = self.enrolment
        return [rows[index] for index in sorted(rows)]


def find(source: Source, origin: str, recording: str, start: int, stretch: Stretch | None) -> Found:
    """The recording whose `start` line has index `start`; ExportError when it is not there."""
    found = Found(origin, recording)
    end = _read_to_stop(source, found, start)
    covering = source.anchored_covering(origin, end) if end is not None else None
    size = covering.size if covering is not None else end if end is not None else source.size(origin)
    checkpoint = source.cosigned_covering(origin, size)
    if checkpoint is None:
        raise ExportError(f"{recording}: no cosigned checkpoint covers {size} lines of {origin} yet")
    found.checkpoint, found.anchored = checkpoint, covering
    found.size = note.parse_checkpoint(note.split(checkpoint)[0]).size
    if end is not None:
        found.rows += [r for r in _recording_rows(source, found, end, found.size) if r.members["kind"] != "purge"]
    found.rows = [row for row in found.rows if row.index < found.size]
    found.governing = _governing(source, found)
    found.enrolment = _row(0, source.lines(origin, 0, 1)[0])
    if stretch is not None:
        wanted = select([(row.index, row.members) for row in found.rows], stretch)
        found.rows = [row for row in found.rows if row.index in wanted]
    return found


def _row(index: int, raw: bytes) -> Row | None:
    try:
        return Row(index, raw, meaning(raw))
    except LineError:
        return None


def _recording_rows(source: Source, found: Found, first: int, end: int) -> Iterator[Row]:
    name = found.recording.encode()
    for at in range(first, end, CHUNK):
        for index, raw in enumerate(source.lines(found.origin, at, min(at + CHUNK, end)), at):
            row = _row(index, raw) if name in raw else None
            if row is not None and row.members.get("recording") == found.recording:
                yield row


def _read_to_stop(source: Source, found: Found, start: int) -> int | None:
    """Collect the lines from `start` to `stop`; the index behind the stop, None when there is none yet."""
    for row in _recording_rows(source, found, start, source.size(found.origin)):
        found.rows.append(row)
        if row.members["kind"] == "stop":
            break
    if not found.rows or found.start.index != start or found.start.members["kind"] != "start":
        raise ExportError(f"{found.recording}: line {start} of {found.origin} is not its start")
    last = found.rows[-1]
    return last.index + 1 if last.members["kind"] == "stop" else None


def _governing(source: Source, found: Found) -> list[Row]:
    wanted = set(found.start.members["governing"])
    rows: list[Row] = []
    end = found.start.index
    while end > 0 and wanted:
        first = max(0, end - CHUNK)
        for index, raw in enumerate(source.lines(found.origin, first, end), first):
            leaf = merkle.leaf_hash(raw).hex()
            if leaf in wanted:
                wanted.discard(leaf)
                row = _row(index, raw)
                rows += [row] if row is not None else []
        end = first
    return rows


# --------------------------------------------------------------------------- the proof


def ranges_of(indices: Iterable[int]) -> list[tuple[int, int]]:
    """Ascending indices as ranges [first, end) that do not touch."""
    ranges: list[tuple[int, int]] = []
    for index in indices:
        if ranges and ranges[-1][1] == index:
            ranges[-1] = (ranges[-1][0], index + 1)
        else:
            ranges.append((index, index + 1))
    return ranges


def range_proof(source: Source, found: Found) -> str:
    """The text of journal.proof for the lines that are shown."""
    ranges = ranges_of(row.index for row in found.shown())
    hashes = merkle.range_hashes(source.subtree(found.origin), ranges, found.size)
    return note.range_proof(ranges, hashes, found.checkpoint)


# --------------------------------------------------------------------------- media


def media(source: Source, found: Found) -> tuple[list[Track], list[Member]]:
    """The tracks with what is held of them, and their files."""
    tracks: list[Track] = []
    members: list[Member] = []
    names: set[str] = set()
    named = found.fragments()
    for begun in _first(found.of("track"), "track"):
        # A track that can't be a file of a package is left out with its bytes; its lines stay, and say that it is missing.
        if begun["media"] not in EXTENSIONS or not MEDIA.fullmatch(f"data/media/{begun['track']}.mp4") or begun["track"].lower() in names:
            continue
        names.add(begun["track"].lower())
        # A journal that contradicts itself is exported as it is; of two lines for one fragment the first counts.
        fragments = _first(named.get(begun["track"], []), "seq")
        file = _File(source, found, begun["track"])
        held = [m["seq"] for m in sorted(fragments, key=lambda m: int(m["seq"])) if file.take(m)]
        track = Track(begun["track"], begun["media"], tuple(ranges_of(held)))
        tracks.append(track)
        if held:
            members.append(file.member(track.file))
    return tracks, members


def _first(rows: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The first row of each value of a member, in order."""
    seen: dict[Any, dict[str, Any]] = {}
    for row in rows:
        seen.setdefault(row[name], row)
    return list(seen.values())


class _File:
    """A track's file in the package, put together from held fragments."""

    def __init__(self, source: Source, found: Found, track: str) -> None:
        self._read = partial(source.media, found.device, found.recording, track)
        self._sha256 = hashlib.sha256()
        self._crc32 = 0
        self._size = 0
        self._taken: list[tuple[int, int]] = []

    def take(self, fragment: dict[str, Any]) -> bool:
        """Take a fragment into the file when its bytes are held and are what its line says."""
        pieces = self._read(fragment["offset"], fragment["bytes"])
        if pieces is None:
            return False
        # The digests of the file go on only when the fragment has proved good, so they are kept aside until then.
        whole, crc32, alone, length = self._sha256.copy(), self._crc32, hashlib.sha256(), 0
        for piece in pieces:
            alone.update(piece)
            whole.update(piece)
            crc32 = zlib.crc32(piece, crc32)
            length += len(piece)
        if length != fragment["bytes"] or alone.hexdigest() != fragment["sha256"]:
            return False
        self._sha256, self._crc32, self._size = whole, crc32, self._size + length
        self._taken.append((fragment["offset"], fragment["bytes"]))
        return True

    def member(self, name: str) -> Member:
        """The file; its bytes are read again when they are asked for."""
        pieces: Callable[[], Iterable[bytes]] = self._pieces
        return Member(name, self._size, self._sha256.hexdigest(), self._crc32, pieces)

    def _pieces(self) -> Iterator[bytes]:
        for offset, length in self._taken:
            pieces = self._read(offset, length)
            if pieces is None:
                raise ExportError(f"bytes {offset} to {offset + length} of a track went away while it was exported")
            yield from pieces


def custody_members(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    """Members of custody lines."""
    return [core_lines.read(line) for line in lines]


def all_rows(found: Found) -> Iterator[bytes]:
    """The bytes of journal.jsonl, line by line."""
    return chain.from_iterable((row.raw, b"\n") for row in found.shown())
