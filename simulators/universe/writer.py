"""The server's database writer without a thread: what is submitted is committed in one transaction a few milliseconds later.

The stages, the one transaction for all, the second try one by one and what follows from a commit are `server.database.Writer`'s own
code. A kill is before a commit (nothing of it was done) or just behind it (it is durable, and nobody was told).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from sqlalchemy import Engine

from server.database import Stage, Transaction, Writer
from server.errors import Closed
from simulators.universe.agenda import US_PER_S, Agenda

T = TypeVar("T")
GROUP_US = 3_000


class VirtualFuture(Future[T]):
    """Whoever asks for the result makes the writer commit: waiting for its thread would be for ever."""

    def __init__(self, commit: Callable[[], None]) -> None:
        super().__init__()
        self._commit = commit

    def result(self, timeout: float | None = None) -> T:
        """What the stage gave, committed; Closed where the process was killed at that."""
        if not self.done():
            self._commit()
        if not self.done():
            raise Closed("the process was killed at this commit")
        return super().result(timeout)


class VirtualWriter(Writer):
    """One database's writer in virtual time."""

    def __init__(self, agenda: Agenda, engine: Engine, name: str) -> None:  # the thread of the real one is never started
        self._agenda = agenda
        self._engine = engine
        self._connection = engine.connect()
        self._jobs: list[tuple[Stage, Future[Any]]] = []
        self._start_over: list[Callable[[], None]] = []
        self._thread = threading.Thread(name=name)
        self._busy = self._closed = self._due_soon = False
        self.mute = False
        """Killed behind the commit: it is durable, and nobody is told."""

    @property
    def alive(self) -> bool:
        """Whether it commits."""
        return not self._closed

    def submit(self, stage: Callable[[Transaction], T]) -> Future[T]:
        """Have `stage` committed with what else comes in these milliseconds."""
        if self._closed:
            raise Closed("the writer is closed; nothing more is kept")
        future = VirtualFuture[T](self.flush)
        self._jobs.append((stage, future))
        if not self._due_soon:
            self._due_soon = True
            self._agenda.after(GROUP_US, self.flush)
        return future

    def call(self, stage: Callable[[Transaction], T]) -> T:
        """Commit it now, with whatever waits."""
        return self.submit(stage).result()

    def submit_later(self, delay_s: float, stage: Stage) -> None:
        """Have `stage` run after a while."""

        def later() -> None:
            if not self._closed:
                self.submit(stage)

        self._agenda.after(int(delay_s * US_PER_S), later)

    def flush(self) -> None:
        """Commit what waits."""
        self._due_soon = False
        if self._busy or self._closed:
            return
        self._busy = True
        try:
            while self._jobs and not self._closed:
                jobs, self._jobs = self._jobs, []
                self._commit(self._connection, jobs)
        finally:
            self._busy = False

    def _tell(self, act: Callable[[], None]) -> None:
        if not self.mute:
            super()._tell(act)

    def kill(self) -> None:
        """Nothing more is written; what waits never was."""
        self._closed = True
        self._jobs.clear()

    def close(self) -> None:
        """Commit what waits, unless it was killed, and let the database go."""
        self.flush()
        self._closed = True
        self._connection.close()
        self._engine.dispose()
