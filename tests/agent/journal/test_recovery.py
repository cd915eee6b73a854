"""After every start: what counts, what is set aside, and what is said about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.journal.errors import DiskFull
from agent.journal.media import MediaFiles
from agent.journal.recovery import announce, recover
from agent.journal.scribe import Scribe
from simulators.powercut import PowerCut, SimulatedFiles

STATE = Path("/state")
SEGMENT = "segment-000000000000.jsonl"


@pytest.fixture
def device(make):
    found = make.Device(STATE, SimulatedFiles())
    found.start()
    return found


def test_a_clean_end_is_called_clean(device):
    device.record(1, stop=True)
    device.scribe.shutdown()
    after = device.again()
    assert (after.recovered.clean, after.recovered.lost) == (True, {})
    boots = after.of("boot")
    assert [(boot["boot"], boot["clean"]) for boot in boots] == [(1, True), (2, True)]
    last = after.again()
    assert last.of("boot")[-1]["clean"] is False, "without the last line the end was none"


def test_an_unfinished_recording_gets_its_gap_and_its_stop(device, judges):
    recording = device.record(3)
    device.clock.up += 2_500_000
    device.scribe.mark(recording, "last sign of life")
    after = device.again()
    judges.whole(after.journal)
    boot, gap, stop = after.lines()[-3:]
    assert boot["kind"] == "boot"
    assert boot["lost"] == {"unfinished": 1}
    assert (gap["track"], gap["from"], gap["reason"]) == ("front", 3000, "power")
    assert 2_000 < gap["lost"] < 3_000
    assert stop["trigger"] == "power"
    assert stop["tracks"] == [{"track": "front", "fragments": 4, "bytes": after.media.size(recording, "front"), "duration": 3000}]
    assert after.recovered.unfinished == [recording]
    assert after.again().recovered.lost == {}, "once is enough"


def test_each_running_track_gets_a_gap_and_ended_ones_none(device):
    recording = device.record(2)
    for name, media in (("front-2", "video/mp4"), ("rear", "video/mp4"), ("still-1", "image/jpeg")):
        device.scribe.track(recording, name, media, "x", "test")
    gaps = device.again().of("gap")
    assert [(gap["track"], gap["from"], gap["lost"]) for gap in gaps] == [("front-2", 2000, 1000), ("rear", 0, 2010)]


def test_a_loss_that_is_on_record_already_is_not_stated_twice(device):
    recording = device.record(2)
    device.scribe.gap(recording, "front", 2000, 1500, "camera")
    (_, power) = device.again().of("gap")
    assert (power["from"], power["lost"]) == (3500, 1000)


def test_a_recording_without_a_track_still_says_that_it_lost_something(device):
    device.scribe.start(device.ulid(), "button", 0)
    after = device.again()
    assert [(gap["track"], gap["lost"], gap["reason"]) for gap in after.of("gap")] == [("", 1000, "power")]
    assert after.of("stop")[0]["tracks"] == []


def test_a_loss_that_a_start_without_a_stop_has_stated_is_not_stated_again(device):
    recording = device.ulid()
    device.scribe.start(recording, "button", 0)
    device.scribe.gap(recording, "", 0, 1000, "power")
    after = device.again()
    assert len(after.of("gap")) == len(after.of("stop")) == 1


def unlined(device, recording: str, data: bytes) -> None:
    """Bytes that reached the disk while their line did not."""
    path = device.media.found(recording, "front")
    device.files.append(path, data)
    device.files.sync(path)


def test_two_whole_fragments_without_a_line_get_one_and_the_rest_is_set_aside(device, make, judges):
    recording = device.record(2)
    whole = [make.moof_mdat(device.chance) for _ in range(3)]
    end = device.media.size(recording, "front")
    unlined(device, recording, b"".join(whole) + b"torn")
    after = device.again()
    judges.whole(after.journal)
    recovered = [line for line in after.of("fragment") if line.get("recovered")]
    assert [(line["seq"], line["offset"], line["pts"]) for line in recovered] == [(3, end, 2000), (4, end + len(whole[0]), 3000)]
    assert list(recovered[0])[-3:] == ["duration", "recovered", "salt"]
    assert after.of("gap")[0]["from"] == 4000
    assert after.of("stop")[0]["tracks"][0]["fragments"] == 5
    assert after.of("boot")[-1]["lost"] == {"media": len(whole[2]) + 4, "recovered": 2, "unfinished": 1}
    media = after.media.read(recording, "front")
    assert media[end:] == whole[0] + whole[1]
    (piece,) = [name for name in after.files.list(after.folder / "aside") if name.startswith("media-")]
    assert after.files.read(after.folder / "aside" / piece) == whole[2] + b"torn"


def test_a_fragment_with_holes_is_not_recovered(device, make):
    recording = device.record(1)
    data = make.box(b"moof", b"head") + make.box(b"mdat", b"x" * 100 + bytes(4096) + b"y")
    unlined(device, recording, data)
    after = device.again()
    assert after.of("boot")[-1]["lost"] == {"media": len(data), "unfinished": 1}


def test_the_init_segment_alone_is_recovered_too(device, make):
    recording = device.ulid()
    device.scribe.start(recording, "button", 0)
    device.scribe.track(recording, "front", "video/mp4", "avc1", "test")
    device.files.make_folder(STATE / "media" / recording)
    path = STATE / "media" / recording / "front.mp4"
    data = make.init(device.chance) + make.moof_mdat(device.chance)
    device.files.append(path, data + make.moof_mdat(device.chance))
    after = device.again()
    assert [(line["seq"], line["pts"], line["duration"]) for line in after.of("fragment")] == [(0, 0, 0), (1, 0, 1000)]
    assert after.media.size(recording, "front") == len(data)


def test_a_whole_still_without_a_line_gets_one(device):
    recording = device.record(1)
    for name, data in (("still-1", b"\xff\xd8 picture \xff\xd9"), ("still-2", b"\xff\xd8 torn")):
        device.scribe.track(recording, name, "image/jpeg", "jpeg", "test")
        device.files.append(STATE / "media" / recording / f"{name}.jpg", data)
    after = device.again()
    assert [line["track"] for line in after.of("fragment") if line.get("recovered")] == ["still-1"]
    assert after.of("boot")[-1]["lost"]["media"] == len(b"\xff\xd8 torn")


def test_media_that_no_line_names_are_moved_aside(device):
    stranger, recording = device.ulid(), device.record(1)
    for name in (f"{stranger}/front.mp4", f"{recording}/other.mp4"):
        device.files.make_folder((STATE / "media" / name).parent)
        device.files.append(STATE / "media" / name, b"whose?")
    after = device.again()
    assert after.of("boot")[-1]["lost"]["media"] == 12
    assert after.media.recordings() == [recording]
    assert after.media.names(recording) == ["front.mp4"]
    assert sum(name.startswith("media-") for name in after.files.list(after.folder / "aside")) == 2


def test_lines_whose_bytes_are_gone_get_a_gap_each_once(device, judges):
    recording = device.record(4)
    path = device.media.found(recording, "front")
    fragments = device.of("fragment")
    device.files.truncate(path, fragments[3]["offset"] + 3)
    after = device.again()
    judges.whole(after.journal)
    gaps = after.of("gap")
    assert [(gap["from"], gap["lost"], gap["reason"]) for gap in gaps] == [
        (2000, 1000, "storage"),
        (3000, 1000, "storage"),
        (4000, 1000, "power"),
    ]
    assert after.of("boot")[-1]["lost"] == {"missing": 2, "unfinished": 1}
    device.files.truncate(path, 0)
    later = after.again()
    news = later.of("gap")[3:]
    assert [(gap["from"], gap["lost"], "n" in gap) for gap in news] == [(0, 0, False), (0, 1000, False), (1000, 1000, False)]
    assert later.again().recovered.lost == {}


def test_content_that_a_card_lost_is_noticed_while_it_is_fresh(device):
    recording = device.record(3)
    path = device.media.found(recording, "front")
    data = device.files.read(path)
    device.files.replace(path, data[:-200] + bytes(200))
    gaps = device.again().of("gap")
    assert (gaps[0]["from"], gaps[0]["lost"], gaps[0]["reason"]) == (2000, 1000, "storage")


def test_a_full_disk_is_said_and_harms_nothing(device, make):
    recording = device.record(2)
    unlined(device, recording, b"torn" * 100)
    used = sum(len(device.files.read(path)) for path in device.files._names)
    device.files.capacity = used + 10
    with pytest.raises(DiskFull):
        device.on(device.files).start()
    device.files.capacity = used + 100_000
    after = device.again()
    assert after.of("boot")[-1]["lost"] == {"media": 400, "unfinished": 1}


def test_a_power_cut_during_recovery_hides_nothing(device, make, judges):
    recording = device.record(2)
    device.cosign()
    unlined(device, recording, make.moof_mdat(device.chance) + b"torn")
    device.edit(SEGMENT, lambda data: data + b'{"torn')
    device.edit("checkpoints", lambda data: data + b"torn")
    start = device.files.after_cut()
    expected = {"journal": 6, "checkpoints": 4, "media": 4, "recovered": 1, "unfinished": 1}
    number = 0
    while True:
        files = start.after_cut()
        files.cut_at = number
        try:
            device.on(files).start()
        except PowerCut:
            number += 1
        else:
            break
        after = device.on(files.after_cut(number))
        after.start()
        judges.whole(after.journal)
        told = [boot["lost"] for boot in after.of("boot")[1:]]
        assert expected in told, (number, told)
        assert sum(line.get("recovered", False) for line in after.of("fragment")) == 1
        assert len(after.of("stop")) == 1
    assert number > 15


def test_what_was_found_is_forgotten_only_when_it_is_on_record(device, make):
    """Announced within a larger batch, as an enrolment is: the note of what was found stays until that is durable."""
    device.edit(SEGMENT, lambda data: data + b'{"torn')
    files = device.files.after_cut()
    media = MediaFiles(STATE / "media", files)
    recovered = recover(device.folder, make.origin, make.key, files, media)
    scribe = Scribe(recovered.journal, media, device.clock, device.chance.randbytes)
    with scribe.batch():
        announce(scribe, recovered, "1.0", "test")
        assert "findings" in files.list(device.folder)
    assert "findings" not in files.list(device.folder)


def test_a_deletion_that_was_cut_off_is_finished(device):
    recording = device.record(2, stop=True)
    device.cosign()
    device.files.cut_at = device.files.count + 5
    with pytest.raises(PowerCut):
        device.scribe.purge(recording, "age", "00" * 32)
    after = device.on(device.files.after_cut(fate=lambda data: data))
    after.start()
    assert len(after.of("purge")) == 1
    assert after.media.recordings() == []
    assert after.of("boot")[-1]["lost"] == {}


def test_what_is_lost_fits_into_its_line(device, make):
    for number in range(30):
        device.record(1)
        unlined(device, device.of("start")[-1]["recording"], b"t" * (number + 1))
        device = device.again()
    assert all(len(json.dumps(boot["lost"])) < 1024 for boot in device.of("boot"))
