"""What the uplink hears, on record and in the index; and the deletion that a receipt allows."""

from __future__ import annotations

import pytest

from agent.config import StorageSection
from agent.core import lines, merkle, note
from agent.pipeline.news import News
from agent.pipeline.orders import Orders
from agent.pipeline.purger import Purger
from agent.pipeline.state import State
from agent.uplink.inbox import Beacon, Cosigned, Order, Stored

RECORDING = "01HZY0000000000000000000AB"
DAY_S = 86_400
NOW_S = 1_800_000_000


@pytest.fixture
def state() -> State:
    return State()


@pytest.fixture
def news(bench, state) -> News:
    orders = Orders(None, bench.clerk, state, lambda: None)
    return News(bench.clerk, bench.index, bench.receipts, orders, state, lambda: bench.happened.append(("wake", "")))


@pytest.fixture
def recorded(bench, make_fragment):
    """A recording of three fragments that has ended."""
    bench.start()
    bench.write(make_fragment(1), make_fragment(2))
    bench.stop()


def settle(bench) -> None:
    while len(bench.tray):
        bench.clerk.step()


def cosign(bench, news, seconds=NOW_S) -> None:
    text = bench.cosign()
    head = note.parse_checkpoint(note.split(text)[0])
    news.cosigned(Cosigned(head.size, seconds, text, head.root))
    settle(bench)


def receipt(bench, news) -> bytes:
    """A ledger's proof as it would come; whose key signed it was the inbox's business."""
    found = news.stopped(RECORDING)
    figures = {"origin": bench.journal.origin, "recording": RECORDING, "stop": found.stop.hex(), "fragments": found.fragments}
    line = lines.build("stored", 1, None, "A" * 22, {**figures, "bytes": found.bytes})
    leaf = merkle.leaf_hash(line)
    head = note.sign(note.checkpoint("x/ledger", 1, leaf), "x/ledger", 1, bench.signer.public_key(), bench.signer.sign)
    news.stored(Stored(RECORDING, leaf.hex(), note.tlog_proof(0, [], head, line)))
    settle(bench)
    return line


def test_a_cosignature_is_kept_and_lets_fragments_go(bench, news, recorded):
    assert bench.index.pending(9) == []
    cosign(bench, news)
    assert bench.journal.cosigned_size == bench.journal.size
    assert len(bench.index.pending(9)) == 3
    assert ("wake", "") in bench.happened
    assert news.cosigned_s == NOW_S


def test_a_receipt_is_kept_beside_the_journal(bench, news, recorded):
    cosign(bench, news)
    assert news.stopped("01HZY0000000000000000000ZZ") is None
    receipt(bench, news)
    assert bench.receipts.recordings() == [RECORDING]
    assert bench.index.recordings()[0].receipt
    assert bench.index.pending(9) == []


def test_a_beacon_waits_for_the_next_start(bench, news):
    news.beacon(Beacon(5, "x/ledger\n5\nAAAA\n", ""))
    assert bench.clerk.known_beacon == "x/ledger\n5\nAAAA\n"
    assert bench.kinds() == []


def test_orders_are_passed_on(bench, news):
    done = []
    news.order(Order(1, "reboot", {}, expired=False), lambda: done.append(1))
    assert not done
    news._orders.step()
    settle(bench)
    assert done


def test_a_fork_is_an_alarm_and_a_tamper_line(bench, news, state):
    news.forked("the witness cosigned another root")
    settle(bench)
    assert bench.lines("tamper")[0]["event"] == "other-checkpoint"
    assert state.alarms


def test_damage_on_our_disk_is_a_gap_for_exactly_that_fragment(bench, news, recorded, state):
    cosign(bench, news)
    before = news.stopped(RECORDING).fragments
    damaged = bench.index.pending(9)[1]
    news.damaged(damaged, "other bytes")
    settle(bench)
    gap = bench.lines("gap")[0]
    assert (gap["track"], gap["from"], gap["lost"], gap["reason"]) == ("front", damaged.pts, damaged.duration, "storage")
    assert "n" not in gap
    assert len(bench.index.pending(9)) == 2
    assert news.stopped(RECORDING).fragments == before - 1
    assert state.alarms


def test_media_that_are_missing_get_their_gap_once(bench, news, recorded, state):
    cosign(bench, news)
    assert news.mend() == 0
    bench.files.truncate(bench.media.path(RECORDING, "front", "mp4"), 1_500)
    assert news.mend() == 2
    settle(bench)
    assert [(line["from"], line["lost"]) for line in bench.lines("gap")] == [(0, 1_000), (1_000, 1_000)]
    assert news.mend() == 0
    assert len(bench.index.pending(9)) == 1


def test_an_index_that_breaks_is_said_once(bench, news, recorded, state):
    bench.index._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    bench.index._db.execute("PRAGMA cache_size = 0")
    path = bench.index.path
    path.write_bytes(path.read_bytes()[:4_096] + b"\xa5" * (path.stat().st_size - 4_096))
    for _ in range(2):
        news.mend()
        settle(bench)
    assert [line["event"] for line in bench.lines("storage")] == ["index-rebuilt"]
    assert "malformed" in bench.lines("storage")[0]["detail"]
    assert state.alarms == ("the index was broken and is built again",)


def test_a_receipt_that_comes_again_is_no_news(bench, news, recorded):
    cosign(bench, news)
    receipt(bench, news)
    bench.files.record = True
    receipt(bench, news)
    assert bench.files.operations == []


def test_bytes_that_the_server_refuses_are_said(bench, news, recorded, state):
    cosign(bench, news)
    news.mismatch(bench.index.pending(9)[0], "status 422")
    settle(bench)
    assert bench.lines("storage")[0]["event"] == "refused"
    assert "gap" not in bench.kinds()


# --------------------------------------------------------------------------- deletion


def purger(bench, keep_days: int, now_s: int, free: int = 1 << 40) -> Purger:
    settings = StorageSection(keep_days=keep_days, reserve_bytes=1 << 20)
    one = Purger(bench.clerk, bench.index, bench.receipts, settings, lambda: free, lambda: now_s, lambda: 0)
    # the purger waits for the journal's thread; here it is called at once
    post = bench.clerk.post

    def write(entry) -> None:
        post(entry)
        settle(bench)

    bench.clerk.post = write
    return one


def test_media_go_when_they_are_old_and_proved(bench, news, recorded):
    cosign(bench, news)
    line = receipt(bench, news)
    assert purger(bench, 7, NOW_S + 7 * DAY_S - 1).step() == ""
    assert purger(bench, 7, NOW_S + 7 * DAY_S).step() == RECORDING
    purge = bench.lines("purge")[0]
    assert (purge["reason"], purge["receipt"]) == ("age", merkle.leaf_hash(line).hex())
    assert bench.media.names(RECORDING) == []
    assert purger(bench, 0, NOW_S + 99 * DAY_S).step() == ""


def test_media_go_when_space_is_needed(bench, news, recorded):
    cosign(bench, news)
    receipt(bench, news)
    assert purger(bench, 3_000, NOW_S, free=0).step() == RECORDING
    assert bench.lines("purge")[0]["reason"] == "space"


@pytest.mark.parametrize("missing", ["cosignature", "receipt", "stop"])
def test_without_proof_nothing_ever_goes(bench, news, make_fragment, missing):
    bench.start()
    bench.write(make_fragment(1))
    if missing != "stop":
        bench.stop()
    if missing != "cosignature":
        cosign(bench, news)
    assert purger(bench, 0, NOW_S + 9_999 * DAY_S, free=0).step() == ""
    assert bench.media.names(RECORDING) == ["front.mp4"]
