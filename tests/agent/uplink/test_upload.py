"""Media over a real HTTPS server with mutual TLS: what goes, in which requests, and what each answer leads to."""

from __future__ import annotations

import itertools
import json
import random
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.uplink.errors import NoAnswer
from agent.uplink.grouping import requests
from agent.uplink.https import Https, tls_context
from agent.uplink.upload import ASIDE_US, NOT_YET_US, judge
from tests.agent.uplink.intake import RECORDING, Bench, Intake, Piece

MIB = 1_048_576
SECOND = 1_000_000


@pytest.fixture
def intake(authority) -> Iterator[Intake]:
    one = Intake(authority.context("zhilu-server", server=True))
    yield one
    one.close()


@pytest.fixture
def bench(intake, authority, deployment) -> Iterator[Bench]:
    one = Bench(intake.url, authority.context(deployment.name), deployment.name)
    yield one
    one.uploader.close()
    one.https.close()


def path(track: str = "front", name: str = "DSJ-0000007") -> str:
    return f"/api/v1/media/{name}/{RECORDING}/{track}"


def test_a_track_arrives_in_few_requests_of_whole_fragments(bench, intake, deployment):
    sizes = [900, *(random.Random(1).randint(300_000, 700_000) for _ in range(40))]
    for size in sizes:
        bench.disk.add(size)
    bench.until_idle()
    assert bytes(intake.files[path()]) == bench.disk.file()
    assert not bench.disk.waiting
    assert intake.subjects == {deployment.name}
    assert all(2 * MIB <= length <= 4 * MIB for _, length in sorted(intake.requests)[1:-1])
    assert len(intake.requests) <= sum(sizes) // (3 * MIB) + 2


def test_while_it_records_small_requests_wait_for_company(bench, intake):
    bench.running = RECORDING
    bench.disk.add(400_000)
    assert bench.uploader.step() == ""
    bench.now += 6 * SECOND
    assert bench.uploader.step() == "sent 1"
    bench.disk.add(400_000)
    bench.running = None
    assert bench.uploader.step() == "sent 1"
    assert len(intake.requests) == 2


@pytest.mark.parametrize(
    ("status", "kind", "answer"),
    [
        (200, "text/html", b"<html>Welcome to the hotel's network</html>"),
        (201, "application/problem+json", b'{"status": 500, "title": "no"}'),
        (201, "application/json", b'{"bytes": 999}'),
        (204, "application/json", b""),
        (302, "text/html", b""),
        (401, "application/problem+json", b"{}"),
        (403, "application/problem+json", b"{}"),
        (404, "application/problem+json", b"{}"),
        (413, "application/problem+json", b"{}"),
        (500, "application/problem+json", b"{}"),
        (507, "application/problem+json", b"{}"),
    ],
)
def test_only_the_servers_own_yes_is_success(bench, intake, status, kind, answer):
    bench.disk.add(1_000)
    intake.answers = [(status, kind, answer)]
    assert bench.uploader.step() == "failed 1"
    assert len(bench.disk.waiting) == 1
    assert bench.uploader.failures == 1
    assert str(status) in bench.uploader.last_error
    assert bench.uploader.step() == ""
    bench.now += SECOND
    assert bench.uploader.step() == "sent 1"
    assert not bench.disk.waiting


def test_held_already_is_success(bench, intake):
    bench.disk.add(1_000)
    intake.answers = [(200, "application/json", b'{"bytes": 1000, "stored": 0}')]
    assert bench.uploader.step() == "sent 1"


def test_failures_wait_longer_each_time(bench, intake):
    bench.disk.add(1_000)
    intake.answers = [(503, "text/plain", b"")] * 10
    waits = []
    for _ in range(9):
        assert bench.uploader.step() == "failed 1"
        start = bench.now
        while bench.uploader._not_before_us > bench.now:
            bench.now += 100_000
        waits.append((bench.now - start) // 100_000 / 10)
    assert waits == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]


def test_no_server_is_no_answer(bench, authority, free_port):
    bench.https.close()
    bench.https = Https(f"https://127.0.0.1:{free_port()}", authority.context("x"), 5)
    bench.make()
    bench.disk.add(1_000)
    assert bench.uploader.step() == "failed 1"
    assert "PUT" in bench.uploader.last_error


def test_a_request_that_broke_off_goes_on_where_the_server_has_got_to(bench, intake):
    """The server keeps each whole fragment that has come; only what the break tore is sent twice."""
    pieces = [bench.disk.add(100_000) for _ in range(20)]
    intake.break_after, intake.held = 730_000, {"front": [[0, 7]]}
    assert bench.uploader.step() == "failed 20"
    assert bench.uploader.step() == ""
    bench.now += SECOND
    assert bench.uploader.step() == "sent 13"
    assert intake.asked == [RECORDING]
    assert intake.requests == [(f"{path()}/700000", 1_300_000)]
    assert not bench.disk.waiting
    assert bench.uploader.sent_bytes == sum(one.bytes for one in pieces)


def test_requests_become_smaller_on_a_line_that_breaks_and_larger_again(bench, intake):
    bench.make(parallel=1)
    for _ in range(100):
        bench.disk.add(100_000)
    for _ in range(8):
        intake.break_after, intake.about = 10, [(404, "application/problem+json", b'{"type": "urn:zhilu:not-found"}')]
        bench.now += 60 * SECOND
        assert "failed" in bench.uploader.step()
    intake.about = [(404, "application/problem+json", b'{"type": "urn:zhilu:not-found"}')]
    bench.now += 60 * SECOND
    bench.until_idle()
    lengths = [length for _, length in intake.requests]
    assert lengths[:2] == [100_000, 100_000]  # never smaller than a fragment
    assert max(lengths) > 2 * MIB
    assert not bench.disk.waiting


def test_a_lost_answer_costs_no_second_request(bench, intake):
    bench.disk.add(100_000)
    intake.break_after, intake.held = 100_000, {"front": [[0, 1]]}
    assert bench.uploader.step() == "failed 1"
    bench.now += SECOND
    assert bench.uploader.step() == ""
    assert not bench.disk.waiting
    assert (intake.asked, intake.requests) == ([RECORDING], [])
    assert (bench.uploader.handed_bytes, bench.uploader.sent_bytes) == (100_000, 100_000)


@pytest.mark.parametrize(
    "answer",
    [
        (500, "application/problem+json", b"{}"),
        (404, "text/html", b"<html>no such page</html>"),
        (200, "text/html", b"<html>Welcome to the hotel's network</html>"),
        (200, "application/json", b'{"recording": "01HZY0000000000000000000CD", "tracks": []}'),
        (200, "application/json", b'{"recording": "01HZY0000000000000000000AB", "tracks": [{"track": "front", "held": [1]}]}'),
        (200, "application/json", b'{"recording": "01HZY0000000000000000000AB", "tracks": {"front": 1}}'),
    ],
)
def test_nothing_goes_before_the_doubt_is_settled(bench, intake, answer):
    bench.disk.add(100_000)
    intake.break_after, intake.about = 10, [answer]
    assert bench.uploader.step() == "failed 1"
    bench.now += SECOND
    assert bench.uploader.step() == "no answer"
    assert intake.requests == []
    assert bench.uploader.step() == ""
    bench.now += 2 * SECOND
    assert bench.uploader.step() == "sent 1"


def test_what_was_sent_before_a_power_cut_is_asked_for_and_not_sent_again(bench, intake):
    """The notes of what was sent went with the power, or with the index: the server knows."""
    for _ in range(10):
        bench.disk.add(100_000)
    bench.disk.earlier, intake.held = {RECORDING}, {"front": [[0, 8]]}
    bench.until_idle()
    assert intake.asked == [RECORDING]
    assert intake.requests == [(f"{path()}/800000", 200_000)]
    assert not bench.disk.waiting


def test_what_begins_after_the_start_is_not_asked_for(bench, intake):
    bench.disk.add(100_000)
    bench.disk.earlier = {"01HZY0000000000000000000CD"}
    assert bench.uploader.step() == "sent 1"
    assert intake.asked == []


def test_a_catalogue_that_does_not_know_the_recording_yet_says_nothing(bench, intake):
    bench.disk.add(100_000)
    intake.break_after, intake.about = 10, [(404, "application/problem+json", b'{"type": "urn:zhilu:not-found"}')]
    assert bench.uploader.step() == "failed 1"
    bench.now += SECOND
    assert bench.uploader.step() == "sent 1"


def test_what_the_server_has_lost_goes_again(bench, intake):
    """It said 201, and was restored from a copy of before: no receipt comes, so it is asked."""
    pieces = [bench.disk.add(1_000) for _ in range(5)]
    bench.until_idle()
    assert not bench.disk.waiting
    bench.disk.stopped = [RECORDING]
    intake.held = {"front": [[0, 2], [4, 5]]}
    for wait_s in (5, 60):
        assert bench.uploader.step() == ""
        assert intake.asked == []
        bench.now += wait_s * SECOND
    assert bench.uploader.step() == "sent 2"
    assert intake.requests[-1] == (f"{path()}/2000", 2_000)
    assert not bench.disk.waiting
    assert len(pieces) == 5
    assert bench.uploader.missed_bytes == 2_000, "they went twice, and that is counted"


def test_a_recording_that_is_whole_at_the_server_is_asked_for_less_and_less(bench, intake):
    bench.disk.add(1_000)
    bench.until_idle()
    bench.disk.stopped, intake.held = [RECORDING], {"front": [[0, 1]]}
    when = []
    while bench.now < 4 * 3_600 * SECOND:
        asked = len(intake.asked)
        assert bench.uploader.step() == ""
        if len(intake.asked) > asked:
            when.append(bench.now // SECOND)
        bench.now += 30 * SECOND
    assert [b - a for a, b in itertools.pairwise(when[:5])] == [120, 240, 480, 960]
    assert max(b - a for a, b in itertools.pairwise(when)) <= 3_630
    bench.disk.stopped = []
    bench.now += 7_200 * SECOND
    asked = len(intake.asked)
    assert bench.uploader.step() == ""
    assert len(intake.asked) == asked


def test_not_yet_holds_back_one_track_and_no_other(bench, intake):
    bench.make(parallel=1)
    bench.disk.add(1_000)
    bench.disk.add(1_000, track="rear")
    intake.answers = [(409, "application/problem+json", b'{"status": 409}')]
    assert bench.uploader.step() == "not-yet 1"
    assert bench.uploader.step() == "sent 1"
    assert bench.uploader.step() == ""
    bench.now += NOT_YET_US
    assert bench.uploader.step() == "sent 1"


def test_bytes_that_do_not_match_are_told_once_and_put_aside(bench, intake):
    for _ in range(3):
        bench.disk.add(1_000)
    intake.answers = [(422, "application/problem+json", json.dumps({"status": 422, "track": "front", "seq": 1}).encode())]
    assert bench.uploader.step() == "mismatch 1"
    assert [one.seq for one in bench.book.mismatches] == [1]
    # the others of the track go on, in requests before and behind it
    assert bench.uploader.step() == "sent 1, sent 1"
    for _ in range(20):
        bench.now += SECOND
        assert bench.uploader.step() == ""
    assert len(intake.requests) == 3
    bench.now += ASIDE_US
    intake.answers = [(422, "application/problem+json", b"{}")]
    assert bench.uploader.step() == "mismatch 1"


def test_damage_on_our_own_disk_never_leaves_it(bench, intake):
    bench.disk.add(1_000)
    bad = bench.disk.add(1_000)
    bench.disk.content[bad] = b"\x00" * 1_000
    assert bench.uploader.step() == "damaged 1"
    assert bench.book.damage == [bad]
    assert not intake.requests
    bench.until_idle()
    assert bench.disk.waiting == [bad]


def test_media_that_can_not_be_read_are_damaged(bench):
    one = bench.disk.add(1_000)

    def broken(_piece) -> bytes:
        raise OSError(5, "Input/output error")

    bench.disk.read = broken
    bench.make()
    assert bench.uploader.step() == "damaged 1"
    assert bench.book.damage == [one]


def test_only_over_the_networks_that_are_allowed(bench, intake):
    bench.make(only_networks=("wlan0",))
    bench.disk.add(1_000)
    assert bench.uploader.step() == "waiting for wlan0"
    assert not intake.requests
    bench.networks = {"lo", "wlan0"}
    assert bench.uploader.step() == "sent 1"


def test_several_go_at_a_time(bench, intake):
    together = threading.Barrier(3)
    intake.before = lambda: together.wait(60)
    bench.make(parallel=3)
    for number in range(3):
        bench.disk.add(1_000, track=f"track-{number}")
    assert bench.uploader.step() == "sent 1, sent 1, sent 1"


def test_the_bandwidth_limit_holds_for_all_requests_together(bench):
    bench.make(parallel=1, bytes_per_s=100_000)
    waited = []

    def wait(seconds: float) -> bool:
        waited.append(seconds)
        bench.now += int(seconds * SECOND) + 1
        return False

    bench.uploader._stopping.wait = wait
    bench.disk.add(1_000_000)
    assert bench.uploader.step() == "sent 1"
    assert 8 <= sum(waited) <= 10


def test_a_missing_certificate_is_named(tmp_path):
    with pytest.raises(NoAnswer, match=r"device\.crt"):
        tls_context(tmp_path / "ca.crt", tmp_path / "device.crt", tmp_path / "device.key")


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(1, 50), st.integers(0, 3)), max_size=40),
    st.integers(1, 120),
)
def test_requests_are_contiguous_complete_and_within_the_target(steps, target):
    ends: dict[str, int] = {}
    pieces = []
    for number, (track, size, hole) in enumerate(steps):
        offset = ends.get(track, 0) + (hole == 3) * 7
        pieces.append(Piece(RECORDING, track, number, offset, size, ""))
        ends[track] = offset + size
    groups = requests(pieces, target)
    assert sorted((one for group in groups for one in group), key=lambda one: one.seq) == pieces
    for group in groups:
        assert len(group) == 1 or sum(one.bytes for one in group) <= target
        assert all(a.track == b.track and a.offset + a.bytes == b.offset for a, b in itertools.pairwise(group))


@given(st.integers(100, 599), st.sampled_from(["application/json", "text/html", ""]), st.binary(max_size=40))
def test_no_strange_answer_is_taken_for_success(status, kind, answer):
    outcome = judge([], status, kind, answer).outcome
    if outcome == "sent":
        assert status in {200, 201}
        assert isinstance(json.loads(answer), dict)
