"""The server is killed while devices send, again and again: nothing that was cosigned is ever missing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import httpx
import pytest

from agent.core import lines, merkle, note, wire
from provisioning import deployment as deployments
from provisioning import device as devices
from provisioning.deployment import Deployment, Ports
from provisioning.mosquitto import Mosquitto
from server import config
from server.services import open_services
from tests.server.conftest import line_up
from tests.server.process import Connected, ServerProcess, settings_with
from tests.server.virtual import DOMAIN, Recording

ROUNDS = 5


@pytest.fixture
def deployment(tmp_path) -> Iterator[Deployment]:
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        ports = Ports(broker=holder.getsockname()[1], devices=0, console=0)
        made = deployments.create(tmp_path / "deployment", DOMAIN, ports=ports)
        settings_with(made, media={"reserve_bytes": 0}, ledger={"anchor_s": 1}, ingest={"park_ms": 0})
        with Mosquitto(made):
            yield made


@pytest.fixture
def start(deployment) -> Iterator[Callable[[], ServerProcess]]:
    """Start the server; whatever runs at the end of the test is ended."""
    made: list[ServerProcess] = []

    def server() -> ServerProcess:
        made.append(ServerProcess(deployment))
        return made[-1].ready()

    yield server
    for one in made:
        if one.process.poll() is None:
            one.kill()


class Sender:
    """A device that records and sends without end; `batches` counts what it has published in this round."""

    def __init__(self, connected: Connected) -> None:
        self.connected, self.journal = connected, connected.journal
        self.recording: Recording | None = None
        self.finished: list[Recording] = []

    def grow(self) -> None:
        """The next few lines: recordings of six fragments, one after the other."""
        if self.recording is None:
            self.recording = self.journal.start()
            self.journal.track(self.recording)
        elif len(self.recording.tracks["front"]) < 6:
            self.journal.fragment(self.recording, self.journal.random.randbytes(20_000))
        else:
            self.journal.stop(self.recording)
            self.finished.append(self.recording)
            self.recording = None
        self.journal.commit()

    def burst(self, count: int) -> None:
        """Publish everything that is not cosigned, and more, without waiting for an answer."""
        for payload in self.journal.batches(self.connected.cosigned_size()):
            self.connected.publish("journal", payload)
        for _ in range(count):
            first = self.journal.size
            self.grow()
            self.connected.publish("journal", self.journal.batch(first))

    def cosigned(self) -> dict[int, bytes]:
        """Every checkpoint that came back: size → root. Two roots for one size would be a lie."""
        heads: dict[int, bytes] = {}
        for payload in self.connected.heard("witness"):
            head = note.parse_checkpoint(note.split(payload.decode())[0])
            assert heads.setdefault(head.size, head.root) == head.root
        return heads

    def wait_more(self, heard: int) -> None:
        """Until a cosignature has come over more than `heard` lines."""
        self.connected.mqtt.until(lambda: self.connected.cosigned_size() > heard)

    def wait_receipts(self) -> None:
        """Until a receipt has come for each recording."""
        wanted = {one.recording for one in self.finished}
        self.connected.mqtt.until(lambda: wanted <= self.receipts())

    def receipts(self) -> set[str]:
        """Recordings that the ledger says are stored."""
        proofs = [note.parse_tlog_proof(payload.decode()) for payload in self.connected.heard("receipt")]
        return {lines.read(proof.extra or b"")["recording"] for proof in proofs}

    def upload(self, server: ServerProcess) -> None:
        with self.connected.https(server) as https:
            for one in self.finished:
                path = f"/api/v1/media/{self.connected.name}/{one.recording}/front/0"
                assert https.put(path, content=one.media["front"]).status_code in (200, 201)


def check_handshake(sender: Sender, server: ServerProcess) -> None:
    """What the server says it holds is what the device signed, and covers every cosignature that was ever given."""
    answer = sender.connected.handshake(server)
    largest = max(sender.cosigned(), default=0)
    size = note.parse_checkpoint(note.split(answer.text)[0]).size if answer.status_code == 200 else 0
    assert size >= largest
    with sender.connected.https(server) as https:
        first = 0
        while first < size:
            batch = wire.decode_batch(https.get(f"/api/v1/journal/{sender.connected.name}/1/{first}").content)
            assert batch.lines == sender.journal.lines[first : batch.size]
            first = batch.size


def test_nothing_that_was_cosigned_is_ever_missing(deployment, start, tmp_path):
    folders = [devices.enrol(deployment, f"DSJ-000000{n}", tmp_path / f"device-{n}").folder for n in (1, 2, 3)]
    senders = [Sender(Connected(deployment, folder)) for folder in folders]
    server = start()
    for number in range(ROUNDS):
        heard = senders[0].connected.cosigned_size()
        for sender in senders:
            check_handshake(sender, server)
            sender.burst(10)
        # Each round another place: after the first answer of the round, after many, while media come in.
        senders[0].wait_more(heard)
        if number % 2:
            upload = threading.Thread(target=_ignore, args=(senders[1], server))
            upload.start()
            server.kill()
            upload.join()
        else:
            server.kill()
        server = start()
    for sender in senders:
        while sender.recording is not None:
            sender.grow()
        check_handshake(sender, server)
        sender.connected.send()
        sender.connected.publish("status", {"online": True}, retain=True)
        sender.upload(server)
        sender.wait_receipts()
        sender.connected.close()
    assert server.stop() == 0
    check_folder(deployment, senders)


def _ignore(sender: Sender, server: ServerProcess) -> None:
    """An upload that the power cut may end anywhere."""
    try:
        sender.upload(server)
    except (httpx.HTTPError, AssertionError):
        return


def check_folder(deployment: Deployment, senders: list[Sender]) -> None:
    """Every cosigned root is the log's at its size; every recording began and was stored once in the ledger."""
    with open_services(config.load(deployment.server_settings)) as services:
        line_up(services).index()
        for sender in senders:
            leaves = [merkle.leaf_hash(line) for line in sender.journal.lines]
            assert services.logs.lines(sender.journal.origin, 0, sender.journal.size) == sender.journal.lines
            for size, root in sender.cosigned().items():
                assert merkle.root_of(leaves[:size]) == root == services.logs.root(sender.journal.origin, size)
            for one in sender.finished:
                kinds = [entry.members["kind"] for entry in services.ledger.custody(sender.connected.name, one.recording)]
                assert kinds == ["start", "stored"]
                assert services.catalogue.find(f"{sender.connected.name}:{one.recording}").state == "stored"
        assert services.logs.forks() == []
        size = services.logs.size(services.ledger.origin)
        leaves = [merkle.leaf_hash(line) for line in services.logs.lines(services.ledger.origin, 0, size)]
        assert services.logs.root(services.ledger.origin, size) == merkle.root_of(leaves)
