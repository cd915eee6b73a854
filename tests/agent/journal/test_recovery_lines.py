"""After every start: which lines and checkpoints count, after a power cut and after somebody had the card in his hands."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.journal.errors import Lost
from agent.journal.recovery import adoptable
from hal.contracts import ClockReading
from simulators.powercut import SimulatedFiles

STATE = Path("/state")
SEGMENT = "segment-000000000000.jsonl"


@pytest.fixture
def device(make):
    found = make.Device(STATE, SimulatedFiles())
    found.start()
    return found


def test_one_batch_behind_the_checkpoint_is_adopted_and_a_torn_tail_cut(device, judges):
    recording = device.record(2)
    before = device.journal.size
    lines = device.journal.lines(0, before)
    device.scribe.batch().__enter__()
    extra = [device.scribe.line("mark", [("label", f"{number}")], recording) for number in range(1)]
    device.edit(SEGMENT, lambda data: data + b"\n".join([*extra, b'{"at":17637']))
    after = device.again()
    judges.whole(after.journal)
    assert after.journal.lines(0, before + 1) == [*lines, *extra]
    assert after.of("boot")[-1]["lost"] == {"journal": 11, "adopted": {"first": before, "count": 1}, "unfinished": 1}
    (kept,) = [name for name in after.files.list(after.folder / "aside") if name.startswith("lines-")]
    assert after.files.read(after.folder / "aside" / kept) == b'{"at":17637'


def test_only_lines_with_meaning_and_at_most_a_batch_are_adopted(device):
    device.scribe.batch().__enter__()
    good = device.scribe.line("beacon", [("checkpoint", "x" * 900)], None)
    assert adoptable([good] * 3) == 3
    assert adoptable([good, b"{}", good]) == 1
    assert adoptable([good, bytes(30), good]) == 1
    assert adoptable([good] * 300) == 49_152 // (len(good) + 1)
    short = device.scribe.line("sense", [], None)
    assert adoptable([short] * 300) == 256


def test_a_torn_checkpoint_is_cut_and_said(device, judges):
    device.record(1, stop=True)
    before = device.journal.size
    device.edit("checkpoints", lambda data: data[:-30])
    after = device.again()
    judges.whole(after.journal)
    lost = after.of("boot")[-1]["lost"]
    assert lost["adopted"]["count"] == 1
    assert lost["checkpoints"] > 100
    assert after.journal.lines(0, before) == device.journal.lines(0, before)


def test_an_edited_line_goes_back_to_what_was_cosigned_with_an_alarm(device, judges):
    device.record(3, stop=True)
    device.cosign()
    cosigned = device.journal.size
    device.record(3, stop=True)
    abandoned, beyond = device.journal.checkpoint, device.journal.lines(cosigned, device.journal.size)
    device.edit(SEGMENT, lambda data: data.replace(beyond[-1], beyond[-1].replace(b"button", b"remote")))
    after = device.again()
    judges.whole(after.journal)
    assert after.journal.lines(0, cosigned) == device_lines(device, cosigned)
    (tamper,) = after.of("tamper")
    assert (tamper["event"], tamper["size"], tamper["checkpoint"]) == ("root-mismatch", cosigned, abandoned)
    boot = after.of("boot")[-1]
    assert boot["lost"]["lines"] == len(beyond)
    (kept,) = [name for name in after.files.list(after.folder / "aside") if name.startswith("lines-")]
    assert after.files.read(after.folder / "aside" / kept).split(b"\n")[:-2] == beyond[:-1]
    assert after.again().of("tamper") == [tamper]


def device_lines(device, end: int) -> list[bytes]:
    return device.files.read(device.folder / SEGMENT).split(b"\n")[:end]


def test_lines_cut_off_go_back_to_what_was_cosigned(device, judges):
    device.record(2, stop=True)
    device.cosign()
    cosigned = device.journal.size
    device.record(2, stop=True)
    device.edit(SEGMENT, lambda data: b"".join(line + b"\n" for line in data.split(b"\n")[: cosigned + 3]))
    after = device.again()
    judges.whole(after.journal)
    assert after.of("tamper")[0]["size"] == cosigned
    assert after.of("boot")[-1]["lost"]["lines"] == 3


@pytest.mark.parametrize("left", [None, 0, 1, 2])
def test_checkpoints_removed_after_a_cosignature_go_on_from_it_with_an_alarm(device, judges, left):
    """They were durable before the server could cosign them: no power cut takes them. `left`: so many notes, or no file."""
    device.record(2, stop=True)
    device.cosign()
    cosigned = device.journal.size
    device.scribe.clock(ClockReading("ntp", 0, 5))
    kept = device.files.read(device.folder / "checkpoints").split(b"\n")
    device.files.remove(device.folder / "checkpoints")
    if left is not None:
        device.files.append(device.folder / "checkpoints", b"".join(row + b"\n" for row in kept[: 5 * left]))
    after = device.again()
    judges.whole(after.journal)
    assert after.of("boot")[-1]["lost"]["adopted"] == {"first": cosigned, "count": 1}
    (tamper,) = after.of("tamper")
    assert (tamper["event"], tamper["size"]) == ("checkpoints-missing", cosigned + 1)
    assert after.again().of("tamper") == [tamper]


def test_more_than_a_batch_without_checkpoint_is_an_alarm(device, judges):
    device.record(1, stop=True)
    kept = device.files.read(device.folder / "checkpoints")
    size = device.journal.size
    for _ in range(300):
        device.scribe.sense(20_000, 500)
    device.edit("checkpoints", lambda _: kept)
    after = device.again()
    judges.whole(after.journal)
    assert after.of("tamper")[0]["event"] == "lines-without-checkpoint"
    assert after.of("boot")[-1]["lost"]["adopted"] == {"first": size, "count": 256}
    assert after.of("boot")[-1]["lost"]["lines"] == 44


def test_without_a_cosignature_the_largest_checkpoint_that_fits_counts(device, judges):
    device.record(3, stop=True)
    size = device.journal.size
    last = device.journal.lines(size - 1, size)[0]
    device.edit(SEGMENT, lambda data: data.replace(last, last.replace(b"button", b"remote")))
    after = device.again()
    judges.whole(after.journal)
    assert after.of("tamper")[0]["size"] == size - 1


@pytest.mark.parametrize("damage", [lambda data: b"x" + data[1:], lambda data: b""])
def test_where_nothing_signed_fits_only_the_next_journal_can_go_on(device, damage):
    device.record(1, stop=True)
    device.edit(SEGMENT, damage)
    with pytest.raises(Lost, match="begin the next one"):
        device.on(device.files).start()


def test_a_journal_older_than_its_cosigned_note_says_so(device):
    """A card that was rolled back: lines and checkpoints fit, and the server has more."""
    device.record(1, stop=True)
    older = {name: device.files.read(device.folder / name) for name in (SEGMENT, "checkpoints")}
    device.record(1, stop=True)
    device.cosign()
    newest = device.journal.cosigned_size
    for name, data in older.items():
        device.edit(name, lambda _, data=data: data)
    after = device.again()
    assert after.of("boot")[-1]["lost"]["cosigned"] == newest


def test_recovery_over_a_segments_end(make, small_segments, judges):
    small_segments(8)
    device = make.Device(STATE, SimulatedFiles())
    device.start()
    device.record(6, stop=True)
    device.cosign(8)
    device.record(6, stop=True)
    last = max(name for name in device.files.list(device.folder) if name.endswith("jsonl"))
    device.edit(last, lambda data: data.replace(b"button", b"remote"))
    after = device.again()
    judges.whole(after.journal)
    assert after.of("tamper")[0]["size"] == 8
    assert after.again().recovered.lost == {}


def test_a_wrong_range_file_costs_nothing(make, small_segments, judges):
    small_segments(8)
    device = make.Device(STATE, SimulatedFiles())
    device.start()
    device.record(9, stop=True)
    size = device.journal.size
    device.edit("segment-000000000008.range", lambda _: device.files.read(device.folder / "segment-000000000008.range").replace(b"A", b"B"))
    after = device.again()
    judges.whole(after.journal)
    assert (after.journal.size, after.of("tamper")) == (size + 1, [])
