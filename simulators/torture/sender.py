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
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as paho
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from paho.mqtt.enums import CallbackAPIVersion

from agent.core import lines, merkle, note, ulid, wire
from simulators.torture.told import Told, Truth, head_of

EPOCH_MS = 1_763_712_297_000
FRAGMENTS = 3
FRAGMENT_BYTES = (2_000, 60_000)
PIECE = 16_384
AGAIN_S = 0.4
"""How long an answer is waited for before it is tried again."""


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
        self.truth, self.told = Truth(self.device, self.origin), Told()
        self._tree = merkle.Range()
        self._notes: list[tuple[int, str]] = []
        self._recording = ""
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
        self.told.published(topic, text)
        if topic.endswith("/witness"):
            self._size = max(self._size, head_of(text).size)
        self._news.set()

    # ----------------------------------------------------------------- what it does

    @property
    def idle(self) -> bool:
        """Whether all that it has recorded is stored, and it knows."""
        return not self._recording or self._stored()

    def step(self, port: int, *, record: bool = True) -> None:
        """One try at what is due: lines, then bytes, then the receipt, then the next recording."""
        if self.idle:
            if not record:
                return
            self._record()
        self._news.clear()
        if self._size < len(self.truth.lines):
            self._publish()
            self._news.wait(AGAIN_S)
            return
        if self._put(port) and not self._stored():
            self._news.wait(AGAIN_S)
        if not self._stored():  # whoever says that it is online is told again what it may have missed
            self._mqtt.publish(f"zhilu/{self.device}/status", json.dumps({"online": True}), 1)
            self._news.wait(AGAIN_S)

    def _stored(self) -> bool:
        return any(receipt.recording == self._recording for receipt in set(self.told.receipts))

    def ask(self, port: int) -> None:
        """After a start: the newest cosigned note that the server has of us, and what it holds of the recording."""
        with self._https(port) as https:
            answer = self._asked(https, f"/api/v1/journal/{self.device}/{self.n}/checkpoint")
            self._size = head_of(answer.text).size if answer.status_code == httpx.codes.OK else 0
            if self._recording:
                self._asked(https, f"/api/v1/media/{self.device}/{self._recording}")

    def _asked(self, https: httpx.Client, path: str) -> httpx.Response:
        answer = https.get(path)
        self.told.answered(str(answer.status_code), path, answer.text)
        return answer

    def _https(self, port: int) -> httpx.Client:
        return httpx.Client(base_url=f"https://localhost:{port}", verify=self._tls, timeout=20, trust_env=False)

    def _publish(self) -> None:
        first = self._size
        for size, text in self._notes:
            if size > first:
                payload = wire.encode_batch(first, self.truth.lines[first:size], text)
                self._mqtt.publish(f"zhilu/{self.device}/journal", payload, 1)
                first = size

    def _put(self, port: int) -> bool:
        """Send the recording's bytes, in two requests of several pieces; whether both were answered well."""
        ends, data = self.truth.ends[self._recording], self.truth.media[self._recording]
        middle = len(ends) // 2
        with self._https(port) as https:
            for begin, until in ((0, ends[middle]), (ends[middle], ends[-1])):
                path = f"/api/v1/media/{self.device}/{self._recording}/front/{begin}"
                pieces = (data[at : min(at + PIECE, until)] for at in range(begin, until, PIECE))
                try:
                    answer = https.put(path, content=pieces, headers={"Content-Length": str(until - begin)})
                except httpx.HTTPError:
                    return False
                self.told.answered(str(answer.status_code), path, answer.text)
                if answer.status_code not in (httpx.codes.OK, httpx.codes.CREATED):
                    return False
        return True

    # ----------------------------------------------------------------- what it says

    def _record(self) -> None:
        """A recording from start to stop, under three checkpoints."""
        name = ulid.new(EPOCH_MS + len(self.truth.lines), self._chance.randbytes(10))
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
        self.truth.media[name], self.truth.ends[name] = data, ends
        self._recording = name

    def _line(self, kind: str, recording: str, n: int, members: dict[str, Any]) -> None:
        salt = lines.salt_text(self._chance.randbytes(16))
        line = lines.build(kind, EPOCH_MS + len(self.truth.lines), len(self.truth.lines), salt, {"recording": recording, "n": n, **members})
        self.truth.lines.append(line)
        self._tree.append(merkle.leaf_hash(line))

    def _seal(self) -> None:
        body = note.checkpoint(self.origin, len(self.truth.lines), self._tree.root())
        self._notes.append((len(self.truth.lines), note.sign(body, self.origin, note.ED25519, self._public, self._key.sign)))
