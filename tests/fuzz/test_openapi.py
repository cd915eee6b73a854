"""The running server against its own descriptions: schemathesis makes requests of both OpenAPI documents, right and wrong ones.

Whatever it asks, no answer is a server error or one that the description does not know, and nothing wrong is taken for right. It
asks twice: for anything, which mostly is not there, and for what is there, so that every handler is reached.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provisioning import deployment as deployments
from provisioning import device as devices
from provisioning.deployment import Deployment, Ports
from provisioning.mosquitto import Mosquitto
from server.problems import TABLE
from tests.server.process import Connected, ServerProcess, settings_with
from tests.server.virtual import DOMAIN, Recording

SEED = 1
EXAMPLES = 25
"""Of each operation and phase; the whole file takes a minute on a busy core."""

NOWHERE = {"urn:zhilu:method"}
"""A problem of no operation: the method is none."""

CONSOLE = {
    "GET /api/v1/custody",
    "GET /api/v1/devices",
    "GET /api/v1/recordings",
    "GET /api/v1/recordings/{name}",
    "GET /api/v1/recordings/{name}/media/{track}",
    "GET /api/v1/recordings/{name}/playlist.m3u8",
    "GET /api/v1/recordings/{name}/positions",
    "GET /healthz",
    "GET /metrics",
    "GET /readyz",
    "HEAD /api/v1/recordings/{name}/media/{track}",
    "POST /api/v1/devices/{device}/revoke",
    "POST /api/v1/recordings/{name}/package",
}
DEVICE = {
    "GET /api/v1/journal/{device}/{n}/checkpoint",
    "GET /api/v1/journal/{device}/{n}/{first}",
    "GET /api/v1/media/{device}/{recording}",
    "PUT /api/v1/media/{device}/{recording}/{track}/{offset}",
}


@pytest.fixture(scope="module")
def deployment(tmp_path_factory) -> Iterator[Deployment]:
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        ports = Ports(broker=holder.getsockname()[1], devices=0, console=0)
        made = deployments.create(tmp_path_factory.mktemp("openapi") / "deployment", DOMAIN, ports=ports)
        settings_with(made, media={"reserve_bytes": 0}, ledger={"anchor_s": 1})
        with Mosquitto(made):
            yield made


@pytest.fixture(scope="module")
def server(deployment) -> Iterator[ServerProcess]:
    running = ServerProcess(deployment)
    try:
        yield running.ready()
        # Whatever was asked: it still ends as it should, and nothing of it was a surprise.
        assert running.stop() == 0
        assert '"urn:zhilu:unexpected"' not in running.said()
        assert "Traceback" not in running.said()
    finally:
        if running.process.poll() is None:
            running.kill()


@pytest.fixture(scope="module")
def device(deployment, server, tmp_path_factory) -> Iterator[Connected]:
    folder = devices.enrol(deployment, "DSJ-0000001", tmp_path_factory.mktemp("device") / "state").folder
    devices.enrol(deployment, "DSJ-0000002", tmp_path_factory.mktemp("revoked") / "state")
    made = Connected(deployment, folder)
    assert made.handshake(server).json()["type"] == "urn:zhilu:no-checkpoint"
    yield made
    made.close()


@pytest.fixture(scope="module")
def recording(server, device) -> Recording:
    """One that is stored."""
    made: Recording = device.journal.record(fragments=4, size=5_000)
    device.send(0)
    with device.https(server) as https:
        path = f"/api/v1/media/{device.name}/{made.recording}/front/0"
        assert https.put(path, content=made.media["front"]).status_code == 201
    device.mqtt.until(lambda: bool(device.heard("receipt")))
    return made


Answers = dict[str, set[int]]
"""The statuses that came, by operation."""


@pytest.fixture
def ask(tmp_path) -> Callable[..., Answers]:
    """Run schemathesis; what it leaves behind stays in the test's own folder."""

    def run(url: str, config: str, *options: str) -> Answers:
        (tmp_path / "schemathesis.toml").write_text(config)
        command = [
            sys.executable,
            "-m",
            "schemathesis.cli",
            "run",
            url,
            "--no-color",
            "--continue-on-failure",
            "--phases",
            "coverage,fuzzing",
        ]
        command += ["--seed", str(SEED), "--max-examples", str(EXAMPLES), "--generation-database", "none"]
        command += ["--report", "ndjson", "--report-ndjson-path", "events.ndjson", *options]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return answers(tmp_path / "events.ndjson")

    return run


def answers(events: Path) -> Answers:
    found: Answers = {}
    for row in events.read_text().splitlines():
        recorder = json.loads(row).get("ScenarioFinished", {}).get("recorder", {})
        for one in recorder.get("interactions", {}).values():
            if one["request"]["method"] == recorder["label"].partition(" ")[0]:
                found.setdefault(recorder["label"], set()).add(one["response"]["status_code"])
    return found


def console(server: ServerProcess) -> str:
    return f"http://127.0.0.1:{server.ports['console_port']}/openapi.json"


def devices_side(server: ServerProcess, device: Connected) -> list[str]:
    """The address of the devices' description, and how to get in."""
    known = device.identity
    tls = ["--tls-verify", str(known.ca), "--request-cert", str(known.certificate), "--request-cert-key", str(known.key)]
    return [f"https://localhost:{server.ports['device_port']}/openapi.json", *tls]


# --------------------------------------------------------------------------- the tests


def test_people_ask_for_anything(server, recording, ask):
    found = ask(console(server), "")
    assert set(found) == CONSOLE
    assert {200, 400} <= found["GET /api/v1/recordings"]
    assert 404 in found["GET /api/v1/recordings/{name}"]


def test_people_ask_for_what_is_there(server, recording, ask):
    config = f"""
[parameters]
"path.name" = "{recording.recording}"
"path.track" = "front"
"path.device" = "DSJ-0000002"
"""
    found = ask(console(server), config)
    assert {name for name, statuses in found.items() if statuses & {200, 206}} == CONSOLE


def test_devices_ask_for_anything(server, device, ask):
    url, *tls = devices_side(server, device)
    found = ask(url, "", *tls)
    assert set(found) == DEVICE
    assert all(403 in statuses for statuses in found.values())


def test_a_device_asks_for_what_is_its_own(server, device, recording, ask):
    # Bytes that nobody recorded are well-formed, and still refused as no fragment of ours.
    config = f"""
[parameters]
"path.device" = "{device.name}"
"path.recording" = "{recording.recording}"
"path.track" = "front"

[checks]
positive_data_acceptance.expected-statuses = ["2xx", 403, 404, 409, 422]
"""
    url, *tls = devices_side(server, device)
    found = ask(url, config, *tls)
    assert {name for name, statuses in found.items() if 200 in statuses} == {name for name in DEVICE if name.startswith("GET")}
    assert {400, 409, 422} <= found["PUT /api/v1/media/{device}/{recording}/{track}/{offset}"]


# What schemathesis found, and what it can't find: an answer that the description does not name.


def test_an_address_that_knows_other_methods_names_them(server):
    answer = server.console.request("DELETE", "/api/v1/recordings")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"


def test_every_problem_of_the_table_stands_in_a_description_and_fastapis_own_nowhere(server, device):
    with device.https(server) as https:
        documents = [https.get("/openapi.json").json(), server.console.get("/openapi.json").json()]
    text = json.dumps([document["paths"] for document in documents])
    named = set(re.findall(r"urn:zhilu:[a-z-]+", text))
    assert named == {f"urn:zhilu:{slug}" for slug in TABLE} - NOWHERE
    assert "HTTPValidationError" not in json.dumps(documents)
    for document in documents:
        for operations in document["paths"].values():
            for operation in operations.values():
                assert {"400", "500", "507"} <= set(operation["responses"])
