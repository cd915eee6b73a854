"""The fast reader of lines never says anything else than the core's."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.core import kinds
from agent.core.errors import LineError
from server.evidence.reading import ledger_line, meaning

FRAGMENT = (
    b'{"at":1,"up":2,"kind":"fragment","recording":"01JD8Z3V9M5Q7R2T4W6Y8A0C1E","n":3,"track":"front","seq":1,"offset":0,"bytes":5,'
    b'"sha256":"aa","pts":0,"duration":1000,"salt":"AAAAAAAAAAAAAAAAAAAAAA"}'
)
PIECES = [b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"0", b"-", b"1e5", b".", b" ", b"\n", b"\xff", b"\xc3\xa9", b"null", b"true"]


def outcome(read, line: bytes):
    try:
        return read(line)
    except LineError as e:
        return str(e)


@settings(max_examples=600, deadline=None)
@given(st.integers(0, len(FRAGMENT)), st.integers(0, 12), st.sampled_from([*PIECES, b"", b'"n":3,', b"9007199254740993", b'"kind":"fix",']))
@example(0, 0, b"")
@example(FRAGMENT.index(b"true") if b"true" in FRAGMENT else 5, 1, b"true")
def test_both_readers_agree_on_every_bent_line(at, cut, piece):
    line = FRAGMENT[:at] + piece + FRAGMENT[at + cut :]
    assert outcome(meaning, line) == outcome(kinds.meaning, line)


VALUES = st.one_of(
    st.integers(-(2**60), 2**60), st.text(max_size=8), st.booleans(), st.none(), st.floats(), st.lists(st.integers(), max_size=2)
)


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(st.sampled_from(["at", "up", "kind", "n", "recording", "lat", "lon", "salt", "x", "X"]), VALUES), st.booleans())
def test_both_readers_agree_on_any_json(members, spaced):
    line = json.dumps({**members, "kind": "fix"}, ensure_ascii=False, separators=None if spaced else (",", ":"))
    data = line.encode("utf-8", "surrogatepass")
    assert outcome(meaning, data) == outcome(kinds.meaning, data)


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=64))
def test_both_readers_agree_on_anything(data):
    assert outcome(meaning, data) == outcome(kinds.meaning, data)


def test_a_line_that_is_too_long_has_no_meaning():
    line = FRAGMENT.replace(b'"aa"', b'"' + b"a" * 5000 + b'"')
    assert outcome(meaning, line) == outcome(kinds.meaning, line) != FRAGMENT


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"at":1,"kind":"enrol","salt":"x"}', "origin is missing"),
        (b'{"at":1,"kind":"anchor","salt":"x","root":"00","count":"1"}', "count is missing or not of type int"),
        (b'{"at":true,"kind":"view","salt":"x"}', "at is missing"),
        (b'{"at":1,"kind":[],"salt":"x"}', "kind is missing"),
        (b"[]", "expected an object"),
    ],
)
def test_a_ledger_line_says_what_it_lacks(line, message):
    with pytest.raises(LineError, match=message):
        ledger_line(line)
