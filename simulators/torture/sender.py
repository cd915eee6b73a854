"""A device as the server's torture needs it: real lines, batches and media over real TLS, and a list of all it was ever told.

It records without an end: a recording of some fragments, its batches to the broker, its bytes over HTTPS, until the receipt is
there; then the next. Whatever fails is tried again from what the server says that it holds; nothing that was told is forgotten.
"""

from __future__ import annotations

import hashlib
import json
import random
import ssl
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as paho
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from paho.mqtt.enums import CallbackAPIVersion

from agent.core import lines, merkle, note, ulid, wire
from agent.core.errors import CoreError

EPOCH_MS = 1_763_712_297_000
FRAGMENTS = 3
FRAGMENT_BYTES = (2_000, 60_000)
AGAIN_S = 0.4
"""How long an answer is waited for before it is tried again."""


@dataclass
class Told:
    """Everything that the server has let out to this device."""

    cosigned: list[str] = field(default_factory=list)
    held: list[tuple[str, int, int]] = field(default_factory=list)
    """(recording, first, end) of fragments for which it answered 200 or 201."""
    receipts: list[str] = field(default_factory=list)
    beacons: list[str] = field(default_factory=list)


class Sender:
    """One device; `step` sends what is missing. `told` grows in the library's thread and in the caller's."""

    def __init__(self, state: Path, broker_port: int, seed: int) -> None:
        said = json.loads((state / "enrolment.json").read_text())
        self.device, self.n, self.origin = str(said["device"]), int(said["n"]), str(said["origin"])
        key = load_pem_private_key((state / "evidence" / "evidence.key").read_bytes(), None)
        assert isinstance(key, Ed25519PrivateKey)
        self._key, self._public = key, key.public_key().public_bytes_raw()
        self._chance = random.Random(seed)  # noqa: S311 — a load is made again by its seed
        self._tls = ssl.create_default_context(cafile=str(state / "tls" / "ca.crt"))
        self._tls.load_cert_chain(state / "tls" / "device.crt", state / "tls" / "device.key")
        self.told = Told()
        self.lines: list[bytes] = []
        self.media: dict[str, bytes] = {}
        self.ends: dict[str, list[int]] = {}
        self.recordings = 0
        self._tree = merkle.Range()
        self._notes: list[tuple[int, str]] = []
        self._recording = ""
        self._proved: set[str] = set()
        self._size = 0
        self._news = threading.Event()
        self._mqtt = self._connected(broker_port)

    def _connected(self, port: int) -> paho.Client:
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        client.tls_set_context(self._tls)
        topics = [(f"zhilu/{self.device}/{leaf}", 1) for leaf in ("witness", "receipt")]
        client.on_connect = lambda c, *_: c.subscribe([*topics, (wire.LEDGER_TOPIC, 1)])
        client.on_message = lambda _c, _u, message: self._heard(message.topic, message.payload.decode())
        client.connect("localhost", port)
        client.loop_start()
        return client

    def close(self) -> None:
        """Hang up."""
        self._mqtt.disconnect()
        self._mqtt.loop_stop()

    def _heard(self, topic: str, text: str) -> None:
        if topic == wire.LEDGER_TOPIC:
            self.told.beacons.append(text)
        elif topic.endswith("/receipt"):
            self.told.receipts.append(text)
            self._proved.add(recording_of(text))
        else:
            self.told.cosigned.append(text)
            self._size = max(self._size, size_of(text))
        self._news.set()

    # ----------------------------------------------------------------- what it does

    def step(self, port: int) -> None:
        """One try at what is due: lines, then bytes, then the receipt, then the next recording."""
        if not self._recording or self._stored():
            self._record()
        self._news.clear()
        if self._size < len(self.lines):
            self._publish()
            self._news.wait(AGAIN_S)
        elif not self._put(port) or not self._stored():
            self._mqtt.publish(f"zhilu/{self.device}/status", json.dumps({"online": True}), 1)
            self._news.wait(AGAIN_S)

    def _stored(self) -> bool:
        return self._recording in self._proved

    def ask(self, port: int) -> str:
        """The newest cosigned note that the server has of us; empty where it has none."""
        with self._https(port) as https:
            answer = https.get(f"/api/v1/journal/{self.device}/{self.n}/checkpoint")
        text = answer.text if answer.status_code == httpx.codes.OK else ""
        if text:
            self.told.cosigned.append(text)
        self._size = size_of(text) if text else 0
        return text

    def _https(self, port: int) -> httpx.Client:
        return httpx.Client(base_url=f"https://localhost:{port}", verify=self._tls, timeout=20, trust_env=False)

    def _publish(self) -> None:
        first = self._size
        for size, text in self._notes:
            if size > first:
                self._mqtt.publish(f"zhilu/{self.device}/journal", wire.encode_batch(first, self.lines[first:size], text), 1)
                first = size

    def _put(self, port: int) -> bool:
        """Send the recording's bytes, in two requests; whether both were answered well."""
        ends = self.ends[self._recording]
        middle = len(ends) // 2
        with self._https(port) as https:
            for first, end in ((0, middle), (middle, len(ends) - 1)):
                begin, until = ends[first], ends[end]
                path = f"/api/v1/media/{self.device}/{self._recording}/front/{begin}"
                try:
                    answer = https.put(path, content=self.media[self._recording][begin:until])
                except httpx.HTTPError:
                    return False
                if answer.status_code not in (httpx.codes.OK, httpx.codes.CREATED):
                    return False
                self.told.held.append((self._recording, first, end))
        return True

    # ----------------------------------------------------------------- what it says

    def _record(self) -> None:
        """A recording from start to stop, under three checkpoints."""
        self.recordings += 1
        name = self._recording = ulid.new(EPOCH_MS + len(self.lines), self._chance.randbytes(10))
        start = {"trigger": "button", "officer": "", "case": "", "matter": "", "epoch": 0, "governing": []}
        self._line("start", name, 0, start)
        self._line("track", name, 1, {"track": "front", "media": "video/mp4", "codecs": "avc1.42c01e", "source": "torture"})
        self._seal()
        data, ends = b"", [0]
        for seq in range(FRAGMENTS):
            piece = self._chance.randbytes(self._chance.randint(*FRAGMENT_BYTES))
            place = {"track": "front", "seq": seq, "offset": len(data), "bytes": len(piece), "sha256": hashlib.sha256(piece).hexdigest()}
            self._line("fragment", name, 2 + seq, {**place, "pts": max(seq - 1, 0) * 1000, "duration": 1000 if seq else 0})
            data += piece
            ends.append(len(data))
        self._seal()
        totals = [{"track": "front", "fragments": FRAGMENTS, "bytes": len(data), "duration": (FRAGMENTS - 1) * 1000}]
        self._line("stop", name, 2 + FRAGMENTS, {"trigger": "button", "tracks": totals})
        self._seal()
        self.media[name], self.ends[name] = data, ends

    def _line(self, kind: str, recording: str, n: int, members: dict[str, Any]) -> None:
        salt = lines.salt_text(self._chance.randbytes(16))
        line = lines.build(kind, EPOCH_MS + len(self.lines), len(self.lines), salt, {"recording": recording, "n": n, **members})
        self.lines.append(line)
        self._tree.append(merkle.leaf_hash(line))

    def _seal(self) -> None:
        body = note.checkpoint(self.origin, len(self.lines), self._tree.root())
        self._notes.append((len(self.lines), note.sign(body, self.origin, note.ED25519, self._public, self._key.sign)))


def recording_of(receipt: str) -> str:
    """The recording that a receipt is about."""
    return str(json.loads(note.parse_tlog_proof(receipt).extra or b"{}").get("recording", ""))


def size_of(text: str) -> int:
    """Lines that a note is about."""
    try:
        return int(note.parse_checkpoint(note.split(text)[0]).size)
    except CoreError:
        return 0
