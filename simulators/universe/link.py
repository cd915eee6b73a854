"""The agent's connection to the simulated broker: `agent.uplink.mqtt.Link` in virtual time, over a device's line.

Rules, those of the real one: nothing is queued for later; a connection that breaks takes with it what was on its way; attempts are
made after waits with jitter; a message is acknowledged when the caller says so. TLS needs a clock within the certificates' time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agent.core.backoff import Backoff
from agent.uplink.mqtt import LASTED_US, Message
from agent.uplink.mqtt import Broker as Address
from agent.uplink.ports import Surroundings
from simulators.universe.agenda import US_PER_S, Agenda, Bell, pause
from simulators.universe.broker import Broker
from simulators.universe.line import Line

CONNECT_US = 10 * US_PER_S
"""How long an attempt waits for an answer that does not come."""
GATHER_US = 2_500_000
"""Lines of so many moments share a batch; the real link sends at once, and each batch costs a commit on either side."""


@dataclass(slots=True)
class Way:
    """What lies between the device and the broker; `trusted` says why TLS would fail now, empty where it would not."""

    agenda: Agenda
    line: Line
    broker: Broker
    trusted: Callable[[], str]
    published: Callable[[str, bytes], None]


class SimulatedLink:
    """One device's connection."""

    def __init__(
        self,
        address: Address,
        topics: list[str],
        will: Callable[[], tuple[str, bytes]],
        around: Surroundings,
        way: Way,
        bell: Bell,
    ) -> None:
        self.connected = False
        self.generation = 0
        self.failures = 0
        self.last_error = ""
        self._address, self._topics, self._will, self._around, self._way, self._bell = address, tuple(topics), will, around, way, bell
        self._backoff = Backoff(address.reconnect_first_ms, address.reconnect_max_ms)
        self._next_us, self._since_us = 0, 0
        self._received: list[Message] = []
        self._unacknowledged = 0
        self._hold_us = 0
        self._connection = 0
        way.line.told = self._broken
        self._unwatch = way.broker.watch(self._broker_changed)

    # ----------------------------------------------------------------- agent.uplink.mqtt.Link

    @property
    def under_way(self) -> int:
        """Messages that the broker has not acknowledged."""
        return self._unacknowledged

    def turn(self, timeout_s: float) -> list[Message]:
        """Connect when it is time, wait for something, what came in."""
        if not self.connected and self._around.up_us() >= self._next_us:
            self._connect()
        if not self._received:
            self._bell.clear()
            self._bell.wait(timeout_s)
        received, self._received = self._received, []
        return received

    def room(self, window: int) -> bool:
        """Whether a message may be handed over."""
        return self.flows and self._unacknowledged < window and self._way.agenda.now_us >= self._hold_us

    @property
    def flows(self) -> bool:
        """Connected; how a socket gets stuck is tried with real ones."""
        return self.connected

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> bool:
        """Hand a message to the line."""
        if not self.connected:
            return False
        self._way.published(topic, payload)
        generation, line = self.generation, self._way.line
        if qos:
            self._unacknowledged += 1

        def arrive() -> None:
            if self._way.broker.publish(topic, payload, retain=retain) and qos:
                line.carry("down", 4, lambda: self._acknowledged(generation))

        line.carry("up", len(payload), arrive)
        return True

    def wake(self) -> None:
        """There is something to send."""
        now_us = self._way.agenda.now_us
        if self._hold_us <= now_us:
            self._hold_us = now_us + GATHER_US
        self._bell.ring(self._hold_us - now_us)

    def close(self, farewell: tuple[str, bytes] | None = None, timeout_s: float = 2.0) -> None:
        """Say farewell where that is possible, disconnect."""
        if self.connected:
            if farewell is not None and self.publish(*farewell, retain=True):
                pause(int(timeout_s * US_PER_S) // 4)
            self._way.broker.gone(self._address.client_id, self._connection, farewell=True)
        self.dead()

    # ----------------------------------------------------------------- the world's side

    def dead(self) -> None:
        """Nobody reads here any more; the broker finds out by its keepalive."""
        self._unwatch()
        if self._way.line.told == self._broken:
            self._way.line.told = lambda: None
        if self.connected:
            self.connected = False
            self._way.agenda.after(self._patience_us, self._forgotten_by(self._connection))

    def _forgotten_by(self, connection: int) -> Callable[[], None]:
        return lambda: self._way.broker.gone(self._address.client_id, connection)

    @property
    def _patience_us(self) -> int:
        return self._address.keepalive_s * 3 // 2 * US_PER_S

    # ----------------------------------------------------------------- connecting and losing

    def _connect(self) -> None:
        way, line = self._way, self._way.line
        problem = "" if line.up else "no network"
        if not problem and line.swallow:
            pause(CONNECT_US)
            problem = "timed out"
        elif not problem:
            pause(3 * line.delay_us())
            problem = ("" if line.up else "no network") or ("" if way.broker.up else "connection refused") or way.trusted()
        if problem:
            self._lost(problem)
            return
        self.connected, self._since_us = True, self._around.up_us()
        self.generation += 1
        self._unacknowledged = 0
        generation = self.generation

        def deliver(topic: str, payload: bytes, acknowledge: Callable[[], None]) -> None:
            def acknowledged() -> None:
                line.carry("up", 4, acknowledge)

            line.carry("down", len(payload), lambda: self._arrived(generation, Message(topic, payload, acknowledged)))

        self._connection = way.broker.connect(self._address.client_id, self._topics, deliver, self._will)
        way.agenda.after(self._patience_us, lambda: self._keepalive(generation))

    def _arrived(self, generation: int, message: Message) -> None:
        if self.connected and generation == self.generation:
            self._received.append(message)
            self._bell.set()

    def _acknowledged(self, generation: int) -> None:
        if generation == self.generation:
            self._unacknowledged -= 1
            self._bell.ring(GATHER_US)

    def _keepalive(self, generation: int) -> None:
        """Once in a while both ends look whether the other is there."""
        if not self.connected or generation != self.generation:
            return
        if self._way.line.swallow:
            self._way.broker.gone(self._address.client_id, self._connection)
            self._lost("no answer to a ping")
        else:
            self._way.agenda.after(self._patience_us, lambda: self._keepalive(generation))

    def _broken(self) -> None:
        if self.connected:
            self._way.agenda.after(self._patience_us, self._forgotten_by(self._connection))
            self._lost("connection reset")

    def _broker_changed(self, up: bool) -> None:  # noqa: FBT001 - a fact, not an option
        if not up and self.connected:
            self._lost("the broker is gone")

    def _lost(self, why: str) -> None:
        now_us = self._around.up_us()
        if self.connected and now_us - self._since_us >= LASTED_US:
            self._backoff.reset()
        self.connected = False
        self.failures += 1
        self.last_error = why
        self._unacknowledged = 0
        self._received.clear()
        self._next_us = now_us + self._backoff.next(self._around.random01()) * 1_000
        self._bell.set()
