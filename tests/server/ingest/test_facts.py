"""The catalogue's reader: fast where it may be, and never of another opinion than the core's."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import kinds
from agent.core.errors import LineError
from server.ingest import facts
from tests.server.virtual import Device

FRAGMENT = Device()
_made = FRAGMENT.start()
FRAGMENT.track(_made)
FRAGMENT.fragment(_made, b"x")
FRAGMENT.fragment(_made, b"y", pre=True)
LINES = [*FRAGMENT.lines, FRAGMENT.line("fix", lat=1, lon=2), FRAGMENT.line("zz", x=1), b"{}", b"no line", b"\xff"]
PIECES = [b'"', b"\\", b"\\u0041", b",", b":", b"{", b"}", b"-0", b"00", b"1e3", b" ", b"\xc3\xa4", b"\x00", b'"kind":"start"', b"9" * 17]


def agrees(line: bytes) -> None:
    try:
        members = kinds.meaning(line)
        expected = members if members["kind"] in facts.WANTED else None
    except LineError:
        expected = None
    found = facts.read(line)
    if found is not None and expected is not None:
        assert found.items() <= expected.items()
        assert {*kinds.KINDS[expected["kind"]][1], "kind", "recording"} <= set(found)
    else:
        assert found == expected


@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_lines_as_devices_write_them(line):
    agrees(line)


@given(st.sampled_from(LINES), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3), st.sampled_from(PIECES)), max_size=3))
def test_lines_with_something_wrong_in_them(line, changes):
    for at, length, piece in changes:
        line = line[:at] + piece + line[at + length :]
    agrees(line)


@given(st.sampled_from(LINES), st.integers(0, 400), st.integers(0, 255))
def test_lines_with_one_byte_changed(line, at, byte):
    agrees(line[:at] + bytes([byte]) + line[at + 1 :])


def test_the_shortcut_is_really_taken():
    """A fragment as the core's writer gives it must match, else every second of every recording is read the slow way."""
    fragments = [line for line in FRAGMENT.lines if re.search(b'"kind":"fragment"', line)]
    assert len(fragments) == 2
    assert all(facts._FRAGMENT.fullmatch(line) for line in fragments)
