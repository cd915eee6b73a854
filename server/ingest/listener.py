"""The broker's side of ingest: journals, status, health and reported state in; cosignatures, receipts and the beacon out.

Rules:
- The broker is a dumb pipe: nothing here relies on it to keep or to order anything. Messages are acknowledged when they arrive;
  what was not cosigned comes again.
- Nothing is queued for a broker that is away.
- Which device speaks is said by the topic, which the broker ties to the client certificate.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

from agent.core import wire
from agent.core.errors import WireError
from server.config import Broker
from server.errors import SettingsError
from server.ingest.broker import Connection
from server.ingest.reasons import Reason, Refusal
from server.ingest.refusals import Refusals
from server.metrics import Metrics
from server.registry.devices import TOPICS, Devices

SUBSCRIPTIONS = [("zhilu/+/journal", 1), ("zhilu/+/status", 1), ("zhilu/+/health", 0), ("zhilu/+/reported", 1)]


class Listener:
    """One connection. `take(device, payload)` gets batches; who registers is told when a device has come online."""

    def __init__(
        self,
        settings: Broker,
        folder: Path,
        take: Callable[[str, bytes], None],
        devices: Devices,
        now_ms: Callable[[], int],
        metrics: Metrics,
    ) -> None:
        self._take, self._devices, self._now_ms, self._metrics = take, devices, now_ms, metrics
        self._refusals = Refusals(metrics)
        self._online: list[Callable[[str], None]] = []
        self._connected: list[Callable[[], None]] = []
        self._connection = Connection(settings, _tls(folder, settings), SUBSCRIPTIONS, self._on_message, self._on_connected)
        metrics.gauge("zhilu_broker_connected", lambda: int(self.connected))

    def on_online(self, act: Callable[[str], None]) -> None:
        """Whom to tell that a device has come online."""
        self._online.append(act)

    def on_connected(self, act: Callable[[], None]) -> None:
        """Whom to tell that the broker is there (again)."""
        self._connected.append(act)

    @property
    def connected(self) -> bool:
        """Whether the broker is there and we are subscribed."""
        return self._connection.connected

    def start(self) -> None:
        """Connect, again and again until it works."""
        self._connection.start()

    def close(self) -> None:
        """Say goodbye; what was handed over before is sent."""
        self._connection.close()

    def publish(self, topic: str, payload: bytes, *, retain: bool) -> bool:
        """Hand a message to the broker (QoS 1); False where it is away or swamped."""
        return self._connection.publish(topic, payload, retain=retain)

    def answer(self, device: str, cosigned: str) -> None:
        """The device's newest cosigned checkpoint."""
        self._connection.publish(f"zhilu/{device}/witness", cosigned.encode(), retain=False)

    # ----------------------------------------------------------------------- the connection's thread

    def _on_connected(self) -> None:
        for act in self._connected:
            act()

    def _on_message(self, topic: str, payload: bytes) -> None:
        try:
            device, leaf = wire.parse_topic(topic)
        except WireError as e:
            self._refusals.refuse("broker", Refusal(Reason.BAD_TOPIC, str(e)))
            return
        if leaf == "journal":
            self._take(device, payload)
        elif leaf in TOPICS:
            self._hear(device, leaf, payload)

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
