"""The pages without a browser: what stands where, and what a mistake looks like."""

from __future__ import annotations

import json
import re

import pytest

from tests.server.ingest.test_indexer import sent
from tests.server.virtual import Device

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def torn(ingest, device):
    """Two seconds, then the power went; when it was back, much later, the journal said so."""
    made = device.start()
    device.track(made)
    for piece in (b"init" * 10, b"one" * 1000, b"two" * 1000):
        device.fragment(made, piece)
    device.up += 600_000
    device.gap(made, 2_000, 1_000)
    device.stop(made)
    device.commit()
    sent(ingest, device)
    return made


def test_a_gap_at_the_end_stands_behind_the_last_fragment_and_the_stop_behind_the_gap(web, torn):
    page = web.people.get(f"/recordings/{torn.recording}", headers=HTML).text
    timeline = json.loads(re.findall(r'id="timeline-data">(.*?)</script>', page, re.DOTALL)[0])
    assert timeline["duration"] == 3_000
    assert timeline["gaps"] == [{"from": 2_000, "lost": 1_000, "reason": "power"}]
    happened = re.findall(r'data-seek="(\d+)">[\d:]+</button><span>(.*?)</span>', page)
    assert [(int(ms), what) for ms, what in happened[-2:]] == [(2_000, "gap: power, 1000 ms (front)"), (3_000, "recording ends (button)")]


def test_one_gap_is_one_gap(web, torn):
    for path in (f"/recordings/{torn.recording}", "/recordings"):
        assert '<span class="gap">1 gap</span>' in web.people.get(path, headers=HTML).text


@pytest.mark.parametrize("path", ["/recordings/NOPE", "/devices/nobody", "/nothing/here", "/api/v1/recordings/NOPE"])
def test_who_looks_with_a_browser_is_told_so_on_a_page(web, path):
    answer = web.people.get(path, headers=HTML)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert "<h1>Not found</h1>" in answer.text
    assert "<h1>未找到</h1>" in web.people.get(path, headers={**HTML, "Accept-Language": "zh-CN"}).text


def test_a_package_that_can_not_be_made_is_a_page_for_people_and_a_problem_for_programs(web, torn):
    path = f"/api/v1/recordings/{torn.recording}/package?from=2000&to=1000"
    shown = web.people("POST", path, headers=HTML)
    told = web.people("POST", path)
    assert shown.status_code == told.status_code >= 400
    assert "<h1>That did not work</h1>" in shown.text
    assert told.headers["content-type"] == "application/problem+json"


def test_a_member_of_no_meaning_does_not_spoil_the_page(web, ingest, device):
    made = device.start()
    device._of(made, "mark", label="here", pts="never")
    device.stop(made)
    device.commit()
    sent(ingest, device)
    page = web.people.get(f"/recordings/{made.recording}", headers=HTML)
    assert page.status_code == 200
    assert "★ here" in page.text


def test_another_device_with_the_same_id_is_not_in_the_way(web, ingest, device):
    other = Device("DSJ-0000002")
    ingest.enrol(other)
    one, two = device.record(), other.record()
    assert one.recording == two.recording
    for sender in (device, other):
        sent(ingest, sender)
    for name in (device.device, other.device):
        link = f"/recordings/{name}:{one.recording}"
        assert f'href="{link}"' in web.people.get("/recordings", headers=HTML).text
        page = web.people.get(link, headers=HTML)
        assert page.status_code == 200
        assert f'action="/api/v1{link}/package"' in page.text


@pytest.mark.parametrize("after", ["9" * 25 + "-1", "1-" + "9" * 25, "9" * 18 + "-" + "9" * 18, "x-1", "1"])
def test_places_in_a_list_that_are_none(web, after):
    assert web.people.get(f"/recordings?after={after}", headers=HTML).status_code == 200
