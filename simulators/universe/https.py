"""The agent's requests to the simulated server: `agent.uplink.https.Https` in virtual time, over a device's line.

Rules:
- A request takes as long as its bytes need; the server hears of it when it is there, and of a broken one what had arrived, also where
  it broke because the device lost its power.
- An answer may be lost though the server has done what was asked: that is a broken line too.
- No network and nobody at home are said at once, silence after the time limit. Everything else is an answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from greenlet import GreenletExit

from agent.uplink.errors import NoAnswer
from simulators.universe.agenda import US_PER_S, pause
from simulators.universe.film import SCALE
from simulators.universe.line import Line

HEAD_BYTES = 900
"""Request line, headers and what TLS adds."""
TIMEOUT_US = 20 * US_PER_S

Answer = tuple[int, str, bytes]


class Counter(Protocol):
    """The server's door."""

    @property
    def up(self) -> bool: ...

    def ask(self, device: str, method: str, path: str, body: bytes, headers: dict[str, str], *, whole: bool) -> Answer:
        """Do what was asked; with `whole` False the rest of the body never came, and nobody hears the answer."""
        ...


@dataclass(slots=True)
class Road:
    """What lies between a device and the server; `handed` hears of every byte of media that left."""

    line: Line
    server: Callable[[], Counter]
    trusted: Callable[[], str]
    handed: Callable[[str, str, int, int], None]


MEDIA = re.compile(r"/api/v1/media/[^/]+/([^/]+)/([^/]+)/(\d+)")


class SimulatedHttps:
    """One device's requests."""

    def __init__(self, device: str, road: Road) -> None:
        self._device, self._road = device, road

    def request(self, method: str, path: str, body: Iterable[bytes] | bytes | None = None, **headers: str) -> Answer:
        """(status, content type, body), for a task that may wait; NoAnswer where there is none."""
        road, line = self._road, self._road.line
        what = f"{method} {path}"
        self._connect(what)
        generation = line.generation
        names = {name.replace("_", "-").lower(): value for name, value in headers.items()}
        pieces = [] if body is None else [bytes(body)] if isinstance(body, bytes | bytearray) else list(body)
        data = b"".join(pieces)
        scale = SCALE if method == "PUT" else 1

        def broke(arrived: int) -> None:
            if arrived and road.server().up:
                road.server().ask(self._device, method, path, data[:arrived], names, whole=False)

        arrived = self._send(path, data, scale, broke)
        if arrived < len(data) or not line.lasts(generation):
            broke(arrived)
            raise NoAnswer(f"{what}: the connection broke after {arrived} of {len(data)} bytes")
        if not road.server().up:
            raise NoAnswer(f"{what}: the server is gone")
        server = road.server()
        answer = server.ask(self._device, method, path, data, names, whole=True)
        if not server.up:
            raise NoAnswer(f"{what}: the server died over it")
        if not line.push(HEAD_BYTES + len(answer[2])):
            self._silence()
            raise NoAnswer(f"{what}: the answer never came")
        pause(line.delay_us())
        if not line.lasts(generation):
            raise NoAnswer(f"{what}: the connection broke before the answer")
        return answer

    def close(self) -> None:
        """Nothing is open."""

    def _connect(self, what: str) -> None:
        road, line = self._road, self._road.line
        if not line.up:
            pause(10_000)
            raise NoAnswer(f"{what}: no network")
        if line.swallow:
            pause(TIMEOUT_US)
            raise NoAnswer(f"{what}: timed out")
        pause(3 * line.delay_us())
        problem = ("" if line.up else "no network") or ("" if road.server().up else "connection refused") or road.trusted()
        if problem:
            raise NoAnswer(f"{what}: {problem}")

    def _send(self, path: str, data: bytes, scale: int, broke: Callable[[int], None]) -> int:
        """How many bytes of the body arrived; `broke` hears that where nobody lives to be told."""
        line = self._road.line
        media = MEDIA.fullmatch(path)
        step = max(len(data) // 8, 256)
        sent = 0
        if not line.push(HEAD_BYTES):
            self._silence()
            return 0
        while sent < len(data):
            size = min(step, len(data) - sent)
            if media is not None:
                self._road.handed(media[1], media[2], int(media[3]) + sent, size)
            try:
                arrived = line.push(size * scale)
            except GreenletExit:
                broke(sent)
                raise
            if not arrived:
                self._silence()
                return sent
            sent += size
        return sent

    def _silence(self) -> None:
        if self._road.line.swallow:
            pause(TIMEOUT_US)
