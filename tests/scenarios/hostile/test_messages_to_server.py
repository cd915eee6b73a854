"""Messages to a server that runs which take more than a refusal: what follows from each. The others are a table: test_messages."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from agent.core import merkle, note, wire
from server.evidence.audit import audit, fast_primitives
from simulators.hostile.books import server_lines
from tests.scenarios.hostile.conftest import FORGER, VICTIM, Live
from tests.server.process import Connected

REFUSED = "zhilu_refused_total"


def fingerprint(live: Live) -> dict[str, Any]:
    """Everything that must be as before: both journals as the server has them, forks on record, and every stored byte."""
    server, domain = live.deployment.server_folder, live.deployment.domain
    held = {name: hashlib.sha256(b"\n".join(server_lines(server, f"{domain}/{name}/1"))).hexdigest() for name in (FORGER, VICTIM)}
    return {**held, "forks": len(live.entries("fork")), "media": {name: len(data) for name, data in live.media().items()}}


@pytest.fixture(scope="module")
def honest(forger: Connected) -> Connected:
    """The forger's journal before it forges anything: five recordings, cosigned batch by batch."""
    for _ in range(5):
        forger.journal.record(fragments=2, size=1_500)
        forger.send()
    return forger


def checkpoint(one: Connected, size: int, root: bytes) -> str:
    return one.journal.signed(note.checkpoint(one.journal.origin, size, root))


# --------------------------------------------------------------------------- two histories


def test_a_fork_by_the_real_key_is_kept_with_both_signatures_and_told(live, honest, victim):
    size, before, counted = honest.journal.size, fingerprint(live), live.counts(REFUSED)
    forged = merkle.leaf_hash(b"a history without that recording")
    honest.publish("journal", wire.encode_batch(size, [], checkpoint(honest, size, forged)))
    live.until(lambda: len(live.entries("fork")) == before["forks"] + 1, "the fork in the ledger")
    entry = live.entries("fork")[0]
    assert (entry["device"], entry["origin"], entry["reason"]) == (FORGER, honest.journal.origin, "fork")
    assert note.parse_checkpoint(entry["checkpoint"]).root == forged
    held, signers = note.open_note(entry["held"], [note.verifier(live.deployment.vkeys()["witness"]), note.verifier(honest.journal.vkey)])
    assert note.parse_checkpoint(held).size >= size
    assert len(signers) == 2
    assert live.counts(REFUSED) - counted == {"fork": 1}
    assert f"{FORGER}: two histories of the journal {honest.journal.origin} at size {size}" in live.log()
    # said again it is no second fork, and an older size is as good a proof as the newest
    honest.publish("journal", wire.encode_batch(size, [], checkpoint(honest, size, forged)))
    honest.publish("journal", wire.encode_batch(3, [], checkpoint(honest, 3, forged)))
    live.until(lambda: live.counts(REFUSED)["fork"] == counted["fork"] + 3, "all three counted")
    assert len(live.entries("fork")) == before["forks"] + 2
    assert fingerprint(live) | {"forks": 0} == before | {"forks": 0}


def test_lines_that_do_not_give_the_signed_root_are_asked_for_again_and_then_told(live, honest, victim):
    size, before, counted, heard = honest.journal.size, fingerprint(live), live.counts(REFUSED), len(honest.heard("witness"))
    honest.journal.grow(3)
    genuine = honest.journal.batch(size)
    batch = wire.decode_batch(genuine)
    damaged = wire.encode_batch(size, [batch.lines[0], b'{"kind":"something else"}', batch.lines[2]], batch.note)
    honest.publish("journal", damaged)
    live.until(lambda: live.counts(REFUSED)["wrong-root"] == counted["wrong-root"] + 1, "wrong-root")
    honest.mqtt.until(lambda: len(honest.heard("witness")) > heard)  # it may have been damage on the way: the device hears how far we are
    assert fingerprint(live) == before
    honest.publish("journal", damaged)
    live.until(lambda: len(live.entries("fork")) == before["forks"] + 1, "the suspected fork in the ledger")
    assert live.entries("fork")[0]["reason"] == "suspected-fork"
    assert live.counts(REFUSED) - counted == {"wrong-root": 1, "suspected-fork": 1}
    assert fingerprint(live) | {"forks": 0} == before | {"forks": 0}
    # what the key really signed still goes in: nothing of the server's copy was lost by any of this
    honest.publish("journal", genuine)
    honest.mqtt.until(lambda: honest.cosigned_size() == honest.journal.size)
    assert server_lines(live.deployment.server_folder, honest.journal.origin) == honest.journal.lines


# --------------------------------------------------------------------------- lines without meaning

MEANINGLESS = {
    "a name twice": b'{"at":1,"up":1,"kind":"mark","recording":"%s","n":1,"label":"a","label":"b","salt":"%s"}',
    "a fraction": b'{"at":1.5,"up":1,"kind":"mark","recording":"%s","n":1,"label":"a","salt":"%s"}',
    "an exponent": b'{"at":1e3,"up":1,"kind":"mark","recording":"%s","n":1,"label":"a","salt":"%s"}',
    "beyond 2**53": b'{"at":9007199254740993,"up":1,"kind":"mark","recording":"%s","n":1,"label":"a","salt":"%s"}',
    "minus zero": b'{"at":-0,"up":1,"kind":"mark","recording":"%s","n":1,"label":"a","salt":"%s"}',
    "half a pair": b'{"at":1,"up":1,"kind":"mark","recording":"%s","n":1,"label":"\\ud800","salt":"%s"}',
    "nine deep": b'{"at":1,"up":1,"kind":"mark","recording":"%s","n":1,"label":[[[[[[[[[1]]]]]]]]],"salt":"%s"}',
}


def test_lines_without_meaning_are_cosigned_as_they_are_counted_by_an_audit_and_touch_no_recording(live, honest, victim):
    journal = honest.journal
    before = live.console.get("/api/v1/recordings", params={"device": FORGER, "limit": 200}).json()["items"]
    open_recording = journal.start()
    journal.commit()
    name, salt = open_recording.recording.encode(), b"A" * 22
    for line in MEANINGLESS.values():
        journal.raw(line % (name, salt))
    for line in (b"no JSON at all", b"\xff\xfe\x00", b"[1,2]", b'{"kind":"mark"}', b"{" * 4_000):
        journal.raw(line)
    journal.commit()
    honest.send()
    assert server_lines(live.deployment.server_folder, journal.origin) == journal.lines
    journal.stop(open_recording)
    journal.commit()
    honest.send()
    live.until(
        lambda: live.console.get(f"/api/v1/recordings/{open_recording.recording}").json().get("state") == "stored", "it to be stored"
    )
    found = live.console.get(f"/api/v1/recordings/{open_recording.recording}").json()
    assert (found["marks"], found["gaps"], found["irregular"]) == (0, 0, 0)
    after = live.console.get("/api/v1/recordings", params={"device": FORGER, "limit": 200}).json()["items"]
    assert [one["id"] for one in after if one["id"] != open_recording.recording] == [one["id"] for one in before]
    report = audit(str(live.deployment.server_folder), [str(live.deployment.keys_file)], primitives=fast_primitives()).as_json()
    lines = next(check for check in report["checks"] if check["figures"].get("without_meaning") is not None)
    assert lines["figures"]["without_meaning"] == len(MEANINGLESS) + 5
    assert "have no meaning" in lines["says"]


# --------------------------------------------------------------------------- media


def test_media_that_no_line_of_this_device_names_leave_no_byte(live, honest, victim):
    mine = honest.journal.record(fragments=3, size=40_000)
    honest.send()
    theirs = victim.journal.record(fragments=2, size=30_000)
    victim.send()
    data = mine.media["front"]
    before = live.media()
    base = f"/api/v1/media/{FORGER}"
    rows: list[tuple[str, str, bytes, int, str]] = [
        ("a fragment that is not named", f"{base}/{mine.recording}/front/{len(data)}", b"x" * 100, 409, "not-named"),
        ("a track that is not named", f"{base}/{mine.recording}/rear/0", data, 409, "not-named"),
        ("a wrong offset", f"{base}/{mine.recording}/front/100", data[100:], 409, "not-named"),
        ("a torn fragment", f"{base}/{mine.recording}/front/0", data[:1_000], 422, "mismatch"),
        ("bytes of another fragment", f"{base}/{mine.recording}/front/0", data[40_000:80_000], 422, "mismatch"),
        ("another device's recording as ours", f"{base}/{theirs.recording}/front/0", theirs.media["front"], 409, "not-named"),
        ("another device's recording", f"/api/v1/media/{VICTIM}/{theirs.recording}/front/0", theirs.media["front"], 403, "not-yours"),
        ("more than a request may bring", f"{base}/{mine.recording}/front/0", data + b"x" * (1 << 20), 413, "too-large"),
        ("a name that climbs", f"{base}/..%2f..%2f{mine.recording}/front/0", data, 404, "not-found"),
        ("a track that climbs", f"{base}/{mine.recording}/..%2ffront/0", data, 404, "not-found"),
        ("an offset that is none", f"{base}/{mine.recording}/front/-1", data, 400, "bad-request"),
        ("an offset beyond every number", f"{base}/{mine.recording}/front/{1 << 80}", data, 400, "bad-request"),
    ]
    with live.https(honest) as https:
        for what, path, body, status, slug in rows:
            counted = live.counts("zhilu_problems_total")
            answer = https.put(path, content=body)
            assert (what, answer.status_code, answer.json()["type"]) == (what, status, f"urn:zhilu:{slug}"), answer.text
            assert live.counts("zhilu_problems_total")[slug] == counted[slug] + 1, what
            assert live.media() == before, what
        # a fragment that does not match is named, and those before it are what their lines say
        spoiled = data[:40_000] + bytes([data[40_000] ^ 1]) + data[40_001:]
        said = https.put(f"{base}/{mine.recording}/front/0", content=spoiled).json()
        assert (said["type"], said["seq"], said["offset"]) == ("urn:zhilu:mismatch", 1, 40_000)
        assert https.put(f"{base}/{mine.recording}/front/0", content=data).status_code == 201
    assert live.media()[f"{FORGER}/{mine.recording}/front.mp4"] == data


# --------------------------------------------------------------------------- inside the broker


def test_retained_garbage_on_every_topic_is_refused_at_every_connection_and_nothing_else(live, honest, victim):
    topics = [wire.topic(VICTIM, leaf) for leaf in ("journal", "status", "health", "reported", "receipt", "command", "desired")]
    topics += ["zhilu/x/journal", "zhilu//journal", "zhilu/a/b/c", f"zhilu/{'x' * 60}/status", "zhilu/ledger"]
    before, counted = fingerprint(live), live.counts(REFUSED)
    for topic in topics:
        live.intruder.say(topic, b"\x00garbage\xff", retain=True)
    live.until(lambda: sum((live.counts(REFUSED) - counted).values()) >= 6, "the garbage to be refused")
    assert set(live.counts(REFUSED) - counted) == {"torn", "bad-state", "bad-topic"}
    live.run(live.arena.server_stop())
    live.run(live.arena.server_start())
    live.until(lambda: sum(live.counts(REFUSED).values()) >= 6, "the same garbage again")
    assert fingerprint(live) == before
    victim.journal.grow(1)
    victim.send()
    for topic in topics:
        live.intruder.say(topic, b"", retain=True)


def test_whoever_was_revoked_is_heard_no_more(live, honest, victim):
    """Last: it ends the forger."""
    assert live.console.post(f"/api/v1/devices/{FORGER}/revoke", json={"reason": "it forges"}).json()["revoked"] == [honest.journal.origin]
    before, counted = fingerprint(live), live.counts(REFUSED)
    honest.journal.grow(2)
    honest.publish("journal", honest.journal.batch(honest.cosigned_size()))
    live.until(lambda: live.counts(REFUSED)["revoked"] == counted["revoked"] + 1, "revoked")
    with live.https(honest) as https:
        for path in (f"/api/v1/journal/{FORGER}/1/checkpoint", f"/api/v1/media/{FORGER}/01HZY0000000000000000000AB"):
            assert (https.get(path).status_code, https.get(path).json()["type"]) == (403, "urn:zhilu:revoked")
    assert fingerprint(live) == before
    assert live.entries("revoke")[0]["origin"] == honest.journal.origin
