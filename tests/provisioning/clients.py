"""MQTT clients that write down what they are told, and who they say they are."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from provisioning.deployment import Deployment

PATIENCE = 30.0


@dataclass(frozen=True)
class Identity:
    certificate: Path
    key: Path
    ca: Path

    @classmethod
    def of_device(cls, folder: Path) -> Identity:
        return cls(folder / "tls" / "device.crt", folder / "tls" / "device.key", folder / "tls" / "ca.crt")

    @classmethod
    def of_server(cls, deployment: Deployment) -> Identity:
        tls = deployment.server_folder / "tls"
        return cls(tls / "mqtt.crt", tls / "mqtt.key", tls / "ca.crt")

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca)
        context.load_cert_chain(self.certificate, self.key)
        return context


ACCEPTED = {"Success", "No matching subscribers"}


@dataclass
class Client:
    """One MQTT 5 session and everything that happened in it."""

    mqtt: paho.Client
    changed: threading.Condition = field(default_factory=threading.Condition)
    messages: list[tuple[str, bytes]] = field(default_factory=list)
    connects: list[str] = field(default_factory=list)
    disconnects: list[str] = field(default_factory=list)
    acks: dict[int, str] = field(default_factory=dict)
    granted: dict[int, list[str]] = field(default_factory=dict)

    def until(self, what: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(what, PATIENCE), (self.messages, self.connects, self.disconnects, self.acks)

    def note(self, act: Callable[[], object]) -> None:
        with self.changed:
            act()
            self.changed.notify_all()

    def publish(self, topic: str, payload: bytes = b"x", *, retain: bool = False) -> str:
        """Publish at QoS 1; what the broker answered."""
        info = self.mqtt.publish(topic, payload, qos=1, retain=retain)
        self.until(lambda: info.mid in self.acks)
        return self.acks[info.mid]

    def subscribe(self, *topics: str) -> None:
        _, mid = self.mqtt.subscribe([(topic, 1) for topic in topics])
        self.until(lambda: mid in self.granted)


def connect(identity: Identity, port: int, client_id: str = "", *, resume: bool = False) -> Client:
    """Connect; `resume` goes on with the session that the broker kept under this name."""
    mqtt = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv5, reconnect_on_failure=False)
    mqtt.tls_set_context(identity.context())
    client = Client(mqtt)
    mqtt.on_connect = lambda _c, _u, _f, reason, _p: client.note(lambda: client.connects.append(str(reason)))
    mqtt.on_disconnect = lambda _c, _u, _f, reason, _p: client.note(lambda: client.disconnects.append(str(reason)))
    mqtt.on_message = lambda _c, _u, message: client.note(lambda: client.messages.append((message.topic, bytes(message.payload))))
    mqtt.on_publish = lambda _c, _u, mid, reason, _p: client.note(lambda: client.acks.update({mid: str(reason)}))
    mqtt.on_subscribe = lambda _c, _u, mid, reasons, _p: client.note(lambda: client.granted.update({mid: [str(r) for r in reasons]}))
    expiry = Properties(PacketTypes.CONNECT)
    expiry.SessionExpiryInterval = 3600
    mqtt.connect("127.0.0.1", port, clean_start=not resume, properties=expiry)
    mqtt.loop_start()
    client.until(lambda: bool(client.connects or client.disconnects))
    return client


def handshake(identity: Identity, port: int) -> bytes:
    """Speak TLS and one CONNECT; what the broker answers. A refused certificate raises, here or at the first byte read (TLS 1.3)."""
    packet = bytes([0x10, 13, 0, 4, *b"MQTT", 5, 2, 0, 60, 0, 0, 0])
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE) as plain,
        identity.context().wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        tls.sendall(packet)
        return tls.recv(4)
