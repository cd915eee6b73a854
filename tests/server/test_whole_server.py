"""The server as a process: a real broker, real TLS, a device that records, and people who look."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator

import pytest

from agent.core import lines, merkle, note, wire
from provisioning import deployment as deployments
from provisioning import device as devices
from provisioning.deployment import Deployment, Ports
from provisioning.mosquitto import Mosquitto
from tests.server.process import Connected, ServerProcess, settings_with
from tests.server.virtual import DOMAIN


@pytest.fixture(scope="module")
def deployment(tmp_path_factory) -> Iterator[Deployment]:
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        ports = Ports(broker=holder.getsockname()[1], devices=0, console=0)
        made = deployments.create(tmp_path_factory.mktemp("whole") / "deployment", DOMAIN, ports=ports)
        settings_with(made, media={"reserve_bytes": 0}, ledger={"anchor_s": 1})
        with Mosquitto(made):
            yield made


@pytest.fixture(scope="module")
def server(deployment) -> Iterator[ServerProcess]:
    running = ServerProcess(deployment)
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def device(deployment, server, tmp_path_factory) -> Iterator[Connected]:
    folder = devices.enrol(deployment, "DSJ-0000001", tmp_path_factory.mktemp("device") / "state").folder
    made = Connected(deployment, folder)
    assert made.handshake(server).json()["type"] == "urn:zhilu:no-checkpoint"
    yield made
    made.close()


def test_from_the_press_to_the_receipt(server, device):
    recording = device.journal.record(fragments=4, size=50_000)
    device.send(0)
    body = recording.media["front"]
    with device.https(server) as https:
        path = f"/api/v1/media/{device.name}/{recording.recording}/front/0"
        answer = https.put(path, content=body)
        assert answer.status_code == 201, answer.text
        assert answer.json() == {"track": "front", "first": 0, "end": 4, "bytes": len(body), "stored": 4}
        assert https.put(path, content=body).status_code == 200
    device.mqtt.until(lambda: bool(device.heard("receipt")))
    proof = note.parse_tlog_proof(device.heard("receipt")[0].decode())
    assert proof.extra is not None
    ledger = note.verifier(device.deployment.vkeys()["ledger"])
    head = note.parse_checkpoint(note.open_note(proof.checkpoint, [ledger])[0])
    merkle.check_inclusion(merkle.leaf_hash(proof.extra), proof.index, head.size, proof.hashes, head.root)
    stored = lines.read(proof.extra)
    stop = merkle.leaf_hash(device.journal.lines[-1]).hex()
    expected = {"kind": "stored", "recording": recording.recording, "origin": device.journal.origin, "stop": stop}
    assert expected | {"fragments": 4, "bytes": len(body)} == {k: stored[k] for k in (*expected, "fragments", "bytes")}

    found = server.console.get(f"/api/v1/recordings/{recording.recording}").json()
    assert (found["state"], found["held"], found["bytes"]) == ("stored", 4, len(body))
    media = server.console.get(f"/api/v1/recordings/{recording.recording}/media/front", headers={"Range": "bytes=10-19"})
    assert (media.status_code, media.content) == (206, body[10:20])
    whole = server.console.get(f"/api/v1/recordings/{recording.recording}/media/front").content
    assert hashlib.sha256(whole).digest() == hashlib.sha256(body).digest()


def test_the_beacon_is_retained(device):
    device.mqtt.until(lambda: bool(device.heard("ledger")))
    ledger = note.verifier(device.deployment.vkeys()["ledger"])
    assert note.parse_checkpoint(note.open_note(device.heard("ledger")[-1].decode(), [ledger])[0]).origin == f"{DOMAIN}/ledger"


def test_a_device_sees_only_its_own(server, device):
    with device.https(server) as https:
        mine = https.get(f"/api/v1/journal/{device.name}/1/checkpoint")
        assert mine.status_code == 200
        other = https.get("/api/v1/journal/DSJ-0000009/1/checkpoint")
        assert (other.status_code, other.json()["type"]) == (403, "urn:zhilu:not-yours")
        assert other.headers["content-type"] == "application/problem+json"


def test_lines_come_back_as_they_went(server, device):
    with device.https(server) as https:
        payload = https.get(f"/api/v1/journal/{device.name}/1/2").content
    batch = wire.decode_batch(payload)
    assert (batch.first, batch.lines) == (2, device.journal.lines[2 : batch.size])


def test_ready_and_measured(server):
    assert server.console.get("/readyz").status_code == 200
    assert "zhilu_cosigned_total " in server.console.get("/metrics").text
