"""Replication over a channel that loses, doubles and delays: it comes to an end, and nothing is sent without bound."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import wire
from agent.core.replica import Replica
from agent.uplink.sending import Sending

WITHIN_S = 10
SECOND = 1_000_000


def sending(size=0, cosigned=0, window=4) -> Sending:
    return Sending(Replica(size, cosigned, window), WITHIN_S, lambda: 0.5)


def test_at_most_a_handful_is_in_flight():
    one = sending()
    ends = []
    while (first := one.next_first(100)) is not None:
        ends.append(first + 10)
        one.sent(first + 10, 0)
    assert ends == [10, 20, 30, 40]
    one.witnessed(20, 0)
    assert one.next_first(100) == 40


def test_silence_sends_again_each_time_later():
    one = sending()
    waits, now = [], 0
    for _ in range(7):
        one.next_first(5)
        one.sent(5, now)
        start = now
        while not one.overdue(now):
            now += SECOND
        waits.append((now - start) // SECOND)
    assert waits == [10, 20, 40, 80, 160, 160, 160]


def test_in_vain_one_batch_asks_for_all_of_them():
    one = sending()
    for end in (10, 20, 30, 40):
        one.next_first(100)
        one.sent(end, 0)
    assert one.overdue(WITHIN_S * SECOND)
    assert one.next_first(100) == 0
    one.sent(10, WITHIN_S * SECOND)
    assert one.next_first(100) is None
    one.witnessed(10, WITHIN_S * SECOND)
    one.sent(20, WITHIN_S * SECOND)
    assert one.next_first(100) == 20


def test_what_was_in_vain_before_the_handshake_counts_behind_it():
    one = sending(size=20)
    one.after(3)
    one.sent(10, 0)
    assert one.next_first(20) is None
    assert one.batch_bytes == wire.MAX_BATCH_BYTES >> 3
    assert not one.overdue(8 * WITHIN_S * SECOND - 1)
    assert one.overdue(8 * WITHIN_S * SECOND)


def test_what_the_broker_has_not_acknowledged_is_waited_for_and_not_sent_again():
    one = sending()
    one.next_first(5)
    one.sent(5, 0)
    waited = 0
    while not one.overdue(waited, under_way=True):
        waited += SECOND
    assert waited == 17 * WITHIN_S * SECOND  # a broker that never acknowledges ends it all the same
    assert one.resent == 1
    one.next_first(5)
    one.sent(5, waited)
    assert one.witnessed(5, waited + SECOND)
    one.next_first(6)
    one.sent(6, waited + SECOND)
    assert one.overdue(waited + 12 * SECOND)  # acknowledged, and no cosignature


def test_batches_become_smaller_on_a_line_that_breaks_and_larger_again():
    one = sending()
    sizes = [one.batch_bytes]
    for _ in range(7):
        one.next_first(5)
        one.sent(5, 0)
        one.connected()
        sizes.append(one.batch_bytes)
    assert sizes == [65_536, 32_768, 16_384, 8_192, 4_096, 2_048, 2_048, 2_048]
    one.connected()
    assert one.batch_bytes == 2_048
    for size in range(1, 8):
        one.next_first(size)
        one.sent(size, 0)
        one.witnessed(size, 0)
    assert one.batch_bytes == 65_536
    one.connected()
    assert one.batch_bytes == 65_536  # nothing was on its way: no reason to be careful


def test_news_ends_the_waiting():
    one = sending()
    one.next_first(5)
    one.sent(5, 0)
    assert one.witnessed(5, SECOND)
    assert not one.overdue(10_000 * SECOND)


def test_an_answer_without_news_starts_again_once():
    one = sending()
    for end in (10, 20):
        one.next_first(20)
        one.sent(end, 0)
    assert not one.witnessed(0, 0)
    assert one.next_first(20) == 0
    one.sent(10, 0)
    one.sent(20, 0)
    for _ in range(50):
        one.witnessed(0, 0)
    assert one.next_first(20) is None
    assert one.resent == 1


def test_a_new_connection_sends_what_is_not_cosigned():
    one = sending(size=20, cosigned=10)
    one.next_first(20)
    one.sent(20, 0)
    one.connected()
    assert one.next_first(20) == 10


class Channel:
    """A broker and a server that hold lines by size only; loses, doubles and delays by a seed."""

    def __init__(self, seed: int, loss: float, double: float) -> None:
        self.random = random.Random(seed)
        self.loss, self.double = loss, double
        self.held = 0
        self.to_server: list[tuple[int, int]] = []
        self.to_device: list[int] = []

    def carry(self, queue: list, thing) -> None:
        if self.random.random() < self.loss:
            return
        queue.append(thing)
        if self.random.random() < self.double:
            queue.append(thing)

    def deliver(self) -> list[int]:
        """Some of what is on its way arrives, in any order."""
        for batch in [b for b in self.to_server if self.random.random() < 0.6]:
            self.to_server.remove(batch)
            first, end = batch
            if first <= self.held < end:
                self.held = end
            self.carry(self.to_device, self.held)
        arrived = [size for size in self.to_device if self.random.random() < 0.6]
        for size in arrived:
            self.to_device.remove(size)
        return arrived


@given(
    seed=st.integers(0, 2**32),
    loss=st.sampled_from([0.0, 0.1, 0.5]),
    double=st.sampled_from([0.0, 0.3, 0.9]),
    size=st.integers(1, 200),
    window=st.integers(1, 8),
)
def test_any_channel_converges_and_sends_stay_bounded(seed, loss, double, size, window):
    channel, chance = Channel(seed, loss, double), random.Random(seed + 1)
    one = Sending(Replica(0, 0, window), WITHIN_S, chance.random)
    now = sends = news = overdue = 0
    while one.replica.cosigned < size:
        now += SECOND
        assert now < 100_000 * SECOND, "it does not come to an end"
        overdue += one.overdue(now)
        while (first := one.next_first(size)) is not None:
            end = min(size, first + chance.randint(1, 20))
            one.sent(end, now)
            sends += 1
            channel.carry(channel.to_server, (first, end))
        assert one.replica.in_flight <= window
        for answer in channel.deliver():
            news += one.witnessed(answer, now)
    assert channel.held == size
    # each step forward, each wait in vain and each answer without news gives leave for one window, and no more
    assert sends <= window * (2 * news + overdue + 1) + window


def test_a_batch_must_end_behind_its_first_line():
    one = sending()
    one.next_first(5)
    with pytest.raises(ValueError, match="between"):
        one.sent(6, 0)
