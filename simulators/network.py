"""The network between a virtual recorder and its server: a relay for each port, one switch and one weather for all of them.

Rules:
- Off is what a dead cell looks like from inside: running connections are cut (reset), new ones are refused. Bytes that were
  accepted and not yet passed on are lost.
- A relay's port stays its own while it is off: a socket that never listens keeps it, so that nobody else gets it meanwhile.
- Bytes go through as they are; TLS is between the two ends, and the relay knows no key. What it does to them is simulators.weather's.
- Where nothing passes any more (`dark_bytes`) a sender is not acknowledged either: of what it goes on sending a window is taken, and its
  socket stays full.
- Everything is counted, so that what was sent and never arrived can be said (`Counts`).

Loopback only.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from dataclasses import dataclass, field

from simulators.weather import CLEAR, Weather

PIECE_BYTES = 16_384
CONNECT_WITHIN_S = 10.0
SLOW_BUFFER_BYTES = 16_384
"""Of a socket on a line that is limited: what waits, waits at its sender, as before a slow modem, and not in here."""

UNHEARD_BYTES = 14_600
"""A sender that hears no acknowledgement sends its window and no more: at least the initial one, ten segments (RFC 6928)."""

IN_FLIGHT = 4
"""Pieces of one direction that may be under way while they are held back: a window of 64 KiB, as TCP has on such a way."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a relay leads."""

    host: str
    port: int


@dataclass(slots=True)
class Counts:
    """Of one relay. Bytes `up` came from the device and were passed on, `down` the other way; `lost` were swallowed.

    `taken` is all that came from the device, also what waited in here when its connection ended. `stuck` connections went dark, and
    their senders have used up their windows.
    """

    accepted: int = 0
    cut: int = 0
    stuck: int = 0
    taken_up_bytes: int = 0
    up_bytes: int = 0
    down_bytes: int = 0
    lost_up_bytes: int = 0


class Line:
    """A line of limited rate; whoever uses it takes turns, a piece each."""

    def __init__(self) -> None:
        self._free_at = 0.0

    async def carry(self, count: int, bytes_per_s: int) -> None:
        """Wait until so many bytes have gone over it."""
        now = asyncio.get_running_loop().time()
        self._free_at = max(now, self._free_at) + count / bytes_per_s
        await asyncio.sleep(self._free_at - now)


@dataclass(slots=True)
class Lines:
    """Both ways. Several networks may share one: recorders in one dock, on one modem."""

    up: Line = field(default_factory=Line)
    down: Line = field(default_factory=Line)


class _Cut(Exception):
    """The connection ends here and now."""


@dataclass(slots=True, eq=False)
class _Connection:
    """One connection and what the weather has done to it; `passed` counts bytes since that weather began for it."""

    weather: Weather
    dead: bool = False
    dark: bool = False
    unheard: int = 0
    passed: int = 0
    cut_at: int | None = None

    def meet(self, weather: Weather, chance: random.Random) -> None:
        """The weather is this now."""
        if weather is self.weather and (self.passed or self.cut_at is not None):
            return
        self.weather, self.passed = weather, 0
        self.cut_at = chance.randint(*weather.cut_bytes) if weather.cut_bytes else None

    def share(self, count: int) -> int:
        """How many of so many bytes still pass; a connection that has gone dark passes none."""
        limits = [limit for limit in (self.cut_at, self.weather.dark_bytes) if limit is not None]
        self.dead = self.dead or self.weather.swallow
        left = 0 if self.dead else min([count, *(max(limit - self.passed, 0) for limit in limits)])
        self.passed += left
        if self.weather.dark_bytes is not None and self.passed >= self.weather.dark_bytes:
            self.dead = self.dark = True
        if self.dark:
            self.unheard += count - left
        return left

    @property
    def full(self) -> bool:
        """Whether its sender's window is used up: nothing of what it sent is acknowledged."""
        return self.dark and self.unheard >= UNHEARD_BYTES

    @property
    def over(self) -> bool:
        """Whether it has carried all that it was to carry."""
        return self.cut_at is not None and self.passed >= self.cut_at


class Relay:
    """One listening port on loopback that leads to `upstream`; `port` is known from the start."""

    def __init__(self, upstream: Address, lines: Lines | None = None, seed: int = 0) -> None:
        self.upstream = upstream
        self.weather = CLEAR
        self.counts = Counts()
        self._lines = lines or Lines()
        self._chance = random.Random(seed)  # noqa: S311 — what a network does is done again by its seed
        self._keeper = _reusable()
        self.port: int = self._keeper.getsockname()[1]
        self._server: asyncio.Server | None = None
        self._up = False
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def on(self) -> None:
        """Let connections through, as far as the weather does."""
        self._up = True
        await self._listen()

    async def off(self) -> None:
        """Cut what is connected, refuse what comes."""
        self._up = False
        await self._listen()
        for writer in list(self._open):
            _reset(writer)
        running = list(self._tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def become(self, weather: Weather, seed: int | None = None) -> None:
        """Change the weather, for what runs and for what comes; with a seed, begin its chances anew."""
        if seed is not None:
            self._chance = random.Random(seed)  # noqa: S311
        self.weather = weather
        if weather.dark_bytes is not None:
            for writer in self._open:
                _small(writer)
        await self._listen()

    async def close(self) -> None:
        """Off, and give the port back."""
        await self.off()
        self._keeper.close()

    @property
    def connections(self) -> int:
        """How many run through it now."""
        return len(self._tasks)

    @property
    def passed_bytes(self) -> int:
        """Both ways."""
        return self.counts.up_bytes + self.counts.down_bytes

    async def _listen(self) -> None:
        wanted = self._up and not self.weather.refuse
        if wanted and self._server is None:
            self._server = await asyncio.start_server(self._accept, sock=_reusable(self.port), limit=PIECE_BYTES)
        elif not wanted and self._server is not None:
            self._server.close()
            self._server = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._open.add(writer)
        self.counts.accepted += 1
        try:
            if self.weather.hold_ms:
                await asyncio.sleep(self._chance.random() * self.weather.hold_ms / 1_000)
            await self._lead(reader, writer)
        except asyncio.CancelledError:
            pass  # switched off: asyncio's streams would report a cancelled connection as an error of theirs
        finally:
            self._open.discard(writer)
            _reset(writer)

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self.weather)
        if self.weather.dark_bytes is not None:
            _small(writer)
        if self.weather.swallow:
            await self._swallow(connection, reader)
            return
        try:
            onward = asyncio.open_connection(self.upstream.host, self.upstream.port, limit=PIECE_BYTES)
            far_reader, far_writer = await asyncio.wait_for(onward, CONNECT_WITHIN_S)
        except (OSError, TimeoutError):
            return  # nobody there: the device sees its connection reset, as through a router
        self._open.add(far_writer)
        try:
            if self._up:
                up = self._pump(connection, reader, far_writer, up=True)
                down = self._pump(connection, far_reader, writer, up=False)
                await asyncio.gather(up, down)
        except _Cut:
            self.counts.cut += 1
        finally:
            self._open.discard(far_writer)
            _reset(far_writer)

    async def _swallow(self, connection: _Connection, reader: asyncio.StreamReader) -> None:
        """Take what comes until its sender gives up."""
        connection.dead = True
        with contextlib.suppress(OSError):
            while data := await reader.read(PIECE_BYTES):
                self.counts.taken_up_bytes += len(data)
                self.counts.lost_up_bytes += len(data)

    # ----------------------------------------------------------------- one direction

    async def _pump(self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, up: bool) -> None:
        """From one end to the other until one is done; raises _Cut where the weather ends it."""
        held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(IN_FLIGHT)
        fetching = asyncio.create_task(self._fetch(connection, reader, held, up=up))
        try:
            with contextlib.suppress(OSError):
                await self._deliver(connection, held, writer, up=up)
        finally:
            fetching.cancel()
            await asyncio.gather(fetching, return_exceptions=True)
        if connection.dead and up:
            raise _Cut  # its sender has given up; the other end may be waiting still

    async def _fetch(
        self, connection: _Connection, reader: asyncio.StreamReader, held: asyncio.Queue[tuple[float, bytes]], *, up: bool
    ) -> None:
        """Pieces with the moment from which on they may be passed; an empty one is the end."""
        loop, due = asyncio.get_running_loop(), 0.0
        data = b"begin"
        while data:
            if up and connection.full:
                self.counts.stuck += 1
                await asyncio.Event().wait()  # until the switch, or who gave the weather, ends it
            try:
                data = await reader.read(self.weather.piece_bytes(PIECE_BYTES))
            except OSError:
                data = b""
            self.counts.taken_up_bytes += len(data) if up else 0
            due = max(due, loop.time() + self.weather.behind_s(self._chance))
            await held.put((due, data))

    async def _deliver(
        self, connection: _Connection, held: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, *, up: bool
    ) -> None:
        loop, line = asyncio.get_running_loop(), self._lines.up if up else self._lines.down
        while True:
            due, data = await held.get()
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
            if not data:
                break
            if rate := self.weather.bytes_per_s:
                _small(writer)
                await line.carry(len(data), rate)
            connection.meet(self.weather, self._chance)
            passing = connection.share(len(data))
            writer.write(data[:passing])
            self._count(passing, len(data) - passing, up=up)
            await writer.drain()
            if connection.over:
                raise _Cut
        if not connection.dead:
            writer.write_eof()  # one side has said all; the other may still answer

    def _count(self, passed: int, lost: int, *, up: bool) -> None:
        if up:
            self.counts.up_bytes += passed
            self.counts.lost_up_bytes += lost
        else:
            self.counts.down_bytes += passed


class Network:
    """All relays of one recorder under one switch and one weather; `lines` where it shares them with other recorders."""

    def __init__(self, upstreams: dict[str, Address], lines: Lines | None = None, seed: int = 0) -> None:
        shared = lines or Lines()
        self.relays = {name: Relay(upstream, shared, seed + place) for place, (name, upstream) in enumerate(upstreams.items())}
        self.up = False

    async def switch(self, *, up: bool) -> None:
        """Turn the network on or off."""
        self.up = up
        for relay in self.relays.values():
            await (relay.on() if up else relay.off())

    async def become(self, weather: Weather, seed: int | None = None) -> None:
        """Change the weather."""
        for place, relay in enumerate(self.relays.values()):
            await relay.become(weather, None if seed is None else seed + place)

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


def _small(writer: asyncio.StreamWriter) -> None:
    """Hold little on the way out; twice is once."""
    sock = writer.get_extra_info("socket")
    if sock is not None and not writer.transport.is_closing():
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SLOW_BUFFER_BYTES)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_BUFFER_BYTES)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close without a farewell: linger 0 makes the kernel send RST and forget what was not sent."""
    sock = writer.get_extra_info("socket")
    if sock is not None and not writer.transport.is_closing():
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    writer.transport.abort()
