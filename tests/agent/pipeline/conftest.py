"""A clerk over a real journal on a disk in memory, with a clock that the test moves."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from agent.buffer.index import Index
from agent.capture.events import Event, FragmentMade, Marked, RecordingStarted, RecordingStopped, TrackBegun
from agent.core import note
from agent.journal.journal import Journal
from agent.journal.media import MediaFiles
from agent.journal.receipts import Receipts
from agent.journal.scribe import Scribe
from agent.journal.signer import FileSigner, vkey
from agent.pipeline.clerk import Clerk, Rules
from agent.pipeline.tray import Tray
from hal.contracts import Fix
from simulators.pace import ManualClock
from simulators.powercut import SimulatedFiles

ORIGIN = "evidence.example.gov/DSJ-0000007/1"
RECORDING = "01HZY0000000000000000000AB"
OFFICER = "100007"
OTHER = "01HZY0000000000000000000CD"


class Bench:
    """A journal with its writer; `happened` is what the officer would feel."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.files = SimulatedFiles()
        self.signer = FileSigner.from_seed(b"\x01" * 32)
        self.journal = Journal.open(Path("/state/journal/1"), ORIGIN, self.signer, self.files)
        self.media = MediaFiles(Path("/state/media"), self.files)
        self.receipts = Receipts(Path("/state/receipts"), self.files)
        self.scribe = Scribe(self.journal, self.media, self.clock, random.Random(1).randbytes)
        self.scribe.enrol(vkey(ORIGIN, self.signer), "0" * 64)
        self.scribe.boot("test", "test", clean=True)
        self.index = Index.open(folder / "buffer.sqlite", self.journal, self.media, self.receipts.recordings)
        self.appends: list[int] = []
        self.scribe.on_durable = self._durable
        self.happened: list[tuple[str, str]] = []
        self.tray = Tray()
        rules = Rules(1_000, self.clock.up_us, lambda what, detail: self.happened.append((what, detail)), OFFICER)
        self.clerk = Clerk(self.scribe, rules, self.tray)
        self.after_boot = self.journal.size

    def _durable(self, first: int, lines) -> None:
        self.appends.append(len(lines))
        self.index.add(first, lines)

    def kinds(self) -> list[str]:
        """Kinds of the lines since the boot."""
        return [one["kind"] for one in self.lines()]

    def lines(self, kind: str | None = None) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.journal.lines(self.after_boot, self.journal.size)]
        return [one for one in found if kind in {None, one["kind"]}]

    def emit(self, *events: Event) -> None:
        for event in events:
            self.tray.put_when_room(event)

    def write(self, *events: Event) -> None:
        """Emit and write, each step until nothing is left."""
        self.emit(*events)
        while len(self.tray):
            self.clerk.step()

    def start(self, recording: str = RECORDING, *, track: bool = True) -> None:
        self.write(RecordingStarted(recording, "button", self.clock.up_us(), self.clock.up_us()))
        if track:
            self.write(TrackBegun(recording, "front", "video/mp4", "avc1.64001f", 640, 360, 25, "test"), fragment(0, recording))

    def stop(self, recording: str = RECORDING, trigger: str = "button") -> None:
        self.write(RecordingStopped(recording, trigger))

    def cosign(self) -> str:
        """A cosigned note of the whole journal, as the server would give it."""
        witness = FileSigner.from_seed(b"\x02" * 32)
        head = self.journal.checkpoint
        assert head is not None
        line = note.cosign(head, "evidence.example.gov/witness", witness.public_key(), witness.sign, 1_800_000_000)
        return note.add(head, line)

    def close(self) -> None:
        self.index.close()


def fragment(seq: int, recording: str = RECORDING, size: int = 1_000) -> FragmentMade:
    """Fragment number `seq` of the track, one second long; 0 is the init segment."""
    data = random.Random(seq).randbytes(size)
    return FragmentMade(recording, "front", seq, data, max(seq - 1, 0) * 1_000, 1_000 if seq else 0)


@pytest.fixture
def bench(tmp_path):
    one = Bench(tmp_path)
    yield one
    one.close()


@pytest.fixture
def make_fragment():
    return fragment


@pytest.fixture
def make_fix(bench):
    def fix(lat: int = 1) -> Fix:
        return Fix(bench.clock.up_us(), lat, 2, speed=0)

    return fix


@pytest.fixture
def make_mark():
    return lambda label="here", recording=RECORDING: Marked(recording, label)
