"""Journal lines: what is strict I-JSON and what is not, and which lines have meaning."""

import json
import math
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import kinds, lines
from agent.core.errors import LineError

REFUSED = {
    "duplicate name": b'{"a":1,"a":2}',
    "duplicate name in another spelling": b'{"\\u0061":1,"a":2}',
    "duplicate name deeper": b'{"a":{"b":1,"b":1}}',
    "minus zero": b'{"a":-0}',
    "float": b'{"a":1.0}',
    "exponent": b'{"a":1e3}',
    "leading zero": b'{"a":01}',
    "plus": b'{"a":+1}',
    "not a number": b'{"a":NaN}',
    "integer beyond 2**53 - 1": b'{"a":9007199254740992}',
    "integer below": b'{"a":-9007199254740992}',
    "very long integer": b'{"a":' + b"9" * 3000 + b"}",
    "lone high surrogate": b'{"a":"\\ud800"}',
    "lone low surrogate": b'{"a":"\\udc00"}',
    "surrogates reversed": b'{"a":"\\udc00\\ud800"}',
    "high surrogate before text": b'{"a":"\\ud83dx"}',
    "surrogate in UTF-8": b'{"a":"\xed\xa0\x80"}',
    "noncharacter": b'{"a":"\\uffff"}',
    "noncharacter, raw": '{"a":"\ufdd0"}'.encode(),
    "noncharacter, plane 1": '{"a":"\U0001fffe"}'.encode(),
    "noncharacter as pair": b'{"a":"\\ud83f\\udffe"}',
    "noncharacter in a name": '{"\uffff":1}'.encode(),
    "raw control character": b'{"a":"\x01"}',
    "raw tab": b'{"a":"\t"}',
    "raw control beside Chinese": '{"a":"执法\x02"}'.encode(),
    "overlong UTF-8": b'{"a":"\xc0\xaf"}',
    "beyond Unicode": b'{"a":"\xf4\x90\x80\x80"}',
    "torn UTF-8": b'{"a":"\xe6\x89"}',
    "byte order mark": b'\xef\xbb\xbf{"a":1}',
    "nine deep": b'{"a":[[[[[[[[1]]]]]]]]}',
    "array": b"[]",
    "bare value": b"1",
    "text behind": b'{"a":1}x',
    "two objects": b"{}{}",
    "trailing comma": b'{"a":1,}',
    "trailing comma in array": b'{"a":[1,]}',
    "no quotes": b"{a:1}",
    "single quotes": b"{'a':1}",
    "comment": b"{}/**/",
    "unknown escape": b'{"a":"\\x"}',
    "short escape": b'{"a":"\\u12"}',
    "sign in escape": b'{"a":"\\u+123"}',
    "string without end": b'{"a":"x',
    "end inside": b'{"a"',
    "wrong word": b'{"a":nul}',
    "newline": b'{"a":\n1}',
    "empty": b"",
    "too long": b'{"a":"' + b"x" * 4096 + b'"}',
}


@pytest.mark.parametrize("line", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_strict_i_json_is_refused(line):
    with pytest.raises(LineError):
        lines.read(line)


def test_what_is_allowed():
    read = lines.read(b' { "a" : "\\ud83d\\ude00\\u0001\\"\\/" , "b":[1,{"c":null}],\t"d":-5, "e":true, "":{} } ')
    assert read == {"a": '😀\x01"/', "b": [1, {"c": None}], "d": -5, "e": True, "": {}}
    assert lines.read(b'{"a":[[[[[[[1]]]]]]]}') == {"a": [[[[[[[1]]]]]]]}


def test_messages_name_the_column():
    with pytest.raises(LineError, match="column 11: duplicate name a"):
        lines.read(b'{"a":1,"a":2}')
    with pytest.raises(LineError, match="1 to 4096 bytes, got 0"):
        lines.read(b"")


TEXT = st.text(st.characters(exclude_categories=["Cs"]).filter(lambda c: not lines._bad_character(ord(c))), max_size=30)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
    lambda v: st.lists(v, max_size=3) | st.dictionaries(TEXT, v, max_size=3),
    max_leaves=8,
)


def depth(value):
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@given(st.dictionaries(TEXT, VALUES, max_size=5).filter(lambda v: depth(v) <= 8))
def test_what_is_written_reads_the_same_here_and_in_the_standard_library(members):
    line = lines.write(members)
    assert line == json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()
    assert lines.read(line) == members
    assert json.loads(line) == members
    assert b"\n" not in line
    again = json.dumps(members, indent=1).replace("\n", " ").encode()
    if len(again) <= lines.MAX_LINE:
        assert lines.read(again) == members


@given(st.binary(max_size=120) | st.text(max_size=60).map(str.encode) | st.text('{}[]",:\\u0dea1-. \t', max_size=40).map(str.encode))
def test_any_bytes_read_or_are_refused_and_the_standard_library_agrees_with_what_is_read(line):
    try:
        read = lines.read(line)
    except LineError:
        return
    assert json.loads(line) == read


@given(st.sampled_from(sorted(REFUSED)), st.integers(0, 40), st.binary(max_size=2))
def test_refused_lines_stay_errors_of_ours_when_bytes_are_put_in(name, place, extra):
    line = REFUSED[name][:place] + extra + REFUSED[name][place:]
    try:
        read = lines.read(line)
    except LineError:
        return
    assert json.loads(line) == read


def test_what_can_not_be_written():
    for bad in ({"a": 2**53}, {"a": 1.5}, {"a": "\ud800"}, {"a": "\uffff"}, {"a": b"x"}, {"a": "x" * 4096}, [("a", 1), ("a", 2)]):
        with pytest.raises(LineError):
            lines.write(bad)


def test_lines_are_written_as_deep_as_they_are_read():
    deep: Any = 1
    for _ in range(lines.MAX_DEPTH - 1):
        deep = [deep]
    assert lines.read(lines.write({"a": deep})) == {"a": deep}
    with pytest.raises(LineError, match="at most 8 deep"):
        lines.write({"a": [deep]})


@given(st.binary(min_size=16, max_size=16))
def test_a_salt_is_base64url_without_padding(random16):
    assert lines.salt_text(random16) == urlsafe_b64encode(random16).decode().rstrip("=")
    assert math.ceil(128 / 6) == len(lines.salt_text(random16))


SALT = "A" * 22
WHOLE: dict[str, dict[str, Any]] = {
    "fragment": {
        "recording": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "n": 3,
        "track": "front",
        "seq": 1,
        "offset": 0,
        "bytes": 9,
        "sha256": "00",
        "pts": 0,
        "duration": 1000,
    },
    "stop": {"recording": "R", "n": 4, "trigger": "button", "tracks": [{"track": "front", "fragments": 1, "bytes": 9, "duration": 1000}]},
    "fix": {"lat": 1, "lon": 2},
    "gap": {"recording": "R", "track": "front", "from": 0, "lost": 1, "reason": "power"},
    "beacon": {"checkpoint": "x"},
}


@pytest.mark.parametrize("kind", WHOLE)
def test_a_line_needs_every_member_of_its_kind(kind):
    members = WHOLE[kind]
    assert kinds.meaning(lines.build(kind, 5, 6, SALT, members))["kind"] == kind
    optional = {"n"} if kind == "gap" else set()
    for name in set(members) - optional:
        less = {k: v for k, v in members.items() if k != name}
        with pytest.raises(LineError, match=name):
            kinds.meaning(lines.build(kind, 5, 6, SALT, less))
        with pytest.raises(LineError):
            kinds.meaning(lines.build(kind, 5, 6, SALT, {**members, name: True}))


def test_members_and_kinds_that_are_not_known_are_ignored():
    assert kinds.meaning(lines.build("fix", 5, 6, SALT, {"lat": 1, "lon": 2, "satellites": 9}))["satellites"] == 9
    assert kinds.meaning(lines.build("hologram", 5, 6, SALT, {}))["kind"] == "hologram"
    with pytest.raises(LineError, match="lacks up"):
        kinds.meaning(lines.build("hologram", 5, None, SALT, {}))


@pytest.mark.parametrize("wrong", ["1", True, [], {}])
def test_a_kind_that_is_not_known_is_counted_like_every_other(wrong):
    assert kinds.meaning(lines.build("hologram", 5, 6, SALT, {"recording": "R", "n": 1}))["n"] == 1
    with pytest.raises(LineError, match="a hologram line: n is of the wrong type"):
        kinds.meaning(lines.build("hologram", 5, 6, SALT, {"recording": "R", "n": wrong}))
    if not isinstance(wrong, str):
        with pytest.raises(LineError, match="a hologram line: recording is of the wrong type"):
            kinds.meaning(lines.build("hologram", 5, 6, SALT, {"recording": wrong}))


def test_the_members_stand_in_their_order_and_absent_ones_are_left_out():
    line = lines.build("mark", 5, 6, SALT, [("recording", "R"), ("n", 1), ("label", "重点"), ("by", None)])
    assert line == f'{{"at":5,"up":6,"kind":"mark","recording":"R","n":1,"label":"重点","salt":"{SALT}"}}'.encode()
