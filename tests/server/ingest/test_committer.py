"""Batches that devices offer: what is admitted, answered and refused, and that nothing else changes."""

from __future__ import annotations

import sqlite3

import pytest

from agent.core import note, wire
from server.database import Transaction
from server.errors import StorageError
from server.ingest.reasons import MEANINGS, Reason
from tests.server.conftest import line_up
from tests.server.virtual import EPOCH, Device


def held(ingest, device):
    return ingest.services.logs.lines(device.origin, 0, ingest.services.logs.size(device.origin))


def test_a_batch_comes_back_cosigned(ingest, device, witness):
    device.grow(5)
    answers = ingest.offer(device, device.batch())
    head, seconds = witness(answers[0], device)
    assert (head.size, head.root, seconds) == (5, device.range.root(), EPOCH // 1000)
    assert held(ingest, device) == device.lines
    assert ingest.services.logs.checkpoint(device.origin) == answers[0]


def test_many_devices_share_one_commit(ingest, witness):
    fleet = [Device(f"DSJ-{number:07d}", seed=number + 10) for number in range(20)]
    ingest.enrol(*fleet)
    commits = ingest.services.metrics.value("zhilu_commits_total")
    gate = ingest.services.logs_writer.submit(lambda _t: [ingest.committer.offer(one.device, one.grow(3).batch()) for one in fleet])
    gate.result()
    ingest.flush()
    assert ingest.services.metrics.value("zhilu_commits_total") == commits + 1
    assert {device for device, _ in ingest.answers} == {one.device for one in fleet}
    for name, answer in ingest.answers:
        witness(answer, next(one for one in fleet if one.device == name))


def test_doubled_and_late_batches_are_answered_with_the_newest(ingest, device, witness):
    device.grow(2).grow(2)
    ingest.offer(device, *device.batches(most=2))
    for payload in (device.batch(0, 2), device.batch(2, 4), device.batch(0, 4)):
        head, _ = witness(ingest.offer(device, payload)[-1], device)
        assert head.size == 4
    assert held(ingest, device) == device.lines


def test_an_early_batch_is_answered_with_the_newest(ingest, device, witness):
    device.grow(2).grow(2).grow(2)
    ingest.offer(device, device.batch(0, 2))
    head, _ = witness(ingest.offer(device, device.batch(4, 6))[-1], device)
    assert head.size == 2
    assert ingest.refused("ahead") == 1


def test_an_early_batch_waits_a_moment_for_the_one_before_it(ingest, device, witness):
    object.__setattr__(ingest.committer, "_settings", ingest.services.settings.ingest.model_copy(update={"park_ms": 60_000}))
    device.grow(2).grow(2).grow(2)
    assert ingest.offer(device, device.batch(4, 6), device.batch(2, 4)) == []
    head, _ = witness(ingest.offer(device, device.batch(0, 2))[-1], device)
    assert head.size == 6
    assert ingest.refused("ahead") == 0


def test_the_cosignatures_time_never_goes_back(ingest, device, witness, clock):
    device.grow(1)
    clock.ms = EPOCH + 3_600_000
    _, first = witness(ingest.offer(device, device.batch())[-1], device)
    clock.ms = EPOCH
    device.grow(1)
    _, second = witness(ingest.offer(device, device.batch(1))[-1], device)
    assert second == first == EPOCH // 1000 + 3600


def test_both_histories_of_a_fork_are_kept_and_the_ledger_says_so(ingest, device):
    other = Device(key=device.key, seed=7)
    device.grow(3)
    other.grow(3)
    ingest.offer(device, device.batch())
    assert ingest.offer(device, other.batch(), other.batch()) == []
    assert held(ingest, device) == device.lines
    kept = ingest.services.logs.forks(device.origin)
    assert [(one["reason"], one["size"]) for one in kept] == [("fork", 3)]
    verifier = note.verifier(device.vkey)
    heads = [note.parse_checkpoint(note.open_note(kept[0][name], [verifier])[0]) for name in ("note", "held")]
    assert [head.root for head in heads] == [other.range.root(), device.range.root()]
    assert [one.members["origin"] for one in ingest.services.ledger.entries(kind="fork")] == [device.origin]
    assert ingest.refused("fork") == 2


def test_a_revoked_journal_is_never_cosigned(ingest, device):
    device.grow(1)
    ingest.offer(device, device.batch())
    ingest.services.logs_writer.call(lambda t: ingest.services.enrolments.stage_revoke(t, device.origin, "lost"))
    device.grow(1)
    assert ingest.offer(device, device.batch(1), device.batch(0, 1)) == []
    assert ingest.refused("revoked") == 2
    assert held(ingest, device) == device.lines[:1]


def test_a_key_of_another_journal_signs_nothing_here(ingest, device):
    stranger = Device(seed=9)
    assert ingest.offer(device, stranger.grow(2).batch()) == []
    assert ingest.refused("foreign-signature") == 1


def good(device: Device) -> bytes:
    return device.grow(3).batch()


def resigned(device: Device, first: int, lines: list[bytes], size: int, root: bytes) -> bytes:
    """A batch that the device really signed, whatever it says."""
    body = f"{device.origin}\n{size}\n{note.base64(root)}\n"
    return b"\n".join([b"%d" % first, *lines, b"", device.signed(body).encode()])


BAD = {
    "nothing": (lambda _: b"", "torn"),
    "ten megabytes of nothing": (lambda _: b"\0" * 10_000_000, "too-large"),
    "64 KiB of nothing": (lambda _: b"\0" * 65536, "torn"),
    "a torn tail": (lambda d: good(d)[:200], "torn"),
    "no index": (lambda d: good(d).split(b"\n", 1)[1], "torn"),
    "an empty line": (lambda d: good(d).replace(b"\n{", b"\n\n{", 1), "bad-note"),
    "a line too long": (lambda d: resigned(d, 0, [b"x" * 4097], 1, b"\0" * 32), "torn"),
    "300 lines": (lambda d: resigned(d, 0, [b"x"] * 300, 300, b"\0" * 32), "too-many-lines"),
    "a wrong root": (lambda d: resigned(d, 0, [b"x"], 1, b"\0" * 32), "wrong-root"),
    "a torn line": (lambda d: good(d).replace(b'"kind"', b'"kin', 1), "wrong-root"),
    "a size of 2**63": (lambda d: resigned(d, 2**63 - 1, [b"x"], 2**63, b"\0" * 32), "bad-note"),
    "an index in the future": (lambda d: resigned(d, 2**62, [b"x"], 2**62 + 1, b"\0" * 32), "ahead"),
    "a negative index": (lambda d: b"-1" + good(d)[1:], "torn"),
    "a size that is not the end": (lambda d: resigned(d, 0, [b"x"], 5, b"\0" * 32), "bad-size"),
    "invalid UTF-8 in the note": (lambda d: good(d)[:-20] + b"\xff" + good(d)[-19:], "bad-note"),
    "no signature": (lambda d: good(d).rsplit(b"\n", 2)[0] + b"\n", "bad-note"),
    "a changed signature": (lambda d: good(d)[:-10] + b"AAAAAAAA\n", "bad-note"),
    "an origin of another domain": (lambda d: good(d).replace(b"evidence.example.gov/", b"evidence.example.org/"), "unknown-origin"),
    "an origin without a number": (lambda d: good(d).replace(b"/1\n3\n", b"/x\n3\n"), "bad-origin"),
    "another device's origin": (lambda _: good(Device("DSJ-0000002", seed=5)), "wrong-topic"),
}


@pytest.mark.parametrize("case", BAD, ids=str)
def test_bad_input_is_refused_with_a_reason_and_changes_nothing(ingest, device, case, caplog):
    make, reason = BAD[case]
    ingest.offer(device, make(device))
    assert ingest.refused(reason) == 1, ingest.services.metrics.text()
    assert any(reason in one.getMessage() for one in caplog.records)
    assert held(ingest, device) == []
    assert ingest.answers == []
    assert ingest.services.logs.forks() == []
    good_device = Device("DSJ-0000003", seed=3)
    ingest.enrol(good_device)
    assert len(ingest.offer(good_device, good_device.grow(2).batch())) == 1


def test_invalid_utf8_in_a_line_is_a_line_like_any_other(ingest, device):
    device.raw(b"\xff\xfe not even text")
    device.commit()
    assert len(ingest.offer(device, device.batch())) == 1
    ingest.index()
    assert held(ingest, device) == device.lines


def test_every_reason_has_a_meaning_and_the_wire_has_no_other():
    assert set(MEANINGS) == set(Reason)
    assert set(wire.REASONS) <= {one.value for one in Reason}


def test_two_servers_over_one_database_never_lose_a_line(ingest, device, witness):
    """Compare-and-swap: what the other one wrote is found, and the batch is decided anew."""
    device.grow(1)
    ingest.offer(device, device.batch())
    second = line_up(ingest.services)
    device.grow(1)
    head, _ = witness(second.offer(device, device.batch(1, 2))[-1], device)
    assert head.size == 2
    device.grow(1)
    # The first one still believes that the journal has one line.
    head, _ = witness(ingest.offer(device, device.batch(1, 3))[-1], device)
    assert head.size == 3
    assert held(ingest, device) == device.lines


def test_a_commit_that_fails_is_counted_and_the_next_one_works(ingest, device):
    def refuse(_transaction: Transaction) -> None:
        raise StorageError("no room")

    device.grow(1)
    payload = device.batch()

    def fail_at_commit(transaction: Transaction) -> None:
        ingest.committer.offer(device.device, payload)
        transaction.before_commit(lambda: refuse(transaction))

    with pytest.raises(StorageError, match="no room"):
        ingest.services.logs_writer.call(fail_at_commit)
    ingest.flush()
    assert held(ingest, device) == device.lines


def test_what_was_cosigned_is_on_disk(ingest, device):
    device.grow(4)
    ingest.offer(device, device.batch())
    with sqlite3.connect(ingest.services.settings.path("logs.sqlite")) as other:
        rows = other.execute("SELECT first, count, lines FROM batch JOIN log ON log.id = batch.log WHERE origin = ?", (device.origin,))
        assert rows.fetchall() == [(0, 4, b"\n".join(device.lines))]
        assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    other.close()
