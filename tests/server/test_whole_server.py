"""The server as a process: a real broker, real TLS, a device that records, and people who look."""

from __future__ import annotations

import hashlib
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from agent.core import lines, merkle, note, wire
from provisioning import deployment as deployments
from provisioning import device as devices
from provisioning.deployment import Deployment, Ports
from provisioning.mosquitto import Mosquitto
from tests.provisioning.clients import Identity
from tests.server.process import PATIENCE, ROOT, Connected, ServerProcess, settings_with
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
    try:
        yield running.ready()
        assert running.stop() == 0
    finally:
        if running.process.poll() is None:
            running.kill()


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


def test_who_has_no_certificate_of_ours_is_not_let_in(server, device, tmp_path):
    stranger = deployments.create(tmp_path / "other", DOMAIN).authority.client(device.name)
    (tmp_path / "crt").write_bytes(stranger.certificate)
    (tmp_path / "key").write_bytes(stranger.key)
    for identity in (None, (tmp_path / "crt", tmp_path / "key")):
        context = ssl.create_default_context(cafile=device.identity.ca)
        if identity is not None:
            context.load_cert_chain(*identity)
        base = f"https://localhost:{server.ports['device_port']}"
        with httpx.Client(base_url=base, verify=context, trust_env=False) as https, pytest.raises(httpx.TransportError):
            https.get(f"/api/v1/journal/{device.name}/1/checkpoint")


def test_a_stolen_certificate_does_not_read_what_the_device_writes_under_a_new_one(deployment, server, tmp_path):
    stolen = devices.enrol(deployment, "DSJ-0000007", tmp_path / "stolen").folder
    base = f"https://localhost:{server.ports['device_port']}/api/v1/journal/DSJ-0000007"
    with httpx.Client(verify=Identity.of_device(stolen).context(), trust_env=False) as thief:
        assert thief.get(f"{base}/1/checkpoint").json()["type"] == "urn:zhilu:no-checkpoint"
        assert deployment.revoke("DSJ-0000007") == 2
        anew = devices.enrol(deployment, "DSJ-0000007", tmp_path / "anew").folder
        end = time.monotonic() + PATIENCE
        # The connection that was open is no way in either.
        while (answer := thief.get(f"{base}/2/checkpoint")).status_code != 403:
            assert time.monotonic() < end, server.said()
    assert answer.json()["type"] == "urn:zhilu:no-certificate"
    with httpx.Client(verify=Identity.of_device(anew).context(), trust_env=False) as device:
        assert device.get(f"{base}/2/checkpoint").json()["type"] == "urn:zhilu:no-checkpoint"
    assert "DSJ-0000007: refused: its certificate" in server.said()


def test_ten_megabytes_of_nothing_over_the_broker(server, device):
    """The broker lets no such packet through; what fits into one is refused by the server, and the next batch is taken."""
    device.publish("journal", b"\0" * 100_000)
    device.journal.grow(3)
    device.send()
    text = server.console.get("/metrics").text
    assert 'zhilu_refused_total{reason="too-large"} 1' in text
    loud = Connected(device.deployment, device.identity.certificate.parents[1])
    loud.mqtt.mqtt.publish(f"zhilu/{device.name}/journal", b"\0" * 10_000_000, 1)
    loud.mqtt.until(lambda: bool(loud.mqtt.disconnects))
    assert server.console.get("/readyz").status_code == 200


def test_states_are_shown_and_nonsense_is_not(server, device, deployment):
    again = Connected(deployment, device.identity.certificate.parents[1])
    again.publish("status", {"online": True, "state": "idle"}, retain=True)
    again.publish("health", b"[1]")
    again.publish("reported", b"\xff")
    again.publish("health", {"battery": 80})
    again.journal.lines, again.journal.range, again.journal.notes = device.journal.lines, device.journal.range, device.journal.notes
    again.journal.grow(1)
    again.send(again.journal.size - 1)
    found = server.console.get("/api/v1/devices").json()["items"][0]
    assert (found["online"], found["states"]["status"]["said"]["state"], found["states"]["health"]["said"]) == (
        True,
        "idle",
        {"battery": 80},
    )
    assert 'zhilu_refused_total{reason="bad-state"} 2' in server.console.get("/metrics").text
    again.close()


def test_a_second_server_over_the_same_folder_says_so(server, deployment):
    command = [sys.executable, "-m", "server", "run", "--settings", str(deployment.server_settings)]
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (second.returncode, second.stdout) == (2, "")
    assert "another process is writing here" in second.stderr
