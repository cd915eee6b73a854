"""Both languages say everything that a page asks for, and values are shown as people write them."""

import re
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.console import pages, show, text, vendor

TEMPLATES = sorted((pages.HERE / "templates").glob("*.html"))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda p: p.name)
def test_every_sentence_of_a_template_stands_in_both_languages(template):
    asked = set(re.findall(r"\bt\.([a-z_]+)\b(?!\()", template.read_text()))
    for language in text.LANGUAGES:
        assert asked <= set(text.TEXT[language]) | {"say"}


def test_no_sentence_is_empty_and_chinese_is_chinese():
    assert set(text.TEXT["en"]) == set(text.TEXT["zh"])
    assert all(text.TEXT[language][name] for language in text.LANGUAGES for name in text.TEXT[language])
    names = [n for n in text.TEXT["zh"] if n not in ("html_lang", "other_lang", "other_html_lang", "other_language")]
    assert all(re.search(r"[\u4e00-\u9fff]", text.TEXT["zh"][n]) for n in names)


def test_a_sentence_is_never_hidden_by_something_else_of_its_name():
    for spoken in text.TEXT.values():
        assert all(getattr(spoken, name) == spoken[name] for name in spoken)


def test_every_state_has_its_word():
    css = (pages.HERE / "static/zhilu.css").read_text()
    for state in ("recording", "uploading", "stored", "incomplete", "ready", "alarm", "offline"):
        assert text.TEXT["zh"][f"state_{state}"]
        assert f".state.{state}" in css


def test_no_page_fetches_anything_from_elsewhere():
    for path in [*TEMPLATES, *(pages.HERE / "static").iterdir()]:
        assert not re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(?:https?:)?//""", Path(path).read_text())


def test_set_up_brought_every_third_party_file():
    assert vendor.missing() == []
    assert vendor.path("../../zhilu.py") is None


def test_times_are_shown_in_the_agencys_zone():
    assert show.moment_in(ZoneInfo("Asia/Shanghai"))(1763712000000) == "2025-11-21 16:00:00 +08:00"


@given(st.integers(-(2**70), 2**70))
def test_any_time_that_a_device_claims_can_be_shown(ms):
    assert show.moment_in(ZoneInfo("Pacific/Kiritimati"))(ms)


@pytest.mark.parametrize(("ms", "shown"), [(0, "0:00"), (59_999, "0:59"), (61_000, "1:01"), (3_723_000, "1:02:03"), (None, "–")])
def test_lengths(ms, shown):
    assert show.length_of(ms) == shown


@given(st.integers(0, 10**16))
def test_sizes_keep_their_first_digits(octets):
    number, unit = show.size(octets).split(" ")
    scale = 1000 ** ("B", "KB", "MB", "GB", "TB").index(unit)
    assert abs(float(number) * scale - octets) <= scale * 0.05 + 1
