"""How the server listens: a connection that is accepted has what ends it when its device has vanished, and nothing that ends it early."""

from __future__ import annotations

import inspect
import re
import socket

from agent.uplink import https
from provisioning import deployment as deployments
from provisioning.deployment import Ports
from server import config, run
from server.run import KEEPALIVE, _bound


def test_a_connection_that_is_accepted_is_asked_whether_it_still_lives():
    with _bound("devices", "127.0.0.1", 0) as listening:
        listening.listen()
        with socket.create_connection(listening.getsockname()), listening.accept()[0] as accepted:
            assert [accepted.getsockopt(*option) for option, _ in KEEPALIVE] == [value for _, value in KEEPALIVE]


def test_an_idle_connection_is_ended_by_the_recorder_and_not_by_the_server(tmp_path, monkeypatch):
    """A recorder sends every five seconds, and the server used to end a connection after five: whole requests went in vain."""
    servers = {}

    async def listen(made, _sockets):
        servers.update(made)

    monkeypatch.setattr(run, "_serve", listen)
    deployment = deployments.create(tmp_path / "deployment", "evidence.example.gov", ports=Ports(1, 0, 0))
    run.run(config.load(deployment.server_settings))
    (kept_s,) = re.findall(r"keepalive_expiry=(\d+)", inspect.getsource(https))
    assert servers["devices"].config.timeout_keep_alive >= 2 * int(kept_s)
