"""The server's own log: its lines, its checkpoints, its anchors, and what can be proved from them."""

from __future__ import annotations

import pytest

from agent.core import lines, merkle, note
from server.errors import EnrolmentRefused, Unknown
from server.services import World, open_services
from tests.server.conftest import line_up
from tests.server.virtual import DOMAIN, EPOCH, Device


@pytest.fixture
def ledger(services):
    return services.ledger


def all_lines(services):
    return services.logs.lines(services.ledger.origin, 0, services.logs.size(services.ledger.origin))


def check_proof(services, text: str) -> dict:
    """The line that a .tlog-proof proves under the ledger's key."""
    proof = note.parse_tlog_proof(text)
    head = note.parse_checkpoint(note.open_note(proof.checkpoint, [note.verifier(services.ledger.key.vkey)])[0])
    assert proof.extra is not None
    merkle.check_inclusion(merkle.leaf_hash(proof.extra), proof.index, head.size, proof.hashes, head.root)
    return lines.read(proof.extra) | {"index": proof.index, "size": head.size}


def test_it_begins_with_an_anchor_of_nothing(services):
    members = lines.read(all_lines(services)[0])
    assert {name: members[name] for name in ("kind", "count", "root")} == {"kind": "anchor", "count": 0, "root": merkle.EMPTY_ROOT.hex()}
    assert "previous" not in members
    assert services.ledger.origin == f"{DOMAIN}/ledger"


def test_lines_have_time_kind_and_salt_and_time_never_goes_back(services, ledger, clock):
    clock.ms = EPOCH + 5000
    ledger.append("search", {"by": "console", "query": {"officer": "012345"}})
    clock.ms = EPOCH
    ledger.append("search", {"by": "console", "query": {}})
    found = [lines.read(line) for line in all_lines(services)[-2:]]
    assert [one["at"] for one in found] == [EPOCH + 5000] * 2
    assert all(list(one)[:2] == ["at", "kind"] and len(one["salt"]) == 22 and "up" not in one for one in found)
    assert found[0]["salt"] != found[1]["salt"]


def test_custody_lines_are_counted_without_a_hole(services, ledger):
    about = [("A", "R1"), ("A", "R1"), ("B", "R1"), ("A", "R2"), ("A", "R1")]
    for device, recording in about:
        ledger.append("view", {"device": device, "recording": recording, "by": "console"})
    assert [one.members["c"] for one in ledger.custody("A", "R1")] == [0, 1, 2]
    assert [one.members["c"] for one in ledger.custody("B", "R1")] == [0]
    assert all(one.line in all_lines(services) for one in ledger.custody("A", "R1"))


def test_a_line_that_may_stand_only_once(services, ledger):
    about = {"device": "A", "recording": "R1", "origin": "o"}
    first = services.logs_writer.call(lambda t: ledger.stage_once(t, "stored", about))
    assert services.logs_writer.call(lambda t: ledger.stage_once(t, "stored", about)) == first
    assert len(ledger.entries(kind="stored")) == 1


def test_every_line_is_proved_under_every_later_checkpoint(services, ledger):
    for number in range(40):
        ledger.append("view", {"device": "A", "recording": "R", "by": str(number)})
    size = services.logs.size(ledger.origin)
    for index in range(size):
        assert check_proof(services, ledger.proof(index))["index"] == index
    for end in (5, 17, size):
        assert check_proof(services, ledger.proof(4, end))["size"] == end
    with pytest.raises(Unknown):
        ledger.proof(size)


def test_its_checkpoints_are_all_kept_and_extend_one_another(services, ledger):
    told: list[str] = []
    ledger.subscribe(told.append)
    for number in range(20):
        ledger.append("view", {"device": "A", "recording": "R", "by": str(number)})
    key = [note.verifier(ledger.key.vkey)]
    heads = [note.parse_checkpoint(note.open_note(text, key)[0]) for text in told]
    assert len(heads) == 20
    subtree = services.logs.subtree(ledger.origin)
    for text, old, new in zip(told, heads, heads[1:], strict=False):
        merkle.check_consistency(old.size, old.root, new.size, new.root, merkle.consistency(subtree, old.size, new.size))
        assert services.logs.note_at(ledger.origin, old.size) == text
        assert ledger.note_of(note.split(text)[0]) == text
    with pytest.raises(Unknown):
        ledger.note_of(note.checkpoint(ledger.origin, 3, b"\1" * 32))


def test_an_anchor_covers_the_newest_checkpoints_of_all_devices(services, ingest):
    fleet = [Device(f"DSJ-{number:07d}", seed=number + 20) for number in (3, 1, 2)]
    ingest.enrol(*fleet)
    for one in fleet:
        ingest.offer(one, one.grow(2).batch())
        ingest.offer(one, one.grow(1).batch(2))
    previous = services.ledger.checkpoint()
    index = services.ledger.anchor()
    members = services.ledger.entry(index).members
    bodies = [note.checkpoint(one.origin, 3, one.range.root()) for one in sorted(fleet, key=lambda one: one.origin)]
    root = merkle.root_of([merkle.leaf_hash(body.encode()) for body in bodies])
    assert (members["count"], members["root"], members["previous"]) == (3, root.hex(), previous)
    for one in fleet:
        found = services.ledger.anchor_covering(one.origin, 2)
        assert (found.line, found.size) == (index, 3)
        position, hashes, body = note.parse_anchor_proof(services.ledger.anchor_proof(found))
        assert body in bodies
        merkle.check_inclusion(merkle.leaf_hash(body.encode()), position, 3, hashes, root)
        assert services.logs.note_at(one.origin, found.size) == services.logs.checkpoint(one.origin)


def test_an_anchor_holds_only_what_is_new(services, ingest, device):
    ingest.offer(device, device.grow(1).batch())
    first, second = services.ledger.anchor(), services.ledger.anchor()
    assert [services.ledger.entry(index).members["count"] for index in (first, second)] == [1, 0]
    assert services.ledger.anchor_covering(device.origin, 2) is None
    assert services.ledger.newest_anchor(second) == first


def test_it_goes_on_where_it_was_after_a_restart(settings, clock):
    with open_services(settings, World(clock)) as services:
        services.ledger.append("view", {"device": "A", "recording": "R", "by": "x"})
        before, size = services.ledger.checkpoint(), services.logs.size(services.ledger.origin)
    clock.ms = EPOCH - 10_000
    with open_services(settings, World(clock)) as services:
        assert services.ledger.checkpoint() == before
        index = services.ledger.append("view", {"device": "A", "recording": "R", "by": "y"})
        assert index == size
        assert [one.members["c"] for one in services.ledger.custody("A", "R")] == [0, 1]
        assert lines.read(all_lines(services)[-1])["at"] == EPOCH
        assert services.logs.root(services.ledger.origin, size + 1) == merkle.root_of(
            [merkle.leaf_hash(line) for line in all_lines(services)]
        )


def test_a_journal_is_listed_once_and_never_with_another_key(services, ingest, device):
    ingest.enrol(device)
    assert len(services.ledger.entries(kind="enrol")) == 1
    with pytest.raises(EnrolmentRefused, match="another key"):
        ingest.enrol(Device(seed=77))
    found = services.ledger.entries(kind="enrol")[0]
    assert {name: found.members[name] for name in ("origin", "vkey", "certificate")} == {
        name: device.enrolment[name] for name in ("origin", "vkey", "certificate")
    }
    assert check_proof(services, services.ledger.proof(services.enrolments.get(device.origin).enrolled))["vkey"] == device.vkey


def test_enrolments_and_revocations_survive_a_restart(settings, clock):
    device = Device()
    with open_services(settings, World(clock)) as services:
        line_up(services).enrol(device)
        assert services.logs_writer.call(lambda t: services.enrolments.stage_revoke(t, device.origin, "lost")) is True
        assert services.logs_writer.call(lambda t: services.enrolments.stage_revoke(t, device.origin, "again")) is False
    with open_services(settings, World(clock)) as services:
        found = services.enrolments.get(device.origin)
        assert found is not None
        assert found.revoked is not None
        assert services.ledger.entry(found.revoked).members["reason"] == "lost"


def test_pages_of_entries(ledger):
    for number in range(7):
        ledger.append("view", {"device": "A", "recording": "R", "by": str(number)})
    newest = ledger.entries(limit=3, newest=True)
    assert [one.members["by"] for one in newest] == ["6", "5", "4"]
    older = ledger.entries(newest[-1].index, 10, newest=True, kind="view")
    assert [one.members["by"] for one in older] == ["3", "2", "1", "0"]
