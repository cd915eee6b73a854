"""Supplies that end under a recorder that runs: a line in the journal, a signal to the officer, one in `status`."""

from __future__ import annotations

import pytest

from simulators.hostile.arena import Arena, Unit
from tests.scenarios.hostile.telling import events, lamp, of, over, refused, tell, told, whole_recording

pytestmark = pytest.mark.timeout(600)


def test_a_battery_that_runs_low_out_and_is_charged_again(tmp_path):
    async def story(arena: Arena, one: Unit) -> None:
        name = await one.press_start()
        await one.recorded(1)
        one.host.set_battery(10, charging=False)
        await told(arena, one, "battery low: 10 %")
        await lamp(arena, one, "recording")
        after = one.host.number
        one.host.set_battery(2, charging=False)
        await arena.until("the end by itself", one.recordings)
        assert one.lines("stop")[-1]["trigger"] == "power"
        assert not [line for line in of(one, name) if line["kind"] == "gap"]
        await told(arena, one, "battery critical: 2 %", after)
        await lamp(arena, one, "alarm")
        await refused(arena, one)
        one.host.set_battery(2, charging=True)
        await over(arena, one, "! battery")
        await lamp(arena, one, "ready")
        await whole_recording(one)
        after = one.host.number
        one.host.world.order("power", "set", percent=None, charging=None)
        await told(arena, one, "the battery does not answer", after)
        assert events(one, "power") == ["good", "low", "critical", "charging", "unknown"]

    tell(tmp_path, story)


def test_a_battery_that_is_gone_in_a_recording_costs_a_stated_end(tmp_path):
    async def story(arena: Arena, one: Unit) -> None:
        name = await one.press_start()
        await one.recorded(2)
        await one.host.power_off()
        await lamp(arena, one, "off")
        await arena.until("its last will", lambda: _is_off(arena, one))
        await one.host.power_on()
        await arena.until("the next start", lambda: len(one.lines("boot")) == 2)
        boot = one.lines("boot")[1]
        assert (boot["clean"], boot["lost"]["unfinished"]) == (False, 1)
        assert one.recordings() == [name]
        assert one.lines("stop")[-1]["trigger"] == "power"
        assert {line["reason"] for line in of(one, name) if line["kind"] == "gap"} == {"power"}
        await one.ready()

    tell(tmp_path, story)


def test_sigterm_in_a_recording_ends_it_whole(tmp_path):
    async def story(arena: Arena, one: Unit) -> None:
        name = await one.press_start()
        await one.recorded(2)
        after = one.host.number
        await one.host.close()
        assert one.lines("stop")[-1]["trigger"] == "signal"
        assert not [line for line in of(one, name) if line["kind"] == "gap"]
        assert events(one, "power")[-1] == "shutdown"
        assert [event["text"] for event in one.host.events(after) if event["what"] == "vibration"] == ["long-long"]
        assert one.host.signal["lamp"] == "off"
        await arena.until("its farewell", lambda: _is_off(arena, one))
        await one.host.start()
        await arena.until("the next start", lambda: len(one.lines("boot")) == 2)
        assert (one.lines("boot")[1]["clean"], one.lines("boot")[1]["lost"]) == (True, {})
        await one.ready()

    tell(tmp_path, story)


async def _is_off(arena: Arena, one: Unit) -> bool:
    said = await arena.said(one, "status")
    return (said.get("online"), said.get("state")) == (False, "off")
