"""The server's parts over a real data folder, and what the tests need around them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from agent.core import note
from provisioning import deployment as deployments
from server import app, config
from server.daemons import Daemons
from server.database import Transaction
from server.ingest.committer import Committer
from server.ingest.enrolments import Intake
from server.ingest.indexer import Indexer
from server.ingest.listener import Listener
from server.ingest.receipts import Receipts
from server.services import Services, World, open_services
from tests.server.virtual import DOMAIN, EPOCH, Device


@dataclass
class Clock:
    """A wall clock that stands still until it is set."""

    ms: int = EPOCH

    def __call__(self) -> int:
        return self.ms


@dataclass
class Ingest:
    """The line from a batch to the catalogue, without broker and network: messages to devices are gathered."""

    services: Services
    committer: Committer
    indexer: Indexer
    answers: list[tuple[str, str]] = field(default_factory=list)
    sent: list[tuple[str, bytes]] = field(default_factory=list)

    def enrol(self, *devices: Device) -> None:
        for one in devices:
            members = {name: one.enrolment[name] for name in ("origin", "vkey", "certificate")}
            self.services.logs_writer.call(partial(self._stage, one.device, members))

    def _stage(self, device: str, members: dict[str, str], transaction: Transaction) -> bool:
        return self.services.enrolments.stage_enrol(transaction, device, members)

    def offer(self, device: Device | str, *payloads: bytes) -> list[str]:
        """Offer batches; what the device heard once they were all decided."""
        name = device if isinstance(device, str) else device.device
        heard = len(self.answers)
        for payload in payloads:
            self.committer.offer(name, payload)
        self.flush()
        return [answer for to, answer in self.answers[heard:] if to == name]

    def flush(self) -> None:
        """Wait until everything that was offered has been committed, and what followed from it too."""
        for _ in range(3):
            self.services.logs_writer.call(lambda _transaction: None)

    def index(self) -> None:
        """Let the indexer work until there is nothing left."""
        self.flush()
        while self.indexer.step():
            pass

    def refused(self, reason: str) -> int:
        return self.services.metrics.value("zhilu_refused_total", reason)


def make_data_folder(folder: Path, **settings: Any) -> config.Settings:
    """Keys and settings as provisioning makes them."""
    (folder / "keys").mkdir(parents=True, mode=0o700)
    for number, name in enumerate(("ledger", "witness", "orders")):
        key = Ed25519PrivateKey.from_private_bytes(bytes([number + 1]) * 32)
        path = folder / "keys" / f"{name}.key"
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        path.chmod(0o600)
    tables = {"media": {"reserve_bytes": 0}, "ingest": {"commit_ms": 0, "park_ms": 0}} | settings
    lines = [f"domain = {json.dumps(DOMAIN)}"]
    for table, values in tables.items():
        lines += [f"[{table}]", *(f"{name} = {json.dumps(value)}" for name, value in values.items())]
    (folder / "settings.toml").write_text("\n".join(lines) + "\n")
    return config.load(folder / "settings.toml")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(tmp_path) -> config.Settings:
    return make_data_folder(tmp_path / "server")


@pytest.fixture
def services(settings, clock) -> Iterator[Services]:
    with open_services(settings, World(clock)) as opened:
        yield opened


def line_up(services: Services) -> Ingest:
    """Wire ingest as the application does, with lists where the broker would be."""
    settings, metrics = services.settings.ingest, services.metrics
    committer = Committer(services.logs_writer, services.logs, services.ledger, services.enrolments, services.witness, settings, metrics)
    sent: list[tuple[str, bytes]] = []

    def publish(topic: str, payload: bytes, *, retain: bool) -> bool:
        sent.append((topic, payload))
        return True

    indexer = Indexer(services, Receipts(services.ledger, services.catalogue, publish, metrics))
    committer.subscribe(indexer.grown)
    made = Ingest(services, committer, indexer, sent=sent)
    committer.answer_with(lambda device, cosigned: made.answers.append((device, cosigned)))
    return made


@pytest.fixture
def ingest(services) -> Ingest:
    return line_up(services)


@pytest.fixture
def device(ingest) -> Device:
    """A device that is enrolled."""
    made = Device()
    ingest.enrol(made)
    return made


@pytest.fixture
def witness(services) -> Callable[[str, Device], tuple[note.Checkpoint, int]]:
    """Open a cosigned checkpoint of a device with both keys: its head and the cosignature's time."""
    theirs = note.verifier(services.witness.key.vkey)

    def check(text: str, device: Device) -> tuple[note.Checkpoint, int]:
        body, held = note.open_note(text, [theirs, note.verifier(device.vkey)])
        assert {one.name for one in held} == {theirs.name, device.origin}
        return note.parse_checkpoint(body), next(one.seconds for one in held if one.seconds is not None)

    return check


class Caller:
    """Requests to an application, as from a device's connection with this name in its certificate, or from a person's.

    (Real TLS is tested with the process.)
    """

    def __init__(self, app: Any, device: str | None = None) -> None:
        self._app, self._device = app, device

    async def _scoped(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app({**scope, "device": self._device}, receive, send)

    async def _request(self, method: str, path: str, **more: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self._scoped, raise_app_exceptions=False, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
            return await client.request(method, path, **more)

    def __call__(self, method: str, path: str, **more: Any) -> httpx.Response:
        return asyncio.run(self._request(method, path, **more))

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self("GET", path, **more)

    def put(self, path: str, **more: Any) -> httpx.Response:
        return self("PUT", path, **more)


@dataclass
class Web:
    """Both applications over an ingest line."""

    ingest: Ingest
    apps: app.Apps
    people: Caller

    def device(self, name: str | None) -> Caller:
        return Caller(self.apps.device, name)


@pytest.fixture
def web(services, ingest, tmp_path) -> Iterator[Web]:
    """The applications; the indexer works whenever somebody asks something."""
    deployment = deployments.create(tmp_path / "deployment", DOMAIN)
    listener = Listener(
        config.Broker(certificate="tls/mqtt.crt", key="tls/mqtt.key"),
        deployment.server_folder,
        ingest.committer.offer,
        services.devices,
        services.world.now_ms,
        services.metrics,
    )
    intake = Intake(services.settings.path("enrolments"), DOMAIN, services.enrolments, services.logs_writer)
    with Daemons(services.metrics) as daemons:
        apps = app.build(app.Line(services, listener, ingest.committer, ingest.indexer, intake, daemons))
        yield Web(ingest, apps, Caller(apps.console))
