"""The connection to a real mosquitto: through restarts, refusals and floods."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator

import pytest

from provisioning import deployment as deployments
from provisioning.deployment import Deployment, Ports
from provisioning.mosquitto import Mosquitto
from server.config import Broker
from server.ingest import broker, packets
from server.ingest.broker import Connection
from tests.server.virtual import DOMAIN

PATIENCE = 30.0


@pytest.fixture(scope="module")
def deployment(tmp_path_factory) -> Deployment:
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        ports = Ports(broker=holder.getsockname()[1], devices=1, console=2)
        return deployments.create(tmp_path_factory.mktemp("broker") / "deployment", DOMAIN, ports=ports)


class Ear:
    """A connection and what it heard."""

    def __init__(self, deployment: Deployment, **settings: object) -> None:
        tls = ssl.create_default_context(cafile=deployment.server_folder / "tls" / "ca.crt")
        tls.load_cert_chain(deployment.server_folder / "tls" / "mqtt.crt", deployment.server_folder / "tls" / "mqtt.key")
        self.changed = threading.Condition()
        self.heard: list[tuple[str, bytes]] = []
        self.ups = 0
        values = {"port": deployment.ports.broker, "keepalive_s": 5} | settings
        self.connection = Connection(Broker.model_validate(values), tls, [("zhilu/#", 1)], self._take, self._up)
        self.connection.start()

    def _take(self, topic: str, payload: bytes) -> None:
        with self.changed:
            self.heard.append((topic, payload))
            self.changed.notify_all()

    def _up(self) -> None:
        with self.changed:
            self.ups += 1
            self.changed.notify_all()

    def until(self, what) -> None:
        with self.changed:
            assert self.changed.wait_for(what, PATIENCE), (self.ups, len(self.heard))


@pytest.fixture
def ear(deployment) -> Iterator[Ear]:
    made = Ear(deployment)
    yield made
    made.connection.close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(broker, "FIRST_MS", 10)
    monkeypatch.setattr(broker, "MAX_MS", 50)


def test_a_flood_comes_back_whole_and_in_order(deployment, ear):
    with Mosquitto(deployment):
        ear.until(lambda: ear.ups == 1)
        sent = [(f"zhilu/D{n % 7}/journal", b"%d " % n + b"x" * (n % 3000)) for n in range(5000)]
        for topic, payload in sent:
            assert ear.connection.publish(topic, payload, retain=False)
        ear.until(lambda: len(ear.heard) == len(sent))
        assert ear.heard == sent


def test_it_finds_the_broker_again_and_queues_nothing_for_one_that_is_away(deployment, ear):
    assert ear.connection.publish("zhilu/D/journal", b"lost", retain=False) is False
    with Mosquitto(deployment):
        ear.until(lambda: ear.ups == 1)
        assert ear.connection.publish("zhilu/D/journal", b"first", retain=True)
        ear.until(lambda: len(ear.heard) == 1)
    while ear.connection.connected:
        ear.connection.publish("zhilu/D/journal", b"perhaps", retain=False)
    with Mosquitto(deployment):
        ear.until(lambda: ear.ups == 2)
        ear.until(lambda: ear.heard[-1] == ("zhilu/D/journal", b"first") and len(ear.heard) > 1)


def test_an_idle_connection_is_kept_alive(deployment, monkeypatch):
    answered = threading.Event()
    handle = broker._Session.handle

    def watched(session, packet):
        handle(session, packet)
        if packet.kind == packets.PINGRESP:
            answered.set()

    monkeypatch.setattr(broker._Session, "handle", watched)
    made = Ear(deployment, keepalive_s=5)
    try:
        with Mosquitto(deployment):
            made.until(lambda: made.ups == 1)
            assert answered.wait(PATIENCE)
            assert made.connection.publish("zhilu/D/journal", b"still here", retain=False)
            made.until(lambda: made.heard[-1:] == [("zhilu/D/journal", b"still here")])
    finally:
        made.connection.close()


def test_a_certificate_that_the_broker_does_not_know(deployment, tmp_path, caplog):
    stranger = deployments.create(tmp_path / "other", DOMAIN, ports=deployment.ports)
    made = Ear(stranger)
    try:
        with Mosquitto(deployment):
            said = threading.Event()
            while not said.wait(0.02) and "no broker at" not in caplog.text:
                assert made.ups == 0
            assert not made.connection.connected
    finally:
        made.connection.close()
