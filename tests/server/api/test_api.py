"""What people's pages and programs ask for, and that their looking is recorded."""

from __future__ import annotations

import io
import zipfile

import pytest

from agent.core import lines, merkle
from server import problems
from server.evidence.verify import verify
from server.metrics import METRICS
from tests.server.ingest.test_indexer import sent, upload
from tests.server.virtual import Device


@pytest.fixture
def recording(ingest, device):
    """Stored, with a position, a mark and the lines that a package needs."""
    beacon = ingest.services.ledger.checkpoint()
    device.line("enrol", **{name: device.enrolment[name] for name in ("origin", "vkey", "certificate")})
    known = device.line("beacon", checkpoint=beacon[: beacon.index("\n\n") + 1])
    made = device.start(officer="007", case="A-1", governing=[merkle.leaf_hash(known).hex()])
    device.track(made)
    device.fragment(made, b"init" * 10)
    device._of(made, "fix", lat=311234567, lon=1211234567, speed=1000)
    device.fragment(made, b"one" * 1000)
    device.mark(made, "here")
    device.stop(made)
    device.commit()
    sent(ingest, device)
    upload(ingest, made)
    return made


def custody(ingest, kind):
    return [one.members for one in ingest.services.ledger.entries(kind=kind)]


def test_recordings_in_pages(web, ingest, device):
    made = [device.record().recording for _ in range(5)]
    sent(ingest, device)
    first = web.people.get("/api/v1/recordings?limit=2").json()
    second = web.people.get(f"/api/v1/recordings?limit=2&cursor={first['next']}").json()
    third = web.people.get(f"/api/v1/recordings?limit=2&cursor={second['next']}").json()
    found = [one["id"] for page in (first, second, third) for one in page["items"]]
    assert found == made[::-1]
    assert third["next"] is None


def test_recordings_by_what_one_looks_for(web, ingest, device, recording):
    other = device.record()
    sent(ingest, device)
    ids = lambda query: [one["id"] for one in web.people.get(f"/api/v1/recordings?{query}").json()["items"]]  # noqa: E731
    assert ids("officer=007") == ids("case=A-1") == ids("state=stored") == ids("marked=true") == [recording.recording]
    assert ids("state=uploading") == ids("marked=false") == [other.recording]
    assert ids("device=DSJ-0000009") == []
    assert [one["query"] for one in custody(ingest, "search")] == [{"officer": "007"}, {"case": "A-1"}]


HUGE = "9" * 25
NONSENSE = ["limit=0", "limit=1000", "cursor=x", "cursor=1-2-x", "state=lost", "colour=red", "since=now"]


@pytest.mark.parametrize(
    "query", [*NONSENSE, f"since={HUGE}", f"until=-{HUGE}", f"cursor={HUGE}-1", f"cursor=1-{HUGE}", f"cursor=-{HUGE}-1"]
)
def test_questions_that_make_no_sense(web, query):
    answer = web.people.get(f"/api/v1/recordings?{query}")
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:zhilu:bad-request")


def test_one_recording_and_the_look_is_recorded_once(web, ingest, recording):
    for _ in range(3):
        found = web.people.get(f"/api/v1/recordings/{recording.recording}").json()
    assert (found["state"], found["officer"], found["duration"], found["held"]) == ("stored", "007", 1000, 2)
    assert [(one["track"], one["bytes"]) for one in found["tracks"]] == [("front", 3040)]
    assert [one["label"] for one in found["mark_list"]] == ["here"]
    assert [(one["recording"], one["by"], one["c"]) for one in custody(ingest, "view")] == [(recording.recording, "console", 2)]


def test_positions_on_the_medias_time(web, recording):
    found = web.people.get(f"/api/v1/recordings/{recording.recording}/positions").json()["items"]
    assert [(one["lat"], one["lon"], one["speed"]) for one in found] == [(311234567, 1211234567, 1000)]
    assert 0 < found[0]["media_ms"] < 1000


def test_positions_that_mean_nothing_are_no_positions(web, ingest, device):
    made = device.start()
    for line in (
        b'{"at":1,"up":1,"kind":"fix",',
        b'{"at":1,"up":1,"kind":"fix","lat":"x","lon":1,"salt":""}',
        b'{"at":1,"up":1,"kind":"fix"}',
    ):
        device.raw(line)
    device._of(made, "fix", lat=1, lon=2)
    device.stop(made)
    device.commit()
    sent(ingest, device)
    found = web.people.get(f"/api/v1/recordings/{made.recording}/positions").json()["items"]
    assert [(one["lat"], one["lon"]) for one in found] == [(1, 2)]


def test_no_such_recording(web):
    for path in ("", "/playlist.m3u8", "/media/front", "/positions"):
        answer = web.people.get(f"/api/v1/recordings/01HF7YATZJ3F6CX9MPERQ63TE9{path}")
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:zhilu:not-found")


def test_two_devices_with_the_same_id_for_a_recording(web, ingest, device):
    other = Device("DSJ-0000002")
    ingest.enrol(other)
    one, two = device.record(), other.record()
    assert one.recording == two.recording
    for sender in (device, other):
        sent(ingest, sender)
    answer = web.people.get(f"/api/v1/recordings/{one.recording}")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:zhilu:ambiguous")
    assert web.people.get(f"/api/v1/recordings/DSJ-0000002:{one.recording}").json()["device"] == "DSJ-0000002"


def test_playing_by_ranges_is_one_look(web, ingest, recording):
    base = f"/api/v1/recordings/{recording.recording}"
    text = web.people.get(f"{base}/playlist.m3u8").text
    assert '#EXT-X-MAP:URI="media/front",BYTERANGE="40@0"' in text
    body = recording.media["front"]
    answer = web.people.get(f"{base}/media/front", headers={"Range": "bytes=40-"})
    assert (answer.status_code, answer.content) == (206, body[40:])
    assert answer.headers["content-range"] == f"bytes 40-{len(body) - 1}/{len(body)}"
    assert web.people.get(f"{base}/media/front").content == body
    assert web.people("HEAD", f"{base}/media/front").headers["content-length"] == str(len(body))
    assert web.people.get(f"{base}/media/front", headers={"Range": "bytes=99999-"}).status_code == 416
    assert len(custody(ingest, "play")) == 1


def test_bytes_that_are_not_here_are_not_given_out_as_zeroes(web, ingest, device):
    recording = device.record(fragments=3)
    sent(ingest, device)
    upload(ingest, recording, offset=2000, data=recording.media["front"][2000:])
    base = f"/api/v1/recordings/{recording.recording}/media/front"
    assert web.people.get(base).json()["type"] == "urn:zhilu:not-held"
    assert web.people.get(base, headers={"Range": "bytes=2000-"}).content == recording.media["front"][2000:]


@pytest.mark.parametrize("media", ["text/html", "image/svg+xml", "video/mp4\r\nSet-Cookie: x=1", "视频"])
def test_a_device_does_not_say_what_a_browser_makes_of_its_bytes(web, ingest, device, media):
    made = device.start()
    device.track(made, media=media)
    device.fragment(made, b"<script>alert(1)</script>")
    device.stop(made)
    device.commit()
    sent(ingest, device)
    upload(ingest, made)
    for method in ("GET", "HEAD"):
        answer = web.people(method, f"/api/v1/recordings/{made.recording}/media/front")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/octet-stream")
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_devices(web, ingest, device):
    ingest.offer(device, device.grow(3).batch())
    ingest.services.devices.hear(device.device, "status", b'{"online": true, "state": "idle"}', 5)
    found = web.people.get("/api/v1/devices").json()["items"]
    assert found == [
        {
            "device": device.device,
            "online": True,
            "revoked": False,
            "journals": [{"origin": device.origin, "lines": 3}],
            "states": {"status": {"at": 5, "said": {"online": True, "state": "idle"}}},
        }
    ]


def test_a_device_that_was_lost(web, ingest, device):
    answer = web.people("POST", f"/api/v1/devices/{device.device}/revoke", json={"reason": "lost on duty"})
    assert answer.json() == {"device": device.device, "revoked": [device.origin]}
    assert ingest.offer(device, device.grow(1).batch()) == []
    assert web.people.get("/api/v1/devices").json()["items"][0]["revoked"] is True
    assert [one["reason"] for one in custody(ingest, "revoke")] == ["lost on duty"]
    assert web.people("POST", "/api/v1/devices/DSJ-0000009/revoke", json={"reason": "x"}).status_code == 404
    assert web.people("POST", f"/api/v1/devices/{device.device}/revoke", json={"reason": ""}).status_code == 400


def test_custody_in_pages_newest_first(web, recording):
    web.people.get(f"/api/v1/recordings/{recording.recording}")
    first = web.people.get(f"/api/v1/custody?recording={recording.recording}&limit=2").json()
    rest = web.people.get(f"/api/v1/custody?recording={recording.recording}&cursor={first['next']}").json()
    assert [one["kind"] for one in first["items"] + rest["items"]] == ["view", "stored", "start"]
    assert [one["c"] for one in first["items"] + rest["items"]] == [2, 1, 0]
    assert rest["next"] is None


def test_a_package_that_verifies(web, ingest, recording, tmp_path):
    ingest.services.ledger.anchor()
    answer = web.people("POST", f"/api/v1/recordings/{recording.recording}/package")
    assert answer.status_code == 200, answer.text
    assert int(answer.headers["content-length"]) == len(answer.content)
    path = tmp_path / "package.zip"
    path.write_bytes(answer.content)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as bag:
        name = next(name for name in bag.namelist() if name.endswith("data/custody.jsonl"))
        last = lines.read(bag.read(name).splitlines()[-1])
    assert (last["kind"], last["recording"], last["c"]) == ("export", recording.recording, 2)
    keys = [ingest.services.ledger.key.vkey, ingest.services.witness.key.vkey]
    report = verify(str(path), keys)
    assert report.verdict == "intact", report.as_json()


def test_a_track_that_the_catalogue_did_not_take_in_is_named_as_missing(web, ingest, device, tmp_path):
    beacon = ingest.services.ledger.checkpoint()
    device.line("enrol", **{name: device.enrolment[name] for name in ("origin", "vkey", "certificate")})
    known = device.line("beacon", checkpoint=beacon[: beacon.index("\n\n") + 1])
    made = device.start(governing=[merkle.leaf_hash(known).hex()])
    device.track(made, "side.view")
    device.fragment(made, b"init", "side.view")
    device.stop(made)
    device.commit()
    sent(ingest, device)
    answer = web.people("POST", f"/api/v1/recordings/{made.recording}/package")
    assert answer.status_code == 200, answer.text
    (tmp_path / "package.zip").write_bytes(answer.content)
    report = verify(str(tmp_path / "package.zip"), [ingest.services.ledger.key.vkey, ingest.services.witness.key.vkey])
    assert report.verdict == "incomplete", report.as_json()
    assert "track side.view fragment 0" in [found.place for check in report.checks for found in check.findings]


def test_nothing_to_export_is_not_recorded_as_an_export(web, ingest, device):
    recording = device.record()
    sent(ingest, device)
    answer = web.people("POST", f"/api/v1/recordings/{recording.recording}/package?from=90000&to=95000")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:zhilu:not-exportable")
    assert custody(ingest, "export") == []


def test_alive_ready_and_measured(web):
    assert web.people.get("/healthz").json() == {"alive": True}
    answer = web.people.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["broker"]) == (503, False)
    text = web.people.get("/metrics").text
    assert {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")} == set(METRICS)
    assert 'zhilu_problems_total{problem="not-ready"} 1' in text


def test_what_is_not_there_or_not_allowed_is_a_problem_too(web):
    assert web.people.get("/api/v1/nothing").json()["type"] == "urn:zhilu:not-found"
    assert web.people("DELETE", "/api/v1/recordings").json()["type"] == "urn:zhilu:method"


def test_every_problem_has_a_status_and_a_title():
    for slug, (status, title) in problems.TABLE.items():
        assert 400 <= status < 600, slug
        assert title


def test_an_unexpected_error_tells_nothing_of_the_inside(web, monkeypatch):
    def broken(*_args, **_more):
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(web.ingest.services.catalogue, "page", broken)
    answer = web.people.get("/api/v1/recordings")
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:zhilu:unexpected")
    assert "secret" not in answer.text
