"""The append-only log: what it promises after every append, at every boundary, and when the disk says no."""

from __future__ import annotations

import errno
import json
from contextlib import suppress
from pathlib import Path

import pytest

from agent.core import note, wire
from agent.journal.errors import BadLine, Contradiction, Damaged, DiskFault, DiskFull
from agent.journal.journal import Journal
from agent.journal.signer import verifier
from hal.drivers import linux
from hal.errors import DeviceFault
from simulators.powercut import SimulatedFiles

STATE = Path("/state")


def numbered(first: int, count: int, size: int = 20) -> list[bytes]:
    return [json.dumps({"line": index, "x": "y" * size}).encode() for index in range(first, first + count)]


@pytest.fixture
def journal(tmp_path, make):
    return Journal.open(tmp_path / "1", make.origin, make.key, linux.Files())


def test_every_append_is_covered_by_a_signed_checkpoint(journal, judges, make):
    lines: list[bytes] = []
    for count in (1, 2, 5, 1, 16):
        new = numbered(len(lines), count)
        lines += new
        text = journal.append(new)
        assert judges.checkpoint(text) == (len(lines), judges.root(lines))
        note.open_note(text, [verifier(make.origin, make.key)])
        assert journal.checkpoint == text
    again = Journal.open(journal.folder, make.origin, make.key, linux.Files())
    assert (again.size, again.lines(0, again.size), again.checkpoint) == (len(lines), lines, text)


def test_lines_are_durable_before_their_checkpoint_and_names_before_both_count(make):
    files = SimulatedFiles(record=True)
    journal = Journal.open(make.Device(STATE, files).folder, make.origin, make.key, files)
    begin = len(files.operations)
    journal.append(numbered(0, 3))
    journal.append(numbered(3, 1))
    did = [(operation.name, operation.path.name) for operation in files.operations[begin:]]
    lines, marks = "segment-000000000000.jsonl", "checkpoints"
    first = [("append", lines), ("sync", lines), ("sync_folder", "1"), ("append", marks), ("sync", marks), ("sync_folder", "1")]
    assert did == [*first, ("append", lines), ("sync", lines), ("append", marks), ("sync", marks)]


@pytest.mark.parametrize("line", [b"", b"a\nb", b"x" * 4097])
def test_what_is_no_line_is_refused_and_nothing_is_written(journal, line):
    with pytest.raises(BadLine, match="1 to 4096 bytes without newline"):
        journal.append([b"good", line])
    with pytest.raises(BadLine, match="at least one line"):
        journal.append([])
    assert journal.size == 0
    assert journal.checkpoint is None


def test_a_journal_spans_segments_and_opens_from_the_newest(journal, judges, make, small_segments, tmp_path):
    small_segments(8)
    lines = numbered(0, 37)
    for begin in range(0, 37, 5):
        journal.append(lines[begin : begin + 5])
    names = sorted(path.name for path in journal.folder.iterdir())
    assert [name for name in names if name.endswith("jsonl")] == [f"segment-{first:012d}.jsonl" for first in (0, 8, 16, 24, 32)]
    reads = []

    class Watched(linux.Files):
        def read(self, path: Path, offset: int = 0, length: int = -1) -> bytes:
            reads.append(path.name)
            return super().read(path, offset, length)

    files = Watched()
    again = Journal.open(journal.folder, make.origin, make.key, files)
    assert {name for name in reads if name.endswith("jsonl")} == {"segment-000000000032.jsonl"}
    assert again.lines(3, 35) == lines[3:35]
    assert list(again.iterate(7)) == list(enumerate(lines))[7:]
    for size in range(38):
        assert again.root_at(size) == judges.root(lines[:size])
    assert again.root_at(38) is None


def test_a_lost_range_is_computed_again(journal, make, small_segments, judges):
    small_segments(4)
    lines = numbered(0, 11)
    journal.append(lines)
    for name in journal.folder.glob("*.range"):
        name.unlink()
    (journal.folder / "segment-000000000004.state").write_bytes(b"{}")
    again = Journal.open(journal.folder, make.origin, make.key, linux.Files())
    assert judges.checkpoint(again.checkpoint) == (11, judges.root(lines))


def test_batches_end_at_checkpoints_and_fit_the_wire(journal, judges):
    lines = numbered(0, 1000, 10) + numbered(1000, 40, 3900)
    journal.append(lines[:600])
    journal.append(lines[600:])
    at = 0
    while (found := journal.batch(at)) is not None:
        batch = wire.decode_batch(wire.encode_batch(at, *found))
        assert batch.lines == lines[at : batch.size]
        assert judges.checkpoint(batch.note) == (batch.size, judges.root(lines[: batch.size]))
        at = batch.size
    assert at == len(lines)
    assert journal.batch(3)[0][0] == lines[3], "the server may hold what ends between our appends"
    assert journal.batch(0, max_lines=10) is None, "nothing leaves without a stored checkpoint at its end"


def test_the_least_batch_is_the_next_append_whatever_the_line_carries(device):
    """A bad line gets little at a time: not everything that waits because the next append is too much for it."""
    device.start()
    first = device.journal.size
    for _ in range(3):
        with device.scribe.batch():
            for number in range(20):
                device.scribe.sense(number, number)
    lines, checkpoint = device.journal.batch(first, max_bytes=500)
    assert len(lines) == 20
    assert checkpoint == device.journal.checkpoint_at(first + 20)


@pytest.mark.parametrize(("code", "error"), [(errno.ENOSPC, DiskFull), (errno.EIO, DiskFault), (errno.EROFS, DiskFault)])
def test_a_failed_append_leaves_the_journal_as_it_was(make, judges, small_segments, code, error):
    """Every single operation of an append fails once, and once for good until the disk is well again."""
    small_segments(6)
    folder = make.Device(STATE, SimulatedFiles()).folder
    for stays_broken in (False, True):
        number = 0
        while True:
            files = SimulatedFiles()
            journal = Journal.open(folder, make.origin, make.key, files)
            journal.append(numbered(0, 4))
            broken = files.count + number
            files.fault = lambda _, at=broken, files=files, stays=stays_broken: (
                code if files.count - 1 == at or (stays and files.count - 1 > at) else None
            )
            with suppress(error):
                journal.append(numbered(4, 5))
            files.fault = None
            if journal.size == 9:
                break  # the fault lay behind the append's last operation
            assert (journal.size, journal.lines(0, 4)) == (4, numbered(0, 4))
            journal.append(numbered(4, 3))
            after = Journal.open(folder, make.origin, make.key, files.after_cut())
            assert judges.checkpoint(after.checkpoint) == (7, judges.root(numbered(0, 7)))
            number += 1
        assert number > 10, "an append over a segment's end is many operations"


def test_a_failing_key_leaves_the_journal_as_it_was(journal, make, judges):
    journal.append(numbered(0, 2))

    class BrokenKey:
        algorithm = make.key.algorithm
        public_key = make.key.public_key

        def sign(self, message: bytes) -> bytes:
            raise DeviceFault("the security module is gone")

    journal._signer = BrokenKey()
    with pytest.raises(DeviceFault):
        journal.append(numbered(2, 2))
    journal._signer = make.key
    journal.append(numbered(2, 1))
    again = Journal.open(journal.folder, make.origin, make.key, linux.Files())
    assert judges.checkpoint(again.checkpoint) == (3, judges.root(numbered(0, 3)))


def test_what_recovery_must_judge_is_not_opened(journal, make):
    journal.append(numbered(0, 3))
    lines = journal.folder / "segment-000000000000.jsonl"
    whole = lines.read_bytes()
    for damage in (whole + b"torn", whole + b"{}\n", whole[:-1], whole[:-20], whole.replace(b"line", b"eine")):
        lines.write_bytes(damage)
        with pytest.raises(Damaged, match="run recovery"):
            Journal.open(journal.folder, make.origin, make.key, linux.Files())


def test_the_cosigned_note_is_kept_and_never_goes_back(journal, make):
    for begin in (0, 2, 4):
        journal.append(numbered(begin, 2))
    older, newest = make.cosign(journal, 4), make.cosign(journal, 6, 1_763_712_500)
    assert journal.keep_cosigned(older)
    assert journal.keep_cosigned(newest)
    assert not journal.keep_cosigned(older)
    again = Journal.open(journal.folder, make.origin, make.key, linux.Files())
    assert (again.cosigned, again.cosigned_size, again.cosigned_seconds) == (newest, 6, 1_763_712_500)


def test_a_cosignature_over_other_lines_is_a_contradiction(journal, make, tmp_path):
    journal.append(numbered(0, 2))
    other = Journal.open(tmp_path / "other", make.origin, make.key, linux.Files())
    other.append(numbered(5, 2))
    with pytest.raises(Contradiction, match="another root"):
        journal.keep_cosigned(make.cosign(other))
    other.append(numbered(0, 2))
    with pytest.raises(Contradiction, match="another root"):
        journal.keep_cosigned(make.cosign(other))
    with pytest.raises(Contradiction, match="expected a cosigned checkpoint"):
        journal.keep_cosigned("rubbish")
    assert journal.cosigned is None


def test_trimming_takes_whole_cosigned_segments_and_keeps_the_range(journal, make, judges, small_segments):
    small_segments(4)
    lines = numbered(0, 14)
    for begin in range(0, 14, 2):
        journal.append(lines[begin : begin + 2])
    assert journal.trim(14) == 0, "nothing is cosigned"
    journal.keep_cosigned(make.cosign(journal, 10))
    assert journal.trimmable(14) == 8
    assert journal.trim(14) == 8
    assert not (journal.folder / "segment-000000000004.jsonl").exists()
    journal.append(numbered(14, 1))
    again = Journal.open(journal.folder, make.origin, make.key, linux.Files())
    assert (again.oldest, again.size) == (8, 15)
    assert judges.checkpoint(again.checkpoint) == (15, judges.root(numbered(0, 15)))
    assert [again.root_at(size) for size in (8, 9, 10)] == [judges.root(lines[:size]) for size in (8, 9, 10)]
    assert again.root_at(7) is None
    with pytest.raises(BadLine, match="lines 7 to 9: the journal has 8 to 15"):
        again.lines(7, 9)
