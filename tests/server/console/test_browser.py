"""The console in a real browser over a real server: what an administrator sees, plays, and hands over."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from agent.capture.fragmenter import Fragmenter
from agent.capture.samples import Picture
from agent.core import merkle, note
from hal.contracts import VideoFormat, VideoPacket
from provisioning import deployment as deployments
from provisioning import device as devices
from provisioning.deployment import Deployment, Ports
from provisioning.mosquitto import Mosquitto
from server.evidence.verify import verify
from simulators import media
from tests.server.process import Connected, ServerProcess, settings_with
from tests.server.virtual import DOMAIN, Recording

WITHIN_MS = 90_000
# Waits in the page: its policy lets no text be evaluated as a predicate.
REACHES = """(player, seconds) => new Promise((done) => {
    const look = () => (player.readyState >= 2 && player.currentTime >= seconds ? done() : requestAnimationFrame(look));
    look();
})"""
SECONDS = 12
HOLE = 3
AFTER = 4
"""The camera is away for HOLE seconds behind SECONDS of the first track; then another track has AFTER seconds."""
SHOWS = """(line, ms) => new Promise((done) => {
    const look = () => (Number(line.getAttribute("aria-valuenow")) >= ms ? done(Number(line.getAttribute("aria-valuenow")))
        : requestAnimationFrame(look));
    look();
})"""
HEALTH = {
    "at": 1_795_294_218_920,
    "battery": 64,
    "charging": True,
    "free": 4_200_000_000,
    "clock": {"source": "gnss", "error": 40},
    "backlog": {"lines": 3, "bytes": 2_000_000},
    "memory_free": "much",
}
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory) -> Iterator[Deployment]:
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        ports = Ports(broker=holder.getsockname()[1], devices=0, console=0)
        made = deployments.create(tmp_path_factory.mktemp("console") / "deployment", DOMAIN, ports=ports)
        settings_with(made, media={"reserve_bytes": 0})
        with Mosquitto(made):
            yield made


@pytest.fixture(scope="module")
def server(deployment) -> Iterator[ServerProcess]:
    running = ServerProcess(deployment).ready()
    yield running
    assert running.stop() == 0


def fragments(folder: Path, seconds: int) -> list[bytes]:
    """Init segment and seconds of real H.264, cut by the recorder's own muxer."""
    clip = media.encoded(None, folder, (320, 180), 10, 200, seconds)
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        shape = VideoFormat(320, 180, 10, bytes(stream.codec_context.extradata or b""), "test")
        packets = [
            VideoPacket(bytes(p), i * 100_000, i * 100_000, bool(p.is_keyframe))
            for i, p in enumerate(p for p in container.demux(stream) if p.size)
        ]
    cut = Fragmenter(Picture(packets[0], shape), None, 0, 1000)
    made = [one for packet in packets for one in cut.picture(Picture(packet, shape))] + cut.close()
    return [cut.init, *(one.data for one in made)]


def record(device: Connected, certificate: str, pieces: list[bytes], rest: list[bytes]) -> Recording:
    """A recording as an agent writes it: enrolled, governed, with positions, a mark and a gap at its end."""
    journal = device.journal
    journal.line("enrol", origin=journal.origin, vkey=journal.vkey, certificate=certificate)
    journal.line("boot", format=1, boot=1, software="test", hardware="test", clean=True, lost={})
    journal.line("clock", source="ntp", offset=0, error=5)
    beacon = note.split(device.heard("ledger")[-1].decode())[0]
    journal.line("beacon", checkpoint=beacon)
    governing = [merkle.leaf_hash(line).hex() for line in journal.lines[1:]]
    made = journal.start(governing=governing, case="（2026）罚字第17号", matter="现场检查")
    journal.track(made)
    for number, piece in enumerate(pieces):
        journal.up += 1000 if number else 0
        journal.fragment(made, piece, pre=0 < number < 3)
        journal._of(made, "fix", lat=311_234_567 + number * 900, lon=1_214_567_890, speed=number * 500)
        if number == 5:
            journal.mark(made, "重点")
    journal.gap(made, SECONDS * 1000, HOLE * 1000)
    journal.up += HOLE * 1000
    journal.track(made, "front-2")
    for number, piece in enumerate(rest):
        journal.fragment(made, piece, "front-2", pts=(SECONDS + HOLE + max(0, number - 1)) * 1000)
        journal.up += 1000 if number else 0
        if number == 1:
            journal.mark(made, "after the hole")
    journal.stop(made)
    journal.commit()
    return made


@pytest.fixture(scope="module")
def stored(deployment, server, tmp_path_factory) -> Iterator[Recording]:
    folder = devices.enrol(deployment, "DSJ-0000001", tmp_path_factory.mktemp("device") / "state").folder
    device = Connected(deployment, folder)
    device.handshake(server)
    device.mqtt.until(lambda: bool(device.heard("ledger")))
    device.publish("status", {"online": True, "state": "ready", "software": "zhilu test", "alarms": ["no camera"]}, retain=True)
    device.publish("health", HEALTH)
    clips = tmp_path_factory.mktemp("media")
    certificate = json.loads((folder / "enrolment.json").read_text())["certificate"]
    made = record(device, certificate, fragments(clips, SECONDS), fragments(clips, AFTER))
    device.send(0)
    with device.https(server) as https:
        for track, body in made.media.items():
            answer = https.put(f"/api/v1/media/{device.name}/{made.recording}/{track}/0", content=body)
            assert answer.status_code == 201, answer.text
    device.mqtt.until(lambda: bool(device.heard("receipt")))
    yield made
    device.close()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
        yield chromium
        chromium.close()


@pytest.fixture
def tab(browser, server, stored) -> Iterator[Page]:
    """A tab on the console; the page must not complain, and nothing may be fetched from elsewhere."""
    base = f"http://127.0.0.1:{server.ports['console_port']}"
    context = browser.new_context(base_url=base, locale="en-GB", viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(WITHIN_MS)
    complaints: list[str] = []
    elsewhere: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith((base, "blob:", "data:")) else elsewhere.append(request.url))
    yield page
    context.close()
    assert complaints == []
    assert elsewhere == []


def test_what_is_missing_shows_at_a_glance_and_renews_itself(tab, stored):
    tab.goto("/")
    row = tab.locator("tr", has_text="DSJ-0000001").first
    expect(row.locator(".state")).to_have_text("ready")
    expect(row).to_contain_text("no camera")
    expect(row).to_contain_text("64 %")
    expect(row).to_contain_text("3 lines · 2.0 MB")
    with tab.expect_response("**/parts/glance"):
        pass
    expect(tab.locator(".tile", has_text="stored with receipt").locator("b")).to_have_text("1")


def test_a_recording_plays_seeks_and_tells_what_happened(tab, stored, server):
    tab.goto("/recordings")
    tab.locator("tbody a").first.click()
    player = tab.locator("#player")
    expect(tab.locator(".timeline .piece")).to_have_count(SECONDS + AFTER)
    expect(tab.locator(".timeline .piece.pre")).to_have_count(2)
    expect(tab.locator(".timeline .hole")).to_have_count(1)
    expect(tab.locator(".events")).to_contain_text("★ 重点")
    player.evaluate("player => { player.muted = true; return player.play(); }")
    player.evaluate(REACHES, 0.3)
    assert player.evaluate("player => player.videoWidth") == 320
    tab.get_by_role("button", name=re.compile("0:0[45]")).first.click()
    player.evaluate(REACHES, 4)
    tab.locator("#timeline").focus()
    tab.keyboard.press("PageUp")
    player.evaluate(REACHES, 10)
    # Behind the hole the player's time is not the recording's: the page leads to the second track all the same.
    tab.locator(".events li", has_text="after the hole").get_by_role("button").click()
    player.evaluate(REACHES, SECONDS)
    shown = tab.locator("#timeline").evaluate(SHOWS, (SECONDS + HOLE) * 1000)
    assert (SECONDS + HOLE) * 1000 <= shown <= (SECONDS + HOLE + AFTER) * 1000
    kinds = [entry["kind"] for entry in server.console.get(f"/api/v1/custody?recording={stored.recording}").json()["items"]]
    assert {"start", "stored", "view", "play"} <= set(kinds)


def test_the_way_is_drawn_without_a_map_service(tab, stored):
    tab.goto(f"/recordings/{stored.recording}")
    expect(tab.locator("#map path").first).to_be_attached()
    expect(tab.locator("#speed canvas")).to_be_attached()


def test_a_package_from_the_page_is_intact_and_an_excerpt_an_excerpt(tab, stored, deployment, tmp_path):
    tab.goto(f"/recordings/{stored.recording}")
    with tab.expect_download() as whole:
        tab.get_by_role("button", name="Download package").click()
    whole.value.save_as(tmp_path / "whole.zip")
    keys = [str(deployment.keys_file)]
    report = verify(str(tmp_path / "whole.zip"), keys)
    # The gap is stated and nothing else is missing.
    assert report.verdict == "intact", report.first
    tab.locator("input[name=from]").fill("3")
    tab.locator("input[name=to]").fill("6")
    with tab.expect_download() as part:
        tab.get_by_role("button", name="Download excerpt").click()
    part.value.save_as(tmp_path / "part.zip")
    report = verify(str(tmp_path / "part.zip"), keys)
    assert report.verdict == "excerpt", report.first


def test_the_console_speaks_chinese_and_remembers_it(tab, stored):
    tab.goto("/devices")
    tab.get_by_role("link", name="中文").click()
    expect(tab.locator("h1")).to_have_text("设备")
    tab.goto(f"/recordings/{stored.recording}")
    expect(tab.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(tab.get_by_role("button", name="下载证据包")).to_be_visible()


def test_the_ledger_shows_its_checkpoint_and_the_keys(tab, stored, deployment):
    tab.goto("/ledger")
    expect(tab.locator("pre").first).to_contain_text(f"{DOMAIN}/ledger")
    expect(tab.locator("pre").nth(1)).to_contain_text(deployment.keys_file.read_text().splitlines()[0])
    expect(tab.locator("tbody")).to_contain_text("stored")
    expect(tab.locator("h2").nth(1)).to_have_text("Keys to check with")


def test_a_device_says_how_it_is(tab, stored):
    tab.goto("/devices/DSJ-0000001")
    facts = tab.locator("dl.facts")
    expect(facts).to_contain_text("64 %, charging")
    expect(facts).to_contain_text("4.2 GB")
    expect(facts).to_contain_text("set by gnss, known to 40 ms")
    expect(tab.locator("main p .mark")).to_have_text(["no camera"])


def test_what_is_not_there_is_said_in_a_page(server, stored):
    for path in ("/recordings/nothing", "/devices/nothing"):
        answer = server.console.get(path, headers={"Accept-Language": "zh-CN"})
        assert answer.status_code == 404
        assert "<html" in answer.text


def test_the_language_link_leads_nowhere_else(server):
    answer = server.console.get("/language/zh?back=//elsewhere.example/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
