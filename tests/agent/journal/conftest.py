"""A device for the journal's tests: real keys, a clock that only goes when it is asked, and judges that share nothing with the code."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import types
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from agent.core import note
from agent.journal.journal import Journal
from agent.journal.media import MediaFiles
from agent.journal.recovery import Recovered, announce, recover
from agent.journal.scribe import Scribe
from agent.journal.signer import FileSigner, vkey
from hal.contracts import ClockReading, Files
from hal.drivers import linux

ORIGIN = "evidence.example.gov/DSJ-0012345/1"
WITNESS = "evidence.example.gov/witness"
KEY = FileSigner.from_seed(hashlib.sha256(b"evidence").digest())
WITNESS_KEY = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"witness").digest())


class StepClock:
    """Every look at it is a millisecond later."""

    def __init__(self, up_us: int = 0, wall_ms: int = 1_763_712_297_000) -> None:
        self.up, self.wall = up_us, wall_ms

    def wall_ms(self) -> int:
        self.wall += 1
        return self.wall

    def up_us(self) -> int:
        self.up += 1_000
        return self.up

    def reading(self) -> ClockReading:
        return ClockReading("ntp", 0, 5)


class Device:
    """A recorder's journal and media on some disk; `start` is what the agent does after every start."""

    def __init__(self, state: Path, files: Files, seed: int = 1) -> None:
        self.state, self.files = state, files
        self.folder = state / "journal" / "1"
        self.chance = random.Random(seed)
        self.clock = StepClock()
        self.heard: list[tuple[int, list[bytes]]] = []

    def start(self) -> Recovered:
        """Recover, announce, and have `journal`, `media`, `scribe`."""
        self.media = MediaFiles(self.state / "media", self.files)
        self.clock = StepClock(0, self.clock.wall)
        recovered = self.recovered = recover(self.folder, ORIGIN, KEY, self.files, self.media)
        self.journal = recovered.journal
        self.scribe = Scribe(self.journal, self.media, self.clock, self.chance.randbytes, self._hear)
        if self.journal.size == 0:
            self.scribe.enrol(vkey(ORIGIN, KEY), "00" * 32)
        announce(self.scribe, recovered, "1.0", "test")
        return recovered

    def _hear(self, first: int, lines: Sequence[bytes]) -> None:
        self.heard.append((first, list(lines)))

    def on(self, files: Files) -> Device:
        """Another start of this device on another state of its disk."""
        other = Device(self.state, files, self.chance.randrange(1 << 30))
        other.clock.wall = self.clock.wall
        return other

    def again(self) -> Device:
        """The next start on the same disk."""
        other = self.on(self.files)
        other.start()
        return other

    def edit(self, name: str, change: Callable[[bytes], bytes]) -> None:
        """Change a file of the journal as somebody with a card reader would."""
        path = self.folder / name
        self.files.replace(path, change(self.files.read(path)))

    def ulid(self) -> str:
        alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
        return "01J" + "".join(self.chance.choice(alphabet) for _ in range(23))

    def record(self, seconds: int = 3, track: str = "front", *, stop: bool = False) -> str:
        """A recording with an init segment and fragments of a second."""
        recording = self.ulid()
        self.scribe.start(recording, "button", 0)
        self.scribe.track(recording, track, "video/mp4", "avc1.42c01f", "test", width=640, height=360, rate=30)
        for seq in range(seconds + 1):
            self.fragment(recording, track, seq)
        if stop:
            self.scribe.stop(recording, "button")
        return recording

    def fragment(self, recording: str, track: str, seq: int) -> None:
        """The next fragment of a track: whole boxes of random content."""
        data = init(self.chance) if seq == 0 else moof_mdat(self.chance)
        self.clock.up += 1_000_000 if seq else 0
        self.scribe.fragment(recording, track, seq, data, max(seq - 1, 0) * 1000, 1000 if seq else 0)

    def cosign(self, size: int | None = None, seconds: int = 1_763_712_400) -> str:
        """The server's answer to the checkpoint of this size, kept."""
        text = cosign(self.journal, size, seconds)
        self.journal.keep_cosigned(text)
        return text

    def lines(self) -> list[dict]:
        return [json.loads(line) for line in self.journal.lines(self.journal.oldest, self.journal.size)]

    def of(self, kind: str) -> list[dict]:
        return [line for line in self.lines() if line["kind"] == kind]


def cosign(journal: Journal, size: int | None = None, seconds: int = 1_763_712_400) -> str:
    text = journal.checkpoint if size is None else journal.checkpoint_at(size)
    assert text is not None
    return cosigned(text, seconds)


def cosigned(text: str, seconds: int = 1_763_712_400) -> str:
    """A signed checkpoint with the witness's line under it."""
    key = WITNESS_KEY.public_key().public_bytes_raw()
    return note.add(text, note.cosign(text, WITNESS, key, WITNESS_KEY.sign, seconds))


def box(kind: bytes, content: bytes) -> bytes:
    return (len(content) + 8).to_bytes(4, "big") + kind + content


def init(chance: random.Random) -> bytes:
    return box(b"ftyp", b"iso5" + bytes(4)) + box(b"moov", chance.randbytes(40))


def moof_mdat(chance: random.Random) -> bytes:
    return box(b"moof", chance.randbytes(30)) + box(b"mdat", chance.randbytes(chance.randrange(1, 6000)))


# --------------------------------------------------------------------------- judges


def naive_root(lines: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, as it is written there."""
    if not lines:
        return hashlib.sha256(b"").digest()
    if len(lines) == 1:
        return hashlib.sha256(b"\0" + lines[0]).digest()
    k = 1
    while k * 2 < len(lines):
        k *= 2
    return hashlib.sha256(b"\1" + naive_root(lines[:k]) + naive_root(lines[k:])).digest()


def naive_checkpoint(text: str) -> tuple[int, bytes]:
    """(size, root) of a signed note whose Ed25519 signature holds, read without the core."""
    body, _, signatures = text.rpartition("\n\n")
    body += "\n"
    name, key = vkey(ORIGIN, KEY).split("+")[0], KEY.public_key()
    for row in signatures.splitlines():
        dash, who, blob = row.split(" ")
        data = base64.b64decode(blob, validate=True)
        if who == name:
            assert dash == "—"
            assert data[:4] == hashlib.sha256(name.encode() + b"\n\x01" + key).digest()[:4]
            Ed25519PublicKey.from_public_bytes(key).verify(data[4:], body.encode())
    origin, size, root = body.splitlines()
    assert origin == ORIGIN
    return int(size), base64.b64decode(root)


def judge(journal: Journal) -> None:
    """The whole journal, from the disk: lines, root, newest checkpoint, and `n` of every recording."""
    lines = journal.lines(0, journal.size)
    assert journal.checkpoint is not None
    assert naive_checkpoint(journal.checkpoint) == (len(lines), naive_root(lines))
    counts: dict[str, int] = {}
    stopped: set[str] = set()
    for line in lines:
        members = json.loads(line)
        recording = members.get("recording")
        if recording is None:
            assert "n" not in members
            continue
        if recording in stopped:
            assert members["kind"] in ("gap", "purge")
            assert "n" not in members
            continue
        assert members["n"] == counts.setdefault(recording, 0), members
        counts[recording] += 1
        if members["kind"] == "stop":
            stopped.add(recording)


@pytest.fixture
def judges() -> types.SimpleNamespace:
    return types.SimpleNamespace(root=naive_root, checkpoint=naive_checkpoint, whole=judge)


@pytest.fixture
def make() -> types.SimpleNamespace:
    """What tests build with: `Device`, `cosign`, boxes, keys and names."""
    return types.SimpleNamespace(
        Device=Device, StepClock=StepClock, cosign=cosign, init=init, moof_mdat=moof_mdat, box=box, key=KEY, origin=ORIGIN
    )


@pytest.fixture
def device(tmp_path: Path) -> Device:
    """A started device on the real disk."""
    found = Device(tmp_path, linux.Files())
    found.start()
    return found


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Make segments short, so that a test meets their ends."""

    def shorten(lines: int) -> None:
        monkeypatch.setattr("agent.journal.segments.SEGMENT_LINES", lines)

    return shorten
