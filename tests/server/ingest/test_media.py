"""Media that devices put: only what a cosigned line vouches for, and nothing of what does not match."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import threading

import pytest
from starlette.requests import ClientDisconnect

from server.ingest import media
from server.problems import Problem
from server.store import objects
from tests.server.virtual import Device


@pytest.fixture
def caller(web, device):
    return web.device(device.device)


@pytest.fixture
def recording(ingest, device):
    made = device.record(fragments=4, size=1000)
    ingest.offer(device, device.batch())
    ingest.index()
    return made


@pytest.fixture(autouse=True)
def _no_wait(monkeypatch):
    monkeypatch.setattr(media, "INDEX_WAIT_S", 0)


def path(device, recording, offset=0, track="front"):
    return f"/api/v1/media/{device.device}/{recording.recording}/{track}/{offset}"


def held(caller, device, recording):
    return caller.get(f"/api/v1/media/{device.device}/{recording.recording}").json()["tracks"][0]["held"]


def stored(ingest, device, recording):
    return ingest.services.objects.path(device.device, recording.recording, "front", "video/mp4")


def problem(answer, status, slug):
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:zhilu:{slug}"), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    return answer.json()


def test_whole_fragments_in_any_order_and_with_holes(ingest, caller, device, recording):
    data = recording.media["front"]
    assert caller.put(path(device, recording, 2000), content=data[2000:3000]).status_code == 201
    assert held(caller, device, recording) == [[2, 3]]
    assert caller.put(path(device, recording), content=data[:2000]).json() == {
        "track": "front",
        "first": 0,
        "end": 2,
        "bytes": 2000,
        "stored": 2,
    }
    assert held(caller, device, recording) == [[0, 3]]
    # What is held already may come along.
    assert caller.put(path(device, recording, 1000), content=data[1000:]).json()["stored"] == 1
    assert stored(ingest, device, recording).read_bytes() == data
    assert caller.put(path(device, recording), content=data).status_code == 200
    ingest.index()
    assert caller.get(f"/api/v1/media/{device.device}/{recording.recording}").json()["state"] == "stored"


def test_a_fragment_that_does_not_hash_is_named_and_not_kept(ingest, caller, device, recording):
    data = bytearray(recording.media["front"])
    data[1500] ^= 1
    said = problem(caller.put(path(device, recording, 1000), content=bytes(data[1000:])), 422, "mismatch")
    assert (said["seq"], said["track"], said["offset"]) == (1, "front", 1000)
    assert held(caller, device, recording) == []
    assert not stored(ingest, device, recording).exists()
    # The one before it is what its line says, and stays.
    assert problem(caller.put(path(device, recording), content=bytes(data)), 422, "mismatch")["seq"] == 1
    assert held(caller, device, recording) == [[0, 1]]
    assert stored(ingest, device, recording).read_bytes() == bytes(data[:1000])


def test_a_request_that_ends_within_a_fragment(caller, device, recording):
    said = problem(caller.put(path(device, recording), content=recording.media["front"][:1700]), 422, "mismatch")
    assert said["seq"] == 1
    assert "ends after 700 of 1000 bytes" in said["detail"]
    assert held(caller, device, recording) == [[0, 1]]


def test_bytes_that_no_cosigned_line_names(ingest, caller, device, recording):
    data = recording.media["front"]
    problem(caller.put(path(device, recording, 500), content=data[500:1000]), 409, "not-named")
    problem(caller.put(path(device, recording, 4000), content=b"x"), 409, "not-named")
    problem(caller.put(path(device, recording, 0, "rear"), content=b"x"), 409, "not-named")
    problem(caller.put(path(device, recording, 3000), content=data[3000:] + b"more"), 409, "not-named")
    assert held(caller, device, recording) == [[3, 4]]
    unsent = device.record()
    problem(caller.put(path(device, unsent), content=unsent.media["front"]), 409, "not-named")
    ingest.offer(device, *device.batches(ingest.services.logs.size(device.origin)))
    ingest.index()
    assert caller.put(path(device, unsent), content=unsent.media["front"]).status_code == 201


def test_too_much_for_one_request(ingest, caller, device, recording):
    limit = ingest.services.settings.media.request_bytes
    problem(caller.put(path(device, recording), headers={"Content-Length": str(limit + 1)}), 413, "too-large")
    problem(caller.put(path(device, recording), headers={"Content-Length": "a lot"}), 413, "too-large")


def test_a_sender_that_goes_silent_is_ended_and_what_came_whole_is_kept(ingest, caller, device, recording):
    limits = ingest.services.settings.media.model_copy(update={"idle_s": 1})
    object.__setattr__(ingest.services, "settings", ingest.services.settings.model_copy(update={"media": limits}))
    data = recording.media["front"]

    async def stalling():
        yield data[:2500]
        await asyncio.Event().wait()

    said = problem(caller.put(path(device, recording), content=stalling()), 408, "silent")
    assert "after 2500 bytes" in said["detail"]
    assert held(caller, device, recording) == [[0, 2]]
    assert stored(ingest, device, recording).read_bytes() == data[:2000]


def test_a_sender_that_hangs_up_is_no_error_of_ours_and_what_came_whole_is_kept(ingest, caller, device, recording, caplog):
    data = recording.media["front"]

    async def hanging_up():
        yield data[:2500]
        raise ClientDisconnect

    said = problem(caller.put(path(device, recording), content=hanging_up()), 408, "silent")
    assert "hung up after 2500 bytes" in said["detail"]
    assert held(caller, device, recording) == [[0, 2]]
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_long_request_is_durable_bit_by_bit(caller, device, recording, monkeypatch):
    """Who asks in its middle hears what is held, and the rest of it goes on into the same file."""
    monkeypatch.setattr(media, "SETTLE_S", 0)
    data = recording.media["front"]
    seen: list[list[list[int]]] = []

    async def slowly():
        for end in (1200, 2600, 4000):
            yield data[{1200: 0, 2600: 1200, 4000: 2600}[end] : end]
            seen.append(await asyncio.to_thread(held, caller, device, recording))

    answer = caller.put(path(device, recording), content=slowly())
    assert (answer.status_code, answer.json()["stored"]) == (201, 4)
    assert held(caller, device, recording) == [[0, 4]]
    assert seen == [[[0, 1]], [[0, 2]], [[0, 4]]]


def test_no_bytes_at_all(caller, device, recording):
    problem(caller.put(path(device, recording), content=b""), 400, "bad-request")


def test_content_digest_is_checked_when_sent(caller, device, recording):
    data = recording.media["front"]
    right = base64.b64encode(hashlib.sha256(data).digest()).decode()
    wrong = base64.b64encode(hashlib.sha256(b"x").digest()).decode()
    long = base64.b64encode(hashlib.sha512(data).digest()).decode()
    put = lambda value: caller.put(path(device, recording), content=data, headers={"Content-Digest": value})  # noqa: E731
    assert put(f"sha-256=:{right}:").status_code == 201
    assert put(f"sha-512=:{long}:, sha-256=:{right}:, md5=:AAAA:").status_code == 200
    problem(put(f"sha-256=:{wrong}:"), 400, "digest-mismatch")
    problem(put("sha-256=x"), 400, "bad-digest")
    problem(put("sha-256=:AAA:"), 400, "bad-digest")


def test_only_the_device_itself_and_only_while_it_is_enrolled(ingest, web, device, recording):
    data = recording.media["front"]
    problem(web.device("DSJ-0000009").put(path(device, recording), content=data), 403, "not-yours")
    problem(web.device(None).put(path(device, recording), content=data), 403, "no-certificate")
    stranger = Device("DSJ-0000009")
    problem(web.device(stranger.device).put(path(stranger, recording), content=data), 404, "unknown-origin")
    ingest.services.logs_writer.call(lambda t: ingest.services.enrolments.stage_revoke(t, device.origin, "lost"))
    problem(web.device(device.device).put(path(device, recording), content=data), 403, "revoked")
    assert not stored(ingest, device, recording).exists()


def test_a_full_disk(ingest, caller, device, recording, monkeypatch):
    data = recording.media["front"]
    monkeypatch.setattr(ingest.services.objects, "_reserve", 1 << 60)
    problem(caller.put(path(device, recording), content=data), 507, "storage-full")
    monkeypatch.setattr(ingest.services.objects, "_reserve", 0)

    def full(_descriptor, _data, _offset):
        raise OSError(objects.FULL[0], os.strerror(objects.FULL[0]))

    monkeypatch.setattr(os, "pwrite", full)
    problem(caller.put(path(device, recording), content=data), 507, "storage-full")
    assert held(caller, device, recording) == []
    monkeypatch.undo()
    monkeypatch.setattr(media, "INDEX_WAIT_S", 0)
    assert caller.put(path(device, recording), content=data).status_code == 201


def test_media_may_follow_their_cosignature_at_once(web, ingest, device, monkeypatch):
    """The catalogue reads a moment later: the request waits for it rather than send the device away."""
    monkeypatch.setattr(media, "INDEX_WAIT_S", 60)
    recording = device.record()
    ingest.offer(device, device.batch())
    reading = threading.Thread(target=ingest.index)
    looked = media._begin

    def begin(*args):
        # The first look finds nothing; only then the catalogue begins to read.
        if not reading.is_alive() and reading.ident is None:
            reading.start()
            raise Problem("not-named", "not yet")
        return looked(*args)

    monkeypatch.setattr(media, "_begin", begin)
    assert web.device(device.device).put(path(device, recording), content=recording.media["front"]).status_code == 201
    reading.join()


def test_what_was_under_a_gap_may_still_be_found(ingest, caller, device):
    recording = device.record(fragments=4)
    device.gap(recording, 1000, 1000, after=True)
    device.commit()
    ingest.offer(device, *device.batches())
    ingest.index()
    data = recording.media["front"]
    for offset, end in ((0, 2000), (3000, 4000)):
        assert caller.put(path(device, recording, offset), content=data[offset:end]).status_code == 201
    ingest.index()
    found = caller.get(f"/api/v1/media/{device.device}/{recording.recording}").json()
    assert (found["state"], found["tracks"][0]["held"], found["tracks"][0]["missing"]) == ("stored", [[0, 2], [3, 4]], [])
    assert caller.put(path(device, recording, 2000), content=data[2000:3000]).status_code == 201
    assert held(caller, device, recording) == [[0, 4]]
    assert caller.put(path(device, recording), content=data).status_code == 200


def test_who_asks_about_a_stored_recording_gets_its_receipt_again(ingest, caller, device, recording):
    """The broker lost it, and the device has been connected ever since."""
    ingest.sent.clear()
    assert held(caller, device, recording) == []
    ingest.index()
    assert ingest.sent == []
    assert caller.put(path(device, recording), content=recording.media["front"]).status_code == 201
    ingest.index()
    ingest.sent.clear()
    assert held(caller, device, recording) == [[0, 4]]
    ingest.index()
    assert [topic for topic, _ in ingest.sent] == [f"zhilu/{device.device}/receipt"]


def test_what_is_held_of_an_unknown_recording(caller, device):
    problem(caller.get(f"/api/v1/media/{device.device}/01HF7YATZJ3F6CX9MPERQ63TE9"), 404, "not-found")


@pytest.mark.parametrize(("numbers", "expected"), [([], []), ([0], [[0, 1]]), ([0, 1, 3, 4, 9], [[0, 2], [3, 5], [9, 10]])])
def test_ranges(numbers, expected):
    assert media.ranges(numbers) == expected


@pytest.mark.parametrize("offset", [-1, (1 << 40) + 1, 1 << 63, 10**25])
def test_an_offset_that_no_track_has(caller, device, recording, offset):
    problem(caller.put(path(device, recording, offset), content=b"x"), 400, "bad-request")


def test_so_many_requests_of_one_device_and_no_more(monkeypatch, ingest, web, caller, device, recording):
    monkeypatch.setattr(media, "AT_ONCE", 1)
    other = Device("DSJ-0000002", seed=2)
    ingest.enrol(other)
    theirs = other.record()
    ingest.offer(other, other.batch())
    ingest.index()
    meanwhile = []

    async def body():
        for asked, sender, one in ((caller, device, recording), (web.device(other.device), other, theirs)):
            meanwhile.append(await asyncio.to_thread(asked.put, path(sender, one), content=one.media["front"]))
        yield recording.media["front"]

    assert caller.put(path(device, recording), content=body()).status_code == 201
    problem(meanwhile[0], 429, "busy")
    assert meanwhile[1].status_code == 201
    assert caller.put(path(device, recording), content=recording.media["front"]).status_code == 200


def test_of_two_digests_by_one_algorithm_the_last_counts():
    value = ", ".join(["sha-256=:AAAA:"] * 5000 + [f"sha-256=:{base64.b64encode(b'x' * 32).decode()}:"])
    assert [expected for _, expected in media.content_digest(value)] == [b"x" * 32]
