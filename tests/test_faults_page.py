"""docs/faults.md and its Chinese twin say what the code does: sentences, lines, settings, and stories that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent import config
from agent.capture.events import ALARMS
from agent.core import kinds
from agent.faults import FAULTS
from agent.pipeline import whereabouts

ROOT = Path(__file__).parents[1]
PAGES = ("faults.md", "faults.zh-CN.md")
CODE = "\n".join(path.read_text() for path in (ROOT / "agent").rglob("*.py"))
STATES = {"good", "low", "critical", "charging", "unknown", "full"}
"""Of `pipeline.due`: their lines are made from the state's name."""
WORDS = {"*", "alarm", "status", "off", "long-long"}
"""Lamp, pattern, and what is not a sentence."""


def rows(page: str) -> list[list[str]]:
    """Cells of all rows of all tables, without their heads."""
    lines = (ROOT / "docs" / page).read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [row for at, row in enumerate(cells) if set(row[0]) != {"-"} and (at + 1 == len(cells) or set(cells[at + 1][0]) != {"-"})]


def marked(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


@pytest.mark.parametrize("page", PAGES)
def test_every_story_is_there_and_names_what_it_is_to_prove(page):
    stories = {story for row in rows(page) for story in marked(row[3])}
    assert all(marked(row[3]) for row in rows(page))
    for story in stories:
        folder = ROOT if story.startswith("tests/") else ROOT / "tests" / "scenarios"
        assert (folder / story).is_file(), story


@pytest.mark.parametrize("page", PAGES)
def test_every_fault_of_the_table_is_on_the_page(page):
    """But for a role that is not there at a start: `agent check` says that, and nobody is out in the street with it."""
    said = (ROOT / "docs" / page).read_text()
    for name, fault in FAULTS.items():
        if name.endswith("-missing") or name == "nothing-to-record":
            continue
        assert f"`{fault.says.split('{')[0]}" in said, name
        kind, _, event = fault.line.partition(" ")
        assert event in {"", "{event}"} or f"`{kind}` `{event}`" in said, name


@pytest.mark.parametrize("page", PAGES)
def test_every_line_on_the_page_is_one_that_the_code_writes(page):
    for row in rows(page):
        for kind, event in re.findall(r"`([a-z]+)` `([a-z-]+)`", row[1]):
            assert kind in kinds.KINDS, row
            assert event in STATES or f'"{event}"' in CODE, row


@pytest.mark.parametrize("page", PAGES)
def test_every_sentence_on_the_page_is_one_of_the_table_or_a_word_of_the_programs(page):
    patterns = [re.compile(r".+".join(re.escape(part) for part in re.split(r"\{\w+\}", fault.says))) for fault in FAULTS.values()]
    for row in rows(page):
        for said in marked(row[2]):
            known = any(pattern.fullmatch(said.replace("…", "… …")) for pattern in patterns) or said in WORDS
            assert known or re.fullmatch(r"[a-z]+\.[a-z_]+", said), said


@pytest.mark.parametrize("page", PAGES)
def test_every_event_of_a_sensor_is_on_the_page(page):
    said = (ROOT / "docs" / page).read_text()
    told = {*ALARMS, *whereabouts.EVENTS} - {"ring-short", "still-failed", "encoder-fault"}
    assert {event for event in told if f"`camera` `{event}`" not in said} == set()


@pytest.mark.parametrize("page", PAGES)
def test_every_setting_on_the_page_is_one(page):
    named = re.findall(r"`(capture|duty)\.(\w+)`", (ROOT / "docs" / page).read_text())
    assert named
    for section, key in named:
        assert key in config.Settings.model_fields[section].annotation.model_fields, key  # type: ignore[union-attr]


def test_the_two_pages_have_the_same_rows():
    english, chinese = (rows(page) for page in PAGES)
    assert len(english) == len(chinese)
    for one, other in zip(english, chinese, strict=True):
        assert sorted(marked(one[3])) == sorted(marked(other[3]))
        assert sorted(marked(one[1])) == sorted(marked(other[1])), one
        assert sorted(marked(one[2])) == sorted(marked(other[2])), one
