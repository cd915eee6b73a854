"""The threads and their drivers: what comes, what fails, and that it is tried again."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable

import pytest
from PIL import Image

from agent.capture.events import Alarm, Event, FragmentMade, RecordingStopped
from agent.capture.overlay import OverlayText
from agent.capture.recorder import Recorder
from agent.capture.settings import CaptureSettings
from hal.contracts import AudioChunk, AudioFormat, VideoFormat, VideoPacket
from hal.errors import DeviceFault, DeviceMissing, SignalLost

WAIT_S = 60


class Gate:
    """Lets a test wait until something is true of what another thread does."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    def wait(self, what: Callable[[], object]) -> None:
        with self.changed:
            assert self.changed.wait_for(what, WAIT_S), [type(event).__name__ for event in self.events]


class ScriptCamera:
    """Plays the clip as fast as it is read, pushing the clock; at a frame of `faults` it raises instead, once."""

    def __init__(self, clip, clock, faults, frames) -> None:
        self.clip, self.clock, self.faults, self.frames = clip, clock, dict(faults), frames
        self.number, self.starts, self.closed = 0, 0, 0
        self.painter: object = None

    def start(self, painter):
        self.starts += 1
        if "start" in self.faults:
            raise self.faults.pop("start")
        self.painter = painter
        return VideoFormat(320, 180, 30, self.clip.extradata, "script")

    def read(self, timeout_s):
        if self.number in self.faults:
            raise self.faults.pop(self.number)
        if self.number >= self.frames:
            threading.Event().wait(0.01)
            return None
        at_us = self.number * 1_000_000 // 30
        self.clock.now_us = max(self.clock.now_us, at_us)
        data, key = self.clip.at(self.number)
        self.number += 1
        return VideoPacket(data, at_us, at_us, key)

    def still(self):
        out = io.BytesIO()
        Image.new("RGB", (64, 48)).save(out, "JPEG")
        return out.getvalue()

    def close(self):
        self.closed += 1


class ScriptMicrophone:
    """Silence along the clock."""

    def __init__(self, clock) -> None:
        self.clock, self.next = clock, 0

    def start(self):
        return AudioFormat(48_000, 1, "script")

    def read(self, timeout_s):
        at_us = self.next * 20_000
        if at_us > self.clock.now_us:
            threading.Event().wait(0.001)
            return None
        self.next += 1
        return AudioChunk(bytes(1_920), at_us)

    def close(self):
        pass


def recorder_of(world, camera, microphone, gate, **chosen):
    settings = CaptureSettings(retry_first_ms=1, retry_max_ms=2, **chosen)
    return Recorder(camera, microphone, world.clock, settings, gate.emit, OverlayText("DSJ0012", "012345"))


def fragments(gate, track="front"):
    return [event for event in gate.events if isinstance(event, FragmentMade) and event.track == track]


def test_threads_record_stills_included_and_end_cleanly(make_world, decode):
    world, gate = make_world(), Gate()
    camera = ScriptCamera(world.clip, world.clock, {}, 200)
    recorder = recorder_of(world, camera, ScriptMicrophone(world.clock), gate)
    before = threading.active_count()
    recorder.start("button")
    recorder.run_in_threads()
    gate.wait(lambda: len(fragments(gate)) >= 5)
    recorder.still()
    gate.wait(lambda: fragments(gate, "still-1"))
    recorder.close("shutdown")
    assert threading.active_count() == before
    assert camera.closed >= 1
    assert camera.painter is not None
    assert isinstance(gate.events[-1], RecordingStopped)
    assert Image.open(io.BytesIO(fragments(gate, "still-1")[0].data)).size == (64, 48)
    seen = decode(b"".join(fragment.data for fragment in fragments(gate)))
    assert len(seen.pictures) >= 150
    recorder.close()


@pytest.mark.parametrize("fault", [DeviceFault("camera: gone"), SignalLost("camera: no picture"), ZeroDivisionError("a driver's mistake")])
def test_a_camera_that_fails_is_begun_again_for_ever(make_world, fault):
    world, gate = make_world(), Gate()
    camera = ScriptCamera(world.clip, world.clock, {"start": DeviceMissing("camera: not there yet"), 100: fault}, 240)
    recorder = recorder_of(world, camera, None, gate)
    recorder.start("button")
    recorder.run_in_threads()
    try:
        gate.wait(lambda: sum(isinstance(event, Alarm) and event.event == "camera-back" for event in gate.events) == 2)
        gate.wait(lambda: any(isinstance(event, FragmentMade) and event.pts_ms >= 6_000 for event in gate.events))
    finally:
        recorder.close()
    alarms = [event.event for event in gate.events if isinstance(event, Alarm)]
    assert alarms == ["camera-lost", "camera-back", "camera-lost", "camera-back"]
    assert camera.starts == (2 if isinstance(fault, SignalLost) else 3)
    if isinstance(fault, ZeroDivisionError):
        assert sum(reader.faults for reader in recorder.readers) == 1


@pytest.mark.parametrize("answer", [b"", b"\xff\xd8 no jpeg", DeviceFault("camera: still failed")])
def test_a_still_that_fails_is_an_alarm(make_world, monkeypatch, answer):
    world, gate = make_world(), Gate()
    camera = ScriptCamera(world.clip, world.clock, {}, 30)

    def still() -> bytes:
        if isinstance(answer, bytes):
            return answer
        raise answer

    monkeypatch.setattr(camera, "still", still)
    recorder = recorder_of(world, camera, None, gate)
    recorder.start("button")
    recorder.run_in_threads()
    gate.wait(lambda: fragments(gate))
    recorder.still()
    recorder.close()
    assert [event.event for event in gate.events if isinstance(event, Alarm)] == ["still-failed"]
    assert not fragments(gate, "still-1")


def test_a_still_needs_a_recording_and_a_camera_that_is_here(make_world):
    """What a camera that is away has in its memory shows another moment."""
    world, gate = make_world(), Gate()
    recorder = recorder_of(world, ScriptCamera(world.clip, world.clock, {}, 0), None, gate)
    recorder.still()
    recorder.start("button")
    recorder.still()
    recorder.close()
    details = [event.detail for event in gate.events if isinstance(event, Alarm)]
    assert [detail.split(",")[0] for detail in details] == ["still: expected an open recording", "still: expected a picture of this moment"]


def test_a_press_does_not_wait_for_a_slow_disk(make_world):
    """The consumer stands still with a fragment; the officer's mark is taken all the same and comes after it."""
    world, gate = make_world(), Gate()
    blocked, go_on = threading.Event(), threading.Event()

    def emit(event: Event) -> None:
        if isinstance(event, FragmentMade) and event.seq == 2:
            blocked.set()
            assert go_on.wait(WAIT_S)
        gate.emit(event)

    camera = ScriptCamera(world.clip, world.clock, {}, 200)
    recorder = Recorder(camera, None, world.clock, CaptureSettings(), emit, None)
    recorder.start("button")
    recorder.run_in_threads()
    assert blocked.wait(WAIT_S)
    recorder.mark("here")
    recorder.stop("storage")
    go_on.set()
    gate.wait(lambda: gate.events and isinstance(gate.events[-1], RecordingStopped))
    kinds = [type(event).__name__ for event in gate.events]
    assert kinds.index("Marked") > kinds.index("FragmentMade")
    assert [event.seq for event in fragments(gate)] == list(range(len(fragments(gate))))
    recorder.close()
