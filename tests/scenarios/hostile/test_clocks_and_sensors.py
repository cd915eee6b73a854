"""Clocks and sensors that fail under a recorder that runs: a line in the journal, a signal to the officer, one in `status`."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from simulators.hostile.arena import Arena, Unit
from tests.scenarios.hostile.telling import events, over, tell, told

DAY_MS = 86_400_000
YEAR_MS = 365 * DAY_MS
ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.timeout(600)

CLOCK = {"driver": "simulators.clock:SimulatedClock"}
NOBODYS = {**CLOCK, "source": "none", "error_ms": 0}
LOCATOR = {"driver": "simulators.locator:ReplayLocator", "log": "quectel-eg25-g"}
MICROPHONE = {"driver": "simulators.microphone:ToneMicrophone", "buffer_ms": 20_000}
FILM = {"driver": "simulators.camera:FileCamera"}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def number(one: Unit) -> int:
    """Of the newest thing that was felt: what comes after it is another."""
    return one.host.number


def gaps(one: Unit) -> list[tuple[str, int]]:
    return [(line["reason"], line["lost"]) for line in one.lines("gap")]


def said_of(one: Unit, device: str) -> list[str]:
    """Events of one device. On a machine that is busy with other things the recorder loses samples, and says that as well."""
    return [event for event in events(one, "camera") if event.startswith(device)]


def in_order(one: Unit, recording: str) -> None:
    """The recording's lines are complete and in order by `up`, whatever the wall clock said meanwhile."""
    lines = [line for line in one.lines() if line.get("recording") == recording]
    assert [line["n"] for line in lines] == list(range(len(lines)))
    assert all(before["up"] <= after["up"] for before, after in pairwise(lines))


async def verified(arena: Arena, recording: str) -> dict[str, Any]:
    """What an expert says of its package who has the agency's keys."""
    await arena.settled()
    server = f"http://127.0.0.1:{arena.deployment.ports.console}"
    made = await _typed("export", recording, "-o", str(arena.data / "packages"), "--server", server, "--json")
    keys = [word for key in arena.deployment.keys_file.read_text().split() for word in ("--key", key)]
    return await _typed("verify", made["package"], *keys, "--json")


async def _typed(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "zhilu.py", *arguments]
    done = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def stepped(arena: Arena, one: Unit, offset_ms: int) -> dict[str, Any]:
    """Set the clock; the `clock` line that says so."""
    count = len(one.lines("clock"))
    one.host.world.order("clock", "set", offset_ms=offset_ms)
    await arena.until(f"a step to {offset_ms} ms on record", lambda: len(one.lines("clock")) > count)
    line: dict[str, Any] = one.lines("clock")[-1]
    return line


# --------------------------------------------------------------------------- clocks


def test_a_clock_that_begins_in_1970_is_known_to_be_wrong_until_a_satellite_vouches_and_the_bounds_are_right(tmp_path):
    async def story(arena: Arena, one: Unit) -> None:
        assert one.lines("boot")[0]["at"] < YEAR_MS
        assert (one.lines("clock")[0]["source"], one.lines("clock")[0]["offset"]) == ("none", 0)
        await told(arena, one, "clock behind by more than a year")
        assert any(line.endswith("*") for line in one.host.signal["screen"])
        began_ms = now_ms()
        recording = await one.press_start()
        await one.recorded(2)
        await arena.until("a satellite's word", lambda: one.lines("clock")[-1]["source"] == "gnss")
        line = one.lines("clock")[-1]
        assert abs(line["at"] - line["offset"] - now_ms()) < 60_000 + line["error"]
        await one.press_stop()
        assert one.lines("stop")[-1]["at"] < YEAR_MS
        in_order(one, recording)
        said = await verified(arena, recording)
        assert said["verdict"] == "intact"
        assert began_ms - 120_000 < said["not_before"] < said["not_after"] < now_ms() + 1_000  # by the server's clock, on the same machine
        assert "earlier than possible" in json.dumps(said["checks"])

    def clouds(state: Path) -> None:
        steps = ((0, "lose"), (20, "find"))
        text = "\n".join(f'[[step]]\nat = {at}\nto = "locator"\ndo = "{verb}"\n' for at, verb in steps)
        (state / "clouds.toml").write_text(text)

    board = {"clock": {**NOBODYS, "wall_ms": 0}, "locator": {**LOCATOR, "script": "./clouds.toml"}}
    tell(tmp_path, story, prepare=clouds, board=board)


def test_a_clock_that_jumps_a_year_either_way_and_back_in_a_recording_is_on_record_and_changes_nothing_else(tmp_path):
    async def story(arena: Arena, one: Unit) -> None:
        first = await one.press_start()
        await one.recorded(1)
        await one.press_stop()
        await arena.settled()
        second = await one.press_start()
        for offset_ms, words in (
            (YEAR_MS + DAY_MS, "clock ahead by more than a year"),
            (-YEAR_MS - DAY_MS, "clock behind by more than a year"),
            (-DAY_MS // 23, "clock behind by more than an hour"),
        ):
            before = number(one)
            line = await stepped(arena, one, offset_ms)
            assert abs(line["offset"] - offset_ms) < 1_000
            assert line["recording"] == second
            await told(arena, one, words, before)
            assert one.host.signal["lamp"] == "recording"
            if offset_ms > 0:
                await one.recorded(12)  # twice as long as the purge daemon looks away
        await stepped(arena, one, 0)
        await over(arena, one, "clock behind")
        await one.press_stop()
        in_order(one, second)
        assert one.lines("purge") == []
        assert (one.folder / "media" / first).is_dir()
        assert (await verified(arena, second))["verdict"] == "intact"

    tell(tmp_path, story, board={"clock": CLOCK}, storage={"keep_days": 7})


def test_a_clock_that_nobody_vouches_for_is_felt_when_it_jumps(tmp_path):
    async def story(arena: Arena, one: Unit) -> None:
        recording = await one.press_start()
        before = number(one)
        assert (await stepped(arena, one, 3_600_000))["source"] == "none"
        await told(arena, one, "the clock jumped", before)
        await one.recorded(1)
        await one.press_stop()
        in_order(one, recording)

    tell(tmp_path, story, board={"clock": NOBODYS})


def test_a_clock_that_drifts_is_on_record_to_the_step_and_felt_when_a_second_shown_is_wrong(tmp_path):
    """3 s a day are 35 ppm; here it is 10,000 times as fast, 0.35 s a second, so that hours pass in seconds."""

    async def story(arena: Arena, one: Unit) -> None:
        recording = await one.press_start()
        one.host.world.order("clock", "drift", ppm=350_000)
        await told(arena, one, "clock ahead by more than some seconds")
        assert any(line.endswith("*") for line in one.host.signal["screen"])
        await one.press_stop()
        in_order(one, recording)
        offsets = [line["offset"] for line in one.lines("clock") if line.get("recording") == recording]
        assert offsets == sorted(offsets)
        assert len(offsets) >= 3
        # looked at once a second: a step of 500 ms, and what it drifts until the next look (which a busy machine may have late)
        assert max(after - before for before, after in pairwise(offsets)) < 3_000
        assert (await verified(arena, recording))["verdict"] == "intact"

    tell(tmp_path, story, board={"clock": CLOCK})


def test_a_clock_that_loses_time_is_found_out_by_the_cosignatures_though_nobody_vouches_for_it(tmp_path):
    async def story(arena: Arena, one: Unit) -> None:
        recording = await one.press_start()
        one.host.world.order("clock", "drift", ppm=-500_000)
        await told(arena, one, "clock behind by more than some seconds")
        await one.press_stop()
        in_order(one, recording)
        assert {line["source"] for line in one.lines("clock")} == {"none"}

    tell(tmp_path, story, board={"clock": NOBODYS})


# --------------------------------------------------------------------------- camera, microphone, encoder


def test_a_camera_that_comes_off_is_told_and_the_recording_goes_on_when_it_is_back(tmp_path):
    async def story(arena: Arena, one: Unit) -> None:
        recording = await one.press_start()
        await one.recorded(2)
        before = number(one)
        one.host.set_fault("camera", broken=True)
        await told(arena, one, "camera lost", before)
        assert one.host.signal["lamp"] == "recording"
        assert said_of(one, "camera") == ["camera-lost"]
        one.host.set_fault("camera", broken=False)
        await over(arena, one, "camera lost")
        await one.recorded(3)
        await one.press_stop()
        assert said_of(one, "camera") == ["camera-lost", "camera-back"]
        went, came = (line["up"] for line in one.lines("camera") if line["event"].startswith("camera"))
        assert sum(lost for reason, lost in gaps(one) if reason == "camera") >= came - went - 300
        in_order(one, recording)
        assert (await verified(arena, recording))["verdict"] == "intact"

    tell(tmp_path, story)


def test_a_microphone_that_comes_off_is_told_and_the_picture_goes_on(tmp_path):
    async def story(arena: Arena, one: Unit) -> None:
        await one.press_start()
        await one.recorded(1)
        before = number(one)
        one.host.set_fault("microphone", broken=True)
        await told(arena, one, "microphone lost", before)
        await one.recorded(2)
        one.host.set_fault("microphone", broken=False)
        await over(arena, one, "microphone lost")
        await one.press_stop()
        assert said_of(one, "microphone") == ["microphone-lost", "microphone-back"]
        assert "microphone" in {reason for reason, _ in gaps(one)}

    tell(tmp_path, story, board={"microphone": MICROPHONE})


def test_a_microphone_that_hears_nothing_is_told_and_nothing_is_missing(tmp_path):
    async def story(arena: Arena, one: Unit) -> None:
        await one.press_start()
        await one.recorded(4)  # a hum of 60 steps is no silence
        assert said_of(one, "microphone") == []
        before = number(one)
        one.host.world.order("microphone", "mute")
        await told(arena, one, "microphone silent", before)
        await one.press_stop()
        second = await one.press_start()
        await arena.until("the second recording to say it too", lambda: len(said_of(one, "microphone")) == 2)
        silent = [line for line in one.lines("camera") if line["event"] == "microphone-silent"]
        assert silent[-1]["recording"] == second
        one.host.world.order("microphone", "unmute")
        await over(arena, one, "microphone silent")
        await one.press_stop()
        assert said_of(one, "microphone") == ["microphone-silent", "microphone-silent", "microphone-back"]
        back = next(line for line in one.lines("camera") if line["event"] == "microphone-back")
        assert sum(lost for reason, lost in gaps(one) if reason == "microphone") < (back["up"] - silent[0]["up"]) // 2  # silent is not lost
        assert (await verified(arena, second))["verdict"] == "intact"

    tell(tmp_path, story, board={"microphone": MICROPHONE}, capture={"pre_event_s": 2, "silent_after_s": 2})


def test_an_encoder_that_is_slower_than_real_time_costs_frames_that_are_told_and_no_memory(tmp_path):
    """25 raw pictures of 345,600 bytes a second come, 3 are encoded: 170 MB would wait after 20 s."""

    async def story(arena: Arena, one: Unit) -> None:
        recording = await one.press_start()
        await one.recorded(3)
        before, held = number(one), _resident(one)
        one.host.world.order("camera", "slow", ms=300)
        await told(arena, one, "pictures or sound are being lost", before)
        slow_ms = one.lines("camera")[0]["up"]
        await arena.until("20 s of it", lambda: any(line["up"] - slow_ms > 20_000 for line in one.lines("fragment")))
        assert _resident(one) - held < 64 << 20
        one.host.world.order("camera", "slow", ms=0)
        await over(arena, one, "pictures or sound are being lost")
        await one.recorded(2)
        await one.press_stop()
        assert said_of(one, "media")[:2] == ["media-dropped", "media-back"]
        assert sum(lost for reason, lost in gaps(one) if reason == "encoder") > 10_000
        in_order(one, recording)
        assert (await verified(arena, recording))["verdict"] == "intact"

    tell(tmp_path, story, board={"camera": FILM})


def _resident(one: Unit) -> int:
    """Bytes of memory that the agent holds."""
    pid = one.host.state()["pid"]
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmRSS:"))


# --------------------------------------------------------------------------- position


def test_a_receiver_that_stops_is_told_however_it_stops_and_the_lamp_stays_red(tmp_path):
    async def story(arena: Arena, one: Unit) -> None:
        await one.press_start()
        await arena.until("a position on record", lambda: one.lines("fix"))
        for how in ("hang", "lose"):
            before = number(one)
            one.host.world.order("locator", how)
            await told(arena, one, "no position", before)
            assert one.host.signal["lamp"] == "recording"
            await arena.until("health to know of no position", lambda: _is_nowhere(arena, one))
            one.host.world.order("locator", "find")
            await over(arena, one, "no position")
        await one.press_stop()
        assert said_of(one, "locator") == ["locator-lost", "locator-back"] * 2
        before = number(one)
        one.host.world.order("locator", "hang")
        await told(arena, one, "no position", before)
        assert one.host.signal["lamp"] == "ready"
        assert (await arena.said(one, "status"))["state"] == "ready"
        one.host.world.order("locator", "find")
        await over(arena, one, "no position")

    tell(tmp_path, story, board={"locator": LOCATOR}, duty={"position_lost_s": 4})


async def _is_nowhere(arena: Arena, one: Unit) -> bool:
    return not (await arena.said(one))["position"]


def test_a_receiver_that_jumps_and_lies_is_doubted_and_its_word_is_on_record_as_it_was(tmp_path):
    async def story(arena: Arena, one: Unit) -> None:
        recording = await one.press_start()
        await arena.until("a position on record", lambda: one.lines("fix"))
        true = one.lines("fix")[-1]
        before = number(one)
        one.host.world.order("locator", "shift", lat=500_000, lon=0)
        await told(arena, one, "position doubtful", before)
        await arena.until("the false place on record", lambda: one.lines("fix")[-1]["lat"] - true["lat"] > 400_000)
        one.host.world.order("locator", "mistime", by_ms=-1_024 * 7 * DAY_MS)
        await arena.until("the false time doubted", lambda: len(said_of(one, "locator")) == 2)
        one.host.world.order("locator", "mistime", by_ms=0)
        one.host.world.order("locator", "misspeed", speed=40_000)
        await arena.until("the false speed doubted", lambda: len(said_of(one, "locator")) == 3)
        one.host.world.order("locator", "misspeed", speed=None)
        await over(arena, one, "position doubtful")
        await one.press_stop()
        assert said_of(one, "locator") == ["locator-doubt"] * 3 + ["locator-back"]
        doubts = [line["detail"] for line in one.lines("camera") if line["event"] == "locator-doubt"]
        assert [doubt.split(":")[0] for doubt in doubts] == ["jump", "time", "speed"]
        false = [line for line in one.lines("fix") if line["time"] < line["at"] - YEAR_MS]
        assert false
        assert any(line["speed"] == 40_000 for line in one.lines("fix"))
        in_order(one, recording)
        assert (await verified(arena, recording))["verdict"] == "intact"

    tell(tmp_path, story, board={"locator": LOCATOR, "clock": CLOCK})
