"""A deletion of old segments that a power cut halved: what is left behind the hole is not read as if it were whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.journal.errors import Damaged
from agent.journal.heads import lines_behind
from simulators.powercut import SimulatedFiles

STATE = Path("/state")


def test_a_halved_trim_leaves_no_hole_in_what_is_read(make, small_segments, judges):
    small_segments(8)
    device = make.Device(STATE, SimulatedFiles())
    device.start()
    first = device.record(30, stop=True)
    device.cosign()
    device.scribe.purge(first, "age", "00" * 32)
    kept = device.files.read(device.folder / "segment-000000000000.jsonl")
    oldest = device.scribe.trim(device.journal.size)
    assert oldest > 16
    lines = device.journal.lines(oldest, device.journal.size)
    device.files.append(device.folder / "segment-000000000000.jsonl", kept)  # its name came back with the power
    after = device.on(device.files)
    after.start()
    assert after.journal.oldest == oldest
    assert after.journal.lines(oldest, oldest + len(lines)) == lines
    assert [index for index, _ in after.journal.iterate()][:2] == [oldest, oldest + 1]
    device.cosign()
    more = after.record(20, stop=True)
    after.cosign()
    after.scribe.purge(more, "age", "00" * 32)
    after.scribe.trim(after.journal.size)
    assert "segment-000000000000.jsonl" not in after.files.list(after.folder), "the next one takes it along"


def test_files_of_a_segment_that_went_without_the_others_do_not_stop_the_next_trim(make, small_segments):
    small_segments(8)
    device = make.Device(STATE, SimulatedFiles())
    device.start()
    first = device.record(30, stop=True)
    device.cosign()
    device.scribe.purge(first, "age", "00" * 32)
    device.files.remove(device.folder / "segment-000000000008.range")
    device.files.remove(device.folder / "segment-000000000016.jsonl")
    after = device.on(device.files)
    after.start()
    second = after.record(10, stop=True)
    after.cosign()
    after.scribe.purge(second, "age", "00" * 32)
    oldest = after.scribe.trim(after.journal.size)
    assert [name for name in after.files.list(after.folder) if name.startswith("segment") and int(name[8:20]) < oldest] == []


def test_lines_behind_a_hole_are_neither_read_nor_adopted_as_if_there_were_none(make, small_segments):
    small_segments(8)
    device = make.Device(STATE, SimulatedFiles())
    device.start()
    device.record(20, stop=True)
    older = device.folder / "segment-000000000008.jsonl"
    device.files.truncate(older, device.files.size(older) // 2)
    after = device.on(device.files)
    after.start()  # what an older segment lost does not keep a recorder from recording
    assert 15 not in dict(after.journal.iterate())
    with pytest.raises(Damaged, match="4 are missing"):
        after.journal.lines(8, 16)
    device.files.replace(device.folder / "checkpoints", after.journal.checkpoint_at(8).encode())
    assert lines_behind(device.folder, device.files, 8) == device.files.read(older).split(b"\n")[:-1]
