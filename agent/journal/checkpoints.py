"""The checkpoint file: signed notes one after another, newest last, their sizes rising.

Rules (docs/evidence-format.md, sections 3 and 4):
- A note is five lines: origin, size, root, blank, signature. The newest valid one is found by reading the tail; what stands
  behind it is torn and does not count.
- A size is found by halving, because the file grows by a note a second and is never held in memory.

Whether a checkpoint fits the lines is the journal's and recovery's business.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.core import note
from agent.core.errors import NoteError
from hal.contracts import Files

NAME = "checkpoints"
NOTE_LINES = 5
TAIL_BYTES = 16_384
"""Read first when looking for the newest note: some dozens of notes; more only when these are damaged."""
MAX_NOTE_BYTES = 1_024
"""Two names of at most 255 characters, a size, a root and an ECDSA signature in base64 stay below this."""
LINEAR_BYTES = 8_192
"""Below this the rest is read at once instead of being halved further."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A checkpoint of the file: the signed note, its tree head, and the bytes at which it begins and ends."""

    text: str
    size: int
    root: bytes
    begin: int
    end: int


class Checkpoints:
    """The notes of one journal on the disk; `end` is where the newest valid one ends."""

    def __init__(self, folder: Path, origin: str, verifier: note.Verifier, files: Files) -> None:
        self.path = folder / NAME
        self._origin = origin
        self._verifier = verifier
        self._files = files
        self._mark = f"{origin}\n".encode()
        self._there = True
        self.newest: Stored | None = None
        self.end = 0
        self.torn = 0
        self.load()

    def load(self) -> None:
        """Find the newest valid note; `torn` counts the bytes behind it."""
        try:
            length = self._files.size(self.path)
        except FileNotFoundError:
            self._there = False
            length = 0
        self.newest = self._newest(length)
        self.end = self.newest.end if self.newest else 0
        self.torn = length - self.end

    def _newest(self, length: int) -> Stored | None:
        window = TAIL_BYTES
        while length:
            begin = max(length - window, 0)
            for stored in reversed(list(self._notes(begin, length))):
                if self.holds(stored):
                    return stored
            if not begin:
                break
            window *= 8
        return None

    def holds(self, stored: Stored) -> bool:
        """Whether our key signed it."""
        try:
            note.open_note(stored.text, [self._verifier])
        except NoteError:
            return False
        return True

    def _notes(self, begin: int, end: int) -> Iterator[Stored]:
        """Whole notes that begin in [begin, end), as they stand: no signature is checked."""
        before = min(begin, 1)  # the newline that a note stands behind
        data = self._files.read(self.path, begin - before, end - begin + before + MAX_NOTE_BYTES)
        at = 0 if begin == 0 and data.startswith(self._mark) else _next(data, self._mark, 0)
        while 0 <= at < end - begin + before:
            following = _next(data, self._mark, at)
            stored = self._note(data[at : following if following >= 0 else len(data)], begin - before + at)
            if stored is not None:
                yield stored
            at = following

    def _note(self, data: bytes, begin: int) -> Stored | None:
        rows = data.split(b"\n", NOTE_LINES)
        if len(rows) <= NOTE_LINES:
            return None
        whole = b"\n".join(rows[:NOTE_LINES]) + b"\n"
        try:
            text = note.text(whole)
            head = note.parse_checkpoint(note.split(text)[0])
        except NoteError:
            return None
        return Stored(text, head.size, head.root, begin, begin + len(whole)) if head.origin == self._origin else None

    def at_most(self, size: int) -> Stored | None:
        """The largest checkpoint whose size is not above `size`."""
        if self.newest is None or self.newest.size <= size:
            return self.newest
        low, high = 0, self.newest.begin
        while high - low > LINEAR_BYTES:
            middle = (low + high) // 2
            found = next(self._notes(middle, min(middle + 2 * MAX_NOTE_BYTES, high)), None)
            if found is None:
                break  # damaged bytes in between: look through all that is left
            if found.size <= size:
                low = found.begin
            else:
                high = middle
        best = None
        for stored in self._notes(low, high):
            if stored.size > size:
                break
            best = stored
        return best

    def at(self, size: int) -> Stored | None:
        """The checkpoint of exactly this size."""
        stored = self.at_most(size)
        return stored if stored is not None and stored.size == size else None

    def backwards(self) -> Iterator[Stored]:
        """Every whole note from the newest valid one back to the oldest; their signatures are for `holds`."""
        end = self.end
        while end:
            begin = max(end - TAIL_BYTES, 0)
            found = [stored for stored in self._notes(begin, end) if stored.end <= end]
            yield from reversed(found)
            end = min(begin, found[0].begin) if found else begin

    def append(self, text: str, size: int, root: bytes) -> None:
        """Add a note and make it durable."""
        data = text.encode()
        begin = self._files.append(self.path, data)
        self._files.sync(self.path)
        if not self._there:
            self._files.sync_folder(self.path.parent)
            self._there = True
        self.newest = Stored(text, size, root, begin, begin + len(data))
        self.end = self.newest.end

    def mark(self) -> tuple[Stored | None, int]:
        """What `back_to` needs to undo later appends."""
        return self.newest, self.end

    def back_to(self, mark: tuple[Stored | None, int]) -> None:
        """Forget what was appended since `mark`; `cut` makes the disk follow."""
        self.newest, self.end = mark

    def cut(self) -> None:
        """Cut the file behind the newest note and make that durable."""
        if self._there or self._exists():
            self._there = True
            if self._files.size(self.path) > self.end:
                self._files.truncate(self.path, self.end)
            self._files.sync(self.path)
        self.torn = 0

    def forget_above(self, size: int) -> None:
        """Cut off every checkpoint above `size`, durably."""
        self.newest = self.at_most(size)
        self.end = self.newest.end if self.newest else 0
        self.cut()

    def forget_below(self, size: int) -> None:
        """Keep only checkpoints of `size` and above, durably; the newest always stays."""
        last = self.at_most(size - 1)
        if last is None or self.newest is None:
            return
        begin = min(last.end, self.newest.begin)
        self._files.replace(self.path, self._files.read(self.path, begin, self.end - begin))
        self.load()

    def _exists(self) -> bool:
        try:
            self._files.size(self.path)
        except FileNotFoundError:
            return False
        return True


def _next(data: bytes, mark: bytes, after: int) -> int:
    """Where the next note begins behind `after`; −1 where none does."""
    at = data.find(b"\n" + mark, after)
    return at + 1 if at >= 0 else -1
