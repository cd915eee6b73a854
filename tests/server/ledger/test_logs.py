"""Reading logs: lines, checkpoints, subtrees, with and without what is remembered of them."""

from __future__ import annotations

import pytest

from agent.core import merkle, note
from server.database import sql
from server.errors import Unknown
from server.ledger import subtrees
from tests.server.virtual import Device


@pytest.fixture
def long_log(ingest, device) -> Device:
    """700 lines in batches of 1 to 40."""
    while device.size < 700:
        first = device.size
        ingest.offer(device, device.grow(device.random.randint(1, 40)).batch(first))
    assert ingest.services.logs.size(device.origin) == device.size
    return device


def test_lines_of_any_stretch(ingest, long_log):
    logs = ingest.services.logs
    for first, end in ((0, 1), (0, 700), (3, 4), (255, 257), (699, 700), (10, 10)):
        assert logs.lines(long_log.origin, first, end) == long_log.lines[first:end]
    with pytest.raises(Unknown):
        logs.lines(long_log.origin, 0, long_log.size + 1)


def test_proofs_are_those_of_the_lines(ingest, long_log):
    logs, size = ingest.services.logs, long_log.size
    leaves = [merkle.leaf_hash(line) for line in long_log.lines]
    subtree, expected = logs.subtree(long_log.origin), merkle.from_leaves(leaves)
    for index in (0, 1, 255, 256, 511, 512, size - 1):
        assert merkle.inclusion(subtree, index, size) == merkle.inclusion(expected, index, size)
    assert merkle.consistency(subtree, 300, size) == merkle.consistency(expected, 300, size)
    assert merkle.range_hashes(subtree, [(5, 9), (400, 650)], size) == merkle.range_hashes(expected, [(5, 9), (400, 650)], size)
    for end in (0, 1, 256, 513, size):
        assert logs.root(long_log.origin, end) == merkle.root_of(leaves[:end])


def test_complete_subtrees_are_remembered(ingest, long_log, monkeypatch):
    monkeypatch.setattr(subtrees, "SMALL", 16)
    monkeypatch.setattr(subtrees, "LARGE", 64)
    logs, services = ingest.services.logs, ingest.services
    subtree = logs.subtree(long_log.origin)
    first = merkle.inclusion(subtree, 3, long_log.size)
    ingest.flush()
    with logs._engine.connect() as connection:
        kept = {row.leaves: row.count for row in connection.execute(sql("SELECT leaves, count(*) AS count FROM subtree GROUP BY leaves"))}
    assert kept[64] >= 8
    assert kept[16] >= 32
    services.logs_writer.call(lambda t: t.execute("DELETE FROM batch WHERE first BETWEEN 100 AND 500"))
    assert merkle.inclusion(subtree, 3, long_log.size) == first


def test_the_checkpoint_that_covers_a_size(ingest, long_log):
    logs = ingest.services.logs
    sizes = sorted(long_log.notes)
    for wanted in (1, sizes[0], sizes[0] + 1, sizes[-1]):
        found = note.parse_checkpoint(note.split(logs.cosigned_covering(long_log.origin, wanted))[0]).size
        assert found == min(size for size in sizes if size >= wanted)
    assert logs.cosigned_covering(long_log.origin, sizes[-1] + 1) is None
    assert logs.note_at(long_log.origin, sizes[0] + 1 if sizes[0] + 1 not in sizes else sizes[0] + 2) is None


def test_a_log_that_is_not_there(services):
    assert services.logs.head("nobody/X/1") is None
    assert services.logs.size("nobody/X/1") == 0
    assert services.logs.checkpoint("nobody/X/1") is None
    with pytest.raises(Unknown, match="no journal nobody/X/1"):
        services.logs.lines("nobody/X/1", 0, 1)
