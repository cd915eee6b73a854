"""A device of the tests: genuine lines, checkpoints and batches, by agent.core and a real key; and the bytes of its media."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from agent.core import lines, merkle, note, ulid, wire

DOMAIN = "evidence.example.gov"
EPOCH = 1_700_000_000_000


@dataclass
class Recording:
    """One that the device made: what its journal says, and the bytes that it says it of."""

    recording: str
    n: int = 0
    tracks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    media: dict[str, bytes] = field(default_factory=dict)


class Device:
    """A journal in memory. Every `commit` is a checkpoint; batches end at one."""

    def __init__(self, device: str = "DSJ-0000001", n: int = 1, *, key: Ed25519PrivateKey | None = None, seed: int = 1) -> None:
        self.device, self.n = device, n
        self.origin = wire.origin(DOMAIN, device, n)
        self.random = random.Random(seed)
        self.key = key or Ed25519PrivateKey.from_private_bytes(self.random.randbytes(32))
        self.public = self.key.public_key().public_bytes_raw()
        self.vkey = note.vkey(self.origin, note.ED25519, self.public)
        self.certificate = hashlib.sha256(self.origin.encode()).hexdigest()
        self.lines: list[bytes] = []
        self.range = merkle.Range()
        self.notes: dict[int, str] = {}
        self.up = 1000

    @classmethod
    def enrolled(cls, folder: Path) -> Device:
        """The device whose state folder provisioning made."""
        said = json.loads((folder / "enrolment.json").read_text())
        key = load_pem_private_key((folder / "evidence" / "evidence.key").read_bytes(), None)
        assert isinstance(key, Ed25519PrivateKey)
        return cls(said["device"], said["n"], key=key)

    @property
    def enrolment(self) -> dict[str, Any]:
        return {"origin": self.origin, "vkey": self.vkey, "certificate": self.certificate, "device": self.device, "n": self.n}

    @property
    def size(self) -> int:
        return len(self.lines)

    # ----------------------------------------------------------------------- the journal

    def line(self, kind: str, **members: Any) -> bytes:
        self.up += 10
        line = lines.build(kind, EPOCH + self.up, self.up, lines.salt_text(self.random.randbytes(16)), members)
        return self.raw(line)

    def raw(self, line: bytes) -> bytes:
        self.lines.append(line)
        self.range.append(merkle.leaf_hash(line))
        return line

    def commit(self) -> str:
        body = note.checkpoint(self.origin, self.size, self.range.root())
        self.notes[self.size] = note.sign(body, self.origin, note.ED25519, self.public, self.key.sign)
        return self.notes[self.size]

    def grow(self, count: int = 1) -> Device:
        """Lines that mean nothing to a recording, and a checkpoint."""
        for _ in range(count):
            self.line("fix", lat=self.random.randint(-(10**9), 10**9), lon=0)
        self.commit()
        return self

    def batch(self, first: int = 0, end: int | None = None) -> bytes:
        """The lines [first, end) with the checkpoint at their end."""
        end = self.size if end is None else end
        return wire.encode_batch(first, self.lines[first:end], self.notes[end])

    def batches(self, first: int = 0, most: int = 64) -> list[bytes]:
        """Everything from `first` on, cut at checkpoints."""
        out = []
        while first < self.size:
            end = max(size for size in self.notes if first < size <= first + most)
            out.append(self.batch(first, end))
            first = end
        return out

    def signed(self, body: str) -> str:
        return note.sign(body, self.origin, note.ED25519, self.public, self.key.sign)

    # ----------------------------------------------------------------------- recordings

    def start(self, **members: Any) -> Recording:
        made = Recording(ulid.new(EPOCH + self.up, self.random.randbytes(10)))
        said = {"trigger": "button", "officer": "012345", "case": "", "matter": "", "epoch": self.up, "governing": []} | members
        self._of(made, "start", **said)
        return made

    def _of(self, recording: Recording, kind: str, **members: Any) -> None:
        self.line(kind, recording=recording.recording, n=recording.n, **members)
        recording.n += 1

    def track(self, recording: Recording, track: str = "front", media: str = "video/mp4") -> None:
        recording.tracks[track], recording.media[track] = [], b""
        self._of(recording, "track", track=track, media=media, codecs="avc1.42c01e", width=640, height=360, rate=25, source="test")

    def fragment(self, recording: Recording, data: bytes, track: str = "front", **members: Any) -> dict[str, Any]:
        known = recording.tracks[track]
        first = not known
        said = {
            "track": track,
            "seq": len(known),
            "offset": len(recording.media[track]),
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "pts": max(0, (len(known) - 1) * 1000),
            "duration": 0 if first else 1000,
        } | members
        known.append(said)
        recording.media[track] += data
        self._of(recording, "fragment", **said)
        return said

    def fix(self, recording: Recording) -> None:
        self._of(recording, "fix", lat=self.random.randint(-(10**9), 10**9), lon=0)

    def mark(self, recording: Recording, label: str = "mark") -> None:
        self._of(recording, "mark", label=label)

    def gap(self, recording: Recording, begins: int, lost: int, track: str = "front", *, after: bool = False, reason: str = "") -> None:
        said = {"track": track, "from": begins, "lost": lost, "reason": reason or ("storage" if after else "power")}
        if after:
            self.line("gap", recording=recording.recording, **said)
        else:
            self._of(recording, "gap", **said)

    def stop(self, recording: Recording) -> None:
        tracks = [
            {"track": name, "fragments": len(some), "bytes": sum(f["bytes"] for f in some), "duration": max(0, len(some) - 1) * 1000}
            for name, some in recording.tracks.items()
        ]
        self._of(recording, "stop", trigger="button", tracks=tracks)

    def record(self, fragments: int = 3, size: int = 1000) -> Recording:
        """A whole recording of random bytes, with a checkpoint at its end."""
        made = self.start()
        self.track(made)
        for _ in range(fragments):
            self.fragment(made, self.random.randbytes(size))
        self.stop(made)
        self.commit()
        return made
