"""Real processes on one machine, to be broken: broker, server, and recorders whose networks and devices are under our hand.

    deployment/          as `zhilu provision ca` makes it
    devices/<id>/        as `zhilu provision device` makes it
    logs/                what each process said

Rules:
- Everything that decides is the real thing: mosquitto, the server's process, an agent's process for each recorder. Only the world
  around a recorder (buttons, lamp, network) is this process's, through simulators.host.
- Killed means SIGKILL. A broker that is killed and forgets has an empty folder afterwards.
- Waiting is for something that can be seen, with an end far beyond what a busy machine needs.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import time
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any, Self

import httpx

from provisioning import deployment as deployments
from provisioning import device as devices
from provisioning import toml
from provisioning.mosquitto import Mosquitto
from simulators import media
from simulators.children import Child
from simulators.errors import StoryError
from simulators.host import AGENT, Host
from simulators.progress import Progress
from simulators.stage import HeldPorts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from simulators.network import Lines

DOMAIN = "evidence.example.gov"
WITHIN_S = 240.0
LOOK_S = 0.05

SERVER: dict[str, Any] = {"media": {"reserve_bytes": 0}, "ledger": {"anchor_s": 1}}


class Unit:
    """One recorder: its host, its state folder, and how far it has come."""

    def __init__(self, name: str, folder: Path, arena: Arena) -> None:
        self.name, self.folder = name, folder
        self._arena = arena
        self.host = Host(folder, agent=arena.agent, lines=arena.lines)

    @property
    def n(self) -> int:
        """The number of the journal that is written."""
        return int(json.loads((self.folder / "enrolment.json").read_text("utf-8"))["n"])

    @property
    def progress(self) -> Progress:
        """What its disk says."""
        return Progress(self.folder, self.n)

    def lines(self, kind: str = "") -> list[dict[str, Any]]:
        """Whole lines of its journal that are JSON, of one kind or all."""
        paths = sorted((self.folder / "journal" / str(self.n)).glob("segment-*.jsonl"))
        raw = [line for path in paths for line in path.read_bytes().split(b"\n")[:-1] if kind.encode() in line]
        return [line for line in map(json.loads, raw) if kind in ("", line["kind"])]

    def recordings(self) -> list[str]:
        """Those that have ended, oldest first."""
        return [line["recording"] for line in self.lines("stop")]

    def complete(self) -> bool:
        """Nothing waits: every line is cosigned, every recording that ended is stored."""
        progress = self.progress
        size = progress.size()
        return bool(size) and progress.cosigned() == progress.durable() == size and all(map(progress.stored, self.recordings()))

    def said(self) -> str:
        """The end of its agent's log."""
        with suppress(OSError):
            return (self.folder / "agent.log").read_text("utf-8", "replace")[-2_000:]
        return ""

    # ----------------------------------------------------------------- what an officer does

    async def ready(self) -> None:
        """Until a press would be recorded from its first picture on."""
        await self._arena.until(f"{self.name} to be ready", self._is_ready)

    def _is_ready(self) -> bool:
        return self.host.signal["lamp"] in {"ready", "alarm"} and "camera" in self.host.running

    async def press_start(self) -> str:
        """Begin a recording; its name, once it is on record."""
        count = len(self.lines("start"))
        await self.host.gesture("start")
        await self._arena.until(f"{self.name} to begin", lambda: len(self.lines("start")) > count)
        return str(self.lines("start")[-1]["recording"])

    async def press_stop(self) -> None:
        """End the recording, once that is on record."""
        count = len(self.lines("stop"))
        await self.host.gesture("stop")
        await self._arena.until(f"{self.name} to stop", lambda: len(self.lines("stop")) > count)

    async def recorded(self, fragments: int) -> None:
        """Until so many more fragments are on record."""
        count = len(self.lines("fragment")) + fragments
        await self._arena.until(f"{fragments} fragments of {self.name}", lambda: len(self.lines("fragment")) >= count)


class Arena:
    """`async with Arena(folder, units) as arena`: everything runs and the recorders are on."""

    def __init__(
        self,
        data: Path,
        units: Mapping[str, Mapping[str, Any]],
        server: Mapping[str, Any] | None = None,
        lines: Lines | None = None,
        agent: Sequence[str] = AGENT,
    ) -> None:
        """`server`: settings of its over the defaults; `lines`: all recorders share one line; `agent`: another program for them."""
        self.data = data
        self.lines = lines
        self.agent = agent
        self.units: dict[str, Unit] = {}
        self.deployment: deployments.Deployment
        self._settings = {name: dict(table) for name, table in units.items()}
        self._server_settings = toml.merge(SERVER, dict(server or {}))
        self._server: Child | None = None
        self._broker: Mosquitto | None = None
        self._console: httpx.AsyncClient | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start everything; what was started ends again when something does not start."""
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """End everything, recorders first."""
        await self._stack.aclose()

    async def _start(self) -> None:
        (self.data / "logs").mkdir(parents=True, exist_ok=True)
        with HeldPorts() as held:
            ports = deployments.Ports(*(held.take(0) for _ in range(3)))
        self.deployment = deployments.create(self.data / "deployment", DOMAIN, ports=ports)
        given = _tables(self.deployment.server_settings)
        self.deployment.server_settings.write_text(toml.write(toml.merge(given, self._server_settings), "An arena's server."), "utf-8")
        self._stack.push_async_callback(self.server_stop)
        self._stack.callback(self.broker_stop)
        self.broker_start()
        await self.server_start()
        for name, table in self._settings.items():
            await self.enrol(name, table)

    async def enrol(self, name: str, table: Mapping[str, Any], *, power: bool = True) -> Unit:
        """A recorder more, switched on unless it is to stay off."""
        folder = self.data / "devices" / name
        devices.enrol(self.deployment, name, folder, dict(table))
        unit = self.units[name] = Unit(name, folder, self)
        self._stack.push_async_callback(unit.host.close)
        await unit.host.start(power=power)
        return unit

    # ----------------------------------------------------------------- broker and server

    def broker_start(self) -> None:
        """Start the broker with what its folder holds."""
        leash = (sys.executable, "-m", "simulators.leash", str(os.getpid()))
        self._broker = Mosquitto(self.deployment, self.data / "logs" / "mosquitto.log", leash)

    def broker_stop(self) -> None:
        """End it in order; twice does no harm."""
        if self._broker is not None:
            self._broker.stop()

    def broker_kill(self, *, forget: bool = True) -> None:
        """Kill it, and with `forget` remove everything that it had kept."""
        assert self._broker is not None
        self._broker.process.kill()
        self._broker.process.wait()
        if forget:
            shutil.rmtree(self.deployment.broker_folder / "data")
            (self.deployment.broker_folder / "data").mkdir()

    async def server_start(self) -> None:
        """Start the server and wait until it hears the broker."""
        arguments = ("server", "run", "--settings", str(self.deployment.server_settings))
        self._server, _ = await Child.start("the server", arguments, self.data / "logs" / "server.log", ready=True)
        self._console = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.deployment.ports.console}", timeout=WITHIN_S, trust_env=False)
        await self.until("the server to be ready", self._is_ready)

    async def _is_ready(self) -> bool:
        return (await self.console.get("/readyz")).status_code == httpx.codes.OK

    async def server_kill(self) -> None:
        """SIGKILL."""
        assert self._server is not None
        await self._server.kill()
        await self._end_console()

    async def server_stop(self) -> None:
        """SIGTERM; twice does no harm."""
        if self._server is not None:
            await self._end_console()
            await self._server.stop()

    async def _end_console(self) -> None:
        if self._console is not None:
            await self._console.aclose()
            self._console = None

    @property
    def console(self) -> httpx.AsyncClient:
        """The server's console."""
        assert self._console is not None, "the server does not run"
        return self._console

    async def metric(self, name: str, label: str = "") -> int:
        """A count of the server's; 0 where nothing was counted yet."""
        wanted = f"{name}{{{_label(label)}}} " if label else f"{name} "
        text = (await self.console.get("/metrics")).text
        return next((int(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(wanted)), 0)

    async def said(self, unit: Unit, state: str = "health") -> dict[str, Any]:
        """What a recorder said of itself most recently, as the console shows it: its `health`, `status` or `reported`."""
        items = (await self.console.get("/api/v1/devices")).json()["items"]
        said: dict[str, Any] = next((one["states"] for one in items if one["device"] == unit.name), {})
        return dict(said.get(state, {}).get("said", {}))

    def broker_reload(self) -> None:
        """Have it read its access list again."""
        assert self._broker is not None
        self._broker.reload()

    # ----------------------------------------------------------------- waiting

    async def until(self, what: str, look: Callable[[], Any] | Callable[[], Awaitable[Any]]) -> None:
        """Until it is so; StoryError names what did not come in time."""
        end = time.monotonic() + WITHIN_S
        while time.monotonic() < end:
            found = look()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            await asyncio.sleep(LOOK_S)
        words = " | ".join(f"{unit.name}: {unit.said()}" for unit in self.units.values())
        raise StoryError(f"waited {WITHIN_S:.0f} s for {what}; {self.data / 'logs'}; {words}")

    async def settled(self) -> None:
        """Until no recorder has anything that waits."""
        for unit in self.units.values():
            await self.until(f"everything of {unit.name} to arrive", unit.complete)

    async def frozen(self) -> None:
        """Pull every recorder's power and stop the server: what is on the disks now is what counts."""
        await asyncio.gather(*(unit.host.power_off() for unit in self.units.values()))
        await self.server_stop()


HURRY: dict[str, Any] = {
    "server": {"timeout_s": 3},
    "broker": {"keepalive_s": 5},
    "uplink": {"reconnect_first_ms": 50, "reconnect_max_ms": 1_000, "answer_within_s": 2, "upload_gather_s": 1},
}
"""Short waits everywhere, so that a fault and what follows from it take seconds."""


def unit(folder: Path, *, kbit_s: int = 400, hurry: bool = True, **over: Any) -> dict[str, Any]:
    """A recorder's settings: a camera that copies (kept in `folder`), no sound; in a hurry, or with the usual waits."""
    clip = media.encoded(media.clip("bikes"), folder, (320, 180), 10, kbit_s, 10)
    base: dict[str, Any] = {
        "capture": {"pre_event_s": 2},
        "storage": {"reserve_bytes": 1 << 20, "stop_below_bytes": 1 << 19},
        "uplink": {"health_every_s": 1},
        "board": {
            "camera": {"driver": "simulators.camera:CopyCamera", "path": str(clip)},
            "button": {"driver": "simulators.buttons:Buttons"},
            "indicator": {"driver": "simulators.indicator:Indicator"},
            "power": {"driver": "simulators.battery:Battery"},
        },
    }
    return toml.merge(toml.merge(base, HURRY) if hurry else base, over)


def _tables(path: Path) -> dict[str, Any]:
    import tomllib

    return tomllib.loads(path.read_text("utf-8"))


def _label(text: str) -> str:
    name, _, value = text.partition("=")
    return f'{name}="{value}"'
