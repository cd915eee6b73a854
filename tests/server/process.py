"""The server as a process of its own, over a deployment that provisioning made, and a device's side of it."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import httpx

from provisioning.deployment import Deployment
from tests.provisioning.clients import Client, Identity, connect
from tests.server.virtual import Device

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0


class ServerProcess:
    """`python -m server run`; the ports are known once it is made."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.log = deployment.server_folder / "server.log"
        command = [sys.executable, "-m", "server", "run", "--settings", str(deployment.server_settings)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        line = self.process.stdout.readline() if ready else ""
        assert line, self.log.read_text()
        self.ports: dict[str, int] = json.loads(line)
        self.console = httpx.Client(base_url=f"http://127.0.0.1:{self.ports['console_port']}", timeout=PATIENCE, trust_env=False)

    def ready(self) -> ServerProcess:
        """Wait until it hears the broker too."""
        end = time.monotonic() + PATIENCE
        while self.console.get("/readyz").status_code != 200:
            assert time.monotonic() < end, self.said()
            time.sleep(0.02)
        return self

    def said(self) -> str:
        return self.log.read_text()

    def kill(self) -> None:
        """Pull the power."""
        self.process.kill()
        self._gone()

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self.process.terminate()
        return self._gone()

    def _gone(self) -> int:
        status = self.process.wait(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.console.close()
        return status


class Connected:
    """A device with its state folder: MQTT and HTTPS by its own certificate."""

    def __init__(self, deployment: Deployment, folder: Path) -> None:
        self.deployment = deployment
        self.identity = Identity.of_device(folder)
        self.journal = Device.enrolled(folder)
        self.name = self.journal.device
        self.mqtt: Client = connect(self.identity, deployment.ports.broker)
        for leaf in ("witness", "receipt"):
            self.mqtt.mqtt.subscribe(f"zhilu/{self.name}/{leaf}", 1)
        self.mqtt.mqtt.subscribe("zhilu/ledger", 1)
        self.mqtt.until(lambda: len(self.mqtt.granted) == 3)

    def https(self, server: ServerProcess) -> httpx.Client:
        base = f"https://localhost:{server.ports['device_port']}"
        return httpx.Client(base_url=base, verify=self.identity.context(), timeout=PATIENCE, trust_env=False)

    def handshake(self, server: ServerProcess) -> httpx.Response:
        """What every device asks before it publishes anything."""
        with self.https(server) as https:
            return https.get(f"/api/v1/journal/{self.name}/{self.journal.n}/checkpoint")

    def publish(self, leaf: str, payload: bytes | dict[str, Any], *, retain: bool = False) -> None:
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.mqtt.mqtt.publish(f"zhilu/{self.name}/{leaf}", data, 1, retain)

    def heard(self, leaf: str) -> list[bytes]:
        topic = "zhilu/ledger" if leaf == "ledger" else f"zhilu/{self.name}/{leaf}"
        return [payload for to, payload in list(self.mqtt.messages) if to == topic]

    def cosigned_size(self) -> int:
        """The largest size of ours that came back cosigned."""
        return max((int(payload.split(b"\n")[1]) for payload in self.heard("witness")), default=0)

    def send(self, first: int | None = None) -> None:
        """Publish what is not cosigned yet, and wait until it is."""
        for payload in self.journal.batches(self.cosigned_size() if first is None else first):
            self.publish("journal", payload)
        self.mqtt.until(lambda: self.cosigned_size() >= self.journal.size)

    def close(self) -> None:
        self.mqtt.mqtt.disconnect()
        self.mqtt.mqtt.loop_stop()


def settings_with(deployment: Deployment, **tables: dict[str, Any]) -> None:
    """Change the server's settings."""
    values = tomllib.loads(deployment.server_settings.read_text())
    for name, table in tables.items():
        values[name] = values.get(name, {}) | table
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items() if not isinstance(value, dict)]
    for name, table in values.items():
        if isinstance(table, dict):
            lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    deployment.server_settings.write_text("\n".join(lines) + "\n")
