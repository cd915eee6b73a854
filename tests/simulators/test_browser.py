"""The recorder's page in a real browser: what an officer's finger does, and what his eye sees."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest
import uvicorn
from playwright.async_api import async_playwright

from simulators import page
from simulators.host import Host
from simulators.recorder import Server

SETTINGS = """
[server]
url = "https://localhost:4443"
[broker]
host = "localhost"
port = 4883
[overlay]
device_number = "DSJ-0012345"
[board.button]
driver = "simulators.buttons:Buttons"
[board.indicator]
driver = "simulators.indicator:Indicator"
[board.power]
driver = "simulators.battery:Battery"
percent = 64
"""
WITHIN_MS = 60_000


@pytest.fixture
def state(tmp_path):
    (tmp_path / "settings.toml").write_text(SETTINGS)
    return tmp_path


@asynccontextmanager
async def opened(state):
    """The page of a recorder that runs, in Chromium; it must not complain."""
    host = Host(state, agent=("tests.simulators.puppet",), console="http://127.0.0.1:8080/")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = Server(uvicorn.Config(page.build(host), log_level="warning", timeout_graceful_shutdown=1))
        await host.start()
        serving = asyncio.create_task(server.serve([listening]))
        try:
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(
                    executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-background-networking"]
                )
                tab = await browser.new_page()
                tab.set_default_timeout(WITHIN_MS)
                complaints: list[str] = []
                tab.on("console", lambda message: complaints.append(message.text))
                tab.on("pageerror", lambda error: complaints.append(str(error)))
                await tab.goto(f"http://127.0.0.1:{listening.getsockname()[1]}/")
                await tab.wait_for_selector('body[data-lamp="ready"]')
                yield host, tab
                await browser.close()
                assert complaints == []
        finally:
            server.should_exit = True
            await serving
            await host.close()


def test_an_officer_presses_records_and_pulls_the_power(state):
    async def story():
        async with opened(state) as (host, tab):
            assert await tab.inner_text("#device") == "DSJ-0012345"
            assert await tab.get_attribute("#console", "href") == "http://127.0.0.1:8080/"
            assert "hold to stop" in await tab.inner_text("#hint")

            await tab.hover(".key.record")
            await tab.mouse.down()
            await tab.wait_for_selector('body[data-lamp="recording"]')
            assert await tab.inner_text(".word") == "Recording 正在录像"
            assert "REC 00:00:01" in await tab.inner_text("#screen")
            assert "64 %" in await tab.inner_text("#screen")
            await tab.mouse.move(5, 5)  # the finger slips off the key and is lifted elsewhere
            await tab.mouse.up()
            await tab.wait_for_selector('body[data-lamp="ready"]')

            await tab.click("#network")
            await tab.wait_for_selector('#network[aria-checked="false"]')
            await tab.click("[data-fault=camera]")
            await tab.wait_for_selector('[data-fault=camera][aria-checked="false"]')
            assert host.faults["camera"]

            await tab.click("#power-off")
            await tab.wait_for_selector('body[data-power="off"] .key.record:disabled')
            assert await tab.inner_text(".word") == "Off 关机"
            await tab.click("#power-on")
            await tab.wait_for_selector('body[data-lamp="ready"]')
            told = await tab.locator("#events li").all_inner_texts()
            assert "ready" in told[0]
            assert any("pulled" in line for line in told)

    asyncio.run(story())


def test_the_keyboard_presses_and_a_page_that_is_opened_again_knows_all(state):
    async def story():
        async with opened(state) as (host, tab):
            await tab.focus(".key.record")
            await tab.keyboard.down("Space")
            await tab.wait_for_selector('body[data-lamp="recording"] .key.record.pressed')
            await tab.reload()
            await tab.wait_for_selector('body[data-lamp="recording"] .key.record.pressed')
            assert "record down" in await tab.inner_text("#events")
            host.edge("record", down=False)
            await tab.wait_for_selector('body[data-lamp="ready"]')

    asyncio.run(story())
