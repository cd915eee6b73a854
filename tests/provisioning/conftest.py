"""A deployment with a real mosquitto, and two devices of it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provisioning import deployment as deployments
from provisioning import device as devices
from provisioning.deployment import Deployment, Ports
from provisioning.mosquitto import Mosquitto
from tests.provisioning.clients import Client, Identity, connect


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Iterator[Deployment]:
    """A deployment whose broker runs, on a port that was free a moment ago."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        ports = Ports(broker=holder.getsockname()[1], devices=1, console=2)
        deployment = deployments.create(tmp_path_factory.mktemp("made") / "deployment", "evidence.example.gov", ports=ports)
        with Mosquitto(deployment):
            yield deployment


@pytest.fixture(scope="module")
def folders(made, tmp_path_factory) -> dict[str, Path]:
    """State folders of two devices."""
    root = tmp_path_factory.mktemp("devices")
    return {name: devices.enrol(made, name, root / name).folder for name in ("DSJ-0000001", "DSJ-0000002")}


@pytest.fixture
def client(made) -> Iterator[Callable[..., Client]]:
    """Connect clients that end with the test."""
    open_clients: list[Client] = []

    def start(identity: Identity, client_id: str = "", *, resume: bool = False) -> Client:
        open_clients.append(connect(identity, made.ports.broker, client_id, resume=resume))
        return open_clients[-1]

    yield start
    for one in open_clients:
        one.mqtt.disconnect()
        one.mqtt.loop_stop()
