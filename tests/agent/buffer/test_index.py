"""What may be uploaded, in which order, what waits, and what comes back after the index is gone or broken."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.buffer.errors import IndexFault
from agent.buffer.index import Index
from agent.core.retention import purgeable

A, B, C = "01JDAAAAAAAAAAAAAAAAAAAAAA", "01JDBBBBBBBBBBBBBBBBBBBBBB", "01JDCCCCCCCCCCCCCCCCCCCCCC"


def names(fragments) -> list[tuple[str, int]]:
    return [(one.recording, one.seq) for one in fragments]


def test_only_what_is_cosigned_and_there_may_go(buffered):
    buffered.record(A, 3, stop=False)
    assert buffered.index.pending(10) == []
    buffered.cosign(3)
    assert names(buffered.index.pending(10)) == [(A, 0), (A, 1)]
    buffered.cosign()
    buffered.media.sizes[A, "front"] = 350
    assert names(buffered.index.pending(10)) == [(A, 0), (A, 1), (A, 2)]
    assert names(buffered.index.missing()) == [(A, 3)]
    buffered.media.sizes[A, "front"] = -1
    assert buffered.index.pending(10) == []
    first = replace(buffered.index.missing()[1])
    assert (first.line, first.track, first.offset, first.bytes, first.sha256, first.pts, first.duration) == (
        2,
        "front",
        100,
        100,
        f"{1:064x}",
        0,
        1000,
    )


def test_marked_recordings_go_first_then_the_oldest(buffered):
    buffered.record(A, 1)
    buffered.record(B, 1)
    buffered.record(C, 1, mark=True)
    buffered.cosign()
    order = [(C, 0), (C, 1), (A, 0), (A, 1), (B, 0), (B, 1)]
    assert names(buffered.index.pending(10)) == order
    assert names(buffered.index.pending(3)) == order[:3]
    buffered.index.sent(buffered.index.pending(3))
    assert names(buffered.index.pending(10)) == order[3:]


def test_what_is_gone_does_not_wait(buffered):
    buffered.record(A, 3)
    buffered.cosign()
    buffered.write("gap", recording=A, track="front", reason="storage", **{"from": 1000, "lost": 1000})
    buffered.write("gap", recording=A, track="front", reason="camera", **{"from": 0, "lost": 1000})
    buffered.write("gap", recording=A, track="rear", reason="storage", **{"from": 2000, "lost": 1000})
    assert names(buffered.index.pending(10)) == [(A, 0), (A, 1), (A, 3)]
    stopped = buffered.index.stopped(A)
    assert (stopped.fragments, stopped.bytes) == (3, 300)


def test_an_init_segment_is_gone_only_when_exactly_it_is_named(buffered):
    buffered.record(A, 1)
    buffered.cosign()
    buffered.write("gap", recording=A, track="front", reason="storage", **{"from": 0, "lost": 500})
    assert names(buffered.index.pending(10)) == [(A, 0), (A, 1)]
    buffered.write("gap", recording=A, track="front", reason="storage", **{"from": 0, "lost": 0})
    assert names(buffered.index.pending(10)) == [(A, 1)]


def test_backlog_and_recordings(buffered):
    buffered.record(A, 2)
    buffered.cosign(3)
    assert vars_of(buffered.index.backlog()) == (2, 3, 300)
    one = buffered.index.recordings()[0]
    assert (one.recording, one.start, one.stop, one.marked, one.fragments, one.bytes, one.unsent) == (A, 0, 4, False, 3, 300, 3)
    buffered.index.sent(buffered.index.pending(10))
    buffered.cosign()
    assert vars_of(buffered.index.backlog()) == (0, 1, 100)


def vars_of(backlog) -> tuple[int, int, int]:
    return backlog.lines, backlog.fragments, backlog.bytes


def test_figures_for_a_receipt(buffered):
    buffered.record(A, 2, stop=False)
    assert buffered.index.stopped(A) is None
    line = buffered.write("stop", recording=A)
    stopped = buffered.index.stopped(A)
    leaf = hashlib.sha256(b"\0" + buffered.log.lines[line]).digest()
    assert (stopped.stop, stopped.fragments, stopped.bytes) == (leaf, 3, 300)
    assert buffered.index.stopped(B) is None
    assert buffered.index.stopped("'; DROP TABLE recording") is None


def test_retention_gets_its_figures(buffered):
    buffered.record(A, 2)
    buffered.record(B, 2, mark=True)
    buffered.record(C, 2, stop=False)
    assert purgeable(buffered.index.held(), 1 << 40) == []
    buffered.cosign(seconds=500)
    buffered.cosign(seconds=900)
    assert purgeable(buffered.index.held(), 1 << 40) == []
    for recording in (A, B, C):
        buffered.index.receipt(recording)
    assert [one.receipt for one in buffered.index.held()] == [True, True, False], "no receipt without a stop"
    assert purgeable(buffered.index.held(), 1 << 40) == [A, B]
    assert [(one.recording, one.size, one.unsent, one.cosigned_s) for one in buffered.index.held()][:2] == [
        (A, 300, 0, 500),
        (B, 300, 0, 500),
    ]
    buffered.write("purge", recording=A)
    assert [one.recording for one in buffered.index.held()] == [B, C]
    assert purgeable(buffered.index.held(), 1 << 40) == [B]


def test_a_receipt_means_that_everything_is_there(buffered):
    buffered.record(A, 2)
    buffered.cosign()
    buffered.index.receipt(A)
    assert buffered.index.pending(10) == []


def test_what_the_server_turns_out_not_to_have_waits_again(buffered):
    buffered.record("A")
    buffered.record("B")
    buffered.record("C", stop=False)
    buffered.cosign()
    assert buffered.index.unproved() == []
    buffered.index.sent(buffered.index.pending(100))
    assert buffered.index.unproved() == ["A", "B"]
    buffered.index.receipt("A")
    assert buffered.index.unproved() == ["B"]
    lost = buffered.index.of("B", sent=True)[1:]
    assert [one.seq for one in lost] == [1, 2]
    buffered.index.unsent(lost)
    assert buffered.index.unproved() == []
    assert buffered.index.pending(100) == buffered.index.of("B", sent=False) == lost
    assert [one.seq for one in buffered.index.of("B", sent=True)] == [0]


def test_what_is_gone_here_is_never_asked_of_the_server(buffered):
    buffered.record("A")
    buffered.cosign()
    buffered.index.sent(buffered.index.pending(100))
    second = buffered.index.of("A", sent=True)[2]
    buffered.write("gap", recording="A", track="front", lost=1000, reason="storage", **{"from": 1000})
    assert [one.seq for one in buffered.index.of("A", sent=True)] == [0, 1]
    buffered.index.unsent([second])
    assert buffered.index.pending(100) == []
    buffered.write("purge", recording="A")
    assert buffered.index.unproved() == []


def test_it_goes_on_where_it_was(buffered):
    buffered.record(A, 2)
    buffered.cosign()
    buffered.index.sent(buffered.index.pending(2))
    buffered.index.close()
    buffered.index = buffered.open()
    assert buffered.index.rebuilt == 0
    assert names(buffered.index.pending(10)) == [(A, 2)]


def test_after_a_start_or_a_rebuild_more_may_have_been_sent_than_stands_here(buffered):
    buffered.record(A, 2)
    buffered.record(B, 2)
    buffered.index.receipt(B)
    buffered.cosign()
    assert not buffered.index.uncertain(A)
    buffered.index.close()
    buffered.index = buffered.open()
    buffered.record(C, 1)
    assert [buffered.index.uncertain(name) for name in (A, A, B, C)] == [True, False, False, False]
    buffered.index._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    buffered.index._db.execute("PRAGMA cache_size = 0")
    corrupt(buffered.path, "middle")
    buffered.index.recordings()
    assert [buffered.index.uncertain(name) for name in (A, C)] == [True, True]


def test_it_catches_up_with_what_it_missed(buffered):
    buffered.record(A, 1)
    buffered.index.close()
    buffered.log.lines += buffered.log.lines  # said again: a second start of the same recording changes nothing
    buffered.receipts.append(A)
    buffered.log.cosigned_size, buffered.log.cosigned_seconds = 4, 77
    buffered.index = buffered.open()
    assert buffered.index.rebuilt == 0
    one = buffered.index.recordings()[0]
    assert (one.receipt, one.cosigned_s, one.unsent) == (True, 77, 0)


def corrupt(path, kind: str) -> None:
    data = bytearray(path.read_bytes())
    if kind == "head":
        data[:100] = b"not a database at all".ljust(100)
    elif kind == "middle":
        data[4096:] = b"\xa5" * len(data[4096:])
    elif kind == "short":
        del data[len(data) // 2 :]
    else:
        data = bytearray()
    path.write_bytes(data)


@pytest.mark.parametrize("kind", ["head", "middle", "short", "empty", "missing"])
def test_a_broken_index_is_built_again(buffered, kit, kind):
    for recording, marked in ((A, False), (B, True), (C, False)):
        buffered.record(recording, 40, mark=marked)
    buffered.cosign()
    before = kit.answers(buffered.index)
    buffered.index.close()
    if kind == "missing":
        buffered.path.unlink()
    else:
        corrupt(buffered.path, kind)
    buffered.index = buffered.open()
    assert buffered.index.rebuilt == 1
    assert kit.answers(buffered.index) == before
    assert buffered.path.with_name("buffer.sqlite.broken").exists() == (kind != "missing")
    assert bool(buffered.index.broke()) == (kind != "missing")
    assert buffered.index.broke() == ""


def test_an_index_that_breaks_while_it_is_used_is_built_again(buffered, kit):
    for recording in (A, B):
        buffered.record(recording, 300)
    buffered.cosign()
    before = kit.answers(buffered.index)
    buffered.index._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    buffered.index._db.conn.execute("PRAGMA cache_size = 0")
    corrupt(buffered.path, "middle")
    assert kit.answers(buffered.index) == before
    assert buffered.index.rebuilt >= 1
    buffered.record(C, 1)
    assert len(buffered.index.recordings()) == 3


def test_an_index_of_another_journal_or_version_is_not_believed(buffered, kit):
    buffered.record(A, 2)
    buffered.cosign()
    before = kit.answers(buffered.index)
    for sql in (
        "UPDATE state SET origin = 'x'",
        "UPDATE state SET version = 0",
        "UPDATE state SET tip = x'00'",
        "UPDATE state SET size = 99",
    ):
        buffered.index._db.execute(sql)
        buffered.index.close()
        buffered.index = buffered.open()
        assert buffered.index.rebuilt == 1, sql
        assert buffered.index.broke() == ""
        assert kit.answers(buffered.index) == before


def test_a_replaced_end_of_the_journal_is_taken_and_what_was_sent_is_remembered(buffered):
    buffered.record(A, 2)
    buffered.cosign()
    buffered.index.sent(buffered.index.pending(2))
    buffered.record(B, 2)
    new = [line.replace(B.encode(), C.encode()) for line in buffered.log.lines[5:]]
    buffered.log.lines[5:] = new
    buffered.index.add(5, new)
    assert [one.recording for one in buffered.index.recordings()] == [A, C]
    assert names(buffered.index.pending(10)) == [(A, 2)]


def test_a_second_process_is_told_to_go_away(buffered):
    holder = sqlite3.connect(buffered.path)
    holder.execute("BEGIN EXCLUSIVE")
    buffered.index._db.conn.execute("PRAGMA busy_timeout = 0")
    with pytest.raises(IndexFault, match="locked"):
        buffered.record(A, 1)
    holder.close()


def test_where_no_index_can_be_made_it_says_so(buffered, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(IndexFault, match="can't be built"):
        buffered.open(tmp_path / "file" / "buffer.sqlite")
    buffered.index.close()
    buffered.index.close()
    with pytest.raises(IndexFault, match="closed"):
        buffered.index.pending(1)


def test_threads_may_ask_while_one_writes(buffered):
    done = threading.Event()
    problems: list[Exception] = []

    def ask() -> None:
        try:
            while not done.is_set():
                for one in buffered.index.pending(5):
                    buffered.index.sent([one])
                buffered.index.backlog()
        except Exception as error:  # noqa: BLE001 — whatever it is, the test wants to see it
            problems.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    buffered.record(A, 200)
    buffered.cosign()
    done.set()
    for thread in threads:
        thread.join(60)
    assert problems == []


KINDS = ["start", "fragment", "mark", "gap", "stop", "purge", "noise", "cosign", "sent", "receipt"]


@settings(max_examples=60)
@given(steps=st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from([A, B, C]), st.integers(0, 5)), max_size=40))
def test_built_again_it_answers_the_same(tmp_path_factory, kit, steps):
    """Whatever happened in whatever order: the index that was kept and the one that is built now are one."""
    buffered = kit.Buffered(tmp_path_factory.mktemp("kept"))
    sent: list = []
    for kind, recording, number in steps:
        if kind == "fragment":
            buffered.fragment(recording, number, ("front", "rear")[number % 2])
        elif kind == "gap":
            reason, track = ("storage", "power")[number % 2], ("front", "rear")[number % 2]
            buffered.write("gap", recording=recording, track=track, reason=reason, **{"from": number * 1000, "lost": 1000})
        elif kind == "noise":
            buffered.write("fix", lat=1, lon=number)
        elif kind == "cosign":
            buffered.cosign(min(buffered.log.cosigned_size + number, buffered.log.size))
        elif kind == "sent":
            sent += buffered.index.pending(number)
            buffered.index.sent(buffered.index.pending(number))
        elif kind == "receipt" and buffered.index.stopped(recording):
            buffered.receipts.append(recording)
            buffered.index.receipt(recording)
        elif kind != "receipt":
            buffered.write(kind, recording=recording, n=number)
    again: Index = buffered.open(buffered.path.with_name("again.sqlite"))
    again.sent(sent)
    assert kit.answers(again) == kit.answers(buffered.index)
    again.close()
    buffered.index.close()
