"""Stills: a whole JPEG or an alarm."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from agent.capture.errors import PictureError
from agent.capture.events import FragmentMade, TrackBegun
from agent.capture.stills import jpeg_size, still_events


def jpeg(width=320, height=180, **options) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((width, height), 40).convert("RGB").save(out, "JPEG", **options)
    return out.getvalue()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True}, {"comment": b"x" * 500}, {"dpi": (300, 300)}])
def test_the_size_of_a_jpeg_is_read(options):
    assert jpeg_size(jpeg(322, 182, **options)) == (322, 182)


def test_a_still_is_a_track_with_one_fragment():
    data = jpeg()
    assert still_events("R", 2, data, 1_234, "camera of the test") == [
        TrackBegun("R", "still-2", "image/jpeg", "jpeg", 320, 180, 0, "camera of the test"),
        FragmentMade("R", "still-2", 0, data, 1_234, 0),
    ]


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:-2], lambda data: data[2:], lambda data: b"\x89PNG" + data])
def test_what_is_no_whole_jpeg_is_refused(damage):
    with pytest.raises(PictureError, match="expected a whole JPEG"):
        jpeg_size(damage(jpeg()))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_jpeg_or_refused(data):
    for candidate in (data, b"\xff\xd8" + data + b"\xff\xd9"):
        try:
            width, height = jpeg_size(candidate)
        except PictureError:
            continue
        assert 0 <= width < 65_536
        assert 0 <= height < 65_536
