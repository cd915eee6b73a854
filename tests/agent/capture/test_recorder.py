"""Presses, orders and threads: what the officer does, and what the consumer of events may rely on."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from agent.capture.errors import CaptureError
from agent.capture.events import Event, FragmentMade, GapFound, Marked, RecordingStarted, RecordingStopped, TrackBegun
from agent.capture.recorder import Recorder
from agent.capture.settings import CaptureSettings
from agent.core import ulid
from agent.core.errors import SessionError

WAIT_S = 60


def of(world, kind):
    return [event for event in world.events if isinstance(event, kind)]


def press(world, button, seconds):
    world.recorder.press(button, True, world.clock.up_us())
    world.run(seconds)
    world.recorder.press(button, False, world.clock.up_us())


def test_a_short_press_starts_within_the_same_frame_period(make_world):
    world = make_world(settings=CaptureSettings(debounce_ms=0))
    world.run(3.21)
    world.recorder.press("record", True, world.clock.up_us())
    world.run(0.2)
    released_us = world.clock.up_us()
    world.recorder.press("record", False, released_us)
    (start,) = of(world, RecordingStarted)
    assert 0 <= start.up_us - released_us < 33_333
    assert start.trigger == "button"
    assert ulid.parse(start.recording)[0] == world.clock.wall_ms()


def test_debouncing_costs_its_own_time_and_no_more(make_world):
    world = make_world()
    world.run(3)
    press(world, "record", 0.2)
    released_us = world.clock.up_us()
    assert not of(world, RecordingStarted)
    world.run(0.2)
    (start,) = of(world, RecordingStarted)
    assert 30_000 <= start.up_us - released_us < 30_000 + 33_333


def test_a_long_press_stops_while_it_is_held_a_short_one_of_the_second_button_marks(make_world):
    world = make_world()
    world.run(3)
    press(world, "record", 0.2)
    world.run(1)
    press(world, "mark", 0.1)
    world.run(1)
    press(world, "record", 0.1)  # a start while recording is nothing
    world.run(1)
    assert world.recorder.state == "recording"
    press(world, "record", 1.5)
    world.run(1)
    assert world.recorder.state == "idle"
    (mark,) = of(world, Marked)
    assert mark.label == "button"
    (stop,) = of(world, RecordingStopped)
    assert stop.trigger == "button"
    assert world.alarms() == []


def test_gestures_are_settings(make_world):
    world = make_world(settings=CaptureSettings(start_by="panel:double", stop_by="panel:short", mark_by="", still_by="", double_ms=400))
    world.run(2)
    press(world, "panel", 0.1)
    world.run(0.1)
    press(world, "panel", 0.1)
    world.run(1)
    assert world.recorder.state == "recording"
    press(world, "panel", 0.1)
    world.run(2)
    assert world.recorder.state == "idle"


def test_orders_are_refused_where_the_state_does_not_know_them(make_world):
    world = make_world()
    for call in (world.recorder.mark, lambda: world.recorder.stop("remote")):
        with pytest.raises(SessionError):
            call()
    name = world.recorder.start("remote", continues="01J00000000000000000000000")
    with pytest.raises(SessionError):
        world.recorder.start("remote")
    world.recorder.mark("two persons left")
    (start,) = of(world, RecordingStarted)
    assert (start.recording, start.trigger, start.continues) == (name, "remote", "01J00000000000000000000000")
    assert of(world, Marked) == [Marked(name, "two persons left")]


@pytest.mark.parametrize("trigger", ["power", "storage"])
def test_without_power_or_space_it_ends_at_once_and_properly(make_world, trigger):
    world = make_world(settings=CaptureSettings(post_event_s=30))
    world.run(3)
    world.recorder.start("button")
    world.run(2)
    world.recorder.stop(trigger)
    world.run(1.5)
    assert of(world, RecordingStopped)[0].trigger == trigger
    last = of(world, FragmentMade)[-1]
    assert last.pts_ms + last.duration_ms == pytest.approx(5_000, abs=34)


def test_a_press_during_the_seconds_after_goes_on(make_world):
    world = make_world(settings=CaptureSettings(post_event_s=5))
    world.run(3)
    name = world.recorder.start("button")
    world.recorder.stop("button")
    world.run(2)
    assert world.recorder.start("button") == name
    world.run(10)
    assert world.recorder.state == "recording"
    world.recorder.stop("remote")
    world.run(7)
    assert [event.trigger for event in of(world, RecordingStopped)] == ["remote"]


def test_an_event_that_was_refused_comes_again_first(make_world):
    """A full disk, for a while: nothing is lost, nothing twice, nothing out of order."""
    world = make_world()
    taken: list[Event] = []
    refusing = [True]

    def emit(event: Event) -> None:
        if refusing[0]:
            raise OSError("no space left on device")
        taken.append(event)

    world.recorder = world.make(emit)
    world.run(2)
    world.recorder.start("button")
    world.run(3)
    assert world.recorder.faults >= 3
    refusing[0] = False
    world.run(8)
    assert [type(event) for event in taken[:3]] == [RecordingStarted, TrackBegun, FragmentMade]
    seqs = [event.seq for event in taken if isinstance(event, FragmentMade)]
    assert seqs == list(range(len(seqs)))


def test_a_start_comes_together_with_all_that_was_filmed_before_it(make_world):
    """Else a power cut in between costs the seconds before the press of a recording that somebody has been told of."""
    world = make_world()
    deliveries: list[list[Event]] = []

    @contextmanager
    def together():
        deliveries.append([])
        yield

    def emit(event: Event) -> None:
        deliveries[-1].append(event)

    world.recorder = world.make(emit, together)
    world.run(5)
    world.recorder.start("button")
    first = deliveries[-1]
    assert [type(event) for event in first[:3]] == [RecordingStarted, TrackBegun, FragmentMade]
    assert sum(event.duration_ms for event in first if isinstance(event, FragmentMade)) >= 3_000
    assert all(event.pre for event in first if isinstance(event, FragmentMade) and event.seq)


def test_another_thread_that_delivers_does_not_take_a_start_alone(make_world):
    """It may stand between two events of its own when the press comes."""
    world = make_world()
    taken: list[Event] = []
    pressed = []

    def emit(event: Event) -> None:
        taken.append(event)
        if isinstance(event, RecordingStarted):
            pressed.append(len(world.recorder._outbox))

    world.recorder = world.make(emit)
    world.run(5)
    outbox = world.recorder._outbox
    begin = world.recorder._record

    def record(brought) -> None:
        assert not any(isinstance(event, RecordingStarted) for event in outbox)
        begin(brought)

    world.recorder._record = record
    world.recorder.start("button")
    assert pressed[0] > 3, "all of it waits behind the start"


def test_what_a_slow_consumer_costs_is_counted_and_says_storage(make_world, decode):
    world = make_world(settings=CaptureSettings(queue_items=30))
    world.run(5)
    world.recorder.start("button")
    world.run(2)
    blocked = world.recorder.step
    world.recorder.step = lambda *_: False  # the encoding thread stands in `emit`
    world.recorder._delivering = True
    world.run(1.8)
    world.recorder._delivering = False
    world.recorder.step = blocked
    world.run(5)
    world.recorder.stop("button")
    world.run(2)
    gaps = [gap for gap in world.gaps() if gap[3] == "storage"]
    assert len(gaps) == 2  # of the picture, until the next key frame, and of the sound
    assert "media-dropped" in world.alarms()
    lost_ms = max(lost for _, _, lost, _ in gaps)
    seen = decode(world.file("front"))
    assert len(seen.pictures) == pytest.approx(13.8 * 30 - lost_ms * 30 / 1_000, abs=1)
    assert seen.flashes[-1] == pytest.approx(12, abs=0.001)
    assert seen.beeps[-1] == pytest.approx(12, abs=0.005)


def test_a_frame_without_content_is_a_frame_that_is_not_there(make_world):
    world = make_world()
    world.run(5)
    world.recorder.start("button")
    world.run(2.5)
    world.clip = type(world.clip)(world.clip.extradata, (*world.clip.frames[:70], (b"", False), *world.clip.frames[71:]))
    world.run(5)
    world.recorder.stop("button")
    world.run(2)
    assert of(world, RecordingStopped)
    assert world.gaps() == [("front", 10_333, 34, "camera")]  # frame 310, the first that came empty


def test_a_muxer_that_refuses_begins_another_track_and_tells_what_is_missing(make_world, decode, monkeypatch):
    from agent.capture.errors import MuxError
    from agent.capture.fragmenter import Fragmenter

    world = make_world()
    world.run(5)
    world.recorder.start("button")
    world.run(2.5)
    honest, broken = Fragmenter.picture, [True]

    def refuse(self, picture):
        if broken[0]:
            broken[0] = False
            raise MuxError("muxer: a packet at 1/90000 s was refused: no memory")
        return honest(self, picture)

    monkeypatch.setattr(Fragmenter, "picture", refuse)
    world.run(5)
    world.recorder.stop("button")
    world.run(2)
    assert world.alarms() == ["encoder-fault"]
    assert [track.track for track in world.tracks()] == ["front", "front-2"]
    end_ms = world.fragments("front")[-1].pts_ms + world.fragments("front")[-1].duration_ms
    assert ("front", end_ms, world.fragments("front-2")[1].pts_ms - end_ms, "encoder") in [("front", *gap[1:]) for gap in world.gaps()]
    assert decode(world.file("front-2")).flashes


def test_the_settings_say_what_is_wrong():
    for chosen, says in (
        ({"pre_event_s": 121}, "pre_event_s: expected 0 to 120, got 121"),
        ({"fragment_ms": 100}, "fragment_ms: expected 500 to 4000, got 100"),
        ({"track": "Front!"}, "track: expected lower-case letters"),
        ({"stop_by": "record"}, "stop_by: expected <button>:<short|long|double>"),
    ):
        with pytest.raises(CaptureError, match="capture setting " + says.replace("|", r"\|")):
            CaptureSettings(**chosen)


def test_nothing_to_record_with_is_refused(make_world):
    with pytest.raises(CaptureError, match="expected a camera or a microphone, got neither"):
        Recorder(None, None, make_world().clock, CaptureSettings(), print, None)


def test_a_consumer_may_stop_the_recording_out_of_its_own_call(make_world):
    """The disk is full: the journal says so while it is given a fragment."""
    world = make_world()
    stopped: list[Event] = []

    def emit(event: Event) -> None:
        world.events.append(event)
        if isinstance(event, FragmentMade) and event.seq == 3 and not stopped:
            stopped.append(event)
            world.recorder.stop("storage")

    world.recorder = world.make(emit)
    world.run(2)
    world.recorder.start("button")
    world.run(8)
    assert isinstance(world.events[-1], RecordingStopped)
    assert world.events[-1].trigger == "storage"
    assert not [event for event in world.events if isinstance(event, GapFound) and event.reason == "encoder"]


def test_a_ring_that_is_short_of_memory_is_told_once_and_before_anybody_presses(make_world, monkeypatch):
    monkeypatch.setattr("agent.capture.intake.MIB", 65_536)  # the clip is a small one
    world = make_world(settings=CaptureSettings(pre_event_s=120, pre_event_mib=1))
    world.run(60)
    assert world.alarms() == ["ring-short"]
