"""The journal: an append-only log of lines and the signed checkpoints over it; the device's legal record.

Rules (docs/evidence-format.md, sections 2 to 5):
- Lines are durable before the checkpoint over them is signed and appended; the append counts when that is durable too.
- Nothing leaves that is not covered by a stored checkpoint, so an append of more than fits into one batch gets several.
- A failed append leaves the journal as it was: what is on the disk already is cut off again, if not now, then before the
  next append.
- The cosigned note is the server's receipt for all lines below its size; it never goes back.

Reading is in `log`, what the lines mean in `story`; what to write is the scribe's business.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.core import lines as core_lines
from agent.core import merkle, note, wire
from agent.core.errors import NoteError
from agent.journal import segments
from agent.journal.checkpoints import Stored
from agent.journal.errors import BadLine, Contradiction, Damaged, disk, storage_error
from agent.journal.log import COSIGNED, Log
from agent.journal.story import Story
from hal.contracts import Files, Signer

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
    checkpoints: tuple[Stored | None, int]


class Journal(Log):
    """One origin's log. All methods may be called from any thread; there is one writer at a time."""

    def __init__(self, folder: Path, origin: str, signer: Signer, files: Files, *, seal: bool = False) -> None:
        """For `open`, and for recovery, which lets lines behind the newest checkpoint be sealed by another one."""
        self._seal = seal
        self._undo = False
        super().__init__(folder, origin, signer, files)

    def _check(self, segment: segments.Segment) -> None:
        newest = self._checkpoints.newest
        if self._seal and not segment.torn and self.size > (newest.size if newest else 0):
            self._sign()
        self._seal = False
        super()._check(segment)

    @classmethod
    def open(cls, folder: Path, origin: str, signer: Signer, files: Files) -> Journal:
        """The journal in the folder, or a new one; Damaged when recovery must decide first."""
        with disk("open journal", folder):
            files.make_folder(folder)
            return cls(folder, origin, signer, files)

    # ------------------------------------------------------------------ writing

    def append(self, new: Sequence[bytes], story: Story | None = None) -> str:
        """Make lines durable, then the checkpoint over them; the signed checkpoint. All of them or none.

        `story`: that of the journal with these lines, where the caller has it already; it is the journal's from then on.
        """
        for line in new:
            if not 1 <= len(line) <= core_lines.MAX_LINE or b"\n" in line:
                raise BadLine(f"a line is 1 to {core_lines.MAX_LINE} bytes without newline, got {len(line)} bytes")
        if not new:
            raise BadLine("an append needs at least one line")
        with self._lock:
            self._finish_undo()
            mark = self._mark()
            if story is None or not self._told(story, len(new)):
                story = None
                self.story = self.story.copy()
            try:
                for part in _parts(new, self.size):
                    self._write(part, told=story is not None)
            except OSError as error:
                self._go_back(mark)
                raise storage_error("append to", self.folder, error) from error
            except BaseException:  # the key may fail too; lines without a checkpoint must not stay
                self._go_back(mark)
                raise
            self._size, self.story = self._tree.size, story or self.story
            newest = self._checkpoints.newest
            assert newest is not None
            return newest.text

    def _told(self, story: Story, count: int) -> bool:
        """Whether the story is the one behind `count` more lines, and no segment begins between these: it needs the one there."""
        return story.size == self.size + count and segments.first_of(self.size) == segments.first_of(self.size + count - 1)

    def _write(self, part: Sequence[bytes], *, told: bool) -> None:
        """One durable step: lines, then their checkpoint (section 4, steps 2 and 3)."""
        if self._tree.size and self._tree.size % segments.SEGMENT_LINES == 0:
            segments.write_begin(self.files, self.folder, self._tree, self.story)
            self._first, self._starts, self._bytes = self._tree.size, array("Q"), 0
        name = segments.path(self.folder, self._first)
        data = b"\n".join([*part, b""])
        self.files.append(name, data)
        self.files.sync(name)
        if not self._starts:
            self.files.sync_folder(self.folder)
        for line in part:
            if not told:
                self.story.add(self._tree.size, line)
            self._tree.append(merkle.leaf_hash(line))
            self._starts.append(self._bytes)
            self._bytes += len(line) + 1
        self._sign()

    def _sign(self) -> None:
        """Sign and store the checkpoint over all lines."""
        root = self._tree.root()
        body = note.checkpoint(self.origin, self._tree.size, root)
        text = note.sign(body, self.origin, self._signer.algorithm, self._signer.public_key(), self._signer.sign)
        self._checkpoints.append(text, self._tree.size, root)

    def _mark(self) -> _Mark:
        count = len(self._starts)
        return _Mark(
            self._tree.size, self._tree.copy(), self.story, self._first, self._starts, count, self._bytes, self._checkpoints.mark()
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
        """The checkpoints go first: lines without one are adopted by the next start, a checkpoint without its lines is an alarm."""
        self._checkpoints.cut()
        segments.cut_bytes(self.files, self.folder, self._first, self._bytes)
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
            segments.cut(self.files, self.folder, size)
            self._checkpoints.forget_above(size)
            self._older = (-1, [])
            self.reload()

    # ------------------------------------------------------------------ the server's receipts

    def keep_cosigned(self, text: str) -> bool:
        """Keep the server's newest cosigned note, durably. False when one of that size or more is kept already.

        Contradiction when it is not of our lines; of lines that were trimmed nothing can be said, and nothing needs to be.
        Whose cosignature it holds was checked by who took it in.
        """
        with self._lock:
            head = _head(text)
            if head.origin != self.origin:
                raise Contradiction(f"expected a cosigned checkpoint of {self.origin}, got one of {head.origin}")
            root = self.root_at(head.size)
            if root is None and head.size <= self.cosigned_size:
                return False  # trimmed, and that only below a cosignature
            if root != head.root:
                raise Contradiction(f"the server cosigned another root of {head.size} lines than ours of {self.size}")
            if head.size <= self.cosigned_size:
                return False
            with disk("keep cosigned note in", self.folder):
                self.files.replace(self.folder / COSIGNED, text.encode())
            self._cosigned = (text, head)
            return True

    def trimmable(self, size: int) -> int:
        """How far `trim` may go when asked for `size`: whole segments, cosigned, and of no recording that is still here."""
        needed = min((known.start for known in self.story.known.values()), default=self.size)
        return max(segments.first_of(min(size, self.cosigned_size, needed, self._first)), self._oldest)

    def trim(self, size: int) -> int:
        """Delete the segments below `trimmable(size)`; the compact range behind them stays. Answers the oldest index left."""
        with self._lock, disk("trim", self.folder):
            keep = self.trimmable(size)
            self._oldest = keep
            self._older = (-1, [])
            self._checkpoints.forget_below(keep)
            old = [name for name, first in segments.names(self.files, self.folder) if first < keep]
            for name in old:
                self.files.remove(self.folder / name)
            if old:
                self.files.sync_folder(self.folder)
            return self._oldest


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
