"""Input that nobody who means well would give: any bytes, and genuine input with what breaks readers put into it.

`bytes_like` gives bytes, `json_like` values of JSON. The words are what readers are known to stumble over: nesting deeper than an
interpreter's stack, numbers longer than it turns into text, halves of surrogate pairs, names that come twice, zero bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from hypothesis import strategies as st

DEEP = 20_000
"""Beyond any recursion limit, and in memory nothing."""
LONG = 5_000
"""Digits: more than int() and str() take at once (4,300)."""

WORDS: tuple[bytes, ...] = (
    b"[" * DEEP,
    b'{"a":' * DEEP,
    b"[" * 400 + b"]" * 400,
    b"{a=" * DEEP,
    b"a." * 1_200 + b"a=1\n",
    b"9" * LONG,
    b"0x" + b"f" * LONG,
    b"-1",
    b"-0",
    b"1e999",
    b"-1e999",
    b"NaN",
    b"Infinity",
    b"9007199254740992",
    b"9223372036854775808",
    b"18446744073709551616",
    b"null",
    b"true",
    b"[]",
    b"{}",
    b'""',
    b'"\\ud800"',
    b'"\\u0000"',
    b"\\ud800",
    b"\xed\xa0\x80",
    b"\xef\xbf\xbe",
    b"\xff\xfe",
    b"\xc0\x80",
    b"\xef\xbb\xbf",
    b"\x00",
    b"\n",
    b"\n\n",
    b"\r\n",
    b" ",
    b"/",
    b"../",
    b"+",
    b",",
    b"=",
    b"\xe2\x80\xa8",
    "²".encode(),
    "٣".encode(),
    b"\x00\x00\x00\x00",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x01",
    b"\xff" * 8,
)

Change = Callable[[bytes], bytes]


def _place(data: bytes, where: float) -> int:
    return int(where * (len(data) + 1)) if where < 1 else len(data)


WHERE = st.integers(0, 65_536).map(lambda part: part / 65_536)
"""Anywhere from the beginning to the end; floats would nearly always be one of the two."""


def _flip(where: float, change: int) -> Change:
    def bent(data: bytes) -> bytes:
        at = min(_place(data, where), len(data) - 1)
        return data[:at] + bytes([data[at] ^ change]) + data[at + 1 :] if data else data

    return bent


def _cut(one: float, other: float) -> Change:
    def bent(data: bytes) -> bytes:
        first, end = sorted((_place(data, one), _place(data, other)))
        return data[:first] + data[end:]

    return bent


def _torn(where: float) -> Change:
    return lambda data: data[: _place(data, where)]


def _doubled(one: float, other: float) -> Change:
    def bent(data: bytes) -> bytes:
        first, end = sorted((_place(data, one), _place(data, other)))
        return data[:end] + data[first:]

    return bent


def _put(where: float, word: bytes, over: int) -> Change:
    def bent(data: bytes) -> bytes:
        at = _place(data, where)
        return data[:at] + word + data[at + over :]

    return bent


def _spliced(where: float, other: bytes, there: float) -> Change:
    return lambda data: data[: _place(data, where)] + other[_place(other, there) :]


def changes(genuine: Iterable[bytes]) -> st.SearchStrategy[Change]:
    """One thing that is done to genuine bytes."""
    words = st.sampled_from(WORDS) | st.binary(max_size=8)
    return st.one_of(
        st.builds(_flip, WHERE, st.integers(1, 255)),
        st.builds(_cut, WHERE, WHERE),
        st.builds(_torn, WHERE),
        st.builds(_doubled, WHERE, WHERE),
        st.builds(_put, WHERE, words, st.integers(0, 12)),
        st.builds(_spliced, WHERE, st.sampled_from(sorted(set(genuine))), WHERE),
    )


def bent(*genuine: bytes) -> st.SearchStrategy[bytes]:
    """Genuine bytes with up to four things done to them."""

    def apply(data: bytes, done: list[Change]) -> bytes:
        for change in done:
            data = change(data)
        return data

    return st.builds(apply, st.sampled_from(genuine), st.lists(changes(genuine), min_size=1, max_size=4))


def bytes_like(*genuine: bytes) -> st.SearchStrategy[bytes]:
    """Any bytes, a word alone, or genuine bytes bent."""
    return st.one_of(bent(*genuine), st.binary(max_size=200), st.sampled_from(WORDS))


# --------------------------------------------------------------------------- values of JSON

HALF = "\ud800"
"""Half of a surrogate pair: JSON can say it and UTF-8 can't."""

ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 0.5, 1 << 53, 1 << 63, 1 << 64, -(1 << 64), 1e308, float("inf"), float("-inf"), float("nan")),
    *("", "x" * 300, HALF, "\0", "../..", "٣", "2026-02-31"),
    *([], {}, [[]], {"": None}, [None], ["a", 1]),
)
"""Values of a type or a size that nobody asked for."""


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    return [path] + [deeper for name, one in inner for deeper in _paths(one, (*path, name))]


def _changed(value: Any, path: tuple[Any, ...], new: Any, *, gone: bool) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1 and gone:
        del copy[path[0]]
    else:
        copy[path[0]] = _changed(copy[path[0]], path[1:], new, gone=gone)
    return copy


@st.composite
def json_like(draw: st.DrawFn, *genuine: Any) -> Any:
    """A genuine value with up to three of its parts exchanged for odd ones, or left out."""
    value = draw(st.sampled_from(genuine))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(_paths(value)))
        value = _changed(value, path, draw(st.sampled_from(ODD)), gone=draw(st.booleans()))
    return value


def json_bytes_like(*genuine: Any) -> st.SearchStrategy[bytes]:
    """JSON with odd values, or its text bent, or any bytes."""
    texts = [json.dumps(one).encode() for one in genuine]
    return json_like(*genuine).map(lambda value: json.dumps(value).encode()) | bytes_like(*texts)
