"""What a simulated device's pipeline takes from its machine: `agent.pipeline.machine.Machine` in virtual time.

The disk is the card's, chance comes from the seed, whoever waits lets virtual time pass, the recorder is the stand-in, and broker and
server are the world's. `patience` stretches waits: a daemon that looks four times a second has nothing to see in an idle hour.
"""

from __future__ import annotations

import queue
import random
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from agent.capture.overlay import OverlayText
from agent.capture.recorder import Recorder
from agent.capture.settings import CaptureSettings
from agent.pipeline.machine import Machine, OrderQueue
from agent.pipeline.tray import Thing, Tray
from agent.uplink.https import Https
from agent.uplink.inbox import Order
from agent.uplink.mqtt import Broker as Address
from agent.uplink.mqtt import Link
from agent.uplink.ports import Surroundings
from agent.uplink.upload import UploadSettings
from simulators.powercut import SimulatedFiles
from simulators.universe.agenda import Agenda, Bell
from simulators.universe.capture import Capture, Lens
from simulators.universe.clock import DeviceClock
from simulators.universe.film import SCALE
from simulators.universe.https import Road, SimulatedHttps
from simulators.universe.link import SimulatedLink, Way

if TYPE_CHECKING:
    from agent.config import Settings
    from hal.board import Board
    from hal.contracts import Clock

A = TypeVar("A")
B = TypeVar("B")

QUIET_S = 300.0
"""An order rings when it comes: nobody has to look."""
SOON_US = 1_000
"""What happens in the same instant is written together."""


class InTurn:
    """One after the other, by whoever asks: an upload waits in virtual time, and a second one waits for it."""

    def map(self, work: Callable[[A], B], things: Sequence[A], /) -> Iterator[B]:
        return iter([work(thing) for thing in things])

    def shutdown(self, *, wait: bool = True, cancel_futures: bool = False) -> None:
        """Nothing runs beside the caller."""


class VirtualTray(Tray):
    """Waits in virtual time. `emitted` sees what capture puts in."""

    def __init__(self, event: Callable[[], Bell], emitted: Callable[[Any], None]) -> None:
        super().__init__()
        self._event, self._emitted = event, emitted
        self._bell = event()

    def event(self) -> threading.Event:
        return self._event()

    def put(self, thing: Thing) -> None:
        super().put(thing)
        self._bell.ring(SOON_US)

    def put_when_room(self, thing: Thing) -> None:
        """There is always room: how capture waits is tried in tests/agent/capture."""
        self._emitted(thing)
        self.put(thing)

    def take(self, timeout_s: float) -> list[Thing]:
        self.done()
        if not len(self):
            self._bell.clear()
            self._bell.wait(timeout_s)
        return super().take(0)


class VirtualQueue:
    """`queue.SimpleQueue` of orders in virtual time."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._things: list[tuple[Order, Callable[[], None]]] = []

    def put(self, thing: tuple[Order, Callable[[], None]]) -> None:
        """Add at the end."""
        self._things.append(thing)
        self._bell.set()

    def get(self, timeout: float | None = None) -> tuple[Order, Callable[[], None]]:
        """The oldest; queue.Empty where none came in time."""
        if not self._things:
            self._bell.clear()
            self._bell.wait(timeout)
        if not self._things:
            raise queue.Empty
        return self._things.pop(0)


@dataclass(slots=True)
class Ports:
    """What the world gives a machine; `emitted` sees capture's events, `spawn` begins something beside everything else."""

    agenda: Agenda
    files: SimulatedFiles
    chance: random.Random
    clock: DeviceClock
    lens: Lens
    way: Way
    road: Road
    emitted: Callable[[Any], None]
    spawn: Callable[[str, Callable[[], None]], None]
    patience: Callable[[float], float]


class SimulatedMachine(Machine):
    """One start's."""

    def __init__(self, device: str, ports: Ports) -> None:
        super().__init__()
        self._device, self._ports = device, ports
        self.files = ports.files
        self.random = ports.chance.randbytes
        self.event = self._bell
        self.capture: Capture | None = None
        self.connection: SimulatedLink | None = None

    def _bell(self) -> Bell:
        return Bell(self._ports.patience)

    def around(self, clock: Clock) -> Surroundings:
        return Surroundings(clock.up_us, clock.wall_ms, self._ports.chance.random, lambda _count: InTurn())

    def tray(self) -> Tray:
        return VirtualTray(self._bell, self._ports.emitted)

    def orders(self) -> OrderQueue:
        return cast("OrderQueue", VirtualQueue(Bell(lambda _seconds: QUIET_S)))

    def background(self, name: str, work: Callable[[], None]) -> None:
        self._ports.spawn(name, work)

    def recorder(self, board: Board, settings: CaptureSettings, tray: Tray, label: OverlayText | None) -> Recorder:  # noqa: ARG002 - the real one needs it
        ports = self._ports
        self.capture = Capture(ports.agenda, ports.clock, settings, tray.put_when_room, ports.lens, ports.chance)
        return cast("Recorder", self.capture)

    def tls(self, settings: Settings) -> ssl.SSLContext:  # noqa: ARG002 - the real one needs it
        return cast("ssl.SSLContext", None)

    def link(self, broker: Address, topics: list[str], will: Callable[[], tuple[str, bytes]], around: Surroundings) -> Link:
        self.connection = SimulatedLink(broker, topics, will, around, self._ports.way, self._bell())
        return cast("Link", self.connection)

    def https(self, settings: Settings, tls: ssl.SSLContext) -> Https:  # noqa: ARG002 - the real one needs it
        return cast("Https", SimulatedHttps(self._device, self._ports.road))

    def uploads(self, settings: UploadSettings) -> UploadSettings:
        """A byte stands for a thousand."""
        sizes = {name: getattr(settings, name) // SCALE for name in ("target_bytes", "least_bytes", "smallest_bytes")}
        return replace(settings, **sizes)
