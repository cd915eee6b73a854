"""The bandwidth limit holds over time, and media go only over networks that the settings allow."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.uplink.bandwidth import Bucket, allowed, networks_up

SECOND = 1_000_000


@given(rate=st.integers(1, 10_000_000), pieces=st.lists(st.integers(1, 200_000), min_size=1, max_size=60))
def test_the_mean_never_exceeds_the_rate(rate, pieces):
    bucket, now, sent = Bucket(rate), 0, 0
    for piece in pieces:
        while wait := bucket.wait_us(now):
            now += wait
        # before this piece: at most what was earned until now, and one piece that was begun on credit
        assert (sent - max(pieces)) * SECOND <= rate * (now + SECOND)
        bucket.take(piece)
        sent += piece


def test_no_limit_never_waits():
    bucket = Bucket(0)
    bucket.take(10**12)
    assert bucket.wait_us(0) == 0


def test_a_pause_earns_one_second_and_no_more():
    bucket = Bucket(1_000)
    assert bucket.wait_us(3_600 * SECOND) == 0
    bucket.take(1_000)
    assert bucket.wait_us(3_600 * SECOND) > 0


def test_any_network_is_allowed_where_none_is_named():
    assert allowed([], [])
    assert allowed(["wlan0", "eth0"], {"eth0"})
    assert not allowed(["wlan0"], {"wwan0", "lo"})


def test_networks_that_are_up_are_the_kernels(tmp_path):
    for name, state in (("wlan0", "up\n"), ("eth0", "down\n"), ("tun0", "unknown\n"), ("odd0", None)):
        (tmp_path / name).mkdir()
        if state:
            (tmp_path / name / "operstate").write_text(state)
    assert networks_up(tmp_path) == {"wlan0", "tun0"}
    assert networks_up(tmp_path / "none") == set()
    assert "lo" in networks_up()
