"""Track files and receipts: what may be a name, what is durable, what is taken back."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.journal.errors import BadLine, DiskFault
from agent.journal.media import MediaFiles
from agent.journal.receipts import Receipts
from hal.drivers import linux
from simulators.powercut import SimulatedFiles

RECORDING = "01JDABCDEFGHJKMNPQRSTVWXYZ"
FOLDER = Path("/state/media")


@pytest.mark.parametrize(
    ("recording", "track", "extension"),
    [
        ("../etc", "front", "mp4"),
        (RECORDING, "../x", "mp4"),
        (RECORDING, "", "mp4"),
        (RECORDING, "a" * 33, "mp4"),
        (RECORDING, "A", "mp4"),
        (RECORDING, "front", "exe"),
        (RECORDING.lower(), "front", "mp4"),
    ],
)
def test_only_names_of_the_format_become_paths(recording, track, extension):
    with pytest.raises(BadLine):
        MediaFiles(FOLDER, SimulatedFiles()).append(recording, track, extension, b"")


def test_bytes_and_names_are_durable_after_sync():
    files = SimulatedFiles()
    media = MediaFiles(FOLDER, files)
    assert [media.append(RECORDING, "front", "mp4", data) for data in (b"one", b"two")] == [0, 3]
    assert MediaFiles(FOLDER, files.after_cut()).size(RECORDING, "front") == -1
    media.sync()
    assert MediaFiles(FOLDER, files.after_cut()).read(RECORDING, "front") == b"onetwo"
    media.settle()
    media.append(RECORDING, "front", "mp4", b"three")
    media.take_back()
    assert (media.read(RECORDING, "front"), media.size(RECORDING, "front")) == (b"onetwo", 6)


def test_what_could_not_be_taken_back_is_before_the_next_append():
    files = SimulatedFiles()
    media = MediaFiles(FOLDER, files)
    media.append(RECORDING, "front", "mp4", b"kept")
    media.sync()
    media.settle()
    files.fault = lambda operation: 5 if operation.name == "truncate" else None
    media.append(RECORDING, "front", "mp4", b"lost")
    media.take_back()
    with pytest.raises(DiskFault):
        media.append(RECORDING, "front", "mp4", b"next")
    files.fault = None
    assert media.append(RECORDING, "front", "mp4", b"next") == 4
    assert media.read(RECORDING, "front") == b"keptnext"


def test_deleting_twice_is_deleting_once(tmp_path):
    media = MediaFiles(tmp_path / "media", linux.Files())
    media.append(RECORDING, "front", "mp4", b"12345")
    media.append(RECORDING, "still-1", "jpg", b"123")
    media.sync()
    assert media.recordings() == [RECORDING]
    assert media.names(RECORDING) == ["front.mp4", "still-1.jpg"]
    assert media.read(RECORDING, "still-1", 1, 1) == b"2"
    assert (media.delete(RECORDING), media.delete(RECORDING)) == (8, 0)
    assert media.recordings() == []
    assert media.free_bytes() > 0


def test_receipts_are_kept(tmp_path):
    receipts = Receipts(tmp_path / "receipts", linux.Files())
    assert (receipts.recordings(), receipts.read(RECORDING)) == ([], None)
    receipts.keep(RECORDING, "proof\n")
    receipts.keep(RECORDING, "newer proof\n")
    again = Receipts(tmp_path / "receipts", linux.Files())
    assert (again.recordings(), again.read(RECORDING)) == ([RECORDING], "newer proof\n")
    with pytest.raises(BadLine, match="ULID"):
        receipts.keep("../x", "proof")
