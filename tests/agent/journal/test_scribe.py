"""Lines in the words of the format: members in their order, `n` without a gap, nothing half-done."""

from __future__ import annotations

import errno
import hashlib
import json
import threading
from pathlib import Path

import pytest

from agent.core import kinds, merkle
from agent.journal.errors import BadLine, DiskFault, DiskFull, OutOfOrder, Storage
from agent.journal.scribe import MAX_STILLS, MAX_TRACKS
from hal.contracts import ClockReading, Fix
from simulators.powercut import SimulatedFiles

ORDER = {
    "enrol": "at up kind origin vkey certificate salt",
    "boot": "at up kind format boot software hardware clean lost salt",
    "clock": "at up kind recording n source offset error salt",
    "beacon": "at up kind checkpoint salt",
    "assign": "at up kind recording n number officer salt",
    "start": "at up kind recording n trigger officer case matter epoch governing continues salt",
    "track": "at up kind recording n track media codecs width height rate source salt",
    "fragment": "at up kind recording n track seq offset bytes sha256 pts duration pre salt",
    "fix": "at up kind recording n lat lon alt speed course hdop time salt",
    "sense": "at up kind recording n temperature humidity salt",
    "mark": "at up kind recording n label salt",
    "pause": "at up kind recording n reason salt",
    "resume": "at up kind recording n reason salt",
    "gap": "at up kind recording n track from lost reason salt",
    "stop": "at up kind recording n trigger tracks salt",
    "power": "at up kind recording n event percent salt",
    "order": "at up kind number name result salt",
    "purge": "at up kind recording tracks bytes reason receipt salt",
    "trim": "at up kind size root salt",
    "retire": "at up kind reason salt",
}


def everything(device, recording: str) -> None:
    """A line of each kind."""
    scribe = device.scribe
    scribe.beacon("ledger\n1\nroot\n")
    scribe.start(recording, "button", 5_000, officer="010203", case="案2024-1", matter="check", continues=device.ulid())
    scribe.track(recording, "front", "video/mp4", "avc1.42c01f, mp4a.40.2", "test", width=640, height=360, rate=30)
    scribe.clock(ClockReading("ntp", -3, 20))
    scribe.state("assign", [("number", 7), ("officer", "010203")])
    scribe.fragment(recording, "front", 0, b"init", 0, 0, pre=True)
    scribe.fix(Fix(0, 311_234_567, 1_214_567_890, 12_000, 1_500, 9_000, 90, 1_763_712_300_000))
    scribe.sense(21_500, 455)
    scribe.mark(recording, "重点")
    scribe.pause(recording, "break")
    scribe.pause(recording, "break", resume=True)
    scribe.gap(recording, "front", 0, 40, "encoder")
    scribe.event("power", "low", percent=9)
    scribe.order(3, "locate", "done")
    scribe.stop(recording, "button")
    device.cosign()
    scribe.purge(recording, "space", "ab" * 32)
    scribe.retire("end")


def test_members_stand_in_the_formats_order(device):
    everything(device, device.ulid())
    for line in device.journal.lines(0, device.journal.size):
        members = kinds.meaning(line)
        assert " ".join(json.loads(line)) == ORDER[members["kind"]]
    assert {members["kind"] for members in device.lines()} == set(ORDER) - {"trim"}


def test_the_journal_is_whole_and_reads_like_a_recording(device, judges):
    first, second = device.record(3), None
    device.scribe.stop(first, "button")
    second = device.record(2, stop=True)
    judges.whole(device.journal)
    assert [line["recording"] for line in device.of("stop")] == [first, second]
    (stop, _) = device.of("stop")
    fragments = [line for line in device.of("fragment") if line["recording"] == first]
    assert stop["tracks"] == [{"track": "front", "fragments": 4, "bytes": sum(line["bytes"] for line in fragments), "duration": 3000}]
    media = device.media.read(first, "front")
    for line in fragments:
        assert hashlib.sha256(media[line["offset"] : line["offset"] + line["bytes"]]).hexdigest() == line["sha256"]
    assert len(media) == stop["tracks"][0]["bytes"]


def test_salts_are_fresh_and_times_rise(device):
    device.record(5, stop=True)
    lines = device.lines()
    assert len({line["salt"] for line in lines}) == len(lines)
    assert all(len(line["salt"]) == 22 for line in lines)
    assert [line["up"] for line in lines] == sorted(line["up"] for line in lines)


def test_start_names_what_governs_it_in_order_of_index(device):
    scribe = device.scribe
    scribe.state("signon", [("officer", "010203"), ("how", "badge")])
    scribe.clock(ClockReading("ntp", 0, 5))
    scribe.state("assign", [("officer", "010203")])
    scribe.clock(ClockReading("gnss", 0, 1))
    scribe.beacon("ledger\n1\nroot\n")
    first = device.record(1, stop=True)
    scribe.state("signoff", [("officer", "010203"), ("how", "badge")])
    second = device.record(1, stop=True)
    lines = device.journal.lines(0, device.journal.size)
    leaves = {merkle.leaf_hash(line).hex(): json.loads(line) for line in lines}
    named = {line["recording"]: [leaves[leaf] for leaf in line["governing"]] for line in device.of("start")}
    assert [line["kind"] for line in named[first]] == ["boot", "signon", "assign", "clock", "beacon"]
    assert named[first][3]["source"] == "gnss"
    assert [line["kind"] for line in named[second]] == ["boot", "assign", "clock", "beacon"]
    device.on(device.files).start()
    third = device.on(device.files)
    third.start()
    third.record(1)
    governing = third.of("start")[-1]["governing"]
    there = {merkle.leaf_hash(line).hex(): json.loads(line)["kind"] for line in third.journal.lines(0, third.journal.size)}
    assert [there[leaf] for leaf in governing] == ["assign", "clock", "beacon", "boot"], "found again after a start"


def test_lines_while_recording_belong_to_it_exactly_between_start_and_stop(device):
    device.scribe.clock(ClockReading("ntp", 0, 5))
    recording = device.record(1)
    device.scribe.clock(ClockReading("ntp", 0, 5))
    device.scribe.stop(recording, "button")
    device.scribe.clock(ClockReading("ntp", 0, 5))
    assert [line.get("recording") for line in device.of("clock")] == [None, recording, None]
    assert ["n" in line for line in device.of("clock")] == [False, True, False]


def test_a_position_is_written_when_it_changes(device):
    here, there = Fix(0, 1, 2, 3), Fix(0, 1, 3, 3)
    assert [device.scribe.fix(fix) for fix in (here, here, there, here)] == [True, False, True, True]
    device.record(1)
    assert device.scribe.fix(here), "every recording has the position that it began at"


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (lambda s, r: s.start(r, "button", 0), "is not stopped"),
        (lambda s, r: s.track(r, "front", "video/mp4", "x", "x"), "began already"),
        (lambda s, r: s.fragment(r, "back", 0, b"", 0, 0), "never began; there are: front"),
        (lambda s, r: s.fragment(r, "front", 9, b"", 0, 0), "expected fragment 2, got 9"),
        (lambda s, r: s.fragment(r, "front", 2, b"", -1, 0), "never negative"),
        (lambda s, r: s.stop("01JDABCDEFGHJKMNPQRSTVWXYZ", "button"), "is not open; open are: 01J"),
        (lambda s, r: s.gap("01JDABCDEFGHJKMNPQRSTVWXYZ", "front", 0, 1, "power"), "does not have"),
        (lambda s, r: s.purge(r, "space", "00" * 32), "only when a cosigned checkpoint covers the stop"),
        (lambda s, r: s.track(r, "../up", "video/mp4", "x", "x"), "a track's name is"),
        (lambda s, r: s.track(r, "side", "video/webm", "x", "x"), "media is one of"),
        (lambda s, r: s.mark(r, "x" * 5000), "a mark line: a line is at most 4096 bytes"),
        (lambda s, r: s.enrol("x", "y"), "enrol is line 0"),
    ],
)
def test_a_line_without_meaning_is_refused_and_nothing_is_written(device, what, message):
    recording = device.record(1)
    size, media = device.journal.size, device.media.size(recording, "front")
    with pytest.raises((OutOfOrder, BadLine), match=message):
        what(device.scribe, recording)
    assert (device.journal.size, device.media.size(recording, "front")) == (size, media)


def test_a_stop_line_always_fits(device):
    recording = device.record(1)
    for number in range(MAX_STILLS):
        device.scribe.track(recording, f"still-{number:03d}-with-quite-a-long-name", "image/jpeg", "jpeg", "test")
    with pytest.raises(OutOfOrder, match="go on in another recording"):
        device.scribe.track(recording, "one-more", "image/jpeg", "jpeg", "test")
    for number in range(MAX_TRACKS - MAX_STILLS - 1):
        device.scribe.track(recording, f"front-{number + 2}", "video/mp4", "avc1", "test")
    with pytest.raises(OutOfOrder, match="go on in another recording"):
        device.scribe.track(recording, "front-99", "video/mp4", "avc1", "test")
    device.scribe.stop(recording, "button")


def test_a_recording_starts_once(device):
    recording = device.record(1, stop=True)
    for name in (recording, "no ulid"):
        with pytest.raises(OutOfOrder, match="starts once under a ULID of its own"):
            device.scribe.start(name, "button", 0)


def test_after_stop_only_gap_and_purge_follow_without_n(device, judges):
    recording = device.record(2, stop=True)
    device.scribe.gap(recording, "front", 0, 1000, "storage")
    device.cosign()
    assert device.scribe.purge(recording, "age", "cd" * 32) > 0
    judges.whole(device.journal)
    assert device.media.size(recording, "front") == -1
    (purge,) = device.of("purge")
    assert purge["bytes"] == purge["tracks"][0]["bytes"] == device.of("stop")[0]["tracks"][0]["bytes"]
    with pytest.raises(OutOfOrder, match="does not have"):
        device.scribe.gap(recording, "front", 0, 1000, "storage")


def test_a_purge_needs_a_cosigned_stop_and_a_receipt(device):
    recording = device.record(1, stop=True)
    stop = device.journal.size
    device.scribe.clock(ClockReading("ntp", 0, 5))
    device.cosign(stop - 1)
    with pytest.raises(OutOfOrder, match="covers the stop"):
        device.scribe.purge(recording, "space", "00" * 32)
    device.cosign(stop)
    with pytest.raises(BadLine, match="64 hex digits"):
        device.scribe.purge(recording, "space", "")
    assert device.media.size(recording, "front") > 0


def test_trim_is_on_record_and_keeps_what_is_still_here(device, small_segments, judges):
    small_segments(8)
    device.record(20, stop=True)
    device.cosign()
    assert device.scribe.trim(1_000) == 0, "a recording that is still here needs its lines"
    device.scribe.purge(device.of("start")[0]["recording"], "age", "00" * 32)
    before = device.journal.lines(0, device.journal.size)
    kept = device.scribe.trim(1_000)
    assert kept == 24
    (trim,) = device.of("trim")
    assert (trim["size"], bytes.fromhex(trim["root"])) == (kept, judges.root(before[:kept]))
    again = device.on(device.files)
    again.start()
    assert (again.journal.oldest, again.journal.story.boots) == (kept, 2)


def test_the_order_of_writing_and_who_hears_of_it(make):
    files = SimulatedFiles(record=True)
    device = make.Device(Path("/state"), files)
    device.start()
    recording = device.record(1)
    files.operations.clear()
    heard = len(device.heard)
    with device.scribe.batch():
        device.fragment(recording, "front", 2)
        device.scribe.fix(Fix(0, 1, 2))
        device.scribe.mark(recording, "x")
        assert len(device.heard) == heard, "nobody hears of it before it is durable"
    did = [(operation.name, operation.path.name) for operation in files.operations]
    track, lines, notes = "front.mp4", "segment-000000000000.jsonl", "checkpoints"
    expected = [(name, path) for path in (track, lines, notes) for name in ("append", "sync")]
    assert did == expected
    first, new = device.heard[-1]
    assert new == device.journal.lines(first, device.journal.size)
    assert len(new) == 3


def test_a_batch_is_written_whole_or_not_at_all(device, judges):
    recording = device.record(1)
    size, media = device.journal.size, device.media.read(recording, "front")
    with pytest.raises(OutOfOrder), device.scribe.batch():  # noqa: PT012 — the whole batch is what is refused
        device.fragment(recording, "front", 2)
        device.scribe.mark(recording, "x")
        device.scribe.stop(device.ulid(), "button")
    assert (device.journal.size, device.media.read(recording, "front")) == (size, media)
    device.fragment(recording, "front", 2)
    judges.whole(device.journal)


@pytest.mark.parametrize(("code", "error"), [(errno.ENOSPC, DiskFull), (errno.EIO, DiskFault), (errno.EROFS, DiskFault)])
def test_a_failing_disk_leaves_nothing_half_done(make, judges, code, error):
    """Each operation of a batch fails, once or for good; afterwards every lined byte is there and no other."""
    for stays_broken in (False, True):
        number = 0
        while True:
            device = make.Device(Path("/state"), SimulatedFiles())
            device.start()
            recording = device.record(2)
            files, at = device.files, device.files.count + number
            files.fault = lambda _, at=at, files=files, stays=stays_broken: (
                code if files.count - 1 == at or (stays and files.count - 1 > at) else None
            )
            before = device.journal.size
            try:
                with device.scribe.batch():
                    device.fragment(recording, "front", 3)
                    device.scribe.mark(recording, "x")
            except Storage as raised:
                failed = type(raised)
            else:
                break
            files.fault = None
            assert failed is error
            assert device.journal.size == before
            device.fragment(recording, "front", 3)
            device.scribe.stop(recording, "button")
            judges.whole(device.journal)
            fragments = device.of("fragment")
            assert device.media.size(recording, "front") == sum(line["bytes"] for line in fragments)
            assert fragments[-1]["offset"] == sum(line["bytes"] for line in fragments[:-1])
            number += 1
        assert number == 6


def test_a_storage_error_that_was_swallowed_still_refuses_the_batch(make):
    device = make.Device(Path("/state"), SimulatedFiles())
    device.start()
    recording = device.record(1)
    device.files.fault = lambda operation: errno.ENOSPC if operation.path.name == "front.mp4" and operation.name == "append" else None
    size = device.journal.size
    with pytest.raises(DiskFull), device.scribe.batch():  # noqa: PT012
        with pytest.raises(DiskFull):
            device.fragment(recording, "front", 2)
        device.scribe.mark(recording, "x")
    assert device.journal.size == size


def test_many_threads_write_one_journal(device, judges):
    recording = device.record(1)
    ready = threading.Barrier(4)

    def write(name: str) -> None:
        ready.wait(30)
        for number in range(10):
            device.scribe.mark(recording, f"{name} {number}")

    threads = [threading.Thread(target=write, args=(f"writer {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    device.scribe.stop(recording, "button")
    judges.whole(device.journal)
    assert len(device.of("mark")) == 40


def test_what_lines_and_checkpoints_add_to_a_recording(device):
    """4 Mbit/s with a position a second: at most 0.2 % more."""
    recording = device.record(0)
    before = sum(path.stat().st_size for path in device.folder.iterdir())
    seconds, fragment = 50, bytes(500_000)
    for number in range(seconds):
        device.clock.wall, device.clock.up = 1_763_712_297_000 + number * 1000, 86_400_000_000 + number * 1_000_000
        with device.scribe.batch():
            device.scribe.fragment(recording, "front", number + 1, fragment, 3_600_000 + number * 1000, 1000)
            device.scribe.fix(Fix(0, 311_234_567 + number, 1_214_567_890 + number, 12_345, 1_534, 35_999, 123, 1_763_712_297_000))
    added = sum(path.stat().st_size for path in device.folder.iterdir()) - before
    assert added / (seconds * len(fragment)) < 0.002
