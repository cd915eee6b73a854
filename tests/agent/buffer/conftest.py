"""A journal and media in memory for the index: lines as the scribe writes them, sizes that a test may change."""

from __future__ import annotations

import json
import types
from pathlib import Path

import pytest

from agent.buffer.index import Index


class Log:
    """`agent.buffer.ports.Lines` over a list."""

    origin = "evidence.example.gov/DSJ-0012345/1"
    oldest = 0
    cosigned_size = 0
    cosigned_seconds: int | None = None

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    @property
    def size(self) -> int:
        return len(self.lines)

    def iterate(self, first: int = 0):
        return iter(list(enumerate(self.lines))[max(first, self.oldest) :])


class Media:
    """`agent.buffer.ports.Tracks`: everything that a line names is there, unless a test says how much is."""

    def __init__(self) -> None:
        self.sizes: dict[tuple[str, str], int] = {}

    def size(self, recording: str, track: str) -> int:
        return self.sizes.get((recording, track), 1 << 40)


class Buffered:
    """A journal, its media and receipts, and an index that is kept up with them."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "buffer.sqlite"
        self.log, self.media = Log(), Media()
        self.receipts: list[str] = []
        self.offsets: dict[tuple[str, str], int] = {}
        self.index = self.open()

    def open(self, path: Path | None = None) -> Index:
        return Index.open(path or self.path, self.log, self.media, lambda: self.receipts)

    def write(self, kind: str, **members) -> int:
        """A line into the journal and the index; its index."""
        defaults: dict[str, dict] = {
            "start": {"trigger": "button", "officer": "", "case": "", "matter": "", "epoch": 0, "governing": []},
            "stop": {"trigger": "button", "tracks": []},
            "mark": {"label": "x"},
            "purge": {"tracks": [], "bytes": 0, "reason": "age", "receipt": "00" * 32},
        }
        line = json.dumps({"at": 1, "up": 1, "kind": kind, **defaults.get(kind, {}), **members, "salt": str(len(self.log.lines))}).encode()
        self.log.lines.append(line)
        self.index.add(len(self.log.lines) - 1, [line])
        return len(self.log.lines) - 1

    def fragment(self, recording: str, seq: int, track: str = "front", size: int = 100) -> int:
        offset = self.offsets.get((recording, track), 0)
        self.offsets[recording, track] = offset + size
        pts, duration = (max(seq - 1, 0) * 1000, 1000 if seq else 0)
        place = {"track": track, "seq": seq, "offset": offset, "bytes": size, "sha256": f"{seq:064x}", "pts": pts, "duration": duration}
        return self.write("fragment", recording=recording, **place)

    def record(self, recording: str, seconds: int = 2, *, stop: bool = True, mark: bool = False) -> None:
        self.write("start", recording=recording, n=0)
        for seq in range(seconds + 1):
            self.fragment(recording, seq)
        if mark:
            self.write("mark", recording=recording)
        if stop:
            self.write("stop", recording=recording)

    def cosign(self, size: int | None = None, seconds: int = 1_000) -> None:
        self.log.cosigned_size = len(self.log.lines) if size is None else size
        self.log.cosigned_seconds = seconds
        self.index.cosigned(self.log.cosigned_size, seconds)


def answers(index: Index) -> dict:
    """Everything that an index can be asked."""
    recordings = index.recordings()
    return {
        "pending": index.pending(10_000),
        "missing": index.missing(10_000),
        "backlog": index.backlog(),
        "recordings": recordings,
        "stopped": [index.stopped(one.recording) for one in recordings],
        "held": [vars(one) for one in index.held()],
    }


@pytest.fixture
def buffered(tmp_path: Path):
    found = Buffered(tmp_path)
    yield found
    found.index.close()


@pytest.fixture(scope="session")
def kit() -> types.SimpleNamespace:
    return types.SimpleNamespace(Buffered=Buffered, answers=answers)
