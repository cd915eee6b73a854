"""A device that we play by hand: its own keys and certificates, and whatever we have it say to broker and server.

Everything that it signs is signed for real, honest or not. Its journal is in memory; a `seal` is a checkpoint, and batches end at one.
"""

from __future__ import annotations

import hashlib
import json
import random
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from agent.core import lines, merkle, note, ulid, wire
from simulators.hostile.forgery import AT_MS, evidence_key

if TYPE_CHECKING:
    from pathlib import Path

    from provisioning.deployment import Deployment

WITHIN_S = 60.0
FRAGMENT_BYTES = 1_500


@dataclass
class Taken:
    """A recording of a puppet's: its name, how many of its lines there are, the bytes of its one track and where fragments end."""

    name: str
    n: int = 0
    data: bytes = b""
    ends: list[int] = field(default_factory=lambda: [0])


class Puppet:
    """Connected to the broker from the start; `close` at the end. `heard` grows in the library's thread."""

    def __init__(self, deployment: Deployment, state: Path, seed: int = 1) -> None:
        said = json.loads((state / "enrolment.json").read_text("utf-8"))
        self.name, self.n, self.origin = str(said["device"]), int(said["n"]), str(said["origin"])
        self.key = evidence_key(state, self.origin)
        self.tls = ssl.create_default_context(cafile=state / "tls" / "ca.crt")
        self.tls.load_cert_chain(state / "tls" / "device.crt", state / "tls" / "device.key")
        self.lines: list[bytes] = []
        self.notes: dict[int, str] = {}
        self.heard: list[tuple[str, bytes]] = []
        self.answers: dict[int, str] = {}
        self._tree = merkle.Range()
        self._chance = random.Random(f"{self.name} {seed}")  # noqa: S311 — what it says is said again by its seed
        self._base = f"https://localhost:{deployment.ports.devices}"
        self._mqtt = self._connected(deployment)

    def _connected(self, deployment: Deployment) -> paho.Client:
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        client.tls_set_context(self.tls)
        client.on_connect = lambda c, *_: c.subscribe([(wire.topic(self.name, "witness"), 1)])
        client.on_message = lambda _c, _u, message: self.heard.append((message.topic, bytes(message.payload)))
        client.on_publish = lambda _c, _u, mid, reason, _p: self.answers.update({mid: str(reason)})
        client.connect(deployment.listen, deployment.ports.broker)
        client.loop_start()
        return client

    def close(self) -> None:
        """Hang up."""
        self._mqtt.disconnect()
        self._mqtt.loop_stop()

    # ----------------------------------------------------------------- what it says

    def publish(self, leaf: str, payload: bytes, device: str = "") -> int:
        """Publish on its own topic or another's; the number under which the broker's answer stands in `answers`."""
        return self._mqtt.publish(wire.topic(device or self.name, leaf), payload, 1).mid

    def https(self) -> httpx.AsyncClient:
        """To the server itself, with its own certificate."""
        return httpx.AsyncClient(base_url=self._base, verify=self.tls, timeout=WITHIN_S, trust_env=False)

    def cosigned(self) -> int:
        """The largest size of its journal that came back cosigned."""
        return max((int(payload.split(b"\n")[1]) for _, payload in list(self.heard)), default=0)

    # ----------------------------------------------------------------- its journal

    @property
    def size(self) -> int:
        """Lines."""
        return len(self.lines)

    def raw(self, line: bytes) -> None:
        """Write a line, whatever it is."""
        self.lines.append(line)
        self._tree.append(merkle.leaf_hash(line))

    def line(self, kind: str, **members: Any) -> None:
        """Write a line as recorders do."""
        up = self.size * 10
        self.raw(lines.build(kind, AT_MS + up, up, lines.salt_text(self._chance.randbytes(16)), members))

    def seal(self) -> str:
        """Sign what there is."""
        self.notes[self.size] = self.key.note(note.checkpoint(self.origin, self.size, self._tree.root()))
        return self.notes[self.size]

    def batch(self, first: int, end: int | None = None) -> bytes:
        """Lines from `first` to a seal, the last one where none is named."""
        end = self.size if end is None else end
        return wire.encode_batch(first, self.lines[first:end], self.notes[end])

    def batches(self, first: int = 0) -> list[bytes]:
        """Everything from `first` on, a batch a seal."""
        ends = [size for size in sorted(self.notes) if size > first]
        return [self.batch(begin, end) for begin, end in zip([first, *ends], ends, strict=False)]

    # ----------------------------------------------------------------- its recordings

    def start(self) -> Taken:
        """Begin a recording of one track."""
        one = Taken(ulid.new(AT_MS + self.size, self._chance.randbytes(10)))
        self._of(one, "start", trigger="button", officer="012345", case="", matter="", epoch=0, governing=[])
        self._of(one, "track", track="front", media="video/mp4", codecs="avc1.42c01e", source="puppet")
        self.seal()
        return one

    def fragment(self, one: Taken) -> None:
        """Random bytes, the first of them in the init segment's place."""
        data, seq = self._chance.randbytes(FRAGMENT_BYTES), len(one.ends) - 1
        place = {"track": "front", "seq": seq, "offset": len(one.data), "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        self._of(one, "fragment", **place, pts=max(seq - 1, 0) * 1_000, duration=1_000 if seq else 0)
        one.data += data
        one.ends.append(len(one.data))

    def stop(self, one: Taken) -> None:
        """End it."""
        count = len(one.ends) - 1
        totals = {"track": "front", "fragments": count, "bytes": len(one.data), "duration": max(count - 1, 0) * 1_000}
        self._of(one, "stop", trigger="button", tracks=[totals])
        self.seal()

    def record(self, fragments: int = 2) -> Taken:
        """A whole one, under two seals."""
        one = self.start()
        for _ in range(fragments):
            self.fragment(one)
        self.stop(one)
        return one

    def _of(self, one: Taken, kind: str, **members: Any) -> None:
        self.line(kind, recording=one.name, n=one.n, **members)
        one.n += 1
