"""Clocks and sensors that fail under a recorder that runs: a line in the journal, a signal to the officer, one in `status`."""

from __future__ import annotations

import pytest

from simulators.hostile.arena import Arena, Unit
from tests.scenarios.hostile.telling import events, tell, told

YEAR_MS = 365 * 86_400_000
pytestmark = pytest.mark.timeout(600)


def test_a_clock_that_begins_in_1970_and_jumps_is_on_record_and_starred(tmp_path):
    async def story(arena: Arena, one: Unit) -> None:
        assert one.lines("boot")[0]["at"] < YEAR_MS
        one.host.world.order("clock", "trust", source="none", error_ms=0)
        await arena.until("the star", lambda: any(line.endswith("*") for line in one.host.signal["screen"]))
        await one.press_start()
        await one.recorded(1)
        count = len(one.lines("clock"))
        for offset in (YEAR_MS, -YEAR_MS, -3_600_000):  # a year ahead, a year back, an hour back in the middle of a recording
            one.host.world.order("clock", "set", offset_ms=offset)
            count += 1
            await arena.until("the step on record", lambda count=count: len(one.lines("clock")) >= count)
        await one.recorded(1)
        await one.press_stop()
        recording = [line for line in one.lines() if line.get("recording") == one.recordings()[0]]
        assert [line["n"] for line in recording] == list(range(len(recording)))
        assert [line["up"] for line in recording] == sorted(line["up"] for line in recording)
        assert not one.lines("gap")

    tell(tmp_path, story, board={"clock": {"driver": "simulators.clock:SimulatedClock", "wall_ms": 0}})


def test_a_microphone_that_comes_off_is_told_and_the_picture_goes_on(tmp_path):
    async def story(arena: Arena, one: Unit) -> None:
        await one.press_start()
        await one.recorded(1)
        one.host.set_fault("microphone", broken=True)
        await arena.until("the loss on record", lambda: "microphone-lost" in events(one, "camera"))
        await told(arena, one, "microphone lost")
        await one.recorded(2)
        one.host.set_fault("microphone", broken=False)
        await arena.until("the return on record", lambda: "microphone-back" in events(one, "camera"))
        await one.press_stop()
        assert {line["reason"] for line in one.lines("gap")} == {"microphone"}

    tell(tmp_path, story, board={"microphone": {"driver": "simulators.microphone:ToneMicrophone"}})
