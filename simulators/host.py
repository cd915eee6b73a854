"""One virtual recorder from the outside: its case with buttons and lamp, its battery, the network around it, and its agent.

Rules:
- The agent is a process of its own and knows nothing of being simulated but its drivers' names. Pulling the power is SIGKILL.
- The state folder is a device's as provisioning makes it; nothing in it is changed. What the simulation needs stands in
  `simulated.toml` beside `settings.toml`, written anew at every start: the same settings, with server and broker behind the
  network switch, and the world's socket for every simulated device.
- What happened is a numbered list of events, the newest kept; whoever watches asks for what came after the last it knows.

The page is simulators.page, the sockets simulators.world and simulators.network.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import tomllib
from collections import deque
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hal import board
from hal.errors import HalError
from provisioning import toml
from simulators.children import Child
from simulators.errors import ScriptError, SimulatorError
from simulators.network import Address, Network
from simulators.weather import weather
from simulators.world import World

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from simulators.network import Lines

AGENT = ("agent", "run")
"""What `python -m` is given: the recorder's agent."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")
MAX_EVENTS = 500
SHORT_S, LONG_S, BETWEEN_S = 0.15, 1.4, 0.15
"""A finger's presses: longer than any debounce, and longer than the second that makes a press a long one."""

DEFAULT_GESTURES = {"start": "record:short", "stop": "record:long", "mark": "mark:short", "still": "mark:long"}
DARK: dict[str, Any] = {"lamp": "off", "sound": "", "vibration": "", "screen": []}


class Host:
    """A virtual recorder; `start` first, `close` at the end. Everything happens in one event loop."""

    def __init__(
        self, state: Path, *, direct: bool = False, console: str = "", agent: Sequence[str] = AGENT, lines: Lines | None = None
    ) -> None:
        """`direct`: no network switch; `lines`: those that it shares with other recorders."""
        self.folder = state
        self._command = tuple(agent)
        self._console = console
        self.settings = _read(state / "settings.toml")
        self.name = str(_table(self.settings, "overlay").get("device_number") or state.name)
        self.gestures = {action: _table(self.settings, "buttons").get(action, usual) for action, usual in DEFAULT_GESTURES.items()}
        self.network = Network({} if direct else _upstreams(self.settings), lines)
        self.weather = "clear"
        self.world = World(state / "world.sock", self._hear)
        self.signal = dict(DARK)
        self.battery: dict[str, Any] = {"percent": 100, "charging": False}
        self.faults: dict[str, bool] = {"camera": False, "microphone": False, "locator": False}
        self.down: set[str] = set()
        self.running: set[str] = set()
        self.number = 0
        self.version = 0
        self._changed = asyncio.Condition()
        self._events: deque[dict[str, Any]] = deque(maxlen=MAX_EVENTS)
        self._agent: Child | None = None
        self._watch: asyncio.Task[None] | None = None
        self._finger = asyncio.Lock()
        self._power = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    # ---------------------------------------------------------------- from power on to the end

    async def start(self, *, power: bool = True) -> None:
        """Put the world up, the network on, and the power unless it is to stay off."""
        await self.world.start()
        await self.network.switch(up=True)
        self._write_settings()
        if power:
            await self.power_on()

    async def close(self) -> None:
        """End the agent as a service manager does, and everything around it."""
        async with self._power:
            await self._end(kill=False)
        await self.world.close()
        await self.network.close()

    async def power_on(self) -> None:
        """Start the agent; nothing where it runs."""
        async with self._power:
            if self._agent is None:
                arguments = (*self._command, "--settings", str(self.folder / "simulated.toml"))
                self._agent, _ = await Child.start(f"agent of {self.name}", arguments, self.folder / "agent.log")
                self._watch = asyncio.create_task(self._watched(self._agent))
                self.tell("power", "on")

    async def power_off(self) -> None:
        """Pull the power: the agent is killed wherever it is."""
        async with self._power:
            if self._agent is not None:
                self.tell("power", "pulled")
                await self._end(kill=True)

    async def set_network(self, *, up: bool) -> None:
        """The switch."""
        await self.network.switch(up=up)
        self.tell("network", "on" if up else "off")

    async def set_weather(self, name: str, seed: int | None = None) -> None:
        """What the network does while it is on; SimulatorError where there is no such weather."""
        await self.network.become(weather(name), seed)
        self.weather = name
        self.tell("weather", name if seed is None else f"{name}, seed {seed}")

    # ---------------------------------------------------------------- the officer's hand, and fate

    def edge(self, button: str, *, down: bool) -> None:
        """A button goes down or up."""
        self.world.order("button", "edge", button=button, down=down)
        (self.down.add if down else self.down.discard)(button)
        self.tell("button", f"{button} {'down' if down else 'up'}")

    async def gesture(self, action: str) -> None:
        """The press that the device's settings name for start, stop, mark or still, as a finger makes it."""
        button, _, press = self.gestures[action].partition(":")
        if not button:
            raise ScriptError(f"this device has no press for {action}; its settings leave buttons.{action} empty")
        async with self._finger:
            for place in range(2 if press == "double" else 1):
                if place:
                    await asyncio.sleep(BETWEEN_S)
                self.edge(button, down=True)
                await asyncio.sleep(LONG_S if press == "long" else SHORT_S)
                self.edge(button, down=False)
            await asyncio.sleep(BETWEEN_S)  # the next gesture's press is another one, not a bounce of this one's end

    def set_battery(self, percent: int, *, charging: bool) -> None:
        """What the battery shows."""
        self.world.order("power", "set", percent=percent, charging=charging)
        self.battery = {"percent": percent, "charging": charging}
        self.tell("battery", f"{percent} %{', charging' if charging else ''}")

    def set_fault(self, role: str, *, broken: bool) -> None:
        """Unplug the camera or the microphone, or take the satellites away; and give them back."""
        verbs = {"locator": ("lose", "find")}.get(role, ("unplug", "plug"))
        self.world.order(role, verbs[0] if broken else verbs[1])
        self.faults[role] = broken
        self.tell(role, verbs[0] if broken else verbs[1])

    # ---------------------------------------------------------------- what can be seen

    def state(self) -> dict[str, Any]:
        """Everything that the page shows."""
        agent = self._agent
        return {
            "device": self.name,
            "console": self._console,
            "power": "off" if agent is None else "on",
            "pid": None if agent is None else agent.pid,
            "network": "on" if self.network.up else "off",
            "weather": self.weather,
            **self.signal,
            "down": sorted(self.down),
            "gestures": self.gestures,
            "battery": self.battery,
            "faults": self.faults,
            "devices": self.world.roles(),
            "running": sorted(self.running),
            "sent_bytes": sum(relay.passed_bytes for relay in self.network.relays.values()),
            "number": self.number,
        }

    def events(self, after: int = 0) -> list[dict[str, Any]]:
        """What happened after event number `after`, oldest first, as far as it is kept."""
        return [event for event in self._events if event["number"] > after]

    async def news(self, seen: int) -> None:
        """Wait until `version` is another than `seen`."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.version != seen)

    def tell(self, what: str, text: str) -> None:
        """Something happened: note it and wake whoever watches."""
        self.number += 1
        self._events.append({"number": self.number, "at": time.time_ns() // 1_000_000, "what": what, "text": text})
        self._wake()

    def _wake(self) -> None:
        self.version += 1
        task = asyncio.get_running_loop().create_task(self._notify())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _hear(self, role: str, what: str, members: dict[str, Any]) -> None:
        """A report of a device."""
        if role == "power" and what == "level":
            self.battery = {"percent": members.get("percent"), "charging": members.get("charging")}
            self._wake()
        if what == "running":
            self.running.add(role)
            self._wake()
        if role != "indicator" or what != "signal":
            return
        new = {name: members.get(name, usual) for name, usual in DARK.items()}
        old, self.signal = self.signal, new
        if new["lamp"] != old["lamp"]:
            self.tell("lamp", str(new["lamp"]))
        for feel in ("sound", "vibration"):
            if new[feel]:
                self.tell(feel, str(new[feel]))
        if new["screen"] != old["screen"]:
            self._wake()

    # ---------------------------------------------------------------- inside

    async def _watched(self, agent: Child) -> None:
        """An agent that ends by itself leaves a dark device and a word about it."""
        status = await agent.wait()
        if self._agent is agent:
            self._agent = None
            self._darken()
            self.tell("power", f"the agent ended by itself with status {status}: {agent.last_words(2)}")

    async def _end(self, *, kill: bool) -> None:
        agent, self._agent = self._agent, None
        if agent is None:
            return
        status = await (agent.kill() if kill else agent.stop())
        if self._watch is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        self._darken()
        self.tell("power", f"off ({'killed' if kill else f'status {status}'})")

    def _darken(self) -> None:
        self.signal = dict(DARK)
        self.down.clear()
        self.running.clear()

    def _write_settings(self) -> None:
        """Write simulated.toml: the device's settings, seen from inside this world."""
        over: dict[str, Any] = {}
        if self.network.relays:
            over["server"] = {"url": f"https://localhost:{self.network.relays['server'].port}"}
            over["broker"] = {"host": "localhost", "port": self.network.relays["broker"].port}
        roles = _table(self.settings, "board")
        over["board"] = {role: {"world": str(self.folder / "world.sock")} for role, table in roles.items() if _joins(table)}
        text = toml.write(toml.merge(self.settings, over), f"{self.name} in its simulated world; written anew at every start.")
        (self.folder / "simulated.toml").write_text(text, "utf-8")


def _joins(table: Any) -> bool:
    """Whether a role's driver is a simulated one that takes orders from a world, and has no script of its own."""
    dotted = table.get("driver", "") if isinstance(table, dict) else ""
    if not isinstance(dotted, str) or not dotted.startswith("simulators.") or "script" in table:
        return False
    try:
        return "world" in board.options(dotted)
    except HalError:
        return False  # the agent will say what is wrong with it


def _upstreams(settings: dict[str, Any]) -> dict[str, Address]:
    """Where server and broker are; SimulatorError where they are not on this machine."""
    broker = _table(settings, "broker")
    try:
        url = urlsplit(str(_table(settings, "server").get("url", "")))
        found = {
            "server": Address(url.hostname or "", url.port or 443),
            "broker": Address(str(broker.get("host", "")), int(broker.get("port", 8883))),
        }
    except (ValueError, TypeError, OverflowError, RecursionError) as problem:
        raise SimulatorError(f"settings: expected server.url and broker.port to be an address and a port, got: {problem}") from problem
    far = [address.host for address in found.values() if address.host not in LOOPBACK]
    if far:
        raise SimulatorError(
            f"settings name {', '.join(map(repr, far))} as server or broker; the network switch needs both on this machine: use --direct",
        )
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        raise SimulatorError(
            f"{path}: expected the settings of an enrolled device, got: {problem}; make one: zhilu provision device"
        ) from problem


def _table(settings: dict[str, Any], name: str) -> dict[str, Any]:
    found = settings.get(name, {})
    return found if isinstance(found, dict) else {}
