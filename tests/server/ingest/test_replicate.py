"""What a batch means, for every order, doubling and loss."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.core import merkle, wire
from server.ingest.reasons import Reason
from server.ingest.replicate import Admitted, Answered, Held, Refused, decide
from tests.server.virtual import Device


class Log:
    """The lines that a server holds, and every decision that was made about them."""

    def __init__(self) -> None:
        self.held = Held()
        self.lines: list[bytes] = []

    def offer(self, batch: wire.Batch):
        before = list(self.lines)
        decision = decide(self.held, batch, lambda size: merkle.root_of([merkle.leaf_hash(line) for line in self.lines[:size]]))
        if isinstance(decision, Admitted):
            assert decision.first == len(self.lines)
            self.lines += decision.lines
            self.held = decision.held
        elif isinstance(decision, Refused):
            self.held = decision.held
        assert self.lines[: len(before)] == before
        assert self.held.range.size == len(self.lines)
        assert self.held.range.root() == merkle.root_of([merkle.leaf_hash(line) for line in self.lines])
        return decision


def journal(counts: list[int], seed: int = 1) -> Device:
    device = Device(seed=seed)
    for count in counts:
        device.grow(count)
    return device


def cut(device: Device, ends: list[int]) -> list[wire.Batch]:
    """Every batch between two checkpoints."""
    return [wire.decode_batch(device.batch(first, end)) for first in [0, *ends] for end in ends if first < end]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.data())
def test_any_order_doubling_and_loss_ends_in_the_same_log(counts, data):
    device = journal(counts)
    batches = cut(device, sorted(device.notes))
    log = Log()
    for _ in range(data.draw(st.integers(0, 30))):
        decision = log.offer(data.draw(st.sampled_from(batches)))
        assert not isinstance(decision, Refused) or decision.reason is Reason.AHEAD
    # However it began, the device sends what is missing until it is there.
    while len(log.lines) < device.size:
        end = min(size for size in device.notes if size > len(log.lines))
        assert isinstance(log.offer(wire.decode_batch(device.batch(len(log.lines), end))), Admitted)
    assert log.lines == device.lines


@given(st.lists(st.integers(1, 3), min_size=2, max_size=5), st.data())
def test_two_histories_never_change_what_is_held(counts, data):
    device, other = journal(counts), journal(counts, seed=2)
    batches = [*cut(device, sorted(device.notes)), *cut(other, sorted(other.notes))]
    log = Log()
    for batch in data.draw(st.lists(st.sampled_from(batches), max_size=20)):
        log.offer(batch)
    assert log.lines in (device.lines[: len(log.lines)], other.lines[: len(log.lines)])


@given(st.integers(0, 3), st.integers(0, 255), st.data())
def test_damaged_lines_are_refused_and_the_right_ones_taken(which, byte, data):
    device = journal([4])
    batch = wire.decode_batch(device.batch())
    line = bytearray(batch.lines[which])
    at = data.draw(st.integers(0, len(line) - 1))
    line[at] = byte
    batch.lines[which] = bytes(line)
    log = Log()
    decision = log.offer(batch)
    if batch.lines == device.lines:
        assert isinstance(decision, Admitted)
    else:
        assert isinstance(decision, Refused)
        assert decision.reason is Reason.WRONG_ROOT
        assert isinstance(log.offer(wire.decode_batch(device.batch())), Admitted)


def test_late_and_doubled_batches_are_answered():
    device = journal([2, 2])
    log = Log()
    log.offer(wire.decode_batch(device.batch()))
    assert isinstance(log.offer(wire.decode_batch(device.batch(0, 2))), Answered)
    assert isinstance(log.offer(wire.decode_batch(device.batch(2, 4))), Answered)


def test_a_smaller_checkpoint_with_another_root_is_a_fork():
    device, other = journal([2, 2]), journal([2, 2], seed=2)
    log = Log()
    log.offer(wire.decode_batch(device.batch()))
    for end in (2, 4):
        decision = log.offer(wire.decode_batch(other.batch(0, end)))
        assert isinstance(decision, Refused)
        assert decision.reason is Reason.FORK


def test_the_same_unexplained_checkpoint_complete_from_the_held_size_is_a_suspected_fork():
    device, other = journal([2]), journal([2, 2], seed=2)
    log = Log()
    log.offer(wire.decode_batch(device.batch()))
    first, complete = other.batch(0, 4), other.batch(2, 4)
    decisions = [log.offer(wire.decode_batch(payload)) for payload in (first, first, complete)]
    reasons = [decision.reason for decision in decisions if isinstance(decision, Refused)]
    assert reasons == [Reason.WRONG_ROOT, Reason.WRONG_ROOT, Reason.SUSPECTED_FORK]


def test_beyond_what_is_held_is_ahead():
    device = journal([2, 2])
    decision = Log().offer(wire.decode_batch(device.batch(2, 4)))
    assert isinstance(decision, Refused)
    assert decision.reason is Reason.AHEAD
