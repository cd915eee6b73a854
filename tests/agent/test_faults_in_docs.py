"""docs/faults.md says of clocks, sensors and position what the code says, in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent import config
from agent.capture.events import ALARMS
from agent.faults import FAULTS
from agent.pipeline import whereabouts

ROOT = Path(__file__).parents[2]
PAGES = ["faults.md", "faults.zh-CN.md"]
MINE = ("camera-lost", "microphone-lost", "microphone-silent", "media-dropped", "clock-jumped", "locator-lost", "locator-doubt")


@pytest.fixture(params=PAGES)
def page(request) -> str:
    return (ROOT / "docs" / request.param).read_text("utf-8")


def test_every_sentence_of_a_sensor_or_the_clock_is_there(page):
    assert [fault for fault in MINE if f"`{FAULTS[fault].says}`" not in page] == []
    assert "`clock behind by more than a year`" in page


def test_every_event_that_begins_or_ends_one_is_there(page):
    told = {*ALARMS, *whereabouts.EVENTS} - {"ring-short", "still-failed", "encoder-fault"}
    assert {event for event in told if f"`camera` `{event}`" not in page} == set()


def test_every_setting_that_is_named_is_one_with_its_default(page):
    named = re.findall(r"`(capture|duty)\.(\w+)`", page)
    assert {("duty", "clock_wrong_ms"), ("duty", "position_lost_s"), ("capture", "silent_after_s")} <= set(named)
    for section, key in named:
        assert key in config.Settings.model_fields[section].annotation.model_fields, key  # type: ignore[union-attr]


def test_every_story_that_is_named_is_told(page):
    stories = re.findall(r"`([\w/-]+\.(?:yaml|py))`", page)
    assert len(stories) > 15
    for story in stories:
        assert (ROOT / story).exists() or (ROOT / "tests" / "scenarios" / story).exists(), story
