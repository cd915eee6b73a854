"""The line between a virtual recorder's host process and the simulated devices inside the agent's process.

A Unix socket of mode 600; each device makes a connection of its own. Both ways: one JSON object a line, UTF-8, at most
4,096 bytes with its newline.

    device → host   {"from": "button", "is": "here"}                      first line of every connection
                    {"from": "indicator", "is": "signal", "lamp": …, "sound": …, "vibration": …, "screen": […]}
                    {"from": "power", "is": "level", "percent": …, "charging": …}
                    {"from": "camera", "is": "running"}                   its first frame (a microphone's first chunk) was fetched
    host → device   {"to": "button", "do": "edge", "button": "record", "down": true, "up_us": …}      (simulators.orders.ORDERS)

Rules:
- A line that breaks the protocol ends the connection; nothing of it is carried out.
- The host never waits for a device: one that does not read is cut off when 256 KiB wait for it.
- A device whose host has gone raises DeviceFault, as a real one does when the wire is cut.
- The host repeats the newest order of every lasting state (`slot`) to a device that comes later: a camera that was
  unplugged while the power was off is unplugged when it comes back.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hal.drivers.linux import SystemClock
from hal.errors import DeviceFault, DeviceMissing
from simulators import orders
from simulators.errors import ScriptError, WorldError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

MAX_LINE_BYTES = 4_096
MAX_DEVICES = 32
MAX_WAITING_BYTES = 262_144
SEND_WITHIN_S = 2.0
MAX_SOCKET_PATH = 100
"""A socket's path has 108 bytes at most (unix(7)); a longer one is reached through its folder's descriptor."""


def pack(message: Mapping[str, Any]) -> bytes:
    """One line; WorldError when it would be too long."""
    line = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    if len(line) > MAX_LINE_BYTES:
        raise WorldError(f"world: a line of {len(line)} bytes was to be sent; expected at most {MAX_LINE_BYTES}")
    return line


def unpack(line: bytes) -> dict[str, Any]:
    """The object of one line; WorldError says what it was instead."""
    if len(line) > MAX_LINE_BYTES:
        raise WorldError(f"world: a line of {len(line)} bytes came; expected at most {MAX_LINE_BYTES}")
    try:
        message = json.loads(line)
    except ValueError as problem:
        raise WorldError(f"world: a line came that is not JSON: {problem}") from problem
    except RecursionError as problem:
        raise WorldError("world: a line came that is nested without end") from problem
    if not isinstance(message, dict):
        raise WorldError(f"world: a line with a {type(message).__name__} came; expected an object")
    return message


@contextlib.contextmanager
def reachable(path: str) -> Iterator[str]:
    """A name for the socket that is short enough while the context lasts."""
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        yield path
        return
    folder = os.open(Path(path).parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{Path(path).name}"
    finally:
        os.close(folder)


# --------------------------------------------------------------------------- the device's end


class Link:
    """A device's orders from its host, and the way back. Safe to use from several threads."""

    def __init__(self, role: str, path: str) -> None:
        self._role, self._path = role, path
        self._lock, self._send_lock = threading.Lock(), threading.Lock()
        self._kept = b""
        self._closed = threading.Event()
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            with reachable(path) as name:
                self._socket.connect(name)
        except OSError as problem:
            self._socket.close()
            raise DeviceMissing(
                f"{role}: no simulated world listens at {path}: {problem.strerror}; start it with `zhilu sim recorder`, or remove `world`",
            ) from problem
        self._socket.settimeout(SEND_WITHIN_S)
        self.report("here", {})

    def take(self, timeout_s: float) -> orders.Order | None:
        """The next order; None when none came in time or the link was closed here."""
        with self._lock:
            while (line := self._whole_line()) is None:
                if not self._receive(timeout_s):
                    return None
                timeout_s = 0.0  # a piece came: what is behind it is there already or may wait for the next call
            return self._order(line)

    def report(self, what: str, members: Mapping[str, Any]) -> None:
        """Tell the host; DeviceFault when it is not there or does not read."""
        line = pack({"from": self._role, "is": what, **members})
        with self._send_lock:
            if self._closed.is_set():
                raise self._gone("it was closed")
            try:
                self._socket.sendall(line)
            except OSError as problem:
                raise self._gone(str(problem)) from problem

    def close(self) -> None:
        """End the connection; a waiting `take` ends with it."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _whole_line(self) -> bytes | None:
        line, newline, rest = self._kept.partition(b"\n")
        if not newline:
            if len(line) >= MAX_LINE_BYTES:
                raise DeviceFault(f"{self._role}: the simulated world at {self._path} sent a line without an end")
            return None
        self._kept = rest
        return line

    def _receive(self, timeout_s: float) -> bool:
        try:
            if self._closed.is_set() or not select.select([self._socket], [], [], timeout_s)[0]:
                return False
            piece = self._socket.recv(MAX_LINE_BYTES)
        except (OSError, ValueError) as problem:
            if self._closed.is_set():
                return False
            raise self._gone(str(problem)) from problem
        if self._closed.is_set():
            return False
        if not piece:
            raise self._gone("it closed the connection")
        self._kept += piece
        return True

    def _order(self, line: bytes) -> orders.Order:
        try:
            order = unpack(line)
            orders.check(order)
        except (WorldError, ScriptError) as problem:
            raise DeviceFault(f"{self._role}: the simulated world at {self._path} sent nonsense: {problem}") from problem
        return order

    def _gone(self, why: str) -> DeviceFault:
        return DeviceFault(f"{self._role}: the simulated world at {self._path} is gone: {why}; start `zhilu sim recorder` again")


# --------------------------------------------------------------------------- the host's end


class World:
    """The host's end: gives orders, hears reports. Lives in one event loop."""

    def __init__(self, path: Path, heard: Callable[[str, str, dict[str, Any]], None]) -> None:
        self._path = path
        self._heard = heard
        self._devices: dict[asyncio.StreamWriter, str] = {}
        self._lasting: dict[tuple[str, str], orders.Order] = {}
        self._server: asyncio.Server | None = None
        self.refused = 0

    async def start(self) -> None:
        """Listen; a socket that an earlier host left behind is replaced."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        with reachable(str(self._path)) as name:
            before = os.umask(0o177)
            try:
                self._server = await asyncio.start_unix_server(self._serve, name, limit=MAX_LINE_BYTES)
            finally:
                os.umask(before)

    async def close(self) -> None:
        """Cut every device off and stop listening."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._devices):
                writer.transport.abort()
            await self._server.wait_closed()
            self._server = None
        with contextlib.suppress(OSError):  # the disk that it lies on may be gone
            self._path.unlink()

    def roles(self) -> list[str]:
        """The devices that are there now."""
        return sorted(set(self._devices.values()))

    def order(self, role: str, verb: str, **members: Any) -> int:
        """Give an order; to how many devices it went. ScriptError when there is no such order."""
        order: orders.Order = {"to": role, "do": verb, **members, "up_us": SystemClock().up_us()}
        kind = orders.check(order)
        if kind.slot:
            self._lasting[role, kind.slot] = order
        reached = [writer for writer, device in self._devices.items() if device == role]
        for writer in reached:
            self._send(writer, order)
        return len(reached)

    def _send(self, writer: asyncio.StreamWriter, order: orders.Order) -> None:
        if writer.transport.get_write_buffer_size() > MAX_WAITING_BYTES:
            writer.transport.abort()
        else:
            writer.write(pack(order))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._listen(reader, writer)
        except (WorldError, ValueError):  # ValueError: a line beyond the reader's limit
            self.refused += 1
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the device, or the whole agent, is gone: nothing is owed
        finally:
            self._devices.pop(writer, None)
            writer.transport.abort()

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            message = unpack(line)
            role, what = message.pop("from", None), message.pop("is", None)
            if role not in orders.ROLES or not isinstance(what, str):
                raise WorldError(f"world: a line from {role!r} with {what!r} came; expected one of {sorted(orders.ROLES)}")
            if writer not in self._devices:
                if what != "here" or len(self._devices) >= MAX_DEVICES:
                    raise WorldError(f"world: {role} began with {what!r}; expected 'here', and at most {MAX_DEVICES} devices")
                self._devices[writer] = role
                for (to, _), order in self._lasting.items():
                    if to == role:
                        self._send(writer, order)
            self._heard(role, what, message)
