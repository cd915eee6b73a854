"""A deployment that runs, with one virtual recorder: broker, server, the recorder's host and its agent are processes of their own.

Presses, network and power go through the host's page; export and verification through the commands that people type.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from provisioning import deployment as deployments
from provisioning.deployment import Deployment, Ports
from provisioning.mosquitto import Mosquitto
from tests.agent.running import ROOT, enrol, lines, wait_for
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
        self.deployment = deploy(folder)
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


def deploy(folder: Path) -> Deployment:
    """A deployment on ports that were free a moment ago."""
    return deployments.create(folder / "deployment", "evidence.example.gov", ports=Ports(*free_ports(3)))


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports
