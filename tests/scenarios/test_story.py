"""The whole story with real processes: an officer, a bad network, an empty battery, a broker that forgets, and an expert who doubts."""

from __future__ import annotations

import pytest

from tests.agent.running import journal, lines, wait_for
from tests.server.process import ServerProcess


@pytest.mark.timeout(600)
def test_press_mark_lose_the_network_and_the_power_come_back_stop_and_prove_it(world):
    recorder, state = world.recorder, world.state

    # an officer presses and marks; the server cosigns while it records
    recorder.lamp("ready")
    recorder.do("/gesture/start")
    recorder.line("fragment", 6)
    recorder.lamp("recording")
    recorder.do("/gesture/mark")
    recorder.line("mark")
    marked = next(index for index, line in enumerate(journal(state)) if line["kind"] == "mark")
    wait_for(lambda: recorder.cosigned() > marked, "the cosignature over the mark")

    # the network goes away; recording goes on, and meanwhile the broker forgets everything
    recorder.do("/network/off")
    before = len(lines(state, "fragment"))
    recorder.line("fragment", before + 6)
    world.forget()
    lost_sight = recorder.cosigned()
    assert lost_sight < len(journal(state))

    # the battery is pulled in the middle; the next start ends the recording, says what is missing, and goes on
    recorder.do("/power/off")
    first = lines(state, "start")[0]["recording"]
    recorder.do("/power/on")
    recorder.line("start", 2)
    second = lines(state, "start")[1]
    assert (second["trigger"], second["continues"]) == ("resume", first)
    boot = lines(state, "boot")[1]
    assert boot["clean"] is False
    assert boot["lost"]["unfinished"] == 1
    recorder.line("fragment", len(lines(state, "fragment")) + 4)
    assert recorder.cosigned() == lost_sight

    # the network is back: what waited goes, then the officer stops
    recorder.do("/network/on")
    wait_for(lambda: recorder.cosigned() > lost_sight, f"a cosignature after the network came back: {recorder.words()}")
    recorder.do("/gesture/stop")
    recorder.line("stop", 2)
    recorder.lamp("ready")
    wait_for(lambda: recorder.receipts() == {first, second["recording"]}, f"both receipts: {recorder.words()}")

    # nothing waits any more, nothing was refused, and the server says the same of both
    shown = world.server.console.get("/api/v1/recordings").json()["items"]
    assert [one["state"] for one in shown] == ["stored", "stored"]

    # the expert: both are whole; the first one's gap at its end is stated, not hidden
    cut, resumed = world.verified(first), world.verified(second["recording"])
    assert (cut["verdict"], resumed["verdict"]) == ("intact", "intact")
    stops = {line["recording"]: line["trigger"] for line in lines(state, "stop")}
    assert stops == {first: "power", second["recording"]: "button"}
    gaps = [line for line in lines(state, "gap") if line["recording"] == first]
    assert [line["reason"] for line in gaps] == ["power"]

    # and the auditor: every recording that was ever started is still there
    keys = [word for key in world.deployment.keys_file.read_text().split() for word in ("--key", key)]
    recorder.do("/power/off")
    audited = world.command("audit", str(state), *keys)
    assert audited.returncode == 0, audited.stdout + audited.stderr


@pytest.mark.timeout(600)
def test_a_server_that_is_pulled_in_the_middle_changes_nothing_in_the_end(world):
    recorder, state = world.recorder, world.state
    recorder.lamp("ready")
    recorder.do("/gesture/start")
    recorder.line("fragment", 6)
    world.server.kill()
    recorder.line("fragment", 12)
    world.server = ServerProcess(world.deployment)
    recorder.do("/gesture/stop")
    recorder.line("stop")
    recording = lines(state, "start")[0]["recording"]
    wait_for(lambda: recorder.receipts() == {recording}, f"the receipt: {recorder.words()}")
    assert world.verified(recording)["verdict"] == "intact"
