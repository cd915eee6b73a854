"""SQLite as the server uses it: engines for reading, and one writer thread per file that commits for many at once.

Rules:
- Durable means durable: WAL with `synchronous=FULL`; a commit that returned has been synced.
- One writer per file (SQLite 3.40 can damage a WAL that two connections checkpoint at once). A lock file keeps a second
  process away; readers may be many.
- Whoever wants something written submits a *stage*: a function that runs in the writer's thread, inside the one transaction
  of all who came within the same few milliseconds. Nobody hears of success before the commit. What a stage changes in
  memory, it changes in `after_commit`.
- When a stage or the commit fails, the transaction is rolled back and each stage gets one transaction of its own, so that one
  who fails harms nobody else. A stage can therefore run twice, and `start_over` tells it to forget what it believed.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import heapq
import itertools
import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, CursorResult, Engine, TextClause, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool, StaticPool

from server.errors import Closed, Conflict, ServerError, StorageError, StorageFull

log = logging.getLogger(__name__)
T = TypeVar("T")
MAX_STAGES = 1024
"""Stages in one transaction: bounds how long anybody waits for a commit."""


def read_engine(path: Path) -> Engine:
    """An engine whose connections read consistent snapshots and can write nothing."""
    engine = create_engine(f"sqlite:///{path}", poolclass=QueuePool, pool_size=4, max_overflow=16)
    _prepare(engine, "BEGIN", ("PRAGMA busy_timeout=10000", "PRAGMA query_only=ON", "PRAGMA cache_size=-16000"))
    return engine


def write_engine(path: Path) -> Engine:
    """The engine of the one writer of a file."""
    engine = create_engine(f"sqlite:///{path}", poolclass=StaticPool, connect_args={"check_same_thread": False})
    pragmas = ("PRAGMA busy_timeout=10000", "PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA cache_size=-32000")
    _prepare(engine, "BEGIN IMMEDIATE", pragmas)
    return engine


def check(engine: Engine, remedy: str) -> None:
    """StorageError when the file is no database: a writer's thread would end of it, and who asked it would wait for ever."""
    try:
        with engine.connect():
            pass
    except DBAPIError as e:
        raise StorageError(f"{engine.url.database}: {e.orig}; {remedy}") from e


@functools.lru_cache(maxsize=256)
def sql(statement: str) -> TextClause:
    """A statement, parsed once: making one costs as much as running it."""
    return text(statement)


def _prepare(engine: Engine, begin: str, pragmas: Sequence[str]) -> None:
    """Take transactions out of the driver's hands: it would begin them late and commit them unasked."""

    def connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(pragma)

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold the data folder's lock; StorageError when another process writes there."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise StorageError(f"{path.parent}: another process is writing here; stop it, or ask it over HTTP") from e
        yield


def translated(error: DBAPIError) -> StorageError:
    """Our error for a database's."""
    cause = error.orig
    if isinstance(cause, sqlite3.OperationalError) and getattr(cause, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL:
        return StorageFull("the database's disk is full; nothing was kept")
    return StorageError(f"the database refused: {cause}")


class Transaction:
    """What a stage is given: SQL on the writer's connection, and what shall happen before and after the commit."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.state: dict[object, Any] = {}
        """What a component has staged so far, by the component."""
        self._before: list[Callable[[], None]] = []
        self._after: list[Callable[[], None]] = []

    def execute(self, statement: str, rows: Mapping[str, Any] | Sequence[Mapping[str, Any]] = ()) -> CursorResult[Any]:
        """Run one statement, for one row of parameters or for many."""
        return self.connection.execute(sql(statement), rows or None)

    def many(self, statement: str, rows: Sequence[Sequence[Any]]) -> CursorResult[Any]:
        """Run one statement for many rows, with `?` for each value: half the cost of names where rows come by the thousand."""
        return self.connection.exec_driver_sql(statement, [tuple(row) for row in rows])

    def change(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Compare and swap: each row of values (`?`) must change exactly one row, else Conflict."""
        changed = self.many(statement, rows).rowcount
        if changed != len(rows):
            raise Conflict(f"{changed} of {len(rows)} rows still were as they had been read")

    def before_commit(self, act: Callable[[], None]) -> None:
        """Run `act` when every stage has run, inside the transaction."""
        self._before.append(act)

    def after_commit(self, act: Callable[[], None]) -> None:
        """Run `act` in the writer's thread once everything is durable."""
        self._after.append(act)

    def finish(self) -> list[Callable[[], None]]:
        """Run what was left for the end; what is to be done once the commit has succeeded."""
        for act in self._before:
            act()
        return self._after


Stage = Callable[[Transaction], Any]


class Writer:
    """The thread that writes one database. `wait_s` is how long the first of a group waits for company."""

    def __init__(self, engine: Engine, name: str, wait_s: float = 0.0) -> None:
        self._engine = engine
        self._wait_s = wait_s
        self._queue: queue.SimpleQueue[tuple[Stage, Future[Any]] | None] = queue.SimpleQueue()
        self._later: list[tuple[float, int, Stage]] = []
        self._later_lock = threading.Lock()
        self._numbers = itertools.count()
        self._start_over: list[Callable[[], None]] = []
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def on_start_over(self, act: Callable[[], None]) -> None:
        """Let `act` be called whenever a transaction failed: what is remembered may not be what the database holds."""
        self._start_over.append(act)

    def submit(self, stage: Callable[[Transaction], T]) -> Future[T]:
        """Have `stage` run and committed; its result once it is durable."""
        if self._closed:
            raise Closed("the writer is closed; nothing more is kept")
        future: Future[T] = Future()
        self._queue.put((stage, future))
        return future

    def call(self, stage: Callable[[Transaction], T]) -> T:
        """`submit` and wait."""
        return self.submit(stage).result()

    def submit_later(self, delay_s: float, stage: Stage) -> None:
        """Have `stage` run after a while; whoever closes the writer before gives it up."""
        with self._later_lock:
            heapq.heappush(self._later, (time.monotonic() + delay_s, next(self._numbers), stage))
        self._queue.put(None)

    def close(self) -> None:
        """Commit what was submitted and end the thread."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            self._thread.join()
            self._engine.dispose()

    # ----------------------------------------------------------------------- the thread

    def _run(self) -> None:
        with self._engine.connect() as connection:
            while True:
                jobs = self._gather()
                if jobs:
                    self._commit(connection, jobs)
                elif self._closed and self._queue.empty():
                    return

    def _gather(self) -> list[tuple[Stage, Future[Any]]]:
        """Wait for the first stage, then a few milliseconds for those that come with it."""
        jobs: list[tuple[Stage, Future[Any]]] = []
        with contextlib.suppress(queue.Empty):
            job = self._queue.get(timeout=0 if self._closed else self._due())
            if job is not None:
                jobs.append(job)
                if self._wait_s and not self._closed:
                    time.sleep(self._wait_s)
            while len(jobs) < MAX_STAGES:
                job = self._queue.get_nowait()
                if job is not None:
                    jobs.append(job)
        with self._later_lock:
            while self._later and self._later[0][0] <= time.monotonic():
                jobs.append((heapq.heappop(self._later)[2], Future()))
        return jobs

    def _due(self) -> float | None:
        with self._later_lock:
            return max(0.0, self._later[0][0] - time.monotonic()) if self._later else None

    def _commit(self, connection: Connection, jobs: list[tuple[Stage, Future[Any]]]) -> None:
        error = self._attempt(connection, jobs)
        if error is None:
            return
        for job in jobs:
            alone = self._attempt(connection, [job])
            if alone is not None:
                log.error("%s: a write failed: %s", self._thread.name, alone)
                job[1].set_exception(alone)

    def _attempt(self, connection: Connection, jobs: list[tuple[Stage, Future[Any]]]) -> Exception | None:
        """Run and commit all; the error that undid everything, or None. Anything that goes wrong goes to who asked for it."""
        try:
            with connection.begin():
                transaction = Transaction(connection)
                results = [stage(transaction) for stage, _ in jobs]
                after = transaction.finish()
        except Exception as e:  # noqa: BLE001  the top of a daemon: it is handed to the caller, logged, and the thread goes on
            for act in self._start_over:
                act()
            return translated(e) if isinstance(e, DBAPIError) else e
        for act in after:
            self._tell(act)
        for (_, future), result in zip(jobs, results, strict=True):
            future.set_result(result)
        return None

    def _tell(self, act: Callable[[], None]) -> None:
        try:
            act()
        except (ServerError, ValueError, OSError, RuntimeError):
            log.exception("%s: telling of a commit failed", self._thread.name)


def create_folder(path: Path) -> None:
    """Make a folder whose name is durable."""
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
