"""`zhilu demo` as a stranger types it: real processes, a real broker, real media, and an answer that a program can read."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import av
import httpx
import numpy as np
import pytest

from server.evidence.verify import verify
from simulators import demo, strip
from simulators.children import ROOT
from simulators.pictures import luma

COMMAND = (sys.executable, "-m", "simulators.demo")
WITHIN_S = 220

MEMBERS = [
    "recording", "package", "keys", "verdict", "lines", "fragments", "bytes", "not_before", "not_after",
    "seconds_to_durable", "seconds_to_cosigned", "seconds_to_stored",
]  # fmt: skip


def left_over(folder):
    """Processes whose command line names the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def test_once_records_marks_uploads_verifies_and_leaves_nothing_behind(tmp_path):
    out, data = tmp_path / "out", tmp_path / "data"
    arguments = ("--once", "--seconds", "4", "--nonce", "ZL-7f3a", "--out", str(out), "--data", str(data), "--json")
    done = subprocess.run([*COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    told = json.loads(done.stdout)
    assert list(told) == MEMBERS
    assert told["verdict"] == "intact"
    assert 0 <= told["seconds_to_durable"] <= told["seconds_to_cosigned"] <= told["seconds_to_stored"]
    assert told["not_before"] < told["not_after"]
    assert told["fragments"] >= 5

    package = Path(told["package"])
    assert package.parent == out
    lines = [json.loads(line) for line in (package / "data" / "journal.jsonl").read_bytes().splitlines()]
    assert [line["label"] for line in lines if line["kind"] == "mark"] == ["ZL-7f3a"]
    assert verify(str(package), [told["keys"]]).verdict == "intact"
    assert left_over(tmp_path) == []

    with av.open(str(package / "data" / "media" / "front.mp4")) as film:
        pictures = [np.asarray(frame.to_ndarray(format="yuv420p"), np.uint8) for frame in film.decode(video=0)]
    numbers = [strip.read(luma(picture)) for picture in pictures]
    seen = [number for number in numbers if number is not None]
    assert len(seen) == len(numbers) == len(set(seen))
    assert seen == sorted(seen)
    words = luma(pictures[-1])[60:280]
    assert (words > 230).mean() > 0.01  # white letters …
    assert (words < 20).mean() > 0.01  # … with black edges


@pytest.fixture
def running(tmp_path):
    """A demonstration that stays, with two recorders; ended by Ctrl-C's signal, with status 0 and no process left."""

    class Running:
        def __init__(self):
            self.process = subprocess.Popen(
                [*COMMAND, "--json", "--data", str(tmp_path / "demo")], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            assert self.process.stdout is not None
            self.told = json.loads(self.process.stdout.readline() or self.end())

        def end(self):
            self.process.send_signal(signal.SIGINT)
            said = self.process.communicate(timeout=WITHIN_S)
            assert self.process.returncode == 0, said[1]
            assert left_over(tmp_path) == []
            return said[1]

    begun: list[Running] = []

    def start():
        begun.append(Running())
        return begun[-1]

    yield start
    for one in begun:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


async def until(client, **expected):
    async with asyncio.timeout(WITHIN_S), client.stream("GET", "/events") as news:
        async for line in news.aiter_lines():
            if line.startswith("data: "):
                state = json.loads(line[6:])["state"]
                if all(state[name] == value for name, value in expected.items()):
                    return state
    raise AssertionError(f"the page ended before {expected}")


def test_it_stays_until_it_is_told_and_a_second_start_finds_the_firsts_data(running, tmp_path):
    """Two recorders; one records, loses its network, then its power; next day all of it is there, verified."""

    async def first(told):
        assert sorted(told["recorders"]) == ["DSJ-0000001", "DSJ-0000002"]
        async with httpx.AsyncClient(base_url=told["recorders"]["DSJ-0000002"], timeout=WITHIN_S) as page:
            await until(page, lamp="ready")
            await page.post("/gesture/start")
            await until(page, lamp="recording")
            await page.post("/gesture/mark")
            await page.post("/network/off")
            await page.post("/power/off")
            await until(page, lamp="off", network="off")
        async with httpx.AsyncClient(base_url=told["console"], timeout=WITHIN_S) as console:
            assert (await console.get("/healthz")).status_code == 200

    def second(told):
        with httpx.Client(base_url=told["console"], timeout=WITHIN_S) as console:
            found = eventually(lambda: [one["id"] for one in console.get("/api/v1/recordings").json()["items"] if one["stored_at"]])
            package = console.post(f"/api/v1/recordings/{found[0]}/package")
        assert package.status_code == 200
        path = tmp_path / "package.zip"
        path.write_bytes(package.content)
        report = verify(str(path), [told["keys"]])
        assert report.verdict in ("intact", "incomplete")
        assert report.facts["device"] == "DSJ-0000002"
        assert report.facts["marks"] == ["重点标记"]
        with zipfile.ZipFile(path) as bag:
            assert any(name.endswith("front.mp4") for name in bag.namelist())

    one = running()
    asyncio.run(first(one.told))
    refused = subprocess.run(
        [*COMMAND, "--data", one.told["data"]], cwd=ROOT, capture_output=True, text=True, timeout=WITHIN_S, check=False
    )
    assert refused.returncode == 1
    assert "another demonstration runs on" in refused.stderr
    one.end()
    other = running()
    assert other.told["recorders"] == one.told["recorders"]
    second(other.told)
    other.end()


def test_a_demonstration_that_is_killed_leaves_no_process(running, tmp_path):
    one = running()
    assert len(left_over(tmp_path)) >= 6
    os.kill(one.process.pid, signal.SIGKILL)
    one.process.communicate()
    assert eventually(lambda: left_over(tmp_path) == [])


def eventually(look):
    """What `look` gives once it is true: other people's processes have no event to wait for."""
    end, pause = time.monotonic() + WITHIN_S, threading.Event()
    while not (found := look()):
        assert time.monotonic() < end
        pause.wait(0.1)
    return found


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--once", "--nonce", "x" * 65], "--nonce has 65 characters; expected at most 64"),
        (["--once", "--nonce", "a\nb"], "all of them printable"),
        (["--once", "--seconds", "0"], "--seconds is 0.0; expected 1 to 86400"),
        (["--recorders", "0"], "--recorders is 0; expected 1 to 16"),
    ],
)
def test_wrong_usage_is_status_2(capsys, arguments, complaint):
    assert demo.main(arguments) == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--once", "--out"], ["--once", "--data"], ["--data"]], ids=" ".join)
def test_a_folder_that_can_not_be_written_is_named_before_anything_starts(tmp_path, capsys, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "a file"
    place.touch()
    assert demo.main([*arguments, str(place)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"zhilu demo: {place}: nothing can be written there (File exists); name another folder with {arguments[-1]}\n"


def test_too_little_room_is_said_before_anything_starts(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(demo, "ROOM_BYTES", 2**80)
    assert demo.main(["--data", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "MiB are free, expected 1152921504606846976; name another folder with --data" in said.err
