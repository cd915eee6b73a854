"""The index on the real journal, media and receipts: kept up by the scribe, taken back by a handshake, found again after a start."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.buffer.index import Index
from agent.buffer.ports import Lines, Tracks
from agent.core.retention import purgeable
from agent.journal import adopt
from agent.journal.receipts import Receipts
from hal.drivers import linux
from simulators.powercut import SimulatedFiles
from tests.agent.journal.conftest import KEY, Device, cosign


class Recorder(Device):
    """A device with an index, as the pipeline wires them."""

    def open(self, folder: Path) -> Index:
        self.start()
        self.receipts = Receipts(self.state / "receipts", self.files)
        lines: Lines = self.journal
        tracks: Tracks = self.media
        self.index = Index.open(folder / "buffer.sqlite", lines, tracks, self.receipts.recordings)
        self.scribe.on_durable = self.index.add
        return self.index


@pytest.fixture
def recorder(tmp_path):
    found = Recorder(tmp_path, linux.Files())
    found.open(tmp_path)
    yield found
    found.index.close()


def names(fragments) -> list[tuple[str, int]]:
    return [(one.recording, one.seq) for one in fragments]


def test_from_the_fragment_to_the_purge(recorder, tmp_path):
    recording = recorder.record(2, stop=True)
    assert recorder.index.pending(9) == []
    text = recorder.cosign()
    recorder.index.cosigned(recorder.journal.cosigned_size, recorder.journal.cosigned_seconds)
    waiting = recorder.index.pending(9)
    assert names(waiting) == [(recording, 0), (recording, 1), (recording, 2)]
    data = b"".join(recorder.media.read(one.recording, one.track, one.offset, one.bytes) for one in waiting)
    assert data == recorder.media.read(recording, "front")
    recorder.index.sent(waiting)
    assert purgeable(recorder.index.held(), 1 << 30) == []
    recorder.receipts.keep(recording, text)
    recorder.index.close()
    recorder.open(tmp_path)
    assert purgeable(recorder.index.held(), 1 << 30) == [recording], "a receipt that came just before the power went counts"
    recorder.scribe.purge(recording, "space", "00" * 32)
    assert recorder.index.recordings()[0].purged
    assert recorder.index.rebuilt == 0


def test_lines_taken_back_are_taken_by_the_index_too(tmp_path):
    files = SimulatedFiles()
    device = Recorder(Path("/state"), files)
    (tmp_path / "first").mkdir()
    device.open(tmp_path / "first").close()
    device.scribe.on_durable = None
    files.skip = lambda _: True  # the card lies from now on
    lost = device.record(2, stop=True)
    lines, text = device.journal.lines(0, device.journal.size), cosign(device.journal)
    later = Recorder(device.state, files.after_cut(), seed=2)
    later.open(tmp_path)
    own = later.record(1, stop=True)
    assert [one.recording for one in later.index.recordings()] == [own]
    assert adopt.adopt(later.scribe, KEY, 0, lines, text)
    assert [one.recording for one in later.index.recordings()] == [lost, own]
    later.index.cosigned(later.journal.size, 5)
    assert names(later.index.pending(9)) == [(own, 0), (own, 1)], "what the card lost is under a gap each"
    assert later.index.missing() == []
    later.index.close()
