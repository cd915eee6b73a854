"""MP4 boxes, H.264 and JPEG: whatever stands on a card or comes from a camera is told apart, or refused in our words, and in no time."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from agent.capture import boxes as muxed
from agent.capture.errors import CaptureError, MuxError, PictureError
from agent.capture.h264 import START, Stream, nals
from agent.capture.stills import jpeg_size
from agent.journal import boxes as stored
from tests.fuzz.hostile import bytes_like

CLIP = (Path(__file__).parents[1] / "server" / "evidence" / "clip" / "clip.mp4").read_bytes()
SMALL = CLIP[: 64 * 1024]


def _avcc() -> bytes:
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = 64, 48, "yuv420p", Fraction(1, 30)
    packets = list(codec.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), "rgb24"))) + list(codec.encode(None))
    parameters = [nal for nal in nals(bytes(packets[0])) if nal[0] & 31 in (7, 8)]
    head = bytes([1, *parameters[0][1:4], 0xFF])
    return head + b"".join(bytes([0xE1 if nal[0] & 31 == 7 else 1]) + len(nal).to_bytes(2, "big") + nal for nal in parameters)


def _jpeg() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 48)).save(out, "jpeg")
    return out.getvalue()


AVCC = _avcc()
ANNEX_B = Stream(AVCC).parameters
JPEG = _jpeg()
FRAME = b"".join(len(nal).to_bytes(4, "big") + nal for nal in nals(ANNEX_B))


def reader(data: bytes) -> Callable[[int, int], bytes]:
    return lambda offset, length: data[offset : offset + length]


def test_what_is_genuine_is_told_apart():
    found = list(stored.pieces(reader(CLIP), 0, len(CLIP)))
    assert [one.init for one in found][:2] == [True, False]
    assert stored.timing(reader(CLIP), found[0], found[1]) is not None
    assert Stream(ANNEX_B).codecs == Stream(AVCC).codecs
    assert Stream(AVCC).annex_b(FRAME) == ANNEX_B
    assert jpeg_size(JPEG) == (64, 48)


@given(bytes_like(SMALL, SMALL[:2048]))
@example(b"\x00\x00\x00\x08moof" * 4096)
@example(b"\x00\x00\x00\x01mdat\xff\xff\xff\xff\xff\xff\xff\xff")
def test_pieces_of_any_file_lie_in_it_one_behind_the_other(data):
    end = 0
    init = None
    for piece in stored.pieces(reader(data), 0, len(data)):
        assert piece.offset == end
        assert piece.offset <= piece.head
        assert piece.head + piece.head_size <= piece.offset + piece.size <= len(data)
        end = piece.offset + piece.size
        init = piece if piece.init else init
        if init is not None:
            when = stored.timing(reader(data), init, piece)
            assert when is None or (when[0] >= 0 and when[1] >= 0)
    stored.torn(data)


@given(bytes_like(SMALL[:2048]), bytes_like(SMALL[:2048], SMALL))
def test_times_of_any_boxes_are_figures_or_none(moov, moof):
    data = moov + moof
    init = stored.Piece(0, len(moov), init=True, head=0, head_size=len(moov))
    fragment = stored.Piece(len(moov), len(moof), init=False, head=len(moov), head_size=len(moof))
    when = stored.timing(reader(data), init, fragment)
    assert when is None or (when[0] >= 0 and when[1] >= 0)


@given(st.lists(bytes_like(SMALL, SMALL[:2048]), max_size=4))
def test_a_muxer_that_writes_anything_is_cut_or_refused(writes):
    cutter = muxed.Cutter()
    taken = 0
    with suppress(MuxError):
        for data in writes:
            cutter.write(data)
            with suppress(MuxError):
                taken += len(cutter.init_segment())
            taken += sum(len(cut.data) for cut in cutter.fragments())
        assert taken + cutter.rest == sum(map(len, writes))


@given(bytes_like(AVCC, ANNEX_B), bytes_like(FRAME, ANNEX_B))
def test_a_camera_that_says_anything_is_understood_or_refused(extradata, frame):
    try:
        stream = Stream(extradata)
    except PictureError:
        return
    assert stream.parameters.startswith(START)
    with suppress(PictureError):
        assert stream.annex_b(frame)


@given(bytes_like(JPEG))
def test_any_still_has_a_size_or_is_refused(data):
    with suppress(PictureError):
        assert all(0 <= side < 65_536 for side in jpeg_size(data))


def test_the_errors_are_of_one_tree():
    for kind in (MuxError, PictureError):
        assert issubclass(kind, CaptureError)
    with pytest.raises(MuxError):
        muxed.samples(b"\0" * 16)
