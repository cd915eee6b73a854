"""Orders over the real broker: signed ones are carried out and answered in the journal, others leave no trace but a count."""

from __future__ import annotations

import json
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from agent.core import lines as core_lines
from agent.core import note, wire
from tests.agent.running import lines, wait_for
from tests.provisioning.clients import Identity, connect
from tests.scenarios.world import DEVICE


class Office:
    """Whoever holds the orders key and the server's certificate. The broker knows one of that name: to speak, it takes the line."""

    def __init__(self, world) -> None:
        self.deployment = world.deployment
        key = load_pem_private_key((self.deployment.server_folder / "keys" / "orders.key").read_bytes(), None)
        assert isinstance(key, Ed25519PrivateKey)
        self.key, self.public = key, key.public_key().public_bytes_raw()

    def order(self, number: int, name: str, *, lasts_s: int = 60, key: Ed25519PrivateKey | None = None, **members) -> None:
        domain = self.deployment.domain
        expires = (time.time_ns() // 1_000_000) + lasts_s * 1_000
        content = core_lines.write({"name": name, **members, "expires": expires}).decode()
        body = note.order(note.ORDER, f"{domain}/{DEVICE}/1", number, content)
        text = note.sign(body, f"{domain}/orders", note.ED25519, self.public, (key or self.key).sign)
        client = connect(Identity.of_server(self.deployment), self.deployment.ports.broker)
        assert client.publish(wire.topic(DEVICE, "command"), text.encode()) == "Success"
        client.mqtt.disconnect()
        client.mqtt.loop_stop()


@pytest.mark.timeout(600)
def test_orders_are_carried_out_answered_and_never_taken_twice(world):
    office = Office(world)
    recorder, state = world.recorder, world.state
    recorder.lamp("ready")
    office.order(3, "start")
    recorder.line("fragment", 4)
    office.order(3, "stop")
    office.order(4, "mark", label="ordered")
    recorder.line("mark")
    office.order(5, "reboot")
    office.order(6, "locate", lasts_s=-60)
    office.order(9, "stop", key=Ed25519PrivateKey.generate())
    office.order(7, "stop")
    recorder.line("stop")
    recorder.line("order", 5)
    answers = [(line["number"], line["name"], line["result"]) for line in lines(state, "order")]
    assert answers == [
        (3, "start", "done"),
        (4, "mark", "done"),
        (5, "reboot", "unsupported"),
        (6, "locate", "expired"),
        (7, "stop", "done"),
    ]
    assert lines(state, "start")[0]["trigger"] == lines(state, "stop")[0]["trigger"] == "remote"
    assert lines(state, "mark")[0]["label"] == "ordered"

    # after a power cut the numbers go on: the journal has them
    recorder.do("/power/off")
    recorder.do("/power/on")
    recorder.line("boot", 2)
    office.order(7, "start")
    office.order(8, "mark")
    recorder.line("order", 6)
    assert lines(state, "order")[-1]["number"] == 8
    assert lines(state, "order")[-1]["result"].startswith("refused")
    assert len(lines(state, "start")) == 1

    # what was refused is counted where somebody looks
    health = {}

    def counted() -> bool:
        devices = world.server.console.get("/api/v1/devices").json()["items"]
        health.update(devices[0]["states"].get("health", {}).get("said", {}))
        return health.get("counts", {}).get("refused.older", 0) >= 1

    wait_for(counted, f"the refusal in the device's health: {json.dumps(health)}")
