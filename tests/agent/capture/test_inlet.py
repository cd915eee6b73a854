"""The bounded queue: what does not fit is counted and never forgotten."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.capture.inlet import Began, Frame, Gone, Inlet, Samples
from hal.contracts import AudioChunk, AudioFormat, VideoPacket


def frame(number: int, *, key: bool, dropped: int = 0) -> VideoPacket:
    return VideoPacket(bytes(10), number, number, key, dropped)


def test_items_come_out_in_order():
    inlet = Inlet(10, 1_000, lambda: "encoder")
    inlet.notice(Began(AudioFormat(48_000, 1, "")))
    inlet.frame(frame(0, key=True))
    inlet.samples(AudioChunk(bytes(4), 7))
    inlet.notice(Gone("camera", "unplugged"))
    kinds = [type(inlet.take(0)) for _ in range(4)]
    assert kinds == [Began, Frame, Samples, Gone]
    assert inlet.take(0) is None


def test_after_a_frame_that_was_left_out_it_goes_on_with_a_key_frame():
    """A frame refers to those before it: showing it without them would be garbage."""
    inlet = Inlet(2, 1_000, lambda: "storage")
    for number in range(4):
        inlet.frame(frame(number, key=number == 0, dropped=1 if number == 3 else 0))
    inlet.take(0)
    inlet.take(0)
    inlet.frame(frame(4, key=False))
    inlet.frame(frame(5, key=True))
    item = inlet.take(0)
    assert isinstance(item, Frame)
    assert (item.packet.pts_us, item.skipped, item.reason) == (5, 4, "storage")
    assert inlet.dropped == 3


def test_samples_that_do_not_fit_are_counted_by_their_channels():
    inlet = Inlet(100, 100, lambda: "encoder")
    inlet.notice(Began(AudioFormat(48_000, 2, "")))
    inlet.samples(AudioChunk(bytes(96), 0))
    inlet.samples(AudioChunk(bytes(40), 1, lost=5))
    while inlet.take(0):
        pass
    inlet.samples(AudioChunk(bytes(40), 2))
    item = inlet.take(0)
    assert isinstance(item, Samples)
    assert (item.skipped, item.reason) == (15, "encoder")


def test_notices_always_fit():
    inlet = Inlet(1, 10, lambda: "encoder")
    inlet.frame(frame(0, key=True))
    inlet.notice(Gone("camera", "unplugged"))
    assert inlet.waiting == 2


def test_a_closed_inlet_keeps_nobody_waiting():
    inlet = Inlet(1, 10, lambda: "encoder")
    inlet.wake()
    assert inlet.take(3_600) is None


@given(st.lists(st.tuples(st.sampled_from(["frame", "frame", "take"]), st.booleans(), st.integers(0, 3))))
def test_every_frame_comes_out_or_is_counted_by_the_next_that_does(calls):
    inlet = Inlet(3, 10_000, lambda: "encoder")
    put, out, counted, chain = 0, 0, 0, False
    for name, key, dropped in calls:
        if name == "frame":
            inlet.frame(frame(put, key=key, dropped=dropped))
            put += 1 + dropped
        elif isinstance(item := inlet.take(0), Frame):
            chain = item.packet.key or (chain and not item.skipped)
            assert item.packet.key or not item.skipped
            out += 1 + item.packet.dropped
            counted += item.skipped
    while isinstance(item := inlet.take(0), Frame):
        out += 1 + item.packet.dropped
        counted += item.skipped
    inlet.frame(frame(put, key=True))
    last = inlet.take(0)
    assert isinstance(last, Frame)
    assert out + counted + last.skipped == put
