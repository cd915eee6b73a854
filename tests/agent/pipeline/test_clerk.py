"""What goes on record together, in which order, and what a refusing disk leads to."""

from __future__ import annotations

import errno
import threading
from typing import Any

import pytest

from agent.capture.events import Alarm, GapFound, RecordingStarted, RecordingStopped, TrackBegun
from agent.pipeline.tray import ROOM_BYTES, Entry, Tray

RECORDING = "01HZY0000000000000000000AB"
OTHER = "01HZY0000000000000000000CD"


def test_a_recording_goes_on_record_in_the_order_it_was_made(bench, make_fragment, make_mark):
    bench.start()
    bench.write(make_fragment(1), make_mark(), make_fragment(2))
    bench.stop()
    assert bench.kinds() == ["start", "track", "fragment", "fragment", "mark", "fragment", "stop"]
    assert [line["n"] for line in bench.lines()] == list(range(7))
    assert [what for what, _ in bench.happened] == ["start", "mark", "stop"]


def test_the_start_line_names_the_officer_whose_number_is_in_the_picture(bench):
    bench.start()
    assert bench.lines("start")[0]["officer"] == "100007"


def test_what_waits_shares_one_append(bench, make_fragment, make_mark, make_fix):
    bench.start()
    bench.appends.clear()
    bench.clerk.seen(make_fix())
    bench.write(make_fragment(1), make_mark())
    assert bench.appends == [3]
    assert bench.kinds()[-3:] == ["fragment", "mark", "fix"]


def test_a_recording_is_running_once_its_start_is_on_the_disk(bench):
    assert not bench.clerk.running
    bench.start()
    running = bench.clerk.running
    assert running.recording == RECORDING
    bench.stop()
    assert bench.clerk.running is None


# --------------------------------------------------------------------------- positions


def test_a_position_alone_waits_a_second_for_company(bench, make_fix):
    bench.start()
    bench.clerk.seen(make_fix())
    assert bench.clerk.step() == ""
    bench.clock.advance(1.0)
    assert bench.clerk.step() == "wrote 1"
    assert bench.kinds()[-1] == "fix"


def test_positions_go_on_record_while_recording_only(bench, make_fix):
    bench.clerk.seen(make_fix())
    bench.clock.advance(5.0)
    bench.clerk.step()
    assert "fix" not in bench.kinds()
    bench.start()
    bench.clerk.step()
    assert bench.kinds().count("fix") == 1


def test_a_position_that_stays_is_written_once(bench, make_fix, make_fragment):
    bench.start()
    for number in range(1, 6):
        bench.clerk.seen(make_fix(lat=7))
        bench.write(make_fragment(number))
        bench.clock.advance(1.0)
    assert len(bench.lines("fix")) == 1
    bench.clerk.seen(make_fix(lat=8))
    bench.write(make_fragment(6))
    assert len(bench.lines("fix")) == 2


# --------------------------------------------------------------------------- beacons


def test_the_newest_beacon_stands_just_before_a_start_and_governs_it(bench):
    bench.clerk.known_beacon = "evidence.example.gov/ledger\n5\nAAAA\n"
    bench.start()
    bench.stop()
    bench.start(OTHER)
    bench.stop(OTHER)
    bench.clerk.known_beacon = "evidence.example.gov/ledger\n6\nAAAA\n"
    bench.start("01HZY0000000000000000000EF")
    kinds = bench.kinds()
    assert kinds[:2] == ["beacon", "start"]
    assert kinds.count("beacon") == 2
    assert kinds[kinds.index("beacon", 1) + 1] == "start"
    assert len(bench.lines("start")[0]["governing"]) == 2


# --------------------------------------------------------------------------- entries without meaning


def test_an_event_without_meaning_costs_itself_only(bench, make_fragment, make_mark):
    bench.start()
    bench.write(make_fragment(1), make_fragment(7), make_mark(recording=OTHER), make_fragment(2), make_mark())
    assert bench.kinds()[-3:] == ["fragment", "fragment", "mark"]
    assert bench.clerk.refused["OutOfOrder"] == 2


def test_who_waits_for_an_entry_is_told_even_when_it_is_refused(bench):
    told = []
    bench.clerk.post(Entry(lambda scribe: scribe.mark(RECORDING, "x"), durable=lambda: told.append(1)))
    bench.clerk.step()
    assert told == [1]
    assert bench.clerk.refused["OutOfOrder"] == 1


def test_what_hears_of_an_entry_hears_it_after_the_disk(bench):
    sizes = []
    bench.clerk.post(Entry(lambda scribe: scribe.order(3, "locate", "done"), durable=lambda: sizes.append(bench.journal.size)))
    before = bench.journal.size
    bench.clerk.step()
    assert sizes == [before + 1]


def test_alarms_of_the_devices_are_lines(bench):
    bench.write(Alarm("camera-lost", "unplugged"))
    assert bench.lines("camera")[0]["event"] == "camera-lost"
    assert bench.happened == [("alarm", "camera-lost")]


# --------------------------------------------------------------------------- a disk that refuses


def shown(clerk: Any) -> Any:
    return clerk.under_way


def refuse(bench, code=errno.ENOSPC):
    bench.files.fault = lambda operation: code if operation.name == "append" else None


def allow(bench):
    bench.files.fault = None
    bench.clock.advance(2.0)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_refusing_disk_ends_the_recording_and_the_loss_is_said(bench, make_fragment, code):
    bench.start()
    bench.write(make_fragment(1))
    before = bench.journal.size
    refuse(bench, code)
    bench.write(make_fragment(2), make_fragment(3))
    assert bench.journal.size == before
    assert [what for what, _ in bench.happened][-1] == "storage"
    allow(bench)
    # the recorder was told to stop; what it still had is lost as well, because a hole in the middle must not look whole
    bench.write(make_fragment(4), RecordingStopped(RECORDING, "storage"))
    bench.clerk.step()
    assert bench.kinds()[-2:] == ["gap", "stop"]
    gap, stop = bench.lines()[-2:]
    assert (gap["track"], gap["from"], gap["lost"], gap["reason"]) == ("front", 1_000, 3_000, "storage")
    assert stop["trigger"] == "storage"
    assert stop["tracks"][0]["fragments"] == 2
    assert bench.clerk.running is None


def test_a_recording_that_could_not_even_start_leaves_the_refusal_alone(bench, make_fragment):
    refuse(bench)
    bench.start()
    bench.write(make_fragment(1), RecordingStopped(RECORDING, "storage"))
    allow(bench)
    bench.clerk.step()
    bench.clerk.step()
    assert bench.kinds() == ["storage"]
    bench.start(OTHER)
    bench.stop(OTHER)
    assert bench.kinds()[1:] == ["start", "track", "fragment", "stop"]


def test_a_refusal_is_not_over_before_the_disk_has_taken_something(bench):
    """Where nothing of the recording is on record there is nothing to pay, and that proves nothing about the disk."""
    refuse(bench, errno.EROFS)
    bench.start()
    bench.write(RecordingStopped(RECORDING, "storage"))
    for _ in range(3):
        bench.clock.advance(2.0)
        bench.clerk.step()
    assert bench.clerk.trouble
    assert ("storage-over", "") not in bench.happened
    allow(bench)
    bench.clerk.step()
    assert bench.happened[-1] == ("storage-over", "")


def test_a_recording_that_the_disk_refuses_is_no_recording_for_lamp_and_status(bench: Any, make_fragment):
    bench.start()
    assert bench.clerk.under_way == bench.clerk.running
    refuse(bench, errno.EIO)
    bench.write(make_fragment(1))
    assert bench.clerk.under_way is None
    allow(bench)
    bench.clerk.step()
    assert not bench.clerk.trouble
    assert bench.clerk.running  # its end is not on record yet, and nothing of it is kept any more
    assert bench.clerk.under_way is None
    bench.stop()
    bench.start(OTHER)
    assert shown(bench.clerk).recording == OTHER


def test_a_refusal_is_on_record_once_the_disk_is_back(bench, make_fragment):
    bench.start()
    refuse(bench, errno.EIO)
    since = bench.clock.up_us() // 1_000
    bench.write(make_fragment(1))
    bench.clock.advance(5.0)
    bench.write(make_fragment(2), RecordingStopped(RECORDING, "storage"))
    allow(bench)
    bench.clerk.step()
    (line,) = bench.lines("storage")
    assert (line["event"], line["error"], line["since"], line["recording"]) == ("failed", "EIO", since, RECORDING)
    assert line["entries"] >= 1
    assert bench.kinds()[-3:] == ["storage", "gap", "stop"]


def test_what_failed_while_the_disk_refused_is_said_once_it_is_back(bench):
    bench.start()
    refuse(bench)
    bench.clerk.alarm("microphone-silent", "microphone: samples do not change")
    bench.clerk.step()
    assert bench.lines("camera") == []
    allow(bench)
    bench.clerk.step()
    assert [line["event"] for line in bench.lines("camera")] == ["microphone-silent"]
    assert ("alarm", "microphone-silent") in bench.happened


def test_the_disk_is_asked_again_until_it_takes_the_end(bench, make_fragment):
    bench.start()
    refuse(bench)
    bench.write(make_fragment(1), RecordingStopped(RECORDING, "storage"))
    for _ in range(3):
        bench.clock.advance(2.0)
        bench.clerk.step()
    assert "stop" not in bench.kinds()
    assert bench.clerk.trouble
    allow(bench)
    bench.clerk.step()
    assert bench.kinds()[-1] == "stop"
    assert not bench.clerk.trouble
    assert bench.happened[-2:] == [("storage-over", ""), ("stop", RECORDING)]


def test_marks_and_gaps_of_a_lost_stretch_are_kept(bench, make_fragment, make_mark):
    bench.start()
    refuse(bench)
    bench.write(make_fragment(1), make_mark(label="knife"), GapFound(RECORDING, "front", 5_000, 400, "camera"))
    allow(bench)
    bench.write(RecordingStopped(RECORDING, "button"))
    bench.clerk.step()
    assert [line["label"] for line in bench.lines("mark")] == ["knife"]
    assert [(line["from"], line["lost"]) for line in bench.lines("gap")] == [(0, 5_400)]


def test_a_track_that_began_while_the_disk_refused_is_named_in_its_gap(bench, make_fragment):
    bench.start()
    refuse(bench)
    bench.write(make_fragment(1), TrackBegun(RECORDING, "front-2", "video/mp4", "avc1.64001f", 640, 360, 25, "test"))
    allow(bench)
    bench.write(RecordingStopped(RECORDING, "button"))
    bench.clerk.step()
    assert {line["track"] for line in bench.lines("gap")} == {"front", "front-2"}


def test_entries_wait_for_the_disk_and_are_not_lost(bench):
    refuse(bench)
    told = []
    bench.clerk.post(Entry(lambda scribe: scribe.order(3, "locate", "done"), durable=lambda: told.append(1)))
    bench.clerk.step()
    assert not told
    allow(bench)
    bench.clerk.step()
    bench.clerk.step()
    assert told == [1]
    assert bench.kinds() == ["storage", "order"]


# --------------------------------------------------------------------------- the tray


def test_capture_waits_when_the_disk_is_slow_and_nobody_else_does(make_fragment):
    tray = Tray(room_bytes=2_500)
    tray.put_when_room(make_fragment(1))
    tray.put_when_room(make_fragment(2))
    waiting = threading.Thread(target=tray.put_when_room, args=(make_fragment(3),))
    waiting.start()
    tray.put(Entry(lambda _scribe: None))
    assert waiting.is_alive()
    assert len(tray.take(0)) == 3
    waiting.join(30)
    assert not waiting.is_alive()
    assert len(tray.take(0)) == 1


def test_something_larger_than_the_room_goes_alone(make_fragment):
    tray = Tray(room_bytes=10)
    tray.put_when_room(make_fragment(1))
    assert len(tray.take(0)) == 1
    assert ROOM_BYTES > 30 * 1_000_000


def test_a_start_in_the_middle_of_a_batch_is_not_cut_off(bench, make_fragment):
    """The press comes with thirty fragments from before it: they may come in several appends, in order."""
    bench.emit(
        RecordingStarted(RECORDING, "button", 0, bench.clock.up_us()),
        TrackBegun(RECORDING, "front", "video/mp4", "avc1.64001f", 640, 360, 25, "test"),
        *(make_fragment(seq) for seq in range(400)),
    )
    bench.write()
    assert bench.kinds() == ["start", "track"] + ["fragment"] * 400
    assert len(bench.appends) == 2
