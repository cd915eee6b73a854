"""The server: its real parts over a real data folder, in one thread; it can be killed at a commit, started again, set back.

Real are ledger, logs, enrolments, witness, committer, indexer, receipts, media intake, catalogue, object store and the handshake's
answers. Simulated are its threads (`writer`, tasks), its HTTP (`intake`) and its connection to the broker (here). The data folder is on a
memory disk: what a *cut* does to it is tried in simulators.torture; here the process dies and comes back.
"""

from __future__ import annotations

import contextlib
import json
import random
import shutil
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import Connection, Engine

from agent.core import note, wire
from agent.core.errors import WireError
from server import config
from server.database import Stage
from server.errors import ServerError
from server.ingest.committer import Committer
from server.ingest.enrolments import Intake
from server.ingest.indexer import Indexer
from server.ingest.receipts import Receipts
from server.registry.devices import TOPICS
from server.services import World, open_services
from simulators.universe.agenda import US_PER_S, Agenda, Bell, Task, pause
from simulators.universe.broker import LAN_US, Broker
from simulators.universe.chance import stream
from simulators.universe.clock import EPOCH_MS
from simulators.universe.https import Answer
from simulators.universe.intake import Door
from simulators.universe.writer import VirtualWriter

DOMAIN = "evidence.example.gov"
PURPOSES = {"ledger": note.ED25519, "witness": note.COSIGNATURE, "orders": note.ED25519}
ANCHOR_US = 3_600 * US_PER_S
"""The real one anchors each minute; an hour keeps a simulated week cheap, and nothing here depends on it."""
SUBSCRIPTIONS = ("zhilu/+/journal", "zhilu/+/status", "zhilu/+/health", "zhilu/+/reported")
INDEX_US = 2 * US_PER_S
INDEX_LOOK_S = 300.0
"""The real one looks more often where nothing is said to be new."""
RECONNECT_US = 2 * US_PER_S
SETTINGS = "domain = {domain}\n[media]\nreserve_bytes = 0\n[ingest]\npark_ms = 250\n"


def make_folder(folder: Path, name: str) -> None:
    """Keys and settings as provisioning makes them, from a name: the same name, the same keys."""
    (folder / "keys").mkdir(parents=True, mode=0o700)
    for purpose in PURPOSES:
        path = folder / "keys" / f"{purpose}.key"
        path.write_bytes(private_key(name, purpose).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        path.chmod(0o600)
    (folder / "settings.toml").write_text(SETTINGS.format(domain=json.dumps(DOMAIN)))


def private_key(name: str, purpose: str) -> Ed25519PrivateKey:
    """A server's key for one purpose."""
    return Ed25519PrivateKey.from_private_bytes(stream(0, "server", name, purpose).randbytes(32))


def vkeys(name: str) -> dict[str, str]:
    """What devices are told about a server when they are enrolled."""
    return {
        purpose: note.vkey(f"{DOMAIN}/{purpose}", algorithm, private_key(name, purpose).public_key().public_bytes_raw())
        for purpose, algorithm in PURPOSES.items()
    }


class Server:
    """One server process and its data folder. `sent(topic, payload)` hears of what it hands to the broker."""

    def __init__(self, agenda: Agenda, folder: Path, name: str, broker: Broker, seed: int, sent: Callable[[str, bytes], None]) -> None:
        self.name, self.folder, self.broker = name, folder, broker
        self.came_again: Callable[[str, int], object] = lambda _device, _size: None
        self.up = False
        self.starts = 0
        self._agenda, self._seed, self._sent = agenda, seed, sent
        self._chance: random.Random = stream(seed, "server", name)
        self._stack = contextlib.ExitStack()
        self._tasks: list[Task] = []
        self._writers: list[VirtualWriter] = []
        self._connection: int | None = None
        self._fate = ""
        broker.watch(self._broker_changed)
        if not (folder / "settings.toml").exists():
            make_folder(folder, name)

    # ----------------------------------------------------------------- life

    def start(self) -> None:
        """Open the data folder and run."""
        self._fate = ""
        if self.up:
            return
        self._clear()
        self.up = True
        self.starts += 1
        world = World(self.now_ms, self._chance.randbytes, lambda: self._agenda.now_us / US_PER_S, self._make_writer)
        self._writers = []
        self._stack = contextlib.ExitStack()
        self.services = services = self._stack.enter_context(open_services(config.load(self.folder / "settings.toml"), world))
        self.committer = Committer(
            services.logs_writer,
            services.logs,
            services.ledger,
            services.enrolments,
            services.witness,
            services.settings.ingest,
            services.metrics,
        )
        self.indexer = Indexer(services, Receipts(services.ledger, services.catalogue, self.publish, services.metrics))
        self.indexer.news = self._news = Bell()
        self.committer.answer_with(self._answer)
        self.committer.subscribe(self.indexer.grown)
        services.ledger.subscribe(self._beacon)
        self.enrolments = Intake(self.folder / "enrolments", DOMAIN, services.enrolments, services.logs_writer)
        self.enrolments.step()
        self.door = Door(services, self.indexer, self.enrolments, self.came_again)
        self._tasks = [
            self._agenda.spawn("indexer", self._index, self._task_ended),
            self._agenda.spawn("anchors", self._anchor, self._task_ended),
        ]
        self.indexer.news.set()
        self._agenda.after(RECONNECT_US, self._connect)

    def now_ms(self) -> int:
        """The server's wall clock, which is right."""
        return EPOCH_MS + self._agenda.now_us // 1_000

    def _make_writer(self, engine: Engine, name: str, _wait_s: float) -> VirtualWriter:
        writer = _Mortal(self._agenda, engine, name, self._dies_at_commit)
        self._writers.append(writer)
        return writer

    def kill(self, when: Literal["now", "before", "behind"] = "now") -> None:
        """End the process: now, or before the next commit, or just behind it."""
        if self.up and when == "now":
            self._die()
        elif self.up:
            self._fate = when

    def _dies_at_commit(self, writer: VirtualWriter, moment: str) -> None:
        if self._fate == moment:
            self._fate, self.up = "", False
            writer.mute = True
            for one in self._writers:
                one.kill()
            self._agenda.after(0, self._clear)

    def _die(self) -> None:
        self.up = False
        self._clear()

    def _clear(self) -> None:
        """What a process leaves behind is closed by the system."""
        for writer in self._writers:
            writer.kill()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.kill()
        self._disconnect()
        self._stack.close()

    def close(self) -> None:
        """End it, without a will."""
        self._die()

    # ----------------------------------------------------------------- an administrator's hands

    def enrol(self, device: str, n: int, members: dict[str, str]) -> None:
        """Announce a journal to the server, as provisioning does."""
        folder = self.folder / "enrolments"
        folder.mkdir(exist_ok=True)
        (folder / f"{device}-{n}.json").write_text(json.dumps({"device": device, **members}))
        if self.up:
            self.enrolments.step()

    def revoke(self, origin: str) -> None:
        """End a journal."""
        enrolments = self.services.enrolments
        self.services.logs_writer.call(lambda transaction: enrolments.stage_revoke(transaction, origin, "lost"))

    def copy(self) -> None:
        """Keep a copy of the data folder, as a backup does at night."""
        kept = self.folder.with_name(f"{self.folder.name}-copy")
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(self.folder, kept)

    def set_back(self) -> None:
        """Put the copy in the place of everything since."""
        self._die()
        shutil.rmtree(self.folder)
        shutil.copytree(self.folder.with_name(f"{self.folder.name}-copy"), self.folder)

    # ----------------------------------------------------------------- the broker's side

    def _connect(self) -> None:
        if self.up and self._connection is None and self.broker.up:
            self._connection = self.broker.connect(f"server-{self.name}", SUBSCRIPTIONS, self._hear)
            self._beacon(self.services.ledger.checkpoint())

    def _disconnect(self) -> None:
        if self._connection is not None:
            self.broker.gone(f"server-{self.name}", self._connection)
            self._connection = None

    def _broker_changed(self, up: bool) -> None:  # noqa: FBT001 - a fact, not an option
        self._connection = None
        if up:
            self._agenda.after(RECONNECT_US, self._connect)

    def publish(self, topic: str, payload: bytes, *, retain: bool) -> bool:
        """Hand a message to the broker; False where it is away."""
        if self._connection is None or not self.up:
            return False
        self._sent(topic, payload)
        self._agenda.after(LAN_US, partial(self.broker.publish, topic, payload, retain=retain))
        return True

    def _answer(self, device: str, cosigned: str) -> None:
        self.publish(wire.topic(device, "witness"), cosigned.encode(), retain=False)

    def _beacon(self, checkpoint: str) -> None:
        self.publish(wire.LEDGER_TOPIC, checkpoint.encode(), retain=True)

    def _hear(self, topic: str, payload: bytes, acknowledge: Callable[[], None]) -> None:
        self._agenda.after(LAN_US, lambda: self._take(topic, payload, acknowledge))

    def _take(self, topic: str, payload: bytes, acknowledge: Callable[[], None]) -> None:
        if not self.up:
            return
        acknowledge()
        try:
            device, leaf = wire.parse_topic(topic)
        except WireError:
            return
        if leaf == "journal":
            self.committer.offer(device, payload)
        elif leaf in TOPICS and payload:
            try:
                state = self.services.devices.hear(device, leaf, payload, self.now_ms())
            except ValueError:
                return
            if leaf == "status" and state.said.get("online") is True:
                self.indexer.online(device)

    # ----------------------------------------------------------------- HTTP, and what goes on by itself

    def ask(self, device: str, method: str, path: str, body: bytes, headers: dict[str, str], *, whole: bool) -> Answer:
        """A device's request."""
        return self.door.ask(device, method, path, body, headers, whole=whole)

    def _index(self) -> None:
        while True:
            self._news.wait(INDEX_LOOK_S)
            pause(INDEX_US)
            while self.indexer.step():
                pass

    def _anchor(self) -> None:
        while True:
            pause(ANCHOR_US)
            self.services.ledger.anchor()

    def _task_ended(self, error: BaseException | None) -> None:
        if isinstance(error, ServerError) and not self.up:
            return  # killed while it worked
        if error is not None:
            raise error


class _Mortal(VirtualWriter):
    """A writer whose process may die at a commit."""

    def __init__(self, agenda: Agenda, engine: Engine, name: str, dies: Callable[[VirtualWriter, str], None]) -> None:
        super().__init__(agenda, engine, name)
        self._dies = dies

    def _commit(self, connection: Connection, jobs: list[tuple[Stage, Future[Any]]]) -> None:
        self._dies(self, "before")
        if not self._closed:
            super()._commit(connection, jobs)

    def _tell(self, act: Callable[[], None]) -> None:
        self._dies(self, "behind")
        super()._tell(act)
