"""An agent as a process of its own, in a state folder that provisioning made, with simulated devices; and what it left on its disk."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from provisioning import device as devices
from provisioning import toml
from provisioning.deployment import Deployment

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 90

BOARD: dict[str, Any] = {
    "camera": {"driver": "simulators.camera:PatternCamera", "width": 576, "height": 320, "rate": 10, "kbit_s": 200, "preset": "ultrafast"},
    "microphone": {"driver": "simulators.microphone:ToneMicrophone"},
    "locator": {"driver": "simulators.locator:ReplayLocator"},
    "button": {"driver": "simulators.buttons:Buttons"},
    "indicator": {"driver": "simulators.indicator:Indicator"},
    "power": {"driver": "simulators.battery:Battery"},
    "clock": {"driver": "simulators.clock:SimulatedClock"},
}


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Until the condition holds; generous, because the machine is shared."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"waited {PATIENCE_S} s for {what}"
        time.sleep(0.02)


def enrol(deployment: Deployment, name: str, folder: Path, **over: Any) -> Path:
    """A device's state folder whose settings are these defaults and `over`."""
    made = devices.enrol(deployment, name, folder, settings(folder, **over))
    return made.folder


def settings(folder: Path, **over: Any) -> dict[str, Any]:
    """Simulated devices that tell the folder's `signals.jsonl` what the officer sees; `board` replaces roles, None removes one."""
    roles = {role: dict(table) for role, table in BOARD.items()}
    roles["indicator"]["log"] = str(folder / "signals.jsonl")
    for role, table in over.pop("board", {}).items():
        if table is None:
            roles.pop(role)
        else:
            roles[role] = {**({} if "driver" in table else roles.get(role, {})), **table}
    base: dict[str, Any] = {
        "capture": {"pre_event_s": 2, "fragment_ms": 500},
        "storage": {"reserve_bytes": 1 << 20, "stop_below_bytes": 1 << 19},
        "uplink": {"reconnect_first_ms": 50, "reconnect_max_ms": 500, "health_every_s": 1, "upload_gather_s": 1, "answer_within_s": 3},
        "board": roles,
    }
    return toml.merge(base, over)


def script(folder: Path, *steps: tuple[float, str, bool]) -> str:
    """A file of button edges: (seconds from the opening of the buttons, button, down)."""
    path = folder.parent / f"{folder.name}-script.toml"
    rows = [
        f'[[step]]\nat = {at}\nto = "button"\ndo = "edge"\nbutton = "{button}"\ndown = {str(down).lower()}\n' for at, button, down in steps
    ]
    path.write_text("\n".join(rows))
    return str(path)


class Agent:
    """`python -m agent run`."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.log = state / "agent.log"
        command = [sys.executable, "-m", "agent", "run", "--verbose", "--settings", str(state / "settings.toml")]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stderr=log, stdout=log)

    def said(self) -> list[dict[str, Any]]:
        """Its log lines."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{") and line.endswith("}")]

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        """Until the condition holds while the agent runs."""

        def holds() -> object:
            found = condition()
            assert found or self.process.poll() is None, f"{what}: the agent ended: {self.log.read_text()[-3000:]}"
            return found

        try:
            wait_for(holds, what)
        except AssertionError as error:
            raise AssertionError(f"{error}; its log ends: {self.log.read_text()[-3000:]}") from error

    def wait_for_line(self, kind: str, count: int = 1) -> None:
        """Until so many lines of a kind are in its journal."""
        self.wait_for(lambda: len(lines(self.state, kind)) >= count, f"{count} {kind} lines")

    def lamp(self, lamp: str) -> None:
        """Until the lamp shows it."""
        self.wait_for(lambda: [one["lamp"] for one in signals(self.state)[-1:]] == [lamp], f"lamp {lamp}")

    def kill(self) -> None:
        """Pull the power."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


def journal(state: Path, n: int = 1) -> list[dict[str, Any]]:
    """All whole lines of the journal as they stand on the disk, signed or not."""
    found: list[dict[str, Any]] = []
    for path in sorted((state / "journal" / str(n)).glob("segment-*.jsonl")):
        found += [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
    return found


def lines(state: Path, kind: str, n: int = 1) -> list[dict[str, Any]]:
    """Lines of one kind."""
    return [line for line in journal(state, n) if line["kind"] == kind]


def signals(state: Path) -> list[dict[str, Any]]:
    """What the officer was shown, oldest first."""
    path = state / "signals.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")] if path.exists() else []
