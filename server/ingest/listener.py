"""The broker's side of ingest: journals, status, health and reported state in; cosignatures, receipts and the beacon out.

Rules:
- The broker is a dumb pipe: nothing here relies on it to keep or to order anything. Messages are acknowledged when they arrive;
  what was not cosigned comes again.
- Nothing is queued for a broker that is away.
- Which device speaks is said by the topic, which the broker ties to the client certificate.
"""

from __future__ import annotations

import logging
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.core import wire
from agent.core.errors import WireError
from server.config import Broker
from server.errors import SettingsError
from server.ingest.reasons import Reason, Refusal
from server.ingest.refusals import Refusals
from server.metrics import Metrics
from server.registry.devices import TOPICS, Devices

log = logging.getLogger(__name__)

IN_FLIGHT = 2000
"""Messages of ours that the broker has not acknowledged; beyond it the library queues."""
MAX_BACKLOG = 20_000
"""Messages that wait in the library: beyond it they are dropped, and the device asks again."""


class Listener:
    """One connection. `take(device, payload)` gets batches, `online(device)` is told when a device has come."""

    def __init__(
        self,
        settings: Broker,
        folder: Path,
        take: Callable[[str, bytes], None],
        devices: Devices,
        now_ms: Callable[[], int],
        metrics: Metrics,
    ) -> None:
        self._settings, self._take, self._devices, self._now_ms, self._metrics = settings, take, devices, now_ms, metrics
        self._refusals = Refusals(metrics)
        self._online: list[Callable[[str], None]] = []
        self._connected: list[Callable[[], None]] = []
        self._subscribed = False
        self._client = Client(CallbackAPIVersion.VERSION2, settings.client_id, protocol=MQTTv5)
        self._client.tls_set_context(_tls(folder, settings))
        # An error of ours in a callback is logged; it must not end the thread that hears all devices.
        self._client.suppress_exceptions = True
        library = logging.getLogger(f"{__name__}.paho")
        library.setLevel(logging.WARNING)
        # `_on_connect_fail` says that better, and why.
        library.addFilter(lambda record: "Client is not connected" not in record.getMessage())
        self._client.enable_logger(library)
        self._client.max_inflight_messages_set(IN_FLIGHT)
        self._client.max_queued_messages_set(MAX_BACKLOG)
        self._client.reconnect_delay_set(1, 30)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_subscribe = self._on_subscribe
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        metrics.gauge("zhilu_broker_connected", lambda: int(self._client.is_connected()))

    def on_online(self, act: Callable[[str], None]) -> None:
        """Whom to tell that a device has come online."""
        self._online.append(act)

    def on_connected(self, act: Callable[[], None]) -> None:
        """Whom to tell that the broker is there (again)."""
        self._connected.append(act)

    @property
    def connected(self) -> bool:
        """Whether the broker is there and we are subscribed."""
        return self._subscribed and bool(self._client.is_connected())

    def start(self) -> None:
        """Connect in a thread of its own, again and again until it works."""
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 0
        properties.ReceiveMaximum = 65535
        properties.MaximumPacketSize = 4 * wire.MAX_BATCH_BYTES
        self._client.connect_async(
            self._settings.host, self._settings.port, self._settings.keepalive_s, clean_start=True, properties=properties
        )
        self._client.loop_start()

    def close(self) -> None:
        """Say goodbye and end the thread."""
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: bytes, *, retain: bool) -> bool:
        """Hand a message to the broker (QoS 1); False where it is away or swamped."""
        if not self._client.is_connected():
            return False
        return self._client.publish(topic, payload, 1, retain).rc == MQTTErrorCode.MQTT_ERR_SUCCESS

    def answer(self, device: str, cosigned: str) -> None:
        """The device's newest cosigned checkpoint."""
        self.publish(f"zhilu/{device}/witness", cosigned.encode(), retain=False)

    # ----------------------------------------------------------------------- the library's thread

    def _on_connect(self, client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            log.error("the broker at %s:%d refused us: %s", self._settings.host, self._settings.port, reason)
            return
        client.subscribe([("zhilu/+/journal", 1), ("zhilu/+/status", 1), ("zhilu/+/health", 0), ("zhilu/+/reported", 1)])

    def _on_connect_fail(self, _client: Client, _data: Any) -> None:
        # The library calls this while it handles the error, which it keeps for itself.
        why = sys.exception() or "no reason given"
        log.warning("no broker at %s:%d: %s; trying again, is mosquitto running?", self._settings.host, self._settings.port, why)

    def _on_subscribe(self, _client: Client, _data: Any, _mid: int, reasons: Any, _properties: Any) -> None:
        if any(reason.is_failure for reason in reasons):
            log.error("the broker at %s:%d refused our subscriptions: %s", self._settings.host, self._settings.port, reasons)
            return
        log.info("listening at the broker at %s:%d", self._settings.host, self._settings.port)
        self._subscribed = True
        for act in self._connected:
            act()

    def _on_disconnect(self, _client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._subscribed = False
        if reason.is_failure:
            log.warning("lost the broker: %s; trying again", reason)

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        try:
            device, leaf = wire.parse_topic(message.topic)
        except (WireError, UnicodeError) as e:
            self._refusals.refuse("broker", Refusal(Reason.BAD_TOPIC, str(e)))
            return
        if leaf == "journal":
            self._take(device, bytes(message.payload))
        elif leaf in TOPICS:
            self._hear(device, leaf, bytes(message.payload))

    def _hear(self, device: str, topic: str, payload: bytes) -> None:
        if not payload:  # a retained message was cleared
            return
        try:
            state = self._devices.hear(device, topic, payload, self._now_ms())
        except ValueError as e:
            self._refusals.refuse(device, Refusal(Reason.BAD_STATE, f"{topic}: {e}"))
            return
        self._metrics.add("zhilu_states_total", topic)
        if topic == "status" and state.said.get("online") is True:
            for act in self._online:
                act(device)


def _tls(folder: Path, settings: Broker) -> ssl.SSLContext:
    """Our certificate towards the broker, and whom we believe that it is the broker."""
    paths = [folder / name for name in (settings.ca, settings.certificate, settings.key)]
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(paths[0]))
        context.load_cert_chain(paths[1], paths[2])
    except OSError as e:
        raise SettingsError(f"broker: expected PEM files in {', '.join(str(path) for path in paths)}, got: {e}") from e
    return context
