"""What a report shows of words that come from a package: nothing that a terminal would obey."""

from __future__ import annotations

import json

import pytest

from server.evidence.text import as_json, as_text
from server.evidence.verdict import Report

PAINTS = "\x1b[2Jintact \x9b2J \u202etcatni\u202c \U000e0001 重点 \u2028 x"


@pytest.fixture
def report() -> Report:
    made = Report("package", ("gaps",))
    check = made.check("gaps")
    check.incomplete(PAINTS, PAINTS)
    check.note(PAINTS)
    check.says = PAINTS
    made.facts["marks"] = [PAINTS]
    return made


@pytest.mark.parametrize("written", [as_text, as_json], ids=["text", "json"])
def test_what_a_package_says_can_not_paint_over_the_verdict(report, written):
    out = written(report)
    assert "重点" in out
    assert not [c for c in out if not c.isprintable() and c != "\n"]


def test_the_json_is_the_same_report(report):
    assert json.loads(as_json(report)) == report.as_json()
