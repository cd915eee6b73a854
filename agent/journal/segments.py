"""The journal's line files: segments of 65,536 lines, each with what stood before it.

    segment-000000065536.jsonl   lines from that index on
    segment-000000065536.range   the compact range of the tree at that index: size, then a hash in base64 a line
    segment-000000065536.state   what recordings, numbers and governing lines were open there (agent.journal.story)

Rules (docs/evidence-format.md, section 4):
- `.range` and `.state` are written whole before the segment's first line, so that a start reads one segment, however long
  the journal is. `.state` can be had again from the lines before; after trimming it is all that is left of them.
- A line that does not end in a newline is torn.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from agent.core import merkle, note
from agent.core.errors import CoreError
from agent.journal.errors import Damaged
from agent.journal.story import Story
from hal.contracts import Files

SEGMENT_LINES = 65_536
_DIGITS = 12


@lru_cache(maxsize=16)  # that of the newest is asked for at every append
def path(folder: Path, first: int, kind: str = "jsonl") -> Path:
    """The file of the segment that begins at line `first`."""
    return folder / f"segment-{first:0{_DIGITS}d}.{kind}"


def first_of(index: int) -> int:
    """Index of the first line in the segment that holds line `index`."""
    return index // SEGMENT_LINES * SEGMENT_LINES


def names(files: Files, folder: Path) -> list[tuple[str, int]]:
    """Every file of a segment, of whichever kind, and the index at which its segment begins."""
    found = []
    for name in files.list(folder):
        digits = name.removeprefix("segment-").partition(".")[0]
        if len(digits) == _DIGITS and digits.isdecimal() and name.startswith("segment-"):
            found.append((name, int(digits)))
    return found


def firsts(files: Files, folder: Path) -> list[int]:
    """Where the segments that have a line file begin, ascending."""
    return [first for name, first in names(files, folder) if name == path(folder, first).name]


def oldest(found: Sequence[int]) -> int:
    """Where the lines begin that reach the end without a hole: a trim that a power cut halved may leave older segments behind one."""
    begin = found[-1] if found else 0
    for first in reversed(found):
        if begin - first > SEGMENT_LINES:
            break
        begin = first
    return begin


@dataclass(slots=True)
class Segment:
    """A segment as read: the lines' places in the file, bytes of the whole lines, and of a torn one behind them."""

    first: int
    data: bytes
    starts: array[int]
    whole: int

    @property
    def end(self) -> int:
        """Index behind the last whole line."""
        return self.first + len(self.starts)

    @property
    def torn(self) -> bytes:
        """Bytes behind the last whole line."""
        return self.data[self.whole :]

    def lines(self) -> list[bytes]:
        """The whole lines, without their newlines."""
        return self.data[: self.whole].split(b"\n")[:-1]


def read(files: Files, folder: Path, first: int) -> Segment:
    """The segment that begins at `first`; an empty one where there is no such file."""
    try:
        data = files.read(path(folder, first))
    except FileNotFoundError:
        data = b""
    starts, at = array("Q"), 0
    while (end := data.find(b"\n", at)) >= 0 and len(starts) < SEGMENT_LINES:
        starts.append(at)
        at = end + 1
    return Segment(first, data, starts, at)


def write_begin(files: Files, folder: Path, tree: merkle.Range, story: Story) -> None:
    """Put on record, durably, what stands before the segment that begins at the tree's size."""
    text = "".join(f"{row}\n" for row in [str(tree.size), *map(note.base64, tree.hashes)])
    files.replace(path(folder, tree.size, "state"), story.dump())
    files.replace(path(folder, tree.size, "range"), text.encode())


def read_range(files: Files, folder: Path, first: int) -> merkle.Range:
    """The compact range before the segment; Damaged when its file is missing or no range of that size."""
    if first == 0:
        return merkle.Range()
    name = path(folder, first, "range")
    try:
        rows = files.read(name).decode("ascii").split("\n")
        hashes: Sequence[bytes] = [note.unbase64(row, merkle.HASH_BYTES) for row in rows[1:-1]]
        if rows[-1] or note.decimal(rows[0]) != first:
            raise Damaged(f"{name.name}: expected the range of {first} lines, got {rows[0][:20]!r}")
        return merkle.Range(first, hashes)
    except FileNotFoundError as error:
        raise Damaged(f"{name.name}: the range before the segment is missing; it is computed again from older lines") from error
    except (CoreError, UnicodeDecodeError) as error:
        raise Damaged(f"{name.name}: not a compact range: {error}") from error


def read_state(files: Files, folder: Path, first: int) -> Story:
    """The story before the segment; Damaged when its file is missing or unreadable."""
    if first == 0:
        return Story()
    name = path(folder, first, "state")
    try:
        return Story.load(files.read(name), first)
    except FileNotFoundError as error:
        raise Damaged(f"{name.name}: the state before the segment is missing; it is read again from older lines") from error


def begin_of(files: Files, folder: Path, first: int, *, trust: bool = True) -> tuple[merkle.Range, Story]:
    """Range and story before a segment, computed again from older segments where their files are damaged or not trusted."""
    older = first - SEGMENT_LINES
    older_there = older in firsts(files, folder)
    try:
        if trust or not older_there:
            return read_range(files, folder, first), read_state(files, folder, first)
    except Damaged:
        if not older_there:
            raise
    tree, story = begin_of(files, folder, older, trust=trust)
    segment = read(files, folder, older)
    if segment.end != first or segment.torn:
        raise Damaged(f"{path(folder, older).name}: expected {SEGMENT_LINES} whole lines, got {len(segment.starts)}")
    for index, line in enumerate(segment.lines(), older):
        tree.append(merkle.leaf_hash(line))
        story.add(index, line)
    return tree, story


def cut(files: Files, folder: Path, size: int) -> None:
    """Cut the line files to `size` lines, durably."""
    first = max((first for first in firsts(files, folder) if first < size), default=0)
    segment = read(files, folder, first)
    keep = size - first
    cut_bytes(files, folder, first, segment.starts[keep] if keep < len(segment.starts) else segment.whole)


def cut_bytes(files: Files, folder: Path, first: int, size: int) -> None:
    """Cut the segment that begins at `first` to so many bytes, durably; later ones go, before it could end short of them."""
    there = firsts(files, folder)
    later = [path(folder, one) for one in there if one > first]
    for name in reversed(later):
        files.remove(name)
    if later:
        files.sync_folder(folder)
    if first in there:
        name = path(folder, first)
        if files.size(name) > size:
            files.truncate(name, size)
        files.sync(name)
