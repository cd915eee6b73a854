"""The journal: an append-only log of lines and the signed checkpoints over it; the device's legal record.

Rules (docs/evidence-format.md, sections 2 to 5):
- Lines are durable before the checkpoint over them is signed and appended; the append counts when that is durable too.
- Nothing leaves that is not covered by a stored checkpoint: `batch` ends where one is. So an append of more than fits into
  one batch gets several checkpoints.
- A failed append leaves the journal as it was: what is on the disk already is cut off again, if not now, then before the
  next append.
- The cosigned note is the server's receipt for all lines below its size; it never goes back.

Opening reads the newest segment only, and expects what recovery leaves behind: lines that end exactly at a checkpoint.
Recovery decides about everything else; what the lines mean is `story`'s business, and writing them the scribe's.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.core import lines as core_lines
from agent.core import merkle, note, wire
from agent.core.errors import NoteError
from agent.journal import segments
from agent.journal.checkpoints import Checkpoints
from agent.journal.checkpoints import Stored as StoredCheckpoint
from agent.journal.errors import BadLine, Contradiction, Damaged, disk, storage_error
from agent.journal.signer import verifier
from agent.journal.story import Story
from hal.contracts import Files, Signer

COSIGNED = "cosigned"
MAX_APPEND_BYTES = 49_152
"""Lines under one checkpoint: with index and note they fit into a batch of 64 KiB."""


@dataclass(slots=True)
class _Mark:
    """What an append changes in memory: enough to undo it."""

    size: int
    tree: merkle.Range
    story: Story
    first: int
    starts: array[int]
    count: int
    bytes: int
    checkpoints: tuple[StoredCheckpoint | None, int]


class Journal:
    """One origin's log. All methods may be called from any thread; there is one writer at a time."""

    def __init__(self, folder: Path, origin: str, signer: Signer, files: Files) -> None:
        """For `open`: loads what is there, Damaged when it does not fit together."""
        self.folder = folder
        self.origin = origin
        self._signer = signer
        self._files = files
        self._verifier = verifier(origin, signer)
        self._lock = threading.RLock()
        self._undo = False
        self._older: tuple[int, list[bytes]] = (-1, [])
        self.reload()

    @classmethod
    def open(cls, folder: Path, origin: str, signer: Signer, files: Files) -> Journal:
        """The journal in the folder, or a new one; Damaged when recovery must decide first."""
        with disk("open journal", folder):
            files.make_folder(folder)
            return cls(folder, origin, signer, files)

    def reload(self) -> None:
        """Read everything again from the disk: the newest segment and the newest checkpoint."""
        with self._lock:
            found = segments.firsts(self._files, self.folder)
            self._first = found[-1] if found else 0
            self._oldest = found[0] if found else 0
            self._checkpoints = Checkpoints(self.folder, self.origin, self._verifier, self._files)
            tree, story = segments.begin_of(self._files, self.folder, self._first)
            segment = segments.read(self._files, self.folder, self._first)
            for index, line in enumerate(segment.lines(), self._first):
                tree.append(merkle.leaf_hash(line))
                story.add(index, line)
            self._tree, self.story = tree, story
            self._starts, self._bytes = segment.starts, segment.whole
            self._cosigned = self._read_cosigned()
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
        return self._tree.size

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

    @property
    def cosigned(self) -> str | None:
        """The newest cosigned note that was kept."""
        return self._cosigned[0] if self._cosigned else None

    @property
    def cosigned_size(self) -> int:
        """Lines that the server has cosigned; 0 before the first cosignature."""
        return self._cosigned[1].size if self._cosigned else 0

    def lines(self, first: int, end: int) -> list[bytes]:
        """Lines [first, end) as they stand on the disk; BadLine where they are trimmed or not there yet."""
        with self._lock, disk("read journal", self.folder):
            if not self._oldest <= first <= end <= self.size:
                raise BadLine(f"lines {first} to {end}: the journal has {self._oldest} to {self.size}")
            found: list[bytes] = []
            while first < end:
                begin = segments.first_of(first)
                stop = min(end, begin + segments.SEGMENT_LINES)
                found += self._segment_lines(begin, first - begin, stop - begin)
                first = stop
            return found

    def _segment_lines(self, begin: int, first: int, end: int) -> list[bytes]:
        if begin == self._first:
            at = self._starts[first]
            until = self._starts[end] if end < len(self._starts) else self._bytes
            data = self._files.read(segments.path(self.folder, begin), at, until - at)
            return data.split(b"\n")[:-1]
        if self._older[0] != begin:
            self._older = begin, segments.read(self._files, self.folder, begin).lines()
        return self._older[1][first:end]

    def iterate(self, first: int = 0) -> Iterator[tuple[int, bytes]]:
        """(index, line) from `first` or the oldest kept line to the end as it was when asked."""
        first, end = max(first, self._oldest), self.size
        while first < end:
            until = min(end, segments.first_of(first) + segments.SEGMENT_LINES)
            yield from enumerate(self.lines(first, until), first)
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
            first = segments.first_of(size)
            if first < self._oldest:
                return None
            tree, _ = segments.begin_of(self._files, self.folder, first)
            for line in self.lines(first, size):
                tree.append(merkle.leaf_hash(line))
            return tree.root()

    def checkpoint_at(self, size: int) -> str | None:
        """The signed checkpoint of exactly this size, if one is stored."""
        with self._lock, disk("read checkpoints", self.folder):
            stored = self._checkpoints.at(size)
            return stored.text if stored else None

    def batch(
        self, first: int, max_lines: int = wire.MAX_BATCH_LINES, max_bytes: int = wire.MAX_BATCH_BYTES
    ) -> tuple[list[bytes], str] | None:
        """Lines from `first` to a size that has a stored checkpoint, and that checkpoint; None when nothing waits or fits."""
        with self._lock, disk("read checkpoints", self.folder):
            limit = min(first + max_lines, self.size)
            while (stored := self._checkpoints.at_most(limit)) is not None and stored.size > first:
                found = self.lines(first, stored.size)
                room = max_bytes - len(b"%d\n\n" % first) - len(stored.text.encode())
                if sum(map(len, found)) + len(found) <= room:
                    return found, stored.text
                limit = stored.size - 1
            return None

    # ------------------------------------------------------------------ writing

    def append(self, new: Sequence[bytes]) -> str:
        """Make lines durable, then the checkpoint over them; the signed checkpoint. All of them or none."""
        for line in new:
            if not 1 <= len(line) <= core_lines.MAX_LINE or b"\n" in line:
                raise BadLine(f"a line is 1 to {core_lines.MAX_LINE} bytes without newline, got {len(line)} bytes")
        if not new:
            raise BadLine("an append needs at least one line")
        with self._lock:
            self._finish_undo()
            mark = self._mark()
            try:
                for part in _parts(new, self.size):
                    self._write(part)
            except OSError as error:
                self._go_back(mark)
                raise storage_error("append to", self.folder, error) from error
            except BaseException:  # the key may fail too; lines without a checkpoint must not stay
                self._go_back(mark)
                raise
            newest = self._checkpoints.newest
            assert newest is not None
            return newest.text

    def _write(self, part: Sequence[bytes]) -> None:
        """One durable step: lines, then their checkpoint (section 4, steps 2 and 3)."""
        if self.size and self.size % segments.SEGMENT_LINES == 0:
            segments.write_begin(self._files, self.folder, self._tree, self.story)
            self._first, self._starts, self._bytes = self.size, array("Q"), 0
        name = segments.path(self.folder, self._first)
        data = b"\n".join([*part, b""])
        self._files.append(name, data)
        self._files.sync(name)
        if not self._starts:
            self._files.sync_folder(self.folder)
        for line in part:
            self.story.add(self.size, line)
            self._tree.append(merkle.leaf_hash(line))
            self._starts.append(self._bytes)
            self._bytes += len(line) + 1
        self.sign()

    def sign(self) -> None:
        """Sign and store the checkpoint over all lines."""
        root = self._tree.root()
        body = note.checkpoint(self.origin, self.size, root)
        text = note.sign(body, self.origin, self._signer.algorithm, self._signer.public_key(), self._signer.sign)
        self._checkpoints.append(text, self.size, root)

    def _mark(self) -> _Mark:
        count = len(self._starts)
        return _Mark(
            self.size, self._tree.copy(), self.story.copy(), self._first, self._starts, count, self._bytes, self._checkpoints.mark()
        )

    def _go_back(self, mark: _Mark) -> None:
        """Forget a failed append, here and if possible on the disk."""
        self._tree, self.story, self._first, self._bytes = mark.tree, mark.story, mark.first, mark.bytes
        self._starts = mark.starts
        del self._starts[mark.count :]
        self._checkpoints.back_to(mark.checkpoints)
        self._undo = True
        try:
            self._undo_on_disk()
        except OSError:
            return  # the disk that refused the append may refuse this too; `_finish_undo` tries again

    def _undo_on_disk(self) -> None:
        for first in segments.firsts(self._files, self.folder):
            name = segments.path(self.folder, first)
            if first > self._first:
                self._files.remove(name)
            elif first == self._first:
                if self._files.size(name) > self._bytes:
                    self._files.truncate(name, self._bytes)
                self._files.sync(name)
        self._files.sync_folder(self.folder)
        self._checkpoints.cut()
        self._undo = False

    def _finish_undo(self) -> None:
        if self._undo:
            with disk("cut a failed append from", self.folder):
                self._undo_on_disk()

    def rewind(self, size: int) -> None:
        """Forget all lines from `size` on, which must be the size of a checkpoint; the caller has them elsewhere."""
        with self._lock, disk("rewind", self.folder):
            if size and self._checkpoints.at(size) is None:
                raise Damaged(f"{self.folder.name}: no checkpoint of {size} lines to go back to")
            segments.cut(self._files, self.folder, size)
            self._checkpoints.forget_above(size)
            self._older = (-1, [])
            self.reload()

    # ------------------------------------------------------------------ the server's receipts

    def keep_cosigned(self, text: str) -> bool:
        """Keep the server's newest cosigned note, durably. False when one of that size or more is kept already.

        Contradiction when it is not of our lines. Whose cosignature it holds was checked by who took it in.
        """
        with self._lock:
            head = _head(text)
            if head.origin != self.origin:
                raise Contradiction(f"expected a cosigned checkpoint of {self.origin}, got one of {head.origin}")
            if head.size > self.size or self.root_at(head.size) != head.root:
                raise Contradiction(f"the server cosigned another root of {head.size} lines than ours of {self.size}")
            if head.size <= self.cosigned_size:
                return False
            with disk("keep cosigned note in", self.folder):
                self._files.replace(self.folder / COSIGNED, text.encode())
            self._cosigned = (text, head)
            return True

    def _read_cosigned(self) -> tuple[str, note.Checkpoint] | None:
        found = read_cosigned(self._files, self.folder, self._verifier)
        return found if found and found[1].size <= self.size else None

    def trimmable(self, size: int) -> int:
        """How far `trim` may go when asked for `size`: whole segments, cosigned, and of no recording that is still here."""
        needed = min((known.start for known in self.story.known.values()), default=self.size)
        return max(segments.first_of(min(size, self.cosigned_size, needed, self._first)), self._oldest)

    def trim(self, size: int) -> int:
        """Delete the segments below `trimmable(size)`; the compact range behind them stays. Answers the oldest index left."""
        with self._lock, disk("trim", self.folder):
            keep = self.trimmable(size)
            old = [first for first in segments.firsts(self._files, self.folder) if first < keep]
            self._oldest = keep
            self._older = (-1, [])
            for first in old:
                self._files.remove(segments.path(self.folder, first))
                for kind in ("range", "state") if first else ():
                    self._files.remove(segments.path(self.folder, first, kind))
            if old:
                self._files.sync_folder(self.folder)
                self._checkpoints.forget_below(keep)
            return self._oldest


def read_cosigned(files: Files, folder: Path, known: note.Verifier) -> tuple[str, note.Checkpoint] | None:
    """The kept cosigned note, if it is one that our own key signed too."""
    try:
        text = note.text(files.read(folder / COSIGNED))
        note.open_note(text, [known])
        return text, note.parse_checkpoint(note.split(text)[0])
    except (FileNotFoundError, NoteError):
        return None


def _head(text: str) -> note.Checkpoint:
    try:
        return note.parse_checkpoint(note.split(text)[0])
    except NoteError as error:
        raise Contradiction(f"expected a cosigned checkpoint: {error}") from error


def _parts(new: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    """Cut lines so that each part fits into a batch and into the segment that it begins in."""
    begin = 0
    while begin < len(new):
        room = segments.SEGMENT_LINES - (size + begin) % segments.SEGMENT_LINES
        end, total = begin, 0
        while end < len(new) and end - begin < min(room, wire.MAX_BATCH_LINES):
            total += len(new[end]) + 1
            if total > MAX_APPEND_BYTES and end > begin:
                break
            end += 1
        yield new[begin:end]
        begin = end
