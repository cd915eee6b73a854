"""Everything of the demonstration as processes of its own: broker, server and one host for each virtual recorder.

    <data>/deployment/     as `zhilu provision ca` makes it
    <data>/devices/<id>/   as `zhilu provision device` makes it
    <data>/media/          sounds made from clips or spoken
    <data>/logs/           what each process said
    <data>/ports.toml      the recorders' pages' ports, so that a bookmark lasts

Rules:
- A second start finds the first one's data. Ports are kept where they are still free, else all that names them is written anew.
- One demonstration at a time on a data folder (flock).
- The end is in order: recorders (each ends its agent, which says farewell), server, broker. Killed outright, the kernel ends
  the children (simulators.leash).
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import sys
import tomllib
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Self

from provisioning import deployment as deployments
from provisioning import device as devices
from provisioning import toml
from provisioning.mosquitto import Mosquitto
from simulators.children import Child
from simulators.errors import ProcessError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DOMAIN = "evidence.demo.example"
HOST_STOP_WITHIN_S = 90.0
"""Longer than what a host grants its agent."""


@dataclass(frozen=True, slots=True)
class Recorder:
    """One virtual recorder that runs: its id, its state folder and its page."""

    device: str
    folder: Path
    address: str


class Stage:
    """`async with Stage(data, {device: settings}) as stage`: all processes run and listen."""

    def __init__(self, data: Path, units: Mapping[str, Mapping[str, Any]]) -> None:
        self.data = data
        self.recorders: list[Recorder] = []
        self.console = ""
        self.deployment: deployments.Deployment
        self._units = units
        self._children: list[Child] = []
        self._broker: Mosquitto | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start everything; what was started ends again when something does not start."""
        try:
            self._stack.callback(_lock(self.data).close)
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """End everything, in order."""
        await self._stack.aclose()

    @property
    def keys(self) -> Path:
        """The file with the ledger's and the witness's vkeys."""
        return self.deployment.keys_file

    async def ended(self) -> str:
        """Wait until a process ends by itself; which, how, and what it said last."""
        assert self._broker is not None
        tasks: set[asyncio.Task[int]] = {asyncio.create_task(child.wait()) for child in self._children}
        tasks.add(asyncio.create_task(asyncio.to_thread(self._broker.process.wait)))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        for child in self._children:
            if child.status is not None:
                return f"{child.name} ended by itself with status {child.status}; {child.log} ends with: {child.last_words()}"
        return f"the broker ended by itself; see {self._logs / 'mosquitto.log'}"

    @property
    def _logs(self) -> Path:
        return self.data / "logs"

    async def _start(self) -> None:
        self._logs.mkdir(parents=True, exist_ok=True)
        self.deployment = _deployment(self.data / "deployment")
        leash = (sys.executable, "-m", "simulators.leash", str(os.getpid()))
        self._broker = Mosquitto(self.deployment, self._logs / "mosquitto.log", leash)
        self._stack.callback(self._broker.stop)
        settings = str(self.deployment.server_settings)
        server, listens = await Child.start("the server", ("server", "run", "--settings", settings), self._logs / "server.log", ready=True)
        self._children.append(server)
        self._stack.push_async_callback(server.stop)
        self.console = f"http://127.0.0.1:{listens['console_port']}/"
        for device, table in self._units.items():
            self._enrol(device, table)
        pages = _ports(self.data / "ports.toml", list(self._units))
        started = await asyncio.gather(*(self._host(device, port) for device, port in pages.items()), return_exceptions=True)
        for problem in started:
            if isinstance(problem, BaseException):
                raise problem

    def _enrol(self, device: str, table: Mapping[str, Any]) -> None:
        """Make the device's state folder, or write the settings of one that is there anew: the ports may be others."""
        folder = self.data / "devices" / device
        if (folder / "enrolment.json").is_file():
            devices.write_settings(self.deployment, device, folder, dict(table))
        else:
            devices.enrol(self.deployment, device, folder, dict(table))

    async def _host(self, device: str, port: int) -> None:
        folder = self.data / "devices" / device
        arguments = ("simulators.recorder", "--state", str(folder), "--port", str(port), "--console", self.console)
        host, said = await Child.start(f"the recorder {device}", arguments, self._logs / f"{device}.log", ready=True)
        self._children.append(host)
        self._stack.push_async_callback(host.stop, HOST_STOP_WITHIN_S)
        self.recorders.append(Recorder(device, folder, said["address"]))


def _lock(data: Path) -> IO[bytes]:
    """Hold the data folder; ProcessError when another demonstration does."""
    data.mkdir(parents=True, exist_ok=True)
    held = (data / ".lock").open("ab")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        held.close()
        raise ProcessError(f"another demonstration runs on {data}; end it, or name another folder with --data") from problem
    return held


def _deployment(folder: Path) -> deployments.Deployment:
    """The deployment in the folder, made where there is none, on ports that are free now."""
    made = deployments.load(folder) if (folder / "deployment.toml").is_file() else deployments.create(folder, DOMAIN)
    wanted = made.ports
    free = _free([wanted.broker, wanted.devices, wanted.console])
    ports = deployments.Ports(*free)
    return made if ports == wanted else made.with_ports(ports)


def _ports(remembered: Path, names: list[str]) -> dict[str, int]:
    """A port for each name: the one that it had, where that is still free."""
    old: dict[str, Any] = {}
    with suppress(OSError, ValueError):
        old = tomllib.loads(remembered.read_text("utf-8"))
    found = dict(zip(names, _free([int(old.get(name, 0)) for name in names]), strict=True))
    remembered.write_text(toml.write({**old, **found}, "Ports of the virtual recorders' pages."), "utf-8")
    return found


def _free(wanted: list[int]) -> list[int]:
    """Loopback ports that nobody has: those that are wanted where they are free, others instead where not."""
    with HeldPorts() as sockets:
        return [sockets.take(port) for port in wanted]


class HeldPorts:
    """Sockets held together until all ports are chosen, so that none is chosen twice."""

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give all ports back, for whoever was promised them."""
        for held in self._held:
            held.close()

    def take(self, port: int) -> int:
        """That port, or a free one."""
        for candidate in (port, 0):
            made = socket.socket()
            self._held.append(made)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                made.bind(("127.0.0.1", candidate))
                return int(made.getsockname()[1])
        raise ProcessError("there is no free port on this machine; close something")
