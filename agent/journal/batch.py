"""One durable step: media bytes, then the lines that name them, then the checkpoint, then the news of it.

Rules (docs/evidence-format.md, section 4):
- The order is: fragments' bytes appended and synced; lines appended and synced; checkpoint signed, appended, synced; only
  then does anybody hear of it (`on_durable`).
- All of a batch or nothing: after an error the bytes are cut off again and the journal is what it was.
- `at` and `up` are read when a line is built; `salt` is 128 fresh random bits a line.

What a line says, and whether it may stand here, is the scribe's business.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from agent.core import lines
from agent.core.errors import LineError
from agent.journal.errors import BadLine, Storage
from agent.journal.journal import Journal
from agent.journal.media import MediaFiles
from agent.journal.story import Story
from hal.contracts import Clock

SALT_BYTES = 16

OnDurable = Callable[[int, Sequence[bytes]], object]
"""Hears of every durable append: index of the first line, the lines. Called by the writer's thread, within its lock."""

Members = Iterable[tuple[str, Any]]


class Writer:
    """Gathers lines into batches. `draft` is the journal's story with the lines of the batch that is being gathered."""

    def __init__(
        self,
        journal: Journal,
        media: MediaFiles,
        clock: Clock,
        random: Callable[[int], bytes],
        on_durable: OnDurable | None = None,
    ) -> None:
        self.journal = journal
        self.media = media
        self.on_durable = on_durable
        self._clock = clock
        self._random = random
        self.lock = threading.RLock()
        self._depth = 0
        self._spoilt: Storage | None = None
        self._lines: list[bytes] = []
        self._afterwards: list[Callable[[], object]] = []
        self.draft = Story()

    def batch(self) -> AbstractContextManager[None]:
        """Gather what is written inside into one durable append; after an error nothing of it was written.

        A batch within a batch joins the outer one. Raises a `Storage` error when the disk refuses.
        """
        return self  # a generator would cost three times as much, and every line is written within two or three of them

    def __enter__(self) -> None:
        """Of `batch`."""
        self.lock.acquire()
        if self._depth == 0:
            self._lines, self._afterwards, self._spoilt = [], [], None
            self.draft = self.journal.story.copy()
        self._depth += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Of `batch`."""
        try:
            if error is not None:
                self._spoil(error)
            elif self._depth == 1:
                self._commit_or_spoil()
        finally:
            self._depth -= 1
            self.lock.release()

    def _commit_or_spoil(self) -> None:
        try:
            self._commit()
        except BaseException as error:
            self._spoil(error)
            raise

    def _spoil(self, error: BaseException) -> None:
        """Nothing of the batch may stay: neither what is gathered nor bytes whose line will not come."""
        if isinstance(error, Storage):
            self._spoilt = error
        if self._depth == 1:
            self.media.take_back()

    def _commit(self) -> None:
        new, first = self._lines, self.journal.size
        if self._spoilt is not None:  # somebody caught it within the batch, but bytes without a line may be there
            raise self._spoilt
        if not new:
            return
        self.media.sync()
        self.journal.append(new, self.draft)
        self.media.settle()
        for do in self._afterwards:
            do()
        if self.on_durable is not None:
            self.on_durable(first, new)

    def afterwards(self, do: Callable[[], object]) -> None:
        """Do something when the batch that is being gathered is durable, and not at all when it fails."""
        assert self._depth, "afterwards stands in a batch"
        self._afterwards.append(do)

    def write(self, kind: str, members: Members, recording: str | None = None) -> None:
        """Add a line, with the next `n` where the recording is open. BadLine when it can't be one."""
        with self.batch():
            self._add(self.line(kind, members, recording))

    def _add(self, line: bytes) -> None:
        self.draft.add(self.draft.size, line)
        self._lines.append(line)

    def rehearse(self, story: Story, write: Callable[[], object]) -> list[bytes]:
        """The lines that `write` would add to a journal with this story; nothing is written."""
        with self.lock:
            assert self._depth == 0, "a rehearsal stands in no batch"
            self._lines, self.draft = [], story
            self._depth = 1
            try:
                write()
            finally:
                self._depth = 0
            return self._lines

    def line(self, kind: str, members: Members, recording: str | None) -> bytes:
        """A line of now, built but not written."""
        head: list[tuple[str, Any]] = []
        if recording is not None:
            found = self.draft.open.get(recording)
            head = [("recording", recording), ("n", None if found is None else found.n)]
        salt = lines.salt_text(self._random(SALT_BYTES))
        try:
            return lines.build(kind, self._clock.wall_ms(), self._clock.up_us() // 1000, salt, [*head, *members])
        except LineError as error:
            raise BadLine(f"a {kind} line: {error}") from error
