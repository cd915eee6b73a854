"""One deployment that runs for all of these tests, with a recorder, somebody inside its broker, and a second device's keys in our hand."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from provisioning import device as devices
from simulators.hostile.arena import Arena, Unit, unit
from simulators.hostile.forgery import Intruder, Key, Office, evidence_key
from tests.server.process import Connected

RECORDER, FORGER, VICTIM = "DSJ-0000001", "DSJ-0000002", "DSJ-0000003"
PATIENCE_S = 120


class Live:
    """An arena whose event loop runs in a thread, so that tests stay plain; and what is looked at after each mischief."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.arena = Arena(folder, {RECORDER: unit(folder / "clips")}, {"media": {"request_bytes": 1 << 20}})
        self.run(self.arena.__aenter__())
        self.deployment = self.arena.deployment
        self.console = httpx.Client(base_url=f"http://127.0.0.1:{self.deployment.ports.console}", timeout=PATIENCE_S, trust_env=False)
        self.office = Office.of(self.deployment)
        self.strangers = self.office.strangers()
        self.intruder = Intruder(self.deployment, self.arena.broker_reload)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S * 2)

    def close(self) -> None:
        self.intruder.close()
        self.console.close()
        self.run(self.arena.__aexit__())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def until(self, look: Callable[[], object], what: str) -> None:
        """Other processes have no event to wait for."""
        end, pause = time.monotonic() + PATIENCE_S, threading.Event()
        while not look():
            assert time.monotonic() < end, f"waited for {what}"
            pause.wait(0.02)

    def https(self, one: Connected) -> httpx.Client:
        """As a device, to the server itself."""
        base = f"https://localhost:{self.deployment.ports.devices}"
        return httpx.Client(base_url=base, verify=one.identity.context(), timeout=PATIENCE_S, trust_env=False)

    # ----------------------------------------------------------------- the recorder

    @property
    def recorder(self) -> Unit:
        return self.arena.units[RECORDER]

    @property
    def origin(self) -> str:
        return f"{self.deployment.domain}/{RECORDER}/1"

    @property
    def key(self) -> Key:
        """The recorder's evidence key: whoever holds the device has it."""
        return evidence_key(self.recorder.folder, self.origin)

    def refusals(self) -> list[tuple[str, str]]:
        """(topic, reason) of everything that the recorder has refused, by its log."""
        log = (self.recorder.folder / "agent.log").read_text()
        said = [json.loads(line) for line in log.splitlines() if line.startswith('{"at"') and line.endswith("}")]
        return [(line["topic"], line["reason"]) for line in said if line["what"] == "refused" and "reason" in line]

    # ----------------------------------------------------------------- the server

    def counts(self, metric: str) -> Counter[str]:
        """A metric of the server's by its label."""
        rows = [line for line in self.console.get("/metrics").text.splitlines() if line.startswith(metric + "{")]
        return Counter({row.split('"')[1]: int(row.rsplit(" ", 1)[1]) for row in rows})

    def entries(self, kind: str) -> list[dict[str, Any]]:
        """Lines of the ledger, newest first."""
        items: list[dict[str, Any]] = self.console.get("/api/v1/custody", params={"kind": kind, "limit": 200}).json()["items"]
        return items

    def log(self) -> str:
        return (self.folder / "logs" / "server.log").read_text()

    def media(self) -> dict[str, bytes]:
        """Everything in the server's store."""
        root = self.deployment.server_folder / "media"
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="package")
def live(tmp_path_factory) -> Iterator[Live]:
    made = Live(tmp_path_factory.mktemp("live"))
    yield made
    made.close()


def _device(live: Live, name: str) -> Connected:
    made = Connected(live.deployment, devices.enrol(live.deployment, name, live.folder / name).folder)
    with live.https(made) as https:
        assert https.get(f"/api/v1/journal/{name}/1/checkpoint").json()["type"] == "urn:zhilu:no-checkpoint"
    return made


@pytest.fixture(scope="package")
def forger(live) -> Iterator[Connected]:
    """A device whose keys are in our hand: it signs whatever we like."""
    made = _device(live, FORGER)
    yield made
    made.close()


@pytest.fixture(scope="package")
def victim(live) -> Iterator[Connected]:
    """Another device, which is honest."""
    made = _device(live, VICTIM)
    made.journal.record(fragments=2, size=2_000)
    made.send(0)
    yield made
    made.close()
