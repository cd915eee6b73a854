"""One connection to the broker: MQTT 5 over mutual TLS, in one thread that reads, acknowledges and writes in batches.

Ingest handles thousands of small messages a second on one core, and a general client library took a third of it; this does only
what ingest needs. Rules:
- A message is acknowledged when it was handed on. The broker's receive maximum is kept; beyond `MAX_WAITING` messages of ours
  that wait, new ones are refused: whoever needs them asks again.
- Nothing outlives a connection: neither session nor queue. It is made again with full jitter until `close`.

What a message means is left to `listener`.
"""

from __future__ import annotations

import contextlib
import logging
import random
import select
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Self

from agent.core import wire
from agent.core.backoff import Backoff
from server.config import Broker
from server.ingest import packets
from server.ingest.packets import Malformed, Packet, Reader

log = logging.getLogger(__name__)

MAX_PACKET = 4 * wire.MAX_BATCH_BYTES
MAX_WAITING = 20_000
READ_BYTES = 1 << 18
CONNECT_S = 10.0
FIRST_MS, MAX_MS = 200, 30_000
LOST = (OSError, Malformed, EOFError)

Take = Callable[[str, bytes], None]


class Connection:
    """Connects in a thread of its own, again and again. `take(topic, payload)` gets each message, `up()` is told of each success."""

    def __init__(self, settings: Broker, tls: ssl.SSLContext, topics: list[tuple[str, int]], take: Take, up: Callable[[], None]) -> None:
        self._settings, self._tls, self._topics, self._take, self._up = settings, tls, topics, take, up
        self._outgoing: deque[tuple[str, bytes, bool]] = deque()
        self._backoff = Backoff(FIRST_MS, MAX_MS)
        self._closing = threading.Event()
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self._woken = False
        self.connected = False
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def close(self) -> None:
        """Say goodbye and end the thread."""
        self._closing.set()
        self._wake()
        self._thread.join()
        self._wake_read.close()
        self._wake_write.close()

    def publish(self, topic: str, payload: bytes, *, retain: bool) -> bool:
        """Hand a message over (QoS 1), from any thread; False where the broker is away or swamped."""
        if not self.connected or len(self._outgoing) >= MAX_WAITING:
            return False
        self._outgoing.append((topic, payload, retain))
        self._wake()
        return True

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            with contextlib.suppress(OSError):
                self._wake_write.send(b"x")

    # ----------------------------------------------------------------------- the thread

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                with _Session(self._settings, self._tls, self._topics) as session:
                    self._outgoing.clear()
                    self.connected = True
                    self._backoff.reset()
                    log.info("listening at the broker at %s:%d", self._settings.host, self._settings.port)
                    self._up()
                    self._serve(session)
            except LOST as e:
                log.warning("no broker at %s:%d: %s; trying again", self._settings.host, self._settings.port, e)
            except Exception:
                log.exception("the broker's thread failed; trying again")
            finally:
                self.connected = False
            self._closing.wait(self._backoff.next(random.random()) / 1000)  # noqa: S311  jitter

    def _serve(self, session: _Session) -> None:
        """Read, hand on, acknowledge, write, until it ends."""
        while not self._closing.is_set():
            session.wait(self._wake_read)
            self._woken = False
            with contextlib.suppress(BlockingIOError):
                self._wake_read.recv(4096)
            for packet in session.read():
                if packet.kind == packets.PUBLISH:
                    topic, payload, mid = packets.parse_publish(packet)
                    self._take(topic, payload)
                    if mid is not None:
                        session.acknowledge(mid)
                else:
                    session.handle(packet)
            self._publish_waiting(session)
            session.write()
        self._publish_waiting(session)
        session.goodbye()

    def _publish_waiting(self, session: _Session) -> None:
        while self._outgoing and session.room:
            session.publish(*self._outgoing.popleft())


class _Session:
    """One socket. Bytes to send are gathered and go out together."""

    def __init__(self, settings: Broker, tls: ssl.SSLContext, topics: list[tuple[str, int]]) -> None:
        self._reader = Reader(MAX_PACKET)
        self._outgoing = bytearray()
        self._keepalive = float(settings.keepalive_s)
        self._mid = 0
        plain = socket.create_connection((settings.host, settings.port), CONNECT_S)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = tls.wrap_socket(plain, server_hostname=settings.host)
        except BaseException:
            plain.close()
            raise
        try:
            self.room = self._greet(settings, topics)
        except BaseException:
            self._socket.close()
            raise
        self._socket.setblocking(False)
        self._heard = self._spoke = time.monotonic()
        self._blocked = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._socket.close()

    def _greet(self, settings: Broker, topics: list[tuple[str, int]]) -> int:
        """CONNECT and SUBSCRIBE; how many messages of ours may be unacknowledged."""
        self._socket.sendall(packets.connect(settings.client_id, settings.keepalive_s, MAX_PACKET))
        waiting: list[Packet] = []
        code, properties = packets.parse_connack(self._next(waiting))
        if code >= packets.FAILURE:
            raise Malformed(f"it refused us with reason {code:#04x}")
        self._keepalive = float(properties.get(packets.SERVER_KEEPALIVE, settings.keepalive_s))
        self._socket.sendall(packets.subscribe(1, topics))
        self._early: list[Packet] = []
        while (packet := self._next(waiting)).kind != packets.SUBACK:
            self._early.append(packet)
        self._early += waiting
        if any(code >= packets.FAILURE for code in packets.parse_suback(packet)):
            raise Malformed("it refused our subscriptions")
        return properties.get(packets.RECEIVE_MAXIMUM, 0xFFFF)

    def _next(self, waiting: list[Packet]) -> Packet:
        """The next packet while the socket still blocks."""
        while not waiting:
            data = self._socket.recv(READ_BYTES)
            if not data:
                raise EOFError("it closed the connection")
            waiting += self._reader.feed(data)
        return waiting.pop(0)

    # ----------------------------------------------------------------------- one turn

    def wait(self, wake: socket.socket) -> None:
        """Until something can be done: bytes, a message of ours, or a keepalive that is due."""
        now = time.monotonic()
        if now - self._heard > 1.5 * self._keepalive:
            raise EOFError("it has not answered in time")
        if now - self._spoke > self._keepalive / 2:
            self._outgoing += packets.PINGREQ_PACKET
        if self._early or self._socket.pending() or (self._outgoing and not self._blocked):
            return
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | (select.POLLOUT if self._blocked else 0))
        poll.register(wake, select.POLLIN)
        poll.poll(self._keepalive * 250)

    def read(self) -> list[Packet]:
        """What has come."""
        found, self._early = self._early, []
        try:
            data = self._socket.recv(READ_BYTES)
            while data and self._socket.pending() and len(data) < READ_BYTES:
                data += self._socket.recv(READ_BYTES)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return found
        if not data:
            raise EOFError("it closed the connection")
        self._heard = time.monotonic()
        found += self._reader.feed(data)
        return found

    def handle(self, packet: Packet) -> None:
        """Anything but a message."""
        if packet.kind == packets.PUBACK:
            self.room += 1
        elif packet.kind == packets.DISCONNECT:
            raise EOFError(f"it sent us away with reason {packet.body[0] if packet.body else 0:#04x}")
        elif packet.kind != packets.PINGRESP:
            raise Malformed(f"a packet of type {packet.kind:#04x}")

    def acknowledge(self, mid: int) -> None:
        """Say with the next write that a message has come."""
        self._outgoing += packets.puback(mid)

    def publish(self, topic: str, payload: bytes, retain: bool) -> None:  # noqa: FBT001  the queue's own tuple
        """Send a message with the next write."""
        self._mid = self._mid % 0xFFFF + 1
        self.room -= 1
        self._outgoing += packets.publish(self._mid, topic, payload, retain=retain)

    def write(self) -> None:
        """Send what was gathered, as far as the socket takes it."""
        self._blocked = False
        try:
            while self._outgoing:
                sent = self._socket.send(self._outgoing)
                del self._outgoing[:sent]
                self._spoke = time.monotonic()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            self._blocked = True

    def goodbye(self) -> None:
        """End in order."""
        with contextlib.suppress(OSError):
            self._socket.settimeout(1.0)
            self._socket.sendall(bytes(self._outgoing) + packets.DISCONNECT_PACKET)
