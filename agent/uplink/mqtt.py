"""The connection to the broker: paho-mqtt, MQTT 5 (3.1.1 where a broker knows no better), mutual TLS, one thread.

Rules:
- The broker is a dumb pipe. Nothing is handed to it twice by the library: every connection is made by a new client, so what
  an old one had queued is gone and the caller decides what to send again. The broker's session goes on (`clean_start` off):
  it keeps orders for a device that is away.
- paho's queue is in memory and without limit, so a caller asks `room` first.
- paho's own reconnecting has no jitter; ours has (`core.backoff`). A connection that did not last does not reset it.
- Little is handed to the kernel before the network takes it: on a slow line what waits would grow old in there, keepalives behind
  it, and all of it would be lost with the connection and sent again.
- A message is acknowledged when the caller says that it is dealt with, never before.
- A device says farewell by its last will: the caller gives the retained payload that says "not online".

What is published and what an incoming message means is decided elsewhere (`exchange`, `inbox`).
"""

from __future__ import annotations

import logging
import os
import select
import socket
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.core.backoff import Backoff

if TYPE_CHECKING:
    from agent.uplink.ports import Surroundings

log = logging.getLogger(__name__)

LASTED_US = 10_000_000
"""A connection that lasted so long ends the series of attempts: the next one begins with short waits again."""

MAX_INCOMING_BYTES = 131_072
"""Twice the longest note; MQTT 5 lets the broker keep what is larger."""

RECEIVE_MAXIMUM = 16

CONNECT_FIRST_S, CONNECT_MAX_S = 10.0, 60.0
"""For TCP and TLS together; twice as long after each that failed: at 1 kbit/s the handshake alone takes half a minute."""

KEEPALIVE_TIMES = 3
"""A connection that follows one in vain may be silent so much longer, beginning with the broker's first answer."""

UNSENT_BYTES = 4_096
"""What the kernel takes beyond what is on its way (tcp(7), TCP_NOTSENT_LOWAT): a short batch."""


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and how to speak to it."""

    host: str
    port: int
    client_id: str
    tls: ssl.SSLContext | None
    version: str = "5.0"
    keepalive_s: int = 30
    session_expiry_s: int = 604_800
    reconnect_first_ms: int = 500
    reconnect_max_ms: int = 60_000


@dataclass(frozen=True, slots=True)
class Message:
    """Something that came in; `acknowledge` it once it is dealt with (from the link's thread or any other)."""

    topic: str
    payload: bytes
    acknowledge: Callable[[], None]


class Link:
    """One connection after the other. Only `wake` and a message's `acknowledge` may be called from other threads."""

    def __init__(
        self,
        broker: Broker,
        topics: list[str],
        will: Callable[[], tuple[str, bytes]],
        around: Surroundings,
    ) -> None:
        self.connected = False
        self.generation = 0
        self.failures = 0
        self.last_error = ""
        self._broker = broker
        self._topics = topics
        self._will = will
        self._up_us = around.up_us
        self._random01 = around.random01
        self._backoff = Backoff(broker.reconnect_first_ms, broker.reconnect_max_ms)
        self._next_attempt_us = 0
        self._since_us = 0
        self._in_vain = 0
        self._refusal = ""
        self._client: paho.Client | None = None
        self._received: deque[Message] = deque()
        self._acknowledged: deque[tuple[int, int]] = deque()
        self._unacknowledged: set[int] = set()
        self._waker = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    # ----------------------------------------------------------------- the caller's side

    def turn(self, timeout_s: float) -> list[Message]:
        """Connect when it is time, read and write for at most `timeout_s`; what came in."""
        if self._client is None and self._up_us() >= self._next_attempt_us:
            self._connect()
        if self._client is None:
            timeout_s = min(timeout_s, max(self._next_attempt_us - self._up_us(), 0) / 1_000_000)
        self._wait(timeout_s)
        self._pump()
        received = list(self._received)
        self._received.clear()
        return received

    @property
    def flows(self) -> bool:
        """Connected, and nothing is stuck in the socket."""
        return self.connected and self._client is not None and not self._client.want_write()

    def room(self, window: int) -> bool:
        """Whether a message may be handed over: it flows, and few are without acknowledgement."""
        return self.flows and len(self._unacknowledged) < window

    @property
    def under_way(self) -> int:
        """Messages that the broker has not acknowledged: while the connection lasts, TCP is still bringing them."""
        return len(self._unacknowledged)

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> bool:
        """Hand a message to the broker; False when there is no connection (nothing is queued for later)."""
        if self._client is None or not self.connected:
            return False
        info = self._client.publish(topic, payload, qos=qos, retain=retain)
        if info.rc != paho.MQTT_ERR_SUCCESS:
            self._lost(f"publish failed: {paho.error_string(info.rc)}")
            return False
        if qos:
            self._unacknowledged.add(info.mid)
        return True

    def wake(self) -> None:
        """End the current wait: there is something to send."""
        os.eventfd_write(self._waker, 1)

    def close(self, farewell: tuple[str, bytes] | None = None, timeout_s: float = 2.0) -> None:
        """Publish the farewell where that is possible, wait a moment for its acknowledgement, disconnect."""
        if farewell and self.publish(*farewell, retain=True):
            until = self._up_us() + int(timeout_s * 1_000_000)
            while self.connected and self._unacknowledged and self._up_us() < until:
                self.turn(0.05)
        if self._client is not None:
            self._client.on_disconnect = None
            self._client.disconnect()
            self._drop()

    # ----------------------------------------------------------------- connecting

    def _connect(self) -> None:
        self._client = client = self._new_client()
        self.generation += 1
        self._refusal = ""
        self._unacknowledged.clear()
        self._acknowledged.clear()
        try:
            client.connect(
                self._broker.host,
                self._broker.port,
                keepalive=self._broker.keepalive_s * (1 if not self._in_vain else KEEPALIVE_TIMES),
                **self._connect_options(),
            )
            connection = client.socket()
            if isinstance(connection, socket.socket):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        except (OSError, ssl.SSLError, ValueError) as error:
            self._lost(f"no connection to {self._broker.host}:{self._broker.port}: {error}")

    def _new_client(self) -> paho.Client:
        version5 = self._broker.version == "5.0"
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._broker.client_id,
            protocol=paho.MQTTv5 if version5 else paho.MQTTv311,
            clean_session=None if version5 else False,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = min(CONNECT_FIRST_S * 2**self._in_vain, CONNECT_MAX_S)
        if self._broker.tls is not None:
            client.tls_set_context(self._broker.tls)
        topic, payload = self._will()
        client.will_set(topic, payload, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message(self.generation + 1)
        client.on_publish = self._on_publish
        return client

    def _connect_options(self) -> dict[str, Any]:
        if self._broker.version != "5.0":
            return {}
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = self._broker.session_expiry_s
        properties.ReceiveMaximum = RECEIVE_MAXIMUM
        properties.MaximumPacketSize = MAX_INCOMING_BYTES
        return {"clean_start": False, "properties": properties}

    # ----------------------------------------------------------------- reading and writing

    def _wait(self, timeout_s: float) -> None:
        """Until there is something to read, room to write, somebody wakes us, or the time is over."""
        connection = self._client.socket() if self._client is not None else None
        readers: list[Any] = [self._waker] if connection is None else [self._waker, connection]
        writers = [connection] if connection is not None and self._client is not None and self._client.want_write() else []
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            timeout_s = 0
        readable, _, _ = select.select(readers, writers, [], timeout_s)
        if self._waker in readable:
            os.eventfd_read(self._waker)

    def _pump(self) -> None:
        """All that can be read and written now, without waiting."""
        client = self._client
        if client is None:
            return
        self._send_acknowledgements(client)
        code = client.loop_read() if _readable(client.socket()) else paho.MQTT_ERR_SUCCESS
        if code == paho.MQTT_ERR_SUCCESS and client.want_write():
            code = client.loop_write()
        if code == paho.MQTT_ERR_SUCCESS:
            code = client.loop_misc()
        if self._client is client and (code != paho.MQTT_ERR_SUCCESS or client.socket() is None):
            self._lost(paho.error_string(code))

    def _send_acknowledgements(self, client: paho.Client) -> None:
        while self._acknowledged:
            generation, mid = self._acknowledged.popleft()
            if generation == self.generation:
                client.ack(mid, 1)

    # ----------------------------------------------------------------- paho's callbacks, called inside _connect and _pump

    def _on_connect(self, client: paho.Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._refusal = f"the broker refused us: {reason}"
            return
        self.connected = True
        self._in_vain = 0
        self._since_us = self._up_us()
        client.subscribe([(topic, 1) for topic in self._topics])
        log.info("connected", extra={"broker": f"{self._broker.host}:{self._broker.port}"})

    def _on_disconnect(self, client: paho.Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if client is self._client:
            self._lost(self._refusal or f"disconnected: {reason}")

    def _on_message(self, generation: int) -> Callable[[paho.Client, Any, paho.MQTTMessage], None]:
        def receive(_client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
            mid, qos = message.mid, message.qos

            def acknowledge() -> None:
                if qos:
                    self._acknowledged.append((generation, mid))
                    self.wake()

            self._received.append(Message(message.topic, bytes(message.payload), acknowledge))

        return receive

    def _on_publish(self, _client: paho.Client, _userdata: Any, mid: int, reason: Any, _properties: Any) -> None:
        self._unacknowledged.discard(mid)
        if reason.is_failure:
            self.failures += 1
            log.warning("the broker refused a message", extra={"reason": str(reason)})

    # ----------------------------------------------------------------- losing it

    def _lost(self, why: str) -> None:
        """Drop the connection and set the time of the next attempt."""
        now = self._up_us()
        if self.connected and now - self._since_us >= LASTED_US:
            self._backoff.reset()
        self.failures += 1
        self._in_vain = 0 if self.connected else min(self._in_vain + 1, 8)
        self.last_error = why
        wait_ms = self._backoff.next(self._random01())
        self._next_attempt_us = now + wait_ms * 1_000
        log.warning("connection lost", extra={"why": why, "next_ms": wait_ms})
        self._drop()

    def _drop(self) -> None:
        client, self._client, self.connected = self._client, None, False
        connection = client.socket() if client is not None else None
        if connection is not None:
            connection.close()


def _readable(connection: Any) -> bool:
    if connection is None:
        return False
    if isinstance(connection, ssl.SSLSocket) and connection.pending():
        return True
    readable, _, _ = select.select([connection], [], [], 0)
    return bool(readable)
