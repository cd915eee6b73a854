"""Messages that were never meant: by keys that nobody trusts, by the right keys for somebody else, of long ago, torn.

Everything is signed for real: a forger has keys too. `Office` holds a deployment's genuine keys, because the worst messages are
genuine ones in the wrong place; `Office.strangers` has keys of the same names and types that nobody was ever told of.

An `Intruder` is inside the broker: it reads and writes every topic. What may follow from any of this is nothing but a count.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from agent.core import lines, merkle, note, wire
from provisioning import keys
from simulators.errors import StoryError

if TYPE_CHECKING:
    from pathlib import Path

    from provisioning.deployment import Deployment

INTRUDER = "zhilu-intruder"
WITHIN_S = 60.0
AT_MS = 1_800_000_000_000
SALT = "A" * 22


@dataclass(frozen=True, slots=True)
class Key:
    """A signing key under a name that it may have no right to."""

    name: str
    algorithm: int
    private: Ed25519PrivateKey

    @property
    def public(self) -> bytes:
        """32 bytes."""
        return self.private.public_key().public_bytes_raw()

    @property
    def vkey(self) -> str:
        """The public half as text."""
        return note.vkey(self.name, self.algorithm, self.public)

    def note(self, body: str) -> str:
        """The body as a signed note."""
        return note.sign(body, self.name, self.algorithm, self.public, self.private.sign)

    def cosign(self, text: str, seconds: int) -> str:
        """The note with this key's cosignature under it."""
        return note.add(text, note.cosign(text, self.name, self.public, self.private.sign, seconds))

    def stranger(self) -> Key:
        """The same name and type, and another key."""
        return Key(self.name, self.algorithm, Ed25519PrivateKey.generate())


@dataclass(frozen=True, slots=True)
class Office:
    """A deployment's three keys, and what they can be made to say."""

    domain: str
    ledger: Key
    witness: Key
    orders: Key

    @classmethod
    def of(cls, deployment: Deployment) -> Office:
        """The genuine ones."""
        folder, domain = deployment.server_folder / "keys", deployment.domain
        made = {
            purpose: Key(f"{domain}/{purpose}", algorithm, keys.load(folder / f"{purpose}.key"))
            for purpose, algorithm in keys.SERVER_KEYS.items()
        }
        return cls(domain, **made)

    def strangers(self) -> Office:
        """Keys of the same names that nobody was told of."""
        return Office(self.domain, self.ledger.stranger(), self.witness.stranger(), self.orders.stranger())

    def order(self, origin: str, number: int, name: str, expires: int, *, kind: str = note.ORDER, **members: Any) -> bytes:
        """An order."""
        text = lines.write([("name", name), *members.items(), ("expires", expires)]).decode()
        return self.orders.note(note.order(kind, origin, number, text)).encode()

    def receipt(self, **members: Any) -> bytes:
        """A proof of a `stored` line in a ledger of this office's own, behind three other lines."""
        line = lines.build("stored", AT_MS, None, SALT, members)
        leaves = [merkle.leaf_hash(b'{"kind":"start","c":%d}' % place) for place in range(3)] + [merkle.leaf_hash(line)]
        head = self.ledger.note(note.checkpoint(self.ledger.name, len(leaves), merkle.root_of(leaves)))
        return note.tlog_proof(3, merkle.inclusion(merkle.from_leaves(leaves), 3, 4), head, line).encode()

    def beacon(self, size: int, root: bytes = b"\x07" * 32) -> bytes:
        """A checkpoint of the ledger."""
        return self.ledger.note(note.checkpoint(self.ledger.name, size, root)).encode()


def evidence_key(state: Path, origin: str) -> Key:
    """The key of a device whose folder somebody holds."""
    return Key(origin, note.ED25519, keys.load(state / "evidence" / "evidence.key"))


# --------------------------------------------------------------------------- inside the broker


class Intruder:
    """A client that the broker lets do everything. `heard` is every message, oldest first; `answer` is told of each."""

    def __init__(self, deployment: Deployment, reload: Callable[[], None]) -> None:
        access = deployment.broker_folder / "acl.txt"
        if INTRUDER not in access.read_text():
            access.write_text(f"{access.read_text()}\nuser {INTRUDER}\ntopic readwrite #\n")
            reload()
        self.heard: list[tuple[str, bytes]] = []
        self.answer: Callable[[str, bytes], None] = lambda _topic, _payload: None
        self._changed = threading.Condition()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=INTRUDER, protocol=paho.MQTTv5)
        self._client.tls_set_context(_context(deployment))
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("zhilu/#", qos=1)
        self._client.on_message = self._message
        self._ready = threading.Event()
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.connect(deployment.listen, deployment.ports.broker)
        self._client.loop_start()
        if not self._ready.wait(WITHIN_S):
            raise StoryError("the intruder did not get into the broker")

    def _message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        with self._changed:
            self.heard.append((message.topic, bytes(message.payload)))
            self._changed.notify_all()
        self.answer(message.topic, bytes(message.payload))

    def say(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish anything anywhere."""
        self._client.publish(topic, payload, qos=1, retain=retain)

    def of(self, topic: str) -> list[bytes]:
        """What was heard on a topic."""
        with self._changed:
            return [payload for found, payload in self.heard if found == topic]

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()


def _context(deployment: Deployment) -> ssl.SSLContext:
    issued = deployment.authority.client(INTRUDER)
    folder = deployment.folder / "intruder"
    folder.mkdir(exist_ok=True)
    (folder / "tls.crt").write_bytes(issued.certificate)
    (folder / "tls.key").write_bytes(issued.key)
    context = ssl.create_default_context(cafile=deployment.folder / "ca" / "ca.crt")
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    return context


def mimic(intruder: Intruder, strangers: Office) -> None:
    """From now on answer as a server would, to every batch, with keys that nobody trusts: cosigned as it came, and another root."""

    def answer(topic: str, payload: bytes) -> None:
        device, leaf = wire.parse_topic(topic) if topic != wire.LEDGER_TOPIC else ("", "")
        if leaf != "journal":
            return
        batch = wire.decode_batch(payload)
        seconds = AT_MS // 1_000
        body, _ = note.split(batch.note)
        own = batch.note[len(body) :]
        other = note.checkpoint(batch.origin, batch.size, merkle.leaf_hash(b"another history")) + own
        for text in (strangers.witness.cosign(batch.note, seconds), strangers.witness.cosign(other, seconds)):
            intruder.say(wire.topic(device, "witness"), text.encode())
        intruder.say(wire.LEDGER_TOPIC, strangers.beacon(1_000_000))

    intruder.answer = answer
