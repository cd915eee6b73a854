"""A deployment in memory: devices with journals, a witness, a ledger. It is a `Source` for packages, byte for byte repeatable.

Everything is real but the disk and the network: lines, trees, signatures, proofs. Times and salts are counted, not random.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.core import lines, merkle, note
from server.evidence.errors import ExportError
from server.evidence.source import Anchored, Custody

CLIP = Path(__file__).parent / "clip"
DOMAIN = "evidence.example.gov"
BEGIN_MS = 1_763_712_000_000


def fragments(data: bytes) -> list[bytes]:
    """Init segment and fragments of a fragmented MP4, by its top-level boxes."""
    parts, at = [b""], 0
    while at < len(data):
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if name == b"moof":
            parts.append(b"")
        parts[-1] += data[at : at + size]
        at += size
    return parts


MEDIA = fragments((CLIP / "clip.mp4").read_bytes())
STILL = (CLIP / "still.jpg").read_bytes()


class Key:
    """A key by seed, under a name. `algorithm` as in signed notes."""

    def __init__(self, name: str, algorithm: int = note.ED25519, seed: str | None = None):
        self.name, self.algorithm = name, algorithm
        secret = hashlib.sha256(f"key of {seed or name}".encode()).digest()
        if algorithm == note.ECDSA:
            private = ec.derive_private_key(int.from_bytes(secret, "big") >> 8, ec.SECP256R1())
            self.public = private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
            self.sign: Callable[[bytes], bytes] = lambda message: private.sign(message, ec.ECDSA(hashes.SHA256()))
        else:
            own = Ed25519PrivateKey.from_private_bytes(secret)
            self.public, self.sign = own.public_key().public_bytes_raw(), own.sign

    @property
    def vkey(self) -> str:
        return note.vkey(self.name, self.algorithm, self.public)

    def signed(self, body: str) -> str:
        return note.sign(body, self.name, self.algorithm, self.public, self.sign)

    def cosign(self, signed: str, seconds: int) -> str:
        return note.add(signed, note.cosign(signed, self.name, self.public, self.sign, seconds))


class Log:
    """Lines, and the signed checkpoints that were kept, by size."""

    def __init__(self, key: Key):
        self.key = key
        self.lines: list[bytes] = []
        self.leaves: list[bytes] = []
        self.notes: dict[int, str] = {}

    def add(self, line: bytes) -> int:
        self.lines.append(line)
        self.leaves.append(merkle.leaf_hash(line))
        return len(self.lines) - 1

    def body(self, size: int | None = None) -> str:
        size = len(self.lines) if size is None else size
        return note.checkpoint(self.key.name, size, merkle.root_of(self.leaves[:size]))

    def sign(self) -> str:
        signed = self.key.signed(self.body())
        self.notes[len(self.lines)] = signed
        return signed


class Device(Log):
    """A device's journal, and the bytes of its media."""

    def __init__(self, world: World, name: str, algorithm: int = note.ED25519):
        super().__init__(Key(f"{DOMAIN}/{name}/1", algorithm))
        self.world, self.name, self.origin = world, name, self.key.name
        self.certificate = b"certificate of " + name.encode() + b": " + self.key.public
        self.governing: dict[str, int] = {}
        self.up = 0
        self.n: dict[str, int] = {}
        self.starts: dict[str, int] = {}
        self.open: str | None = None
        self.tracks: dict[str, dict[str, dict[str, int]]] = {}
        self.media: dict[tuple[str, str], dict[int, bytes]] = {}
        self.cosigned: dict[int, str] = {}

    def line(self, kind: str, members: Iterable[tuple[str, Any]] = (), recording: str | None = None, *, n: bool = True) -> int:
        """Write a line; lines of a recording get their `n`."""
        pairs = list(members)
        if recording is not None:
            head: list[tuple[str, Any]] = [("recording", recording)]
            if n:
                head.append(("n", self.n.setdefault(recording, 0)))
                self.n[recording] += 1
            pairs = head + pairs
        self.up += 7
        index = self.add(lines.build(kind, BEGIN_MS + self.world.now_ms, self.up, self.world.salt(), pairs))
        if kind in ("boot", "clock", "beacon", "assign", "signon"):
            self.governing[kind] = index
        return index

    def switch_on(self) -> None:
        """The lines before any recording."""
        certificate = hashlib.sha256(self.certificate).hexdigest()
        self.line("enrol", [("origin", self.origin), ("vkey", self.key.vkey), ("certificate", certificate)])
        lost: dict[str, int] = {}
        self.line("boot", [("format", 1), ("boot", 1), ("software", "0.1.0"), ("hardware", "test"), ("clean", True), ("lost", lost)])
        self.clock()
        self.line("assign", [("number", 1), ("officer", "110234")])
        self.line("signon", [("officer", "110234"), ("how", "badge")])

    def clock(self, recording: str | None = None) -> None:
        self.line("clock", [("source", "gnss"), ("offset", -12), ("error", 40)], recording)

    def beacon(self) -> None:
        self.line("beacon", [("checkpoint", self.world.ledger.body(max(self.world.ledger.notes)))])

    # ------------------------------------------------------------------- recordings

    def start(self, recording: str, **members: Any) -> int:
        self.open = recording
        leaves = [self.leaves[index].hex() for index in sorted(self.governing.values())]
        pairs = [("trigger", "button"), ("officer", "110234"), ("case", "（2025）罚字第17号"), ("matter", "现场检查"), ("epoch", self.up)]
        self.starts[recording] = self.line(
            "start", [*((k, members.pop(k, v)) for k, v in pairs), ("governing", leaves), *members.items()], recording
        )
        self.tracks[recording] = {}
        return self.starts[recording]

    def track(self, recording: str, track: str = "front", media: str = "video/mp4") -> None:
        self.tracks[recording][track] = {"fragments": 0, "bytes": 0, "duration": 0}
        shape = [("width", 128), ("height", 72), ("rate", 10), ("source", "test")]
        codecs = "jpeg" if media == "image/jpeg" else "avc1.64000a, mp4a.40.2"
        self.line("track", [("track", track), ("media", media), ("codecs", codecs), *shape], recording)

    def fragment(self, recording: str, data: bytes, pts: int, duration: int = 1000, track: str = "front", **more: Any) -> int:
        """The next fragment of a track; its line's index."""
        totals = self.tracks[recording][track]
        seq, offset = totals["fragments"], totals["bytes"]
        self.media.setdefault((recording, track), {})[offset] = data
        totals["fragments"] += 1
        totals["bytes"] += len(data)
        totals["duration"] += duration
        place = [("track", track), ("seq", seq), ("offset", offset), ("bytes", len(data)), ("sha256", hashlib.sha256(data).hexdigest())]
        return self.line("fragment", [*place, ("pts", pts), ("duration", duration), *more.items()], recording)

    def fix(self, recording: str, i: int) -> None:
        self.line("fix", [("lat", 311234567 + i), ("lon", 1214567890), ("alt", 12000), ("speed", 900), ("course", 4500)], recording)

    def gap(self, recording: str, first: int, lost: int, reason: str = "camera", track: str = "front", *, n: bool = True) -> int:
        return self.line("gap", [("track", track), ("from", first), ("lost", lost), ("reason", reason)], recording, n=n)

    def stop(self, recording: str, trigger: str = "button") -> int:
        totals = [{"track": track, **figures} for track, figures in self.tracks[recording].items()]
        self.open = None
        return self.line("stop", [("trigger", trigger), ("tracks", totals)], recording)

    def cosign(self, by: Key | None = None) -> str:
        """The newest checkpoint, signed and cosigned, as the server keeps it."""
        self.world.now_ms += 400
        signed = (by or self.world.witness).cosign(self.sign(), (BEGIN_MS + self.world.now_ms) // 1000)
        self.cosigned[len(self.lines)] = signed
        return signed


class World:
    """The deployment; implements `server.evidence.source.Source`."""

    def __init__(self) -> None:
        self.now_ms = 0
        self._salts = 0
        self.witness = Key(f"{DOMAIN}/witness", note.COSIGNATURE)
        self.city = Key("city.example.gov/witness", note.COSIGNATURE)
        self.ledger = Log(Key(f"{DOMAIN}/ledger"))
        self.devices: dict[str, Device] = {}
        self.enrolled: dict[str, int] = {}
        self.anchors: list[tuple[int, list[tuple[str, int]]]] = []
        self.counts: dict[tuple[str, str], int] = {}
        self.about: dict[tuple[str, str], list[int]] = {}
        self.missing: set[tuple[str, str, int]] = set()
        self.anchor()

    def salt(self) -> str:
        self._salts += 1
        return lines.salt_text(hashlib.sha256(b"salt %d" % self._salts).digest()[:16])

    def device(self, name: str, algorithm: int = note.ED25519) -> Device:
        """A new device: enrolled in the ledger, switched on."""
        device = Device(self, name, algorithm)
        self.devices[device.origin] = device
        certificate = hashlib.sha256(device.certificate).hexdigest()
        members = [("device", name), ("origin", device.origin), ("vkey", device.key.vkey), ("certificate", certificate)]
        self.enrolled[device.origin] = self.log("enrol", members)
        device.switch_on()
        return device

    # ------------------------------------------------------------------- the ledger

    def log(self, kind: str, members: Iterable[tuple[str, Any]]) -> int:
        """Append to the ledger, and sign it."""
        self.now_ms += 50
        index = self.ledger.add(lines.build(kind, BEGIN_MS + self.now_ms, None, self.salt(), list(members)))
        self.ledger.sign()
        return index

    def custody_line(self, kind: str, device: str, recording: str, **members: Any) -> int:
        key = (device, recording)
        c = self.counts[key] = self.counts.get(key, -1) + 1
        index = self.log(kind, [("device", device), ("recording", recording), ("c", c), *members.items()])
        self.about.setdefault(key, []).append(index)
        return index

    def stored(self, device: Device, recording: str) -> int:
        totals = device.tracks[recording].values()
        stop = next(
            leaf for line, leaf in zip(device.lines, device.leaves, strict=True) if b'"stop"' in line and recording.encode() in line
        )
        return self.custody_line(
            "stored",
            device.name,
            recording,
            origin=device.origin,
            stop=stop.hex(),
            fragments=sum(t["fragments"] for t in totals),
            bytes=sum(t["bytes"] for t in totals),
        )

    def anchor(self, outside: Sequence[Key] = ()) -> int:
        """An anchor over the newest cosigned checkpoints; the ledger checkpoint before it may get outside cosignatures."""
        heads = [(d.origin, max(d.cosigned)) for d in self.devices.values() if d.cosigned]
        heads.sort()
        leaves = [merkle.leaf_hash(self.devices[origin].body(size).encode()) for origin, size in heads]
        members: list[tuple[str, Any]] = [("root", merkle.root_of(leaves).hex()), ("count", len(leaves))]
        if self.ledger.notes:
            previous = self.ledger.notes[max(self.ledger.notes)]
            for key in outside:
                previous = key.cosign(previous, (BEGIN_MS + self.now_ms) // 1000)
            members.append(("previous", previous))
        index = self.log("anchor", members)
        self.anchors.append((index, heads))
        return index

    # ------------------------------------------------------------------- Source

    def lines(self, origin: str, first: int, end: int) -> Sequence[bytes]:
        return self.devices[origin].lines[first:end]

    def size(self, origin: str) -> int:
        return max(self.devices[origin].cosigned, default=0)

    def subtree(self, origin: str) -> Callable[[int, int], bytes]:
        return merkle.from_leaves(self.devices[origin].leaves)

    def cosigned_covering(self, origin: str, size: int) -> str | None:
        notes = self.devices[origin].cosigned
        return notes[min(s for s in notes if s >= size)] if any(s >= size for s in notes) else None

    def anchored_covering(self, origin: str, size: int) -> Anchored | None:
        found = [(s, index, heads) for index, heads in self.anchors for o, s in heads if o == origin and s >= size]
        if not found:
            return None
        covered, index, heads = min(found)
        bodies = [self.devices[o].body(s) for o, s in heads]
        at = heads.index((origin, covered))
        leaves = [merkle.leaf_hash(body.encode()) for body in bodies]
        proof = note.anchor_proof(at, merkle.inclusion(merkle.from_leaves(leaves), at, len(leaves)), bodies[at])
        return Anchored(covered, index, proof)

    def ledger_size(self) -> int:
        return max(self.ledger.notes)

    def ledger_proof(self, index: int, size: int) -> str:
        hashes_ = merkle.inclusion(merkle.from_leaves(self.ledger.leaves), index, size)
        return note.tlog_proof(index, hashes_, self.ledger.notes[size], self.ledger.lines[index])

    def ledger_note(self, body: str) -> str:
        signed = self.ledger.notes.get(note.parse_checkpoint(body).size)
        if signed is None or note.split(signed)[0] != body:
            raise ExportError("the ledger never published this beacon")
        return signed

    def newest_anchor(self, size: int) -> int:
        return max(index for index, _ in self.anchors if index < size)

    def enrolment(self, origin: str) -> int:
        return self.enrolled[origin]

    def custody(self, device: str, recording: str) -> Sequence[Custody]:
        return [Custody(index, self.ledger.lines[index]) for index in self.about.get((device, recording), [])]

    def media(self, device: str, recording: str, track: str, offset: int, length: int) -> Iterable[bytes] | None:
        assert device
        if (recording, track, offset) in self.missing:
            return None
        held = next(d.media[recording, track] for d in self.devices.values() if (recording, track) in d.media)
        return [held[offset][:length]]

    def certificates(self, origin: str) -> Mapping[str, bytes]:
        return {"evidence.pem": pem(self.devices[origin].certificate)}

    def vkeys(self) -> Sequence[str]:
        return [self.ledger.key.vkey, self.witness.vkey]

    @property
    def trusted(self) -> list[str]:
        """What an expert is given: the ledger's and the witness's vkeys."""
        return [self.ledger.key.vkey, self.witness.vkey]


def pem(der: bytes) -> bytes:
    """A PEM certificate file (the device's are not parsed, only hashed)."""
    text = note.base64(der)
    rows = [text[i : i + 64] for i in range(0, len(text), 64)]
    return "\n".join(["-----BEGIN CERTIFICATE-----", *rows, "-----END CERTIFICATE-----", ""]).encode()
