"""Everything that the server's parts share, opened once: databases, ledger, keys, catalogue, media, devices.

    with open_services(settings) as services: ...

Only one process may hold them (`writer.lock`); whoever only wants to read a store opens its files read-only by other means.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine

from server.config import Settings
from server.database import Writer, check, create_folder, lock, read_engine, write_engine
from server.errors import StorageError
from server.ledger import keys
from server.ledger.enrolments import Enrolments
from server.ledger.ledger import Ledger
from server.ledger.logs import Logs
from server.ledger.witness import Witness
from server.metrics import Metrics
from server.registry.devices import Devices
from server.store import migrate, soundness
from server.store.catalogue import Catalogue
from server.store.objects import Objects

log = logging.getLogger(__name__)


def wall_ms() -> int:
    """The wall clock, ms since 1970."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class World:
    """What the server needs from outside: the wall clock in ms, one that never jumps in s, random bytes, who writes a database."""

    now_ms: Callable[[], int] = wall_ms
    random: Callable[[int], bytes] = field(default=os.urandom)
    up_s: Callable[[], float] = time.monotonic
    writer: Callable[[Engine, str, float], Writer] = Writer


@dataclass(frozen=True, slots=True)
class Services:
    """The open data folder. `rebuilding`: the catalogue is to be filled from journals and stored bytes."""

    settings: Settings
    world: World
    metrics: Metrics
    logs_writer: Writer
    logs: Logs
    ledger: Ledger
    enrolments: Enrolments
    witness: Witness
    catalogue_writer: Writer
    catalogue: Catalogue
    rebuilding: bool
    objects: Objects
    devices: Devices


REMEDIES = {
    "logs": "this is the evidence: restore it from a backup, then let the devices send what it lacks",
    "catalogue": "delete it: it is built again from the journals",
}
"""What to do about a database that can't be opened."""


@contextlib.contextmanager
def open_services(settings: Settings, world: World | None = None) -> Iterator[Services]:
    """Open the data folder as its only writer; on leaving everything that was submitted has been committed."""
    world = world or World()
    with contextlib.ExitStack() as stack:
        stack.enter_context(lock(settings.path("writer.lock")))
        ledger_key = keys.load(settings.path("keys/ledger.key"), settings.ledger_origin)
        witness_key = keys.load(settings.path("keys/witness.key"), settings.witness_name, keys.COSIGNATURE)
        metrics = Metrics()
        _refuse_a_second_ledger(settings)
        logs_writer, logs_engine = _open(stack, world, settings, "logs", settings.ingest.commit_ms / 1000)
        logs = Logs(logs_engine, lambda *root: _keep_root(logs_writer, *root))
        ledger = Ledger(logs_writer, logs_engine, logs, ledger_key, world.now_ms, world.random)
        metrics.gauge("zhilu_ledger_lines", lambda: logs.size(ledger.origin))
        _replace_broken(settings.path("catalogue.sqlite"))
        catalogue_writer, catalogue_engine = _open(stack, world, settings, "catalogue", 0)
        rebuilding = catalogue_writer.call(migrate.upgrade)
        enrolments = Enrolments(logs_engine, ledger.stage)
        catalogue = Catalogue(catalogue_engine)
        create_folder(settings.path("enrolments"))
        yield Services(
            settings,
            world,
            metrics,
            logs_writer,
            logs,
            ledger,
            enrolments,
            Witness(witness_key, world.now_ms),
            catalogue_writer,
            catalogue,
            rebuilding,
            Objects(settings.path("media"), settings.media.reserve_bytes),
            Devices(enrolments.all, catalogue.states()),
        )


def _open(stack: contextlib.ExitStack, world: World, settings: Settings, name: str, wait_s: float) -> tuple[Writer, Engine]:
    path = settings.path(f"{name}.sqlite")
    writing = write_engine(path)
    check(writing, REMEDIES[name])
    writer = world.writer(writing, name, wait_s)
    reading = read_engine(path)
    stack.callback(writer.close)
    stack.callback(reading.dispose)
    return writer, reading


def _refuse_a_second_ledger(settings: Settings) -> None:
    """StorageError where the logs are gone from a folder that was in use: a new ledger would contradict all that was ever signed."""
    logs = settings.path("logs.sqlite")
    if logs.exists() and logs.stat().st_size:
        return
    media = settings.path("media")
    for left in (settings.path("catalogue.sqlite"), *(media.iterdir() if media.is_dir() else ())):
        if left.exists():
            raise StorageError(f"{logs}: gone, and {left} is there; {REMEDIES['logs']}")


def _replace_broken(catalogue: Path) -> None:
    """Begin a new catalogue where the old one is damaged."""
    damage = soundness.damage(catalogue)
    if damage:
        aside = soundness.set_aside(catalogue)
        log.error("%s is broken (%s): it now lies in %s, and is built again from the journals and the media", catalogue, damage, aside.name)


def _keep_root(writer: Writer, log: int, first: int, leaves: int, root: bytes) -> None:
    """Have a subtree's root remembered with the next commit; nobody waits for it."""
    sql = "INSERT INTO subtree (log, first, leaves, hash) VALUES (:log, :first, :leaves, :hash) ON CONFLICT DO NOTHING"
    values = {"log": log, "first": first, "leaves": leaves, "hash": root}
    writer.submit(lambda transaction: transaction.execute(sql, values))
