"""The device's half of replication over a channel that loses, doubles, delays and forgets."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.replica import Replica


def test_what_is_sent_is_bounded_and_goes_on_where_the_cosignature_stands():
    replica = Replica(size=10, cosigned=0, window=2)
    for end in (3, 6):
        assert replica.next_first() == replica.sent
        replica.note_sent(end)
    assert replica.next_first() is None
    assert replica.witnessed(3)
    assert replica.next_first() == 6
    assert not replica.witnessed(2)
    assert replica.cosigned == 3


def test_the_servers_answer_decides_even_when_it_is_smaller():
    replica = Replica(size=10, cosigned=4)
    replica.note_sent(10)
    assert replica.answered(4)
    assert replica.next_first() == 4


def test_a_batch_ends_where_the_journal_does():
    replica = Replica(size=3, cosigned=0)
    with pytest.raises(ValueError, match="between 1 and 3, got 4"):
        replica.note_sent(4)


@given(st.integers(0, 2**32), st.integers(1, 60))
def test_in_the_end_everything_is_cosigned_whatever_the_channel_does(seed, size):
    rng = random.Random(seed)
    replica, server, channel = Replica(0, 0), 0, []
    for step in range(3000):
        loss = 0.3 if step < 2000 else 0.0
        replica.grow(min(size, step))
        first = replica.next_first()
        if first is not None:
            end = min(replica.size, first + rng.randint(1, 5))
            replica.note_sent(end)
            channel += [(first, end)] * rng.choice([1, 1, 2])
        if channel:
            first, end = channel.pop(rng.randrange(len(channel)))
            if rng.random() >= loss:
                if first <= server:
                    server = max(server, end)
                if rng.random() >= loss:
                    replica.answered(server) if rng.random() < 0.5 else replica.witnessed(server)
        elif replica.in_flight:
            replica.timed_out()
        assert replica.cosigned <= server <= replica.size
        assert replica.in_flight <= replica.window
    assert replica.cosigned == server == size
