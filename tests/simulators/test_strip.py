"""The strip: exact cells, found again after a small camera's worst compression, never read out of a plain picture."""

from __future__ import annotations

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators import pictures, strip
from simulators.x264 import Encoder


def test_crc_is_the_published_one():
    assert strip.crc8(b"123456789") == 0xF4
    assert strip.crc8(b"") == 0


def test_cells_are_guards_number_crc_guards():
    cells = strip.bits(0xABCDEF)
    assert len(cells) == 36
    assert cells[:2] == [1, 0]
    assert cells[-2:] == [1, 0]
    assert int("".join(map(str, cells[2:26])), 2) == 0xABCDEF
    assert int("".join(map(str, cells[26:34])), 2) == strip.crc8(b"\xab\xcd\xef")


def test_burnt_cells_stand_at_the_top_left_with_their_luma():
    luma = np.full((360, 640), 77, np.uint8)
    strip.burn(luma, 1)
    cells = strip.bits(1)
    for cell, bit in enumerate(cells):
        assert (luma[:32, cell * 16 : cell * 16 + 16] == (235 if bit else 16)).all()
    assert (luma[32:] == 77).all()
    assert (luma[:, 576:] == 77).all()


@given(st.integers(0, 2**24 - 1))
def test_every_number_is_read_back(number):
    luma = np.zeros((32, 576), np.uint8)
    strip.burn(luma, number)
    assert strip.read(luma) == number


def test_a_bent_cell_is_noticed():
    for cell in range(36):
        luma = np.zeros((32, 576), np.uint8)
        strip.burn(luma, 4711)
        luma[:, cell * 16 : cell * 16 + 16] = 251 - luma[:, cell * 16 : cell * 16 + 16]
        assert strip.read(luma) is None


@pytest.mark.parametrize("level", [0, 16, 126, 235, 255])
def test_a_plain_picture_is_no_strip(level):
    assert strip.read(np.full((360, 640), level, np.uint8)) is None


def test_a_small_picture_has_no_room():
    with pytest.raises(ValueError, match="320x180 has no room for the strip; it needs 576x32"):
        strip.burn(np.zeros((180, 320), np.uint8), 1)
    assert strip.read(np.zeros((180, 320), np.uint8)) is None


def test_every_frame_survives_h264_at_300_kbit(bikes):
    """A walking crowd of pictures at 640x360, 25/s, 0.3 Mbit/s: each number comes back."""
    source = pictures.Clip(str(bikes), 640, 360)
    encoder = Encoder(640, 360, 25, 300, "veryfast")
    decoder = av.CodecContext.create("h264", "r")
    decoder.extradata = encoder.extradata
    sent = range(0x00FF00, 0x00FF00 + 150)
    found, size = [], 0
    for place, number in enumerate(sent):
        picture = source.at(place * 40_000)
        strip.burn(pictures.luma(picture), number)
        data = encoder.encode(picture, place * 40_000, key=place % 25 == 0)
        size += len(data) if place >= 50 else 0  # the rate control has settled
        found += decoder.decode(av.Packet(data))
    found += decoder.decode(None)
    source.close()
    assert size * 8 / 4 < 310_000
    assert [strip.read(pictures.luma(np.asarray(frame.to_ndarray(format="yuv420p"), np.uint8))) for frame in found] == list(sent)
