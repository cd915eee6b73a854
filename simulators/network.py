"""The network between a virtual recorder and its server: a relay for each port, and one switch for all of them.

Rules:
- Off is what a dead cell looks like from inside: running connections are cut (reset), new ones are refused. Bytes that were
  accepted and not yet passed on are lost.
- A relay's port stays its own while it is off: a socket that never listens keeps it, so that nobody else gets it meanwhile.
- Bytes go through as they are; TLS is between the two ends, and the relay knows no key.

Loopback only. Delay, loss and jitter are another simulator's.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass

CHUNK_BYTES = 65_536
CONNECT_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where a relay leads."""

    host: str
    port: int


class Relay:
    """One listening port on loopback that leads to `upstream`; `port` is known from the start."""

    def __init__(self, upstream: Address) -> None:
        self.upstream = upstream
        self._keeper = _reusable()
        self.port: int = self._keeper.getsockname()[1]
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.passed_bytes = 0

    async def on(self) -> None:
        """Let connections through."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, sock=_reusable(self.port))

    async def off(self) -> None:
        """Cut what is connected, refuse what comes."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._open):
            _reset(writer)
        running = list(self._tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def close(self) -> None:
        """Off, and give the port back."""
        await self.off()
        self._keeper.close()

    @property
    def connections(self) -> int:
        """How many run through it now."""
        return len(self._tasks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._open.add(writer)
        try:
            await self._lead(reader, writer)
        finally:
            self._open.discard(writer)
            _reset(writer)

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            onward = asyncio.open_connection(self.upstream.host, self.upstream.port)
            far_reader, far_writer = await asyncio.wait_for(onward, CONNECT_WITHIN_S)
        except (OSError, TimeoutError):
            return  # nobody there: the device sees its connection reset, as through a router
        self._open.add(far_writer)
        try:
            if self._server is not None:
                await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        finally:
            self._open.discard(far_writer)
            _reset(far_writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, OSError):
            while data := await reader.read(CHUNK_BYTES):
                writer.write(data)
                self.passed_bytes += len(data)
                await writer.drain()
            writer.write_eof()  # one side has said all; the other may still answer


class Network:
    """All relays of one recorder under one switch."""

    def __init__(self, upstreams: dict[str, Address]) -> None:
        self.relays = {name: Relay(upstream) for name, upstream in upstreams.items()}
        self.up = False

    async def switch(self, *, up: bool) -> None:
        """Turn the network on or off."""
        self.up = up
        for relay in self.relays.values():
            await (relay.on() if up else relay.off())

    async def close(self) -> None:
        """Off for good."""
        self.up = False
        for relay in self.relays.values():
            await relay.close()


def _reusable(port: int = 0) -> socket.socket:
    """A loopback socket that shares its port with others of this process (SO_REUSEPORT)."""
    made = socket.socket(socket.AF_INET)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    return made


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close without a farewell: linger 0 makes the kernel send RST and forget what was not sent."""
    sock = writer.get_extra_info("socket")
    if sock is not None and not writer.transport.is_closing():
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    writer.transport.abort()
