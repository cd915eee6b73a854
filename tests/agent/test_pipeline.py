"""The recorder as a process, without any network: presses, power cuts, missing devices, full disks, and its orderly end."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.core import merkle, note
from provisioning import deployment as deployments
from provisioning.deployment import Deployment, Ports
from tests.agent.running import ROOT, Agent, enrol, journal, lines, script, signals

PRESS = ((1.0, "record", True), (1.1, "record", False))
NUMBERS = itertools.count(1)
STOP = ((4.0, "record", True), (5.5, "record", False))


@pytest.fixture(scope="module")
def deployment(tmp_path_factory) -> Deployment:
    """A deployment that nobody runs: ports that nothing listens on."""
    return deployments.create(tmp_path_factory.mktemp("d") / "deployment", "evidence.example.gov", ports=Ports(1, 2, 3))


class Devices:
    """State folders and the agents in them, ended with the test."""

    def __init__(self, deployment: Deployment, folder: Path) -> None:
        self.deployment, self.folder = deployment, folder
        self.agents: list[Agent] = []

    def make(self, *steps: tuple[float, str, bool], **over: Any) -> Path:
        name = f"DSJ-{next(NUMBERS):07d}"  # each its own: a second enrolment of one id would be journal 2
        state = self.folder / name
        if steps:
            over.setdefault("board", {})["button"] = {"script": script(state, *steps)}
        return enrol(self.deployment, name, state, **over)

    def run(self, state: Path) -> Agent:
        self.agents.append(Agent(state))
        return self.agents[-1]


@pytest.fixture
def devices(deployment, tmp_path) -> Iterator[Devices]:
    one = Devices(deployment, tmp_path)
    yield one
    for agent in one.agents:
        agent.kill()


def check_signed(state: Path) -> None:
    """The newest checkpoint is over exactly the lines that are there, by the evidence key."""
    leaves = [
        merkle.leaf_hash(line)
        for path in sorted((state / "journal" / "1").glob("segment-*.jsonl"))
        for line in path.read_bytes().split(b"\n")[:-1]
    ]
    origin = f"evidence.example.gov/{state.name}/1\n"
    newest = (state / "journal" / "1" / "checkpoints").read_text().split(origin)[-1]
    head = note.parse_checkpoint(note.split(origin + newest)[0])
    assert (head.size, head.root) == (len(leaves), merkle.root_of(leaves))


def test_a_press_records_and_a_long_one_stops_without_any_network(devices):
    state = devices.make(*PRESS, (2.5, "mark", True), (2.6, "mark", False), *STOP)
    agent = devices.run(state)
    agent.wait_for_line("stop")
    agent.wait_for(lambda: signals(state)[-1]["lamp"] == "alarm" or signals(state)[-1]["lamp"] == "ready", "the lamp after the stop")
    assert agent.stop() == 0
    start, stop = lines(state, "start")[0], lines(state, "stop")[0]
    assert start["trigger"] == stop["trigger"] == "button"
    recording = [line for line in journal(state) if line.get("recording") == start["recording"]]
    assert [line["n"] for line in recording] == list(range(len(recording)))
    assert {"start", "track", "fragment", "mark", "fix", "stop"} <= {line["kind"] for line in recording}
    fragments = [line for line in recording if line["kind"] == "fragment"]
    assert any(line.get("pre") for line in fragments)
    assert start["epoch"] <= start["up"] - 500
    assert stop["tracks"] == [
        {
            "track": "front",
            "fragments": len(fragments),
            "bytes": sum(line["bytes"] for line in fragments),
            "duration": stop["tracks"][0]["duration"],
        }
    ]
    media = (state / "media" / start["recording"] / "front.mp4").stat().st_size
    assert media == stop["tracks"][0]["bytes"]
    lamps = [one["lamp"] for one in signals(state)]
    assert "recording" in lamps
    assert lamps[-1] == "off"
    # what a busy machine costs (frames, a slow disk) is felt too, and is no part of this
    felt = [one["vibration"] for one in signals(state) if one["vibration"] not in ("", "short-short-short")]
    assert felt == ["long", "short", "long-long"]
    check_signed(state)


def test_sigterm_ends_the_recording_and_the_next_start_calls_it_clean(devices):
    state = devices.make(*PRESS)
    agent = devices.run(state)
    agent.wait_for_line("fragment", 6)
    assert agent.stop() == 0
    assert lines(state, "stop")[0]["trigger"] == "signal"
    assert (journal(state)[-1]["kind"], journal(state)[-1]["event"]) == ("power", "shutdown")
    again = devices.run(state)
    again.wait_for_line("boot", 2)
    boot = lines(state, "boot")[1]
    assert (boot["clean"], boot["lost"], boot["boot"]) == (True, {}, 2)
    assert again.stop() == 0
    check_signed(state)


@pytest.mark.parametrize("resume", [True, False], ids=["resuming", "waiting"])
def test_a_power_cut_ends_the_recording_with_a_gap_and_it_goes_on_where_that_is_set(devices, resume):
    state = devices.make(*PRESS, agent={"resume_after_power_loss": resume})
    agent = devices.run(state)
    agent.wait_for_line("fragment", 6)
    agent.kill()
    again = devices.run(state)
    again.wait_for_line("start", 2)
    if resume:
        again.wait_for_line("fragment", 12)
    assert again.stop() == 0
    everything = journal(state)
    boot = next(index for index, line in enumerate(everything) if line["kind"] == "boot" and line["boot"] == 2)
    assert everything[boot]["clean"] is False
    assert everything[boot]["lost"]["unfinished"] == 1
    cut = lines(state, "start")[0]["recording"]
    closing = [line for line in everything[boot:] if line.get("recording") == cut]
    assert [line["kind"] for line in closing if line["kind"] != "fragment"] == ["gap", "stop"]
    assert closing[-2]["reason"] == "power"
    assert closing[-1]["trigger"] == "power"
    second = lines(state, "start")[1]
    assert (second["trigger"], second.get("continues")) == (("resume", cut) if resume else ("button", None))
    check_signed(state)


def test_without_any_device_it_runs_and_says_so(devices):
    state = devices.make(*PRESS, board={"camera": None, "microphone": None, "locator": None, "power": None})
    agent = devices.run(state)
    agent.wait_for(lambda: any(one["vibration"] == "short-short-short" for one in signals(state)), "the alarm that answers a press")
    agent.lamp("alarm")
    assert any("no camera" in line for line in signals(state)[-1]["screen"])
    assert agent.stop() == 0
    assert "start" not in {line["kind"] for line in journal(state)}


def test_sound_is_recorded_where_the_camera_can_not_be_had(devices):
    state = devices.make(*PRESS, *STOP, board={"camera": {"driver": "simulators.camera:FileCamera", "path": "/nothing.mp4"}})
    agent = devices.run(state)
    agent.wait_for_line("stop")
    assert agent.stop() == 0
    assert [line["media"] for line in lines(state, "track")] == ["audio/mp4"]
    assert any("! no camera" in one["screen"] or "! camera lost" in one["screen"] for one in signals(state))


def test_a_full_disk_lets_nothing_begin(devices):
    state = devices.make(*PRESS, storage={"reserve_bytes": 1 << 60, "stop_below_bytes": 1 << 59})
    agent = devices.run(state)
    agent.wait_for_line("storage")
    agent.wait_for(lambda: any(one["vibration"] == "short-short-short" for one in signals(state)), "the alarm that answers a press")
    agent.lamp("alarm")
    assert agent.stop() == 0
    assert lines(state, "storage")[0]["event"] == "full"
    recorded = {line["recording"] for line in lines(state, "start")}
    assert {line["recording"] for line in lines(state, "stop")} == recorded


def test_missing_certificates_cost_the_network_only(devices):
    state = devices.make(*PRESS, *STOP)
    (state / "tls" / "device.crt").unlink()
    agent = devices.run(state)
    agent.wait_for_line("stop")
    assert any("! no certificate for the server" in one["screen"] for one in signals(state))
    assert agent.stop() == 0


def test_a_device_that_is_not_enrolled_says_so_and_goes_on_once_it_is(devices):
    state = devices.make(*PRESS)
    enrolment = (state / "enrolment.json").rename(state / "later.json")
    agent = devices.run(state)
    agent.lamp("unenrolled")
    agent.wait_for(lambda: any(one["vibration"] for one in signals(state)), "the alarm that answers a press")
    assert not (state / "journal").exists()
    enrolment.rename(state / "enrolment.json")
    agent.wait_for_line("boot")
    agent.wait_for_line("start")
    assert agent.stop() == 0
    assert journal(state)[0]["kind"] == "enrol"


def test_a_second_agent_on_the_same_folder_is_refused_and_writes_nothing(devices):
    """Two writers would give the journal two pasts: the server would call the device a forger."""
    state = devices.make()
    agent = devices.run(state)
    agent.wait_for_line("boot")
    done = command("run", "--settings", str(state / "settings.toml"))
    assert done.returncode == 1
    assert f"state folder {state}: another agent runs on it; end that one first" in done.stderr
    assert agent.stop() == 0
    assert len(lines(state, "boot")) == 1
    check_signed(state)


def test_a_copied_key_is_refused_with_a_reason(devices):
    state = devices.make()
    (state / "evidence" / "evidence.key").chmod(0o644)
    agent = devices.run(state)
    assert agent.process.wait(60) == 1
    assert "mode 600" in agent.said()[-1]["what"]
    assert signals(state)[-1]["lamp"] == "alarm"


def test_a_journal_that_can_not_go_on_is_kept_and_the_next_one_begins(devices):
    state = devices.make(*PRESS, *STOP)
    agent = devices.run(state)
    agent.wait_for_line("stop")
    assert agent.stop() == 0
    folder = state / "journal" / "1"
    (folder / "checkpoints").write_bytes(b"")
    segment = folder / "segment-000000000000.jsonl"
    segment.write_bytes(segment.read_bytes() * 20)
    before = segment.read_bytes()
    again = devices.run(state)
    again.wait_for(lambda: lines(state, "start", 2), "a recording in journal 2")
    assert again.stop() == 0
    first = journal(state, 2)[0]
    assert (first["kind"], first["origin"]) == ("enrol", f"evidence.example.gov/{state.name}/2")
    assert first["previous"]["origin"] == f"evidence.example.gov/{state.name}/1"
    assert segment.read_bytes() == before


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "agent", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


def test_wrong_settings_are_told_without_a_traceback(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text('[server]\nulr = "https://x"\n')
    done = command("run", "--settings", str(path))
    assert done.returncode == 2
    assert f"{path}, line 2, server.ulr: there is no such setting; did you mean url?" in done.stderr
    assert "Traceback" not in done.stderr


def test_check_says_what_works_a_line_each(devices):
    state = devices.make(board={"camera": {"driver": "simulators.camera:FileCamera", "path": "/nothing.mp4"}})
    done = command("check", "--settings", str(state / "settings.toml"))
    assert done.returncode == 1
    found = {line.split()[1]: line.split()[0] for line in done.stdout.splitlines()}
    assert found["camera"] == "FAIL"
    assert found["microphone"] == found["clock"] == found["power"] == "ok"
    assert found["climate"] == "none"


def test_check_without_camera_and_microphone_says_that_nothing_can_be_recorded(tmp_path):
    (tmp_path / "settings.toml").write_text('[server]\nurl = "https://x"\n[broker]\nhost = "x"\n')
    done = command("check", "--settings", str(tmp_path / "settings.toml"))
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("FAIL  recorder    nothing can be recorded: name a camera or a microphone")


def test_another_package_of_a_generic_name_is_refused(tmp_path):
    """In a wrong environment somebody else's `hal` would be imported silently."""
    (tmp_path / "hal").mkdir()
    (tmp_path / "hal" / "__init__.py").write_text('"""Not ours."""\n')
    arguments = [sys.executable, "-m", "agent", "run", "--settings", "settings.toml"]
    paths = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run(arguments, cwd=tmp_path, env=paths, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert f"package hal: expected it in {ROOT}" in done.stderr
