"""A journal for reading: lines, roots and checkpoints of what is durable; safe while another thread appends.

Rules (docs/evidence-format.md, sections 4 and 5):
- Loading reads the newest segment only, and expects what recovery leaves behind: lines that end exactly at a checkpoint.
- A batch for the wire ends at a size that has a stored checkpoint.
- A cosigned note counts when our own key signed it too; whose cosignature it holds was checked by who took it in.

Writing is `journal`'s business, deciding about anything that does not fit recovery's.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from agent.core import merkle, note, wire
from agent.core.errors import NoteError
from agent.journal import segments
from agent.journal.checkpoints import Checkpoints
from agent.journal.errors import BadLine, Damaged, disk
from agent.journal.signer import verifier
from agent.journal.story import Story
from hal.contracts import Files, Signer

COSIGNED = "cosigned"
COSIGNATURE_BYTES = 72
"""Eight bytes of time and an Ed25519 signature (C2SP tlog-cosignature)."""


class Log:
    """One origin's log as it was loaded, and as its writer keeps it. All methods may be called from any thread."""

    def __init__(self, folder: Path, origin: str, signer: Signer, files: Files) -> None:
        self.folder = folder
        self.origin = origin
        self.files = files
        self._signer = signer
        self._verifier = verifier(origin, signer)
        self._lock = threading.RLock()
        self._older: tuple[int, list[bytes]] = (-1, [])
        self.reload()

    def reload(self) -> None:
        """Read everything again from the disk: the newest segment and the newest checkpoint."""
        with self._lock:
            found = segments.firsts(self.files, self.folder)
            self._first = found[-1] if found else 0
            self._oldest = segments.oldest(found)
            self._checkpoints = Checkpoints(self.folder, self.origin, self._verifier, self.files)
            tree, story = segments.begin_of(self.files, self.folder, self._first)
            segment = segments.read(self.files, self.folder, self._first)
            for index, line in enumerate(segment.lines(), self._first):
                tree.append(merkle.leaf_hash(line))
                story.add(index, line)
            self._tree, self.story, self._size = tree, story, tree.size
            self._starts, self._bytes = segment.starts, segment.whole
            self._cosigned = self._read_cosigned()
            self._seconds: tuple[str, int | None] = "", None
            self._check(segment)

    def _check(self, segment: segments.Segment) -> None:
        newest = self._checkpoints.newest
        if segment.torn or self._checkpoints.torn:
            raise Damaged(f"{self.folder.name}: a torn tail behind line {self.size}; run recovery")
        if self.size and newest is None:
            raise Damaged(f"{self.folder.name}: {self.size} lines and no checkpoint; run recovery")
        if newest is not None and (newest.size, newest.root) != (self.size, self._tree.root()):
            raise Damaged(f"{self.folder.name}: the checkpoint of {newest.size} lines does not fit the {self.size} lines; run recovery")

    # ------------------------------------------------------------------ what there is

    @property
    def size(self) -> int:
        """Durable lines under a checkpoint."""
        return self._size

    @property
    def oldest(self) -> int:
        """Index of the first line that was not trimmed."""
        return self._oldest

    @property
    def range(self) -> merkle.Range:
        """Compact range over all lines."""
        with self._lock:
            return self._tree.copy()

    @property
    def checkpoint(self) -> str | None:
        """The newest signed checkpoint; None while the journal is empty."""
        newest = self._checkpoints.newest
        return newest.text if newest else None

    def probe(self) -> None:
        """Storage where the disk would refuse an append: the checkpoints are opened for writing, and nothing is written.

        A card that fails is made read-only by the kernel, and statvfs does not always say so.
        """
        with disk("open for writing", self._checkpoints.path):
            self.files.append(self._checkpoints.path, b"")

    @property
    def cosigned(self) -> str | None:
        """The newest cosigned note that was kept."""
        return self._cosigned[0] if self._cosigned else None

    @property
    def cosigned_size(self) -> int:
        """Lines that the server has cosigned; 0 before the first cosignature."""
        return self._cosigned[1].size if self._cosigned else 0

    @property
    def cosigned_seconds(self) -> int | None:
        """When the server cosigned that, by its clock; None before the first cosignature."""
        if self._cosigned is None:
            return None
        text = self._cosigned[0]
        if self._seconds[0] != text:  # asked for each second, and new once in a while
            stamps = [signature for name, _, signature in note.split(text)[1] if name != self.origin]
            times = (int.from_bytes(stamp[:8], "big") for stamp in stamps if len(stamp) == COSIGNATURE_BYTES)
            self._seconds = text, max(times, default=None)
        return self._seconds[1]

    def lines(self, first: int, end: int) -> list[bytes]:
        """Lines [first, end) as they stand on the disk; BadLine where they are trimmed or not there yet, Damaged where they are lost."""
        with self._lock:
            if not self._oldest <= first <= end <= self.size:
                raise BadLine(f"lines {first} to {end}: the journal has {self._oldest} to {self.size}")
            found = [line for _, line in self._between(first, end)]
            if len(found) != end - first:
                raise Damaged(f"lines {first} to {end}: an older segment is shorter than it was, {end - first - len(found)} are missing")
            return found

    def _between(self, first: int, end: int) -> Iterator[tuple[int, bytes]]:
        """(index, line) of what is there of these."""
        with disk("read journal", self.folder):
            while first < end:
                begin = segments.first_of(first)
                stop = min(end, begin + segments.SEGMENT_LINES)
                yield from enumerate(self._segment_lines(begin, first - begin, stop - begin), first)
                first = stop

    def _segment_lines(self, begin: int, first: int, end: int) -> list[bytes]:
        if begin == self._first:
            at = self._starts[first]
            until = self._starts[end] if end < len(self._starts) else self._bytes
            data = self.files.read(segments.path(self.folder, begin), at, until - at)
            return data.split(b"\n")[:-1]
        if self._older[0] != begin:
            self._older = begin, segments.read(self.files, self.folder, begin).lines()
        return self._older[1][first:end]

    def iterate(self, first: int = 0) -> Iterator[tuple[int, bytes]]:
        """(index, line) from `first` or the oldest kept line to the end as it was when asked; what an older segment lost is left out."""
        first, end = max(first, self._oldest), self.size
        while first < end:
            until = min(end, segments.first_of(first) + segments.SEGMENT_LINES)
            with self._lock:
                found = list(self._between(first, until))
            yield from found
            first = until

    def root_at(self, size: int) -> bytes | None:
        """Root of the first `size` lines; None beyond the end, or where they were trimmed."""
        with self._lock, disk("read journal", self.folder):
            if size == self.size:
                return self._tree.root()
            if not 0 <= size < self.size:
                return None
            stored = self._checkpoints.at(size)
            if stored is not None:
                return stored.root
            return self.range_at(size).root() if segments.first_of(size) >= self._oldest else None

    def range_at(self, size: int) -> merkle.Range:
        """Compact range of the first `size` lines."""
        return self._fold(size)[0]

    def story_at(self, size: int) -> Story:
        """The story of the first `size` lines."""
        return self._fold(size)[1]

    def _fold(self, size: int) -> tuple[merkle.Range, Story]:
        with self._lock, disk("read journal", self.folder):
            if size == self.size:
                return self._tree.copy(), self.story.copy()
            first = segments.first_of(size)
            tree, story = segments.begin_of(self.files, self.folder, first)
            for index, line in enumerate(self.lines(first, size), first):
                tree.append(merkle.leaf_hash(line))
                story.add(index, line)
            return tree, story

    def checkpoint_at(self, size: int) -> str | None:
        """The signed checkpoint of exactly this size, if one is stored."""
        with self._lock, disk("read checkpoints", self.folder):
            stored = self._checkpoints.at(size)
            return stored.text if stored else None

    def batch(
        self, first: int, max_lines: int = wire.MAX_BATCH_LINES, max_bytes: int = wire.MAX_BATCH_BYTES
    ) -> tuple[list[bytes], str] | None:
        """Lines from `first` to a size that has a stored checkpoint, and that checkpoint; None when nothing waits.

        Where not even the next append fits into `max_bytes`, that append alone: it can't be parted.
        """
        with self._lock, disk("read checkpoints", self.folder):
            least, limit = None, min(first + max_lines, self.size)
            while (stored := self._checkpoints.at_most(limit)) is not None and stored.size > first:
                found = self.lines(first, stored.size)
                room = max_bytes - len(b"%d\n\n" % first) - len(stored.text.encode())
                if sum(map(len, found)) + len(found) <= room:
                    return found, stored.text
                least, limit = (found, stored.text), stored.size - 1
            return least

    def _read_cosigned(self) -> tuple[str, note.Checkpoint] | None:
        found = read_cosigned(self.files, self.folder, self._verifier)
        return found if found and found[1].size <= self.size else None


def read_cosigned(files: Files, folder: Path, known: note.Verifier) -> tuple[str, note.Checkpoint] | None:
    """The kept cosigned note, if it is one that our own key signed too."""
    try:
        text = note.text(files.read(folder / COSIGNED))
        note.open_note(text, [known])
        return text, note.parse_checkpoint(note.split(text)[0])
    except (FileNotFoundError, NoteError):
        return None
