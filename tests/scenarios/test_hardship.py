"""Things that happen to a recorder on a chest: the camera's cable comes off, the battery runs out. What is lost is said."""

from __future__ import annotations

import pytest

from tests.agent.running import lines, wait_for


@pytest.mark.timeout(600)
def test_the_camera_comes_off_and_the_battery_runs_out(world):
    recorder, state = world.recorder, world.state
    recorder.lamp("ready")
    recorder.do("/gesture/start")
    recorder.line("fragment", 6)

    # the cable comes off: sound goes on, the officer feels it, and the lamp does not look like the end of the recording
    recorder.do("/fault/camera/on")
    recorder.line("camera")
    wait_for(lambda: "! camera lost" in recorder.page.get("/state").json()["screen"], "the loss on the screen")
    assert recorder.page.get("/state").json()["lamp"] == "recording"
    before = len(lines(state, "fragment"))
    recorder.line("fragment", before + 4)

    # it is put back: the picture goes on in a track of its own
    recorder.do("/fault/camera/off")
    recorder.line("camera", 2)
    wait_for(lambda: "! camera lost" not in recorder.page.get("/state").json()["screen"], "the loss to leave the screen")
    recorder.line("fragment", len(lines(state, "fragment")) + 4)
    told = [line["event"] for line in lines(state, "camera")]
    assert [event for event in told if event.startswith("camera")] == ["camera-lost", "camera-back"]

    # the battery: low is said, empty ends the recording while it can be ended properly, and nothing begins any more
    recorder.do("/battery/10")
    recorder.line("power", 2)
    recorder.do("/battery/2")
    recorder.line("stop")
    assert [line["event"] for line in lines(state, "power")] == ["good", "low", "critical"]
    assert lines(state, "stop")[0]["trigger"] == "power"
    recorder.lamp("alarm")
    recorder.do("/gesture/start")
    recorder.do("/battery/100?charging=true")
    recorder.lamp("ready")
    assert len(lines(state, "start")) == 1

    # the expert: genuine and whole as far as it goes, and the seconds without a picture are stated
    recording = lines(state, "start")[0]["recording"]
    wait_for(lambda: recorder.receipts() == {recording}, f"the receipt: {recorder.words()}")
    gaps = [line for line in lines(state, "gap") if line["recording"] == recording]
    assert {line["reason"] for line in gaps} == {"camera"}
    assert len({line["track"] for line in lines(state, "track")}) >= 2
    assert world.verified(recording)["verdict"] == "intact"
