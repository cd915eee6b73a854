"""A device's questions after a start."""

from __future__ import annotations

import json

import pytest

from agent.core import wire
from tests.server.virtual import Device


def test_nothing_was_cosigned_yet(web, device):
    answer = web.device(device.device).get(f"/api/v1/journal/{device.device}/1/checkpoint")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:zhilu:no-checkpoint")


def test_the_newest_cosigned_checkpoint(web, ingest, device, witness):
    ingest.offer(device, device.grow(3).batch())
    answer = web.device(device.device).get(f"/api/v1/journal/{device.device}/1/checkpoint")
    assert answer.status_code == 200
    assert witness(answer.text, device)[0].size == 3


@pytest.mark.parametrize("first", [0, 3, 299, 300])
def test_its_own_lines_back(web, ingest, device, witness, first):
    for size in range(30):
        device.grow(10)
        ingest.offer(device, device.batch(size * 10))
    found: list[bytes] = []
    while first + len(found) < device.size or not found:
        answer = web.device(device.device).get(f"/api/v1/journal/{device.device}/1/{first + len(found)}")
        batch = wire.decode_batch(answer.content)
        assert witness(batch.note, device)[0].size == batch.size == batch.first + len(batch.lines)
        found += batch.lines
        if not batch.lines:
            break
    assert found == device.lines[first:]


def test_beyond_the_end(web, ingest, device):
    ingest.offer(device, device.grow(3).batch())
    for first, status in (("4", 404), ("-1", 400), (f"{1 << 63}", 400)):
        assert web.device(device.device).get(f"/api/v1/journal/{device.device}/1/{first}").status_code == status
    assert web.device(device.device).get(f"/api/v1/journal/{device.device}/1/x").json()["type"] == "urn:zhilu:bad-request"


def test_a_device_that_was_just_enrolled_is_taken_in_when_it_asks(web, services):
    device = Device("DSJ-0000004", seed=6)
    get = lambda: web.device(device.device).get(f"/api/v1/journal/{device.device}/1/checkpoint").json()["type"]  # noqa: E731
    assert get() == "urn:zhilu:unknown-origin"
    (services.settings.path("enrolments") / "DSJ-0000004-1.json").write_text(json.dumps(device.enrolment))
    assert get() == "urn:zhilu:no-checkpoint"


@pytest.mark.parametrize(
    "change",
    [
        {"origin": "evidence.example.org/DSJ-0000004/1"},
        {"origin": 5},
        {"vkey": "x"},
        {"certificate": "AB"},
        {"origin": "evidence.example.gov/DSJ-0000004/0"},
    ],
)
def test_an_enrolment_that_is_none(web, services, change, caplog):
    device = Device("DSJ-0000004", seed=6)
    path = services.settings.path("enrolments") / "DSJ-0000004-1.json"
    path.write_text(json.dumps(device.enrolment | change))
    answer = web.device(device.device).get(f"/api/v1/journal/{device.device}/1/checkpoint")
    assert answer.json()["type"] == "urn:zhilu:unknown-origin"
    assert "refused" in caplog.text
    path.write_text("no json")
    web.device(device.device).get(f"/api/v1/journal/{device.device}/1/checkpoint")
    assert len(services.ledger.entries(kind="enrol")) == 0


def test_a_revoked_journal(web, ingest, device):
    ingest.services.logs_writer.call(lambda t: ingest.services.enrolments.stage_revoke(t, device.origin, "lost"))
    answer = web.device(device.device).get(f"/api/v1/journal/{device.device}/1/checkpoint")
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:zhilu:revoked")
