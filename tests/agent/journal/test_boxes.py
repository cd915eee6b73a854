"""Pieces of a real fragmented MP4, cut at every byte, and when they were."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.journal import boxes

OPTIONS = {"movflags": "frag_keyframe+empty_moov+default_base_moof+cmaf+skip_trailer"}


class Sink:
    """What an unseekable file gets."""

    def __init__(self) -> None:
        self.data = io.BytesIO()

    def write(self, data: bytes) -> int:
        return self.data.write(data)


@pytest.fixture(scope="module")
def clip() -> bytes:
    """Four seconds of picture and sound, a key frame a second."""
    sink = Sink()
    with av.open(sink, "w", format="mp4", options=OPTIONS) as container:
        video = container.add_stream(
            "libx264", rate=10, options={"x264-params": "keyint=10:min-keyint=10:scenecut=0", "preset": "ultrafast"}
        )
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("aac", rate=48_000, layout="mono")
        for number in range(40):
            picture = np.full((48, 64, 3), number * 6, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 4_800), np.float32), "fltp", "mono")
            samples.rate, samples.pts = 48_000, number * 4_800
            container.mux(sound.encode(samples))
        container.mux(video.encode())
        container.mux(sound.encode())
    return sink.data.getvalue()


def reader(data: bytes):
    return lambda offset, length: data[offset : offset + length]


def test_pieces_are_the_init_segment_and_the_fragments(clip):
    found = list(boxes.pieces(reader(clip), 0, len(clip)))
    assert [piece.init for piece in found] == [True, False, False, False, False]
    assert b"".join(clip[p.offset : p.offset + p.size] for p in found) == clip
    with av.open(io.BytesIO(clip[: found[3].offset]), "r") as container:
        assert len(list(container.decode(video=0))) == 20, "init and two whole fragments play"


def test_fragments_know_when_they_were(clip):
    init, *fragments = boxes.pieces(reader(clip), 0, len(clip))
    times = [time for fragment in fragments if (time := boxes.timing(reader(clip), init, fragment)) is not None]
    with av.open(io.BytesIO(clip), "r") as container:
        keys = [float(p.dts * p.time_base) * 1000 for p in container.demux(video=0) if p.dts is not None and p.is_keyframe]
    assert [begin - times[0][0] for begin, _ in times] == pytest.approx([key - keys[0] for key in keys], abs=1)
    assert [duration for _, duration in times] == pytest.approx([1000] * 4, abs=1)


@given(cut=st.integers(0, 1 << 20), junk=st.binary(max_size=40))
def test_a_torn_end_costs_only_itself(clip, cut, junk):
    whole = list(boxes.pieces(reader(clip), 0, len(clip)))
    torn = clip[: cut % len(clip)]
    found = list(boxes.pieces(reader(torn), 0, len(torn)))
    assert found == [piece for piece in whole if piece.offset + piece.size <= len(torn)]
    damaged = torn + junk
    assert list(boxes.pieces(reader(damaged), 0, len(damaged)))[: len(found)] == found


@given(st.binary(max_size=400))
def test_garbage_is_no_piece_and_no_error(data):
    for piece in boxes.pieces(reader(data), 0, len(data)):
        assert 0 < piece.size <= len(data)
        boxes.timing(reader(data), piece, piece)


@given(data=st.data())
def test_a_damaged_head_has_no_time_or_another_one_but_never_fails(clip, data):
    init, first, *_ = boxes.pieces(reader(clip), 0, len(clip))
    damaged = bytearray(clip)
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(8, first.offset + first.head_size))
        damaged[at] = data.draw(st.integers(0, 255))
    time = boxes.timing(reader(bytes(damaged)), init, first)
    assert time is None or len(time) == 2


def test_long_and_endless_boxes(make):
    long = (1).to_bytes(4, "big") + b"mdat" + (20).to_bytes(8, "big") + b"data"
    data = make.box(b"styp", b"cmfs") + make.box(b"moof", b"x") + long
    assert [piece.size for piece in boxes.pieces(reader(data), 0, len(data))] == [len(data)]
    endless = make.box(b"moof", b"x") + bytes(4) + b"mdat" + b"data"
    assert list(boxes.pieces(reader(endless), 0, len(endless))) == []
    assert boxes.torn(b"x" + bytes(512))
    assert not boxes.torn(bytes(511) + b"x")
