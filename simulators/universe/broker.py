"""The broker: sessions, retained messages, QoS 1; and everything that a broker may do wrong.

Rules (MQTT 5, section 4):
- A session outlives its connection: what comes meanwhile waits, what was not acknowledged comes again.
- A retained message is given to whoever subscribes. A client that vanishes is spoken for by its last will.
- Killed it forgets every connection; started empty, everything else as well.
- `Mischief` doubles, loses and delays messages in spite of all that: nothing that matters may rely on it.

Who may write which topic is the broker's settings' business (tests/provisioning/test_broker.py), not tried here.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from simulators.universe.agenda import Agenda

IN_FLIGHT = 16
LAN_US = 1_000

Deliver = Callable[[str, bytes, Callable[[], None]], None]
"""(topic, payload, acknowledge)."""


@dataclass(slots=True)
class Mischief:
    """Chances for each message, and how late it may be in ms."""

    doubles: float = 0.0
    loses: float = 0.0
    late_ms: int = 0


@dataclass(slots=True)
class Session:
    """What a client subscribed to, what waits for it, what it has not acknowledged; `deliver` while it is connected."""

    filters: tuple[str, ...]
    deliver: Deliver | None = None
    will: Callable[[], tuple[str, bytes]] | None = None
    connection: int = 0
    waiting: deque[tuple[str, bytes]] = field(default_factory=deque)
    unacknowledged: dict[int, tuple[str, bytes]] = field(default_factory=dict)
    numbers: count[int] = field(default_factory=count)

    def wants(self, topic: str) -> bool:
        """Whether one of its filters is for the topic."""
        return any(_matches(one, topic) for one in self.filters)


def _matches(wanted: str, topic: str) -> bool:
    left, right = wanted.split("/"), topic.split("/")
    return len(left) == len(right) and all(a in ("+", b) for a, b in zip(left, right, strict=True))


class Broker:
    """One broker; `died` is told to whoever was connected."""

    def __init__(self, agenda: Agenda, chance: random.Random) -> None:
        self.up = True
        self.mischief = Mischief()
        self._agenda, self._chance = agenda, chance
        self._sessions: dict[str, Session] = {}
        self._retained: dict[str, bytes] = {}
        self._watchers: list[Callable[[bool], None]] = []
        self._connections = count(1)

    def watch(self, told: Callable[[bool], None]) -> Callable[[], None]:
        """Have `told(up)` called when the broker dies or is there again; call the answer to end that."""
        self._watchers.append(told)
        return lambda: self._watchers.remove(told) if told in self._watchers else None

    def kill(self) -> None:
        """It is gone; sessions and retained messages are on its disk."""
        if self.up:
            self.up = False
            for session in self._sessions.values():
                self._drop(session)
            self._tell()

    def start(self, *, empty: bool = False) -> None:
        """It is there again, with what it knew, or with nothing: one that runs dies for that first."""
        if empty:
            self.kill()
            self._sessions.clear()
            self._retained.clear()
        if not self.up:
            self.up = True
            self._tell()

    def _tell(self) -> None:
        for told in list(self._watchers):
            told(self.up)

    # ----------------------------------------------------------------- clients

    def connect(self, client: str, filters: tuple[str, ...], deliver: Deliver, will: Callable[[], tuple[str, bytes]] | None = None) -> int:
        """A client comes, or comes again: its session goes on. The connection's number."""
        session = self._sessions.setdefault(client, Session(filters))
        self._drop(session)
        session.filters, session.deliver, session.will = filters, deliver, will
        session.connection = next(self._connections)
        for topic, payload in sorted(self._retained.items()):
            if session.wants(topic):
                session.waiting.append((topic, payload))
        self._flow(session)
        return session.connection

    def gone(self, client: str, connection: int, *, farewell: bool = False) -> None:
        """A connection ended: with a farewell, or the client's will is said. One that was taken over is nobody's."""
        session = self._sessions.get(client)
        if session is None or session.deliver is None or session.connection != connection:
            return
        will = session.will
        self._drop(session)
        if will is not None and not farewell and self.up:
            self.publish(*will(), retain=True)

    @staticmethod
    def _drop(session: Session) -> None:
        session.deliver = None
        again = [session.unacknowledged[number] for number in sorted(session.unacknowledged)]
        session.unacknowledged.clear()
        session.waiting.extendleft(reversed(again))

    # ----------------------------------------------------------------- messages

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """Take a message; whether there is a broker at all."""
        if not self.up:
            return False
        if retain:
            self._retained[topic] = payload
        for session in list(self._sessions.values()):
            if session.wants(topic):
                self._give(session, topic, payload)
        return True

    def _give(self, session: Session, topic: str, payload: bytes) -> None:
        mischief, chance = self.mischief, self._chance
        if mischief.loses and chance.random() < mischief.loses:
            return
        copies = 2 if mischief.doubles and chance.random() < mischief.doubles else 1
        for _ in range(copies):
            late_us = chance.randint(0, mischief.late_ms) * 1_000 if mischief.late_ms else LAN_US
            self._agenda.after(late_us, lambda: self._arrive(session, topic, payload))

    def _arrive(self, session: Session, topic: str, payload: bytes) -> None:
        if self.up and session in self._sessions.values():
            session.waiting.append((topic, payload))
            self._flow(session)

    def _flow(self, session: Session) -> None:
        while session.deliver is not None and session.waiting and len(session.unacknowledged) < IN_FLIGHT:
            topic, payload = session.waiting.popleft()
            number = next(session.numbers)
            session.unacknowledged[number] = topic, payload
            deliver = session.deliver

            def acknowledge(number: int = number) -> None:
                if session.unacknowledged.pop(number, None) is not None:
                    self._flow(session)

            deliver(topic, payload, acknowledge)
