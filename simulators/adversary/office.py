"""The server's own parts over a real data folder, in this process: ingest without broker, HTTP without sockets.

Real are logs, ledger, witness, enrolments, committer, indexer, receipts, catalogue, object store, uploads, handshake and export.
What the server would publish is gathered; who listens takes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path

from agent.core import wire
from provisioning import deployment as deployments
from provisioning import device as devices
from provisioning import toml
from provisioning.authority import Authority
from server import config
from server.api.source import ServerSource
from server.evidence import package
from server.evidence.excerpt import Stretch
from server.evidence.package import Package, Wanted
from server.ingest import handshake
from server.ingest.committer import Committer
from server.ingest.enrolments import Intake
from server.ingest.indexer import Indexer
from server.ingest.intake import Upload
from server.ingest.receipts import Receipts
from server.problems import Problem
from server.services import Services, World, open_services

DOMAIN = "evidence.example.gov"
BY = "console"
SETTLED = 3
"""A commit may lead to another, and that one to a third; the writer's thread does them in order."""


@dataclass
class Office:
    """A running server. `office(...)` opens one."""

    deployment: deployments.Deployment
    services: Services
    committer: Committer
    indexer: Indexer
    intake: Intake
    answers: list[tuple[str, str]] = field(default_factory=list)
    sent: list[tuple[str, bytes]] = field(default_factory=list)

    # ----------------------------------------------------------------- devices

    def enrol(self, device: str, folder: Path, at_ms: int) -> devices.Enrolment:
        """A new recorder: its state folder, with certificates of that time, and its line in the ledger."""
        made = devices.enrol(
            _At(**{one.name: getattr(self.deployment, one.name) for one in fields(self.deployment)}, at_ms=at_ms), device, folder
        )
        self.intake.step()
        return made

    def revoke(self, origin: str, reason: str = "lost") -> None:
        """Never cosign this journal again."""
        enrolments = self.services.enrolments
        self.services.logs_writer.call(lambda transaction: enrolments.stage_revoke(transaction, origin, reason))

    def offer(self, device: str, *payloads: bytes) -> list[str]:
        """Batches on a device's topic; what the device hears."""
        heard = len(self.answers)
        for payload in payloads:
            self.committer.offer(device, payload)
        self.settle()
        return [text for to, text in self.answers[heard:] if to == device]

    def upload(self, device: str, recording: str, track: str, offset: int, data: bytes) -> None:
        """Media as a device sends them: whole fragments from an offset on; Problem where no cosigned line vouches for them."""
        catalogue = self.services.catalogue
        found = catalogue.find(f"{device}:{recording}")
        one = Upload(self.services, found, catalogue.track(found.id, track), offset)
        one.feed(data)
        one.finish()
        one.settle()
        self.indexer.held()

    def receipts(self, device: str) -> list[bytes]:
        """What was published to a device since the last time."""
        self.settle()
        topic = wire.topic(device, "receipt")
        taken = [payload for to, payload in self.sent if to == topic]
        self.sent[:] = [(to, payload) for to, payload in self.sent if to != topic]
        return taken

    def ledger_note(self) -> str:
        """The newest checkpoint of the ledger: the devices' beacon."""
        return self.services.ledger.checkpoint()

    def wire(self, device: str) -> Wire:
        """A device's questions over HTTPS."""
        return Wire(self, device)

    def settle(self) -> None:
        """Wait until everything that came is committed and read into the catalogue."""
        for _ in range(SETTLED):
            self.services.logs_writer.call(lambda _transaction: None)
        while self.indexer.step():
            pass

    # ----------------------------------------------------------------- people

    def anchor(self) -> int:
        """The minute is over."""
        return self.services.ledger.anchor()

    def look(self, device: str, recording: str) -> None:
        """Somebody opens a recording's page."""
        self.services.ledger.append("view", {"device": device, "recording": recording, "by": BY})

    def export(self, device: str, recording: str, stretch: Stretch | None = None) -> Package:
        """A hand-over package, with its line in the ledger."""
        self.settle()
        found = self.services.catalogue.find(f"{device}:{recording}")
        part = {} if stretch is None else {"from": stretch.first_ms, "to": stretch.end_ms}
        line = self.services.ledger.append("export", {"device": device, "recording": recording, "by": BY, **part})
        source = ServerSource(self.services)
        return package.make(source, Wanted(found.origin, recording, found.start_line, stretch, line), b"verify.pyz\n")


@dataclass(frozen=True, slots=True)
class Wire:
    """`agent.uplink.https.Https` without a socket: the handshake's two questions, answered by the server's own functions."""

    office: Office
    device: str

    def request(self, _method: str, path: str) -> tuple[int, str, bytes]:
        """(status, content type, body)."""
        *_, device, n, what = path.split("/")
        try:
            return 200, "application/octet-stream", self._answer(device, int(n), what)
        except Problem as problem:
            return problem.status, "application/problem+json", json.dumps(problem.body()).encode()

    def _answer(self, device: str, n: int, what: str) -> bytes:
        services = self.office.services
        journal = services.enrolments.get(wire.origin(DOMAIN, device, n))
        if journal is None or journal.device != self.device:
            raise Problem("unknown-origin", f"{device}/{n}")
        if what != "checkpoint":
            return handshake.batch(services, journal, int(what))
        newest = services.logs.checkpoint(journal.origin)
        if newest is None:
            raise Problem("no-checkpoint", f"nothing of {journal.origin} was cosigned yet")
        return newest.encode()


@dataclass(frozen=True)
class _At(deployments.Deployment):
    """A deployment whose authority certifies at another time than now."""

    at_ms: int = 0

    @property
    def authority(self) -> Authority:
        return Authority.open(self.folder / "ca", lambda: datetime.fromtimestamp(self.at_ms / 1_000, UTC))


def deployment(folder: Path) -> deployments.Deployment:
    """A new deployment whose server waits for nobody."""
    made = deployments.create(folder, DOMAIN)
    quick: toml.Table = {"domain": DOMAIN, "media": {"reserve_bytes": 0}, "ingest": {"commit_ms": 0, "park_ms": 0}}
    made.server_settings.write_text(toml.write(quick, "A server of the adversary's."), encoding="utf-8")
    return made


@contextmanager
def office(made: deployments.Deployment, world: World) -> Iterator[Office]:
    """The server of a deployment, open."""
    with open_services(config.load(made.server_settings), world) as services:
        ledger, metrics = services.ledger, services.metrics
        committer = Committer(
            services.logs_writer, services.logs, ledger, services.enrolments, services.witness, services.settings.ingest, metrics
        )
        sent: list[tuple[str, bytes]] = []

        def publish(topic: str, payload: bytes, *, retain: bool) -> bool:
            assert not retain
            sent.append((topic, payload))
            return True

        indexer = Indexer(services, Receipts(ledger, services.catalogue, publish, metrics))
        committer.subscribe(indexer.grown)
        intake = Intake(made.server_folder / "enrolments", DOMAIN, services.enrolments, services.logs_writer)
        opened = Office(made, services, committer, indexer, intake, sent=sent)
        committer.answer_with(lambda device, cosigned: opened.answers.append((device, cosigned)))
        intake.step()
        yield opened
