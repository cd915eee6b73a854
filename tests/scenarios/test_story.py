"""The whole story with real processes: an officer, a bad network, an empty battery, a broker that forgets, and an expert who doubts.

Broker, server, the virtual recorder's host and its agent are processes of their own; presses, network and power go through the
host's page, export and verification through the commands that people type.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from provisioning import deployment as deployments
from provisioning.deployment import Deployment, Ports
from provisioning.mosquitto import Mosquitto
from tests.agent.running import ROOT, enrol, journal, lines, wait_for
from tests.server.process import ServerProcess

DEVICE = "DSJ-0012345"
WITHIN_S = 120


class Recorder:
    """A virtual recorder: its host's process, seen through its page."""

    def __init__(self, state: Path) -> None:
        self.state = state
        command = [sys.executable, "-m", "simulators.recorder", "--state", str(state)]
        with (state.parent / "host.log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        self.page = httpx.Client(base_url=json.loads(self.process.stdout.readline())["address"], timeout=WITHIN_S, trust_env=False)

    def do(self, what: str) -> None:
        self.page.post(what).raise_for_status()

    def lamp(self, lamp: str) -> None:
        wait_for(lambda: self.page.get("/state").json()["lamp"] == lamp, f"lamp {lamp}: {self.words()}")

    def line(self, kind: str, count: int = 1) -> None:
        wait_for(lambda: len(lines(self.state, kind)) >= count, f"{count} {kind} lines: {self.words()}")

    def words(self) -> str:
        log = self.state / "agent.log"
        return log.read_text()[-1_500:] if log.exists() else ""

    def cosigned(self) -> int:
        """Lines that the server has cosigned, as the device knows."""
        path = self.state / "journal" / "1" / "cosigned"
        return int(path.read_text().split("\n")[1]) if path.exists() else 0

    def receipts(self) -> set[str]:
        return {path.stem for path in (self.state / "receipts").glob("*.tlog-proof")}

    def end(self) -> int:
        self.process.terminate()
        status = self.process.wait(WITHIN_S)
        self.page.close()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status


class World:
    """A deployment that runs, with one recorder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.deployment: Deployment = deployments.create(folder / "deployment", "evidence.example.gov", ports=Ports(*free_ports(3)))
        world = {"agent": {"resume_after_power_loss": True}, "uplink": {"upload_parallel": 2}}
        self.state = enrol(self.deployment, DEVICE, folder / "recorder" / DEVICE, **world)
        self.broker = Mosquitto(self.deployment)
        self.server = ServerProcess(self.deployment)
        self.recorder = Recorder(self.state)

    def forget(self) -> None:
        """The broker dies, and with it everything that it kept."""
        self.broker.process.kill()
        self.broker.process.wait(WITHIN_S)
        data = self.deployment.broker_folder / "data"
        for path in data.iterdir():
            path.unlink()
        self.broker = Mosquitto(self.deployment)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What somebody types."""
        typed = [sys.executable, "zhilu.py", *arguments]
        return subprocess.run(typed, cwd=ROOT, capture_output=True, text=True, check=False, timeout=WITHIN_S)

    def verified(self, recording: str) -> dict[str, Any]:
        """Export a recording, and let an expert look at it who trusts nobody but the two keys."""
        console = f"http://127.0.0.1:{self.server.ports['console_port']}"
        made = self.command("export", recording, "-o", str(self.folder / "packages"), "--server", console, "--json")
        assert made.returncode == 0, made.stderr
        package = json.loads(made.stdout)["package"]
        keys = [word for key in self.deployment.keys_file.read_text().split() for word in ("--key", key)]
        done = self.command("verify", package, *keys, "--json")
        told: dict[str, Any] = json.loads(done.stdout)
        plain = shutil.which("python3", path="/usr/bin") or sys.executable
        elsewhere = subprocess.run(
            [plain, "-I", f"{package}/verify.pyz", package, *keys, "--json"], capture_output=True, text=True, check=False, timeout=WITHIN_S
        )
        assert json.loads(elsewhere.stdout)["verdict"] == told["verdict"], elsewhere.stderr
        assert (done.returncode == 0) == (told["verdict"] == "intact")
        return told

    def end(self) -> None:
        self.recorder.end()
        if self.server.process.poll() is None:
            self.server.stop()
        self.broker.stop()


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


@pytest.fixture
def world(tmp_path) -> Iterator[World]:
    one = World(tmp_path)
    yield one
    one.end()


@pytest.mark.timeout(600)
def test_press_mark_lose_the_network_and_the_power_come_back_stop_and_prove_it(world):
    recorder, state = world.recorder, world.state

    # an officer presses and marks; the server cosigns while it records
    recorder.lamp("ready")
    recorder.do("/gesture/start")
    recorder.line("fragment", 6)
    recorder.lamp("recording")
    recorder.do("/gesture/mark")
    recorder.line("mark")
    marked = next(index for index, line in enumerate(journal(state)) if line["kind"] == "mark")
    wait_for(lambda: recorder.cosigned() > marked, "the cosignature over the mark")

    # the network goes away; recording goes on, and meanwhile the broker forgets everything
    recorder.do("/network/off")
    before = len(lines(state, "fragment"))
    recorder.line("fragment", before + 6)
    world.forget()
    lost_sight = recorder.cosigned()
    assert lost_sight < len(journal(state))

    # the battery is pulled in the middle; the next start ends the recording, says what is missing, and goes on
    recorder.do("/power/off")
    first = lines(state, "start")[0]["recording"]
    recorder.do("/power/on")
    recorder.line("start", 2)
    second = lines(state, "start")[1]
    assert (second["trigger"], second["continues"]) == ("resume", first)
    boot = lines(state, "boot")[1]
    assert boot["clean"] is False
    assert boot["lost"]["unfinished"] == 1
    recorder.line("fragment", len(lines(state, "fragment")) + 4)
    assert recorder.cosigned() == lost_sight

    # the network is back: what waited goes, then the officer stops
    recorder.do("/network/on")
    wait_for(lambda: recorder.cosigned() > lost_sight, f"a cosignature after the network came back: {recorder.words()}")
    recorder.do("/gesture/stop")
    recorder.line("stop", 2)
    recorder.lamp("ready")
    wait_for(lambda: recorder.receipts() == {first, second["recording"]}, f"both receipts: {recorder.words()}")

    # nothing waits any more, nothing was refused, and the server says the same of both
    shown = world.server.console.get("/api/v1/recordings").json()["items"]
    assert [one["state"] for one in shown] == ["stored", "stored"]

    # the expert: both are whole; the first one's gap at its end is stated, not hidden
    cut, resumed = world.verified(first), world.verified(second["recording"])
    assert (cut["verdict"], resumed["verdict"]) == ("intact", "intact")
    stops = {line["recording"]: line["trigger"] for line in lines(state, "stop")}
    assert stops == {first: "power", second["recording"]: "button"}
    gaps = [line for line in lines(state, "gap") if line["recording"] == first]
    assert [line["reason"] for line in gaps] == ["power"]

    # and the auditor: every recording that was ever started is still there
    keys = [word for key in world.deployment.keys_file.read_text().split() for word in ("--key", key)]
    recorder.do("/power/off")
    audited = world.command("audit", str(state), *keys)
    assert audited.returncode == 0, audited.stdout + audited.stderr


@pytest.mark.timeout(600)
def test_a_server_that_is_pulled_in_the_middle_changes_nothing_in_the_end(world):
    recorder, state = world.recorder, world.state
    recorder.lamp("ready")
    recorder.do("/gesture/start")
    recorder.line("fragment", 6)
    world.server.kill()
    recorder.line("fragment", 12)
    world.server = ServerProcess(world.deployment)
    recorder.do("/gesture/stop")
    recorder.line("stop")
    recording = lines(state, "start")[0]["recording"]
    wait_for(lambda: recorder.receipts() == {recording}, f"the receipt: {recorder.words()}")
    assert world.verified(recording)["verdict"] == "intact"
