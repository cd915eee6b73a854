"""Burnt-in text: what it says, where it stands, and that nothing else of the picture changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.capture.overlay import Overlay, OverlayText, Stamp
from hal.contracts import ClockReading
from hal.errors import DeviceFault

STRIP = (slice(0, 32), slice(0, 576))
TEXT = OverlayText(device="DSJ0012", officer="012345", note="案件 2026-0017")


class Clock:
    """2026-07-01 07:59:59.9 in Beijing at `up` 5 s."""

    def __init__(self, source: str = "gnss", offset_ms: int = 0) -> None:
        self.source, self.offset_ms, self.asked, self.broken = source, offset_ms, 0, False

    def wall_ms(self) -> int:
        return 1_782_863_999_900

    def up_us(self) -> int:
        return 5_000_000

    def reading(self) -> ClockReading:
        self.asked += 1
        if self.broken:
            raise DeviceFault("clock: chrony does not answer")
        return ClockReading(self.source, self.offset_ms, 20)


def picture(width=640, height=360, level=100):
    return np.full((height, width), level, np.uint8)


def test_it_says_when_by_whom_and_with_which_device():
    assert TEXT.parts(1_782_864_000_000, trusted=True) == ("2026-07-01 08:00:00 UTC+08:00", "DSJ0012", "012345", "案件 2026-0017")
    assert TEXT.parts(1_782_864_000_000, trusted=False)[0] == "2026-07-01 08:00:00 UTC+08:00*"
    assert OverlayText(offset_minutes=-210).parts(1_782_864_000_000, trusted=True) == ("2026-06-30 20:30:00 UTC-03:30",)


@pytest.mark.parametrize("level", [16, 128, 235])
@pytest.mark.parametrize(("width", "height"), [(1_920, 1_080), (1_280, 720), (640, 360), (320, 180)])
def test_only_its_own_rectangle_at_the_bottom_changes_and_it_can_be_read(width, height, level):
    luma = picture(width, height, level)
    Overlay(TEXT, Clock())(luma, 5_000_000)
    changed = np.argwhere(luma != level)
    top, left = changed.min(axis=0)
    bottom, right = changed.max(axis=0)
    assert top > height // 2
    assert left >= 4
    assert right < width - 4
    assert bottom < height - 4
    assert (luma[STRIP] == level).all()
    area = luma[top : bottom + 1, left : right + 1].astype(int)
    assert area.max() - area.min() > 200  # white beside dark, whatever lies behind


def test_the_time_is_the_frame_s_and_a_second_later_the_picture_differs():
    overlay = Overlay(OverlayText(), Clock())
    early, same, later = picture(), picture(), picture()
    overlay(early, 5_000_000)
    overlay(same, 5_090_000)  # 07:59:59.99
    overlay(later, 5_100_000)  # 08:00:00
    assert (early == same).all()
    assert (early != later).any()


@pytest.mark.parametrize(("source", "offset_ms", "star"), [("gnss", 0, False), ("ntp", 1_200, True), ("rtc", 0, True), ("none", 0, True)])
def test_a_star_stands_beside_a_time_that_is_not_trusted(source, offset_ms, star):
    shown, plain, starred = picture(), picture(), picture()
    Overlay(OverlayText(), Clock(source, offset_ms))(shown, 5_000_000)
    for luma, trusted in ((plain, True), (starred, False)):
        Stamp(OverlayText().parts(1_782_863_999_900, trusted=trusted), 640, 360).blend(luma)
    assert (shown == (starred if star else plain)).all()
    assert (plain != starred).any()


def test_a_clock_that_does_not_answer_is_not_trusted_and_not_asked_for_every_frame():
    clock = Clock()
    clock.broken = True
    overlay = Overlay(OverlayText(), clock)
    shown, starred = picture(), picture()
    for _ in range(50):
        shown = picture()
        overlay(shown, 5_000_000)
    Stamp(OverlayText().parts(1_782_863_999_900, trusted=False), 640, 360).blend(starred)
    assert (shown == starred).all()
    assert clock.asked == 1


def test_another_officer_shows_from_the_next_frame_on():
    overlay = Overlay(TEXT, Clock())
    before, after = picture(), picture()
    overlay(before, 5_000_000)
    overlay.text = OverlayText(device="DSJ0012", officer="654321")
    overlay(after, 5_000_000)
    assert (before != after).any()


@settings(max_examples=60)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=120), st.sampled_from([(640, 360), (320, 180), (160, 120)]))
def test_any_note_fits_into_the_lower_half(note, size):
    luma = picture(*size)
    Stamp(("2026-07-01 08:00:00 UTC+08:00*", "DSJ0012", "012345", note), *size).blend(luma)
    changed = np.argwhere(luma != 100)
    assert changed.min(axis=0)[0] >= size[1] // 2
