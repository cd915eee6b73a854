"""The broker's side of ingest while there is no broker; with one: tests/server/test_whole_server.py."""

from __future__ import annotations

import logging
import socket
import threading

import pytest

from provisioning import deployment as deployments
from server.config import Broker
from server.ingest.listener import Listener
from server.metrics import Metrics
from server.registry.devices import Devices
from tests.server.virtual import DOMAIN

PATIENCE = 60.0


class Said(logging.Handler):
    """What the listener and its library log, and when it was enough."""

    def __init__(self, enough):
        super().__init__()
        self.lines: list[str] = []
        self.there = threading.Event()
        self._enough = enough

    def emit(self, record):
        self.lines.append(record.getMessage())
        if len(self.lines) >= self._enough:
            self.there.set()


@pytest.fixture
def said():
    handler = Said(enough=2)
    logger = logging.getLogger("server.ingest.listener")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def test_a_broker_that_is_away_is_named_with_the_reason_and_nothing_else_is_said(tmp_path, said):
    made = deployments.create(tmp_path / "deployment", DOMAIN)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: whoever comes is refused, and nobody else gets the port
        port = nobody.getsockname()[1]
        paths = {"certificate": "tls/mqtt.crt", "key": "tls/mqtt.key", "ca": "tls/ca.crt"}
        settings = Broker.model_validate({"host": "127.0.0.1", "port": port, **paths})
        listener = Listener(settings, made.server_folder, lambda *_: None, Devices(list, {}), lambda: 0, Metrics())
        listener.start()
        try:
            assert said.there.wait(PATIENCE)
        finally:
            listener.close()
    assert set(said.lines) == {f"no broker at 127.0.0.1:{port}: [Errno 111] Connection refused; trying again, is mosquitto running?"}
    assert not listener.connected
