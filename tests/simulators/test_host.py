"""A virtual recorder's host with a real child process: power, network, buttons and lamp, over its page's own HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tomllib
from contextlib import asynccontextmanager

import httpx
import pytest

from simulators import page
from simulators.children import Child
from simulators.errors import ProcessError, SimulatorError
from simulators.host import Host
from simulators.recorder import serve

GENEROUS_S = 60
PUPPET = ("tests.simulators.puppet",)

SETTINGS = """
[server]
url = "https://localhost:{server}"
[broker]
host = "localhost"
port = {broker}
keepalive_s = 30
[overlay]
device_number = "DSJ-7"
[buttons]
still = ""
[board.button]
driver = "simulators.buttons:Buttons"
[board.indicator]
driver = "simulators.indicator:Indicator"
[board.power]
driver = "simulators.battery:Battery"
percent = 90
[board.camera]
driver = "simulators.camera:PatternCamera"
script = "./camera.toml"
[board.clock]
driver = "hal.drivers.linux:SystemClock"
"""


@pytest.fixture
def state(tmp_path):
    (tmp_path / "settings.toml").write_text(SETTINGS.format(server=4443, broker=4883))
    (tmp_path / "camera.toml").write_text("")
    return tmp_path


@asynccontextmanager
async def running(state, **options):
    host = Host(state, agent=PUPPET)
    await host.start(**options)
    transport = httpx.ASGITransport(app=page.build(host))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield host, client
    finally:
        await host.close()


async def until(host, **expected):
    """Wait until the host's state says so."""
    async with asyncio.timeout(GENEROUS_S):
        while not all(host.state()[name] == value for name, value in expected.items()):
            await host.news(host.version)


def run(story, state, **options):
    async def main():
        async with running(state, **options) as (host, client):
            await story(host, client)

    asyncio.run(asyncio.wait_for(main(), GENEROUS_S * 2))


def texts(host):
    return [f"{event['what']}: {event['text']}" for event in host.events()]


def test_a_press_on_the_page_lights_the_lamp_of_the_agents_process(state):
    async def story(host, client):
        await until(host, lamp="ready")
        assert (await client.get("/state")).json()["screen"] == ["READY", "battery 100 %"]
        answer = (await client.post("/button/record/down")).json()
        assert answer["down"] == ["record"]
        await until(host, lamp="recording", sound="long")
        await client.post("/button/record/up")
        await until(host, lamp="ready", down=[])
        assert [line for line in texts(host) if line.startswith(("lamp", "button"))] == [
            "lamp: ready", "button: record down", "lamp: recording", "button: record up", "lamp: ready",
        ]  # fmt: skip

    run(story, state)


def test_pulled_power_is_sigkill_and_a_dark_device_and_it_comes_back(state):
    async def story(host, client):
        await until(host, lamp="ready")
        pid = host.state()["pid"]
        answer = (await client.post("/power/off")).json()
        assert (answer["power"], answer["pid"], answer["lamp"], answer["screen"]) == ("off", None, "off", [])
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        assert texts(host)[-2:] == ["power: pulled", "power: off (killed)"]
        await client.post("/power/off")
        await client.post("/power/on")
        await client.post("/power/on")
        await until(host, lamp="ready")
        assert host.state()["pid"] != pid

    run(story, state)


def test_the_battery_that_was_set_while_the_power_was_off_is_what_it_finds(state):
    async def story(host, client):
        await client.post("/battery/7")
        await client.post("/power/on")
        await until(host, lamp="ready")
        host.edge("record", down=True)
        await until(host, lamp="recording")
        host.edge("record", down=False)
        await until(host, lamp="ready", screen=["READY", "battery 7 %"])

    run(story, state, power=False)


def test_an_agent_that_ends_by_itself_is_told_of(state):
    async def story(host, _client):
        await until(host, lamp="ready")
        host.edge("die", down=True)
        await until(host, power="off", lamp="off")
        assert texts(host)[-1].startswith("power: the agent ended by itself with status 3")

    run(story, state)


def test_the_orderly_end_is_sigterm(state):
    async def main():
        async with running(state) as (host, _client):
            await until(host, lamp="ready")
        assert texts(host)[-1] == "power: off (status 0)"

    asyncio.run(asyncio.wait_for(main(), GENEROUS_S))


def test_a_gesture_is_the_press_that_the_settings_name(state):
    async def story(host, client):
        await until(host, lamp="ready")
        assert (await client.post("/gesture/mark")).json()["down"] == []
        edges = [line for line in texts(host) if line.startswith("button")]
        assert edges == ["button: mark down", "button: mark up"]
        refused = await client.post("/gesture/still")
        assert refused.status_code == 422
        assert "leave buttons.still empty" in refused.json()["detail"]

    run(story, state)


def test_what_the_agent_is_given_is_its_own_settings_seen_from_inside_this_world(state):
    async def story(host, _client):
        seen = tomllib.loads((state / "simulated.toml").read_text())
        assert seen["server"]["url"] == f"https://localhost:{host.network.relays['server'].port}"
        assert seen["broker"] == {"host": "localhost", "port": host.network.relays["broker"].port, "keepalive_s": 30}
        assert host.network.relays["broker"].upstream.port == 4883
        assert seen["board"]["power"] == {"driver": "simulators.battery:Battery", "percent": 90, "world": str(state / "world.sock")}
        assert "world" not in seen["board"]["camera"]  # it follows its script
        assert "world" not in seen["board"]["clock"]

    run(story, state, power=False)


def test_the_network_switch_refuses_and_lets_in(state):
    async def story(host, client):
        port = host.network.relays["server"].port
        await client.post("/network/off")
        assert host.state()["network"] == "off"
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        await client.post("/network/on")
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()

    run(story, state, power=False)


def test_the_weather_is_changed_by_name(state):
    async def story(host, client):
        answer = (await client.post("/weather/half-open?seed=7")).json()
        assert answer["weather"] == "half-open"
        assert {relay.weather.swallow for relay in host.network.relays.values()} == {True}
        refused = await client.post("/weather/hail")
        assert refused.status_code == 422
        assert "no weather is called 'hail'" in refused.json()["detail"]
        assert texts(host)[-1] == "weather: half-open, seed 7"

    run(story, state, power=False)


def test_faults_are_remembered_and_shown(state):
    async def story(host, client):
        await client.post("/fault/camera/on")
        await client.post("/fault/locator/on")
        await client.post("/fault/locator/off")
        assert host.state()["faults"] == {"camera": True, "microphone": False, "locator": False}
        assert texts(host)[-3:] == ["camera: unplug", "locator: lose", "locator: find"]

    run(story, state, power=False)


@pytest.mark.parametrize(
    "path", ["/button/../down", "/button/RECORD/down", "/button/record/sideways", "/power/maybe", "/battery/101", "/fault/lens/on"]
)
def test_what_the_page_does_not_know_is_refused(state, path):
    async def story(host, client):
        before = host.number
        assert (await client.post(path)).status_code in (404, 405, 422)
        assert host.number == before

    run(story, state, power=False)


def test_another_sites_page_may_not_press_buttons(state):
    async def story(host, client):
        for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example"}):
            assert (await client.post("/button/record/down", headers=headers)).status_code in (400, 403)
        assert host.state()["down"] == []
        page_itself = await client.get("/")
        assert page_itself.status_code == 200
        assert "//" not in page_itself.text.replace("<!doctype", "")  # nothing from elsewhere

    run(story, state, power=False)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", r"settings name '', '' as server or broker"),
        (SETTINGS.format(server=1, broker=1).replace("localhost", "evidence.example.gov"), "use --direct"),
        ("= nonsense", "expected the settings of an enrolled device"),
    ],
)
def test_settings_that_cant_be_simulated_are_refused_with_what_to_do(tmp_path, text, complaint):
    (tmp_path / "settings.toml").write_text(text)
    with pytest.raises(SimulatorError, match=complaint):
        Host(tmp_path)


def test_a_state_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(SimulatorError, match="make one: zhilu provision device"):
        Host(tmp_path / "none")


def test_the_page_is_served_its_news_streamed_and_ended_by_sigterm(state, capsys):
    """The whole server on a socket of its own: ready line, first news, news of a change, end within its patience."""

    async def main():
        host = Host(state, agent=PUPPET)
        serving = asyncio.create_task(serve(host))
        await until(host, lamp="ready")
        while not (said := capsys.readouterr().out):
            await host.news(host.version)
        ready = json.loads(said)
        assert ready["device"] == "DSJ-7"
        async with httpx.AsyncClient(base_url=ready["address"], timeout=GENEROUS_S) as client:
            assert "虚拟执法记录仪" in (await client.get("/")).text
            async with client.stream("GET", "/events") as stream:
                lines = stream.aiter_lines()
                first = await news(lines)
                assert first["state"]["lamp"] == "ready"
                assert first["events"][0]["text"] == "on"
                host.edge("mark", down=True)
                seen = await news(lines)
                while "mark" not in seen["state"]["down"]:
                    seen = await news(lines)
                assert seen["events"][0]["text"] == "mark down"
                os.kill(os.getpid(), signal.SIGTERM)
                with pytest.raises((httpx.RemoteProtocolError, StopAsyncIteration)):
                    await to_the_end(lines)
        await serving
        assert host.state()["power"] == "off"
        assert not (state / "world.sock").exists()

    asyncio.run(asyncio.wait_for(main(), GENEROUS_S * 2))


async def news(lines):
    while not (line := await anext(lines)).startswith("data: "):
        pass
    return json.loads(line[6:])


async def to_the_end(lines):
    while True:
        await news(lines)


def test_a_child_that_ends_before_it_is_ready_says_why(tmp_path):
    async def main():
        with pytest.raises(ProcessError, match=r"x ended with status 1 before it was ready.*No module named nonesuch"):
            await Child.start("x", ("nonesuch",), tmp_path / "x.log", ready=True)

    asyncio.run(asyncio.wait_for(main(), GENEROUS_S))


def test_a_child_ends_with_its_parent(tmp_path):
    """A parent that is killed outright leaves no child behind: the child's end of a pipe closes."""
    reading, writing = os.pipe()
    script = (
        "import asyncio, os, subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-m', 'simulators.leash', str(os.getpid()), 'sleep', '3600'], pass_fds=[{writing}])\n"
        f"os.close({writing})\n"
        "print('ready', flush=True)\n"
        "time.sleep(3600)\n"
    )

    async def main():
        parent = await asyncio.create_subprocess_exec(sys.executable, "-c", script, pass_fds=[writing], stdout=asyncio.subprocess.PIPE)
        os.close(writing)
        assert parent.stdout is not None
        assert await parent.stdout.readline() == b"ready\n"
        parent.kill()
        await parent.wait()
        loop = asyncio.get_running_loop()
        closed = await asyncio.wait_for(loop.run_in_executor(None, os.read, reading, 1), GENEROUS_S)
        assert closed == b""
        os.close(reading)

    asyncio.run(main())
