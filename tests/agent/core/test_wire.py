"""Batches, topics and origins: read whole, torn, with trailing bytes, and with everything that is not one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import note, wire
from agent.core.errors import WireError

ORIGIN = "evidence.example.gov/DSJ-0012345/1"


def head(size, origin=ORIGIN):
    return note.sign(note.checkpoint(origin, size, b"r" * 32), origin, note.ED25519, b"k" * 32, lambda _: b"s" * 64)


LINES = st.lists(st.binary(min_size=1, max_size=60).filter(lambda b: b"\n" not in b), max_size=12)


@given(st.integers(0, 2**40), LINES)
def test_a_batch_reads_as_it_was_written(first, lines):
    batch = wire.decode_batch(wire.encode_batch(first, lines, head(first + len(lines))))
    assert (batch.first, batch.lines, batch.note) == (first, lines, head(first + len(lines)))
    assert (batch.origin, batch.size, batch.root) == (ORIGIN, first + len(lines), b"r" * 32)


WHOLE = wire.encode_batch(298, [b'{"at":1}', b"not even JSON \xff"], head(300))


def test_every_truncation_is_refused():
    for end in range(len(WHOLE)):
        with pytest.raises(WireError) as e:
            wire.decode_batch(WHOLE[:end])
        assert e.value.reason in wire.REASONS


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "torn"),
        (b"\0" * 10_000_000, "too-large"),
        (b"x" * 1000, "torn"),
        (WHOLE.replace(b"298", b"-1", 1), "torn"),
        (WHOLE.replace(b"298", b"0298", 1), "torn"),
        (WHOLE.replace(b"298", str(2**63).encode(), 1), "torn"),
        (WHOLE.replace(b"298", b"\xff", 1), "torn"),
        (WHOLE.replace(b"298", b"299", 1), "bad-size"),
        (WHOLE.replace(b"\n300\n", b"\n%d\n" % 2**63, 1), "bad-note"),
        (WHOLE.replace(b"\n300\n", b"\n301\n", 1), "bad-size"),
        (WHOLE + b"x", "bad-note"),
        (WHOLE.replace(b'{"at":1}', b"", 1), "bad-note"),
        (WHOLE.replace(b'{"at":1}', b"x" * 4097, 1), "torn"),
        (WHOLE.replace("—".encode(), b"\xe2\x80", 1), "bad-note"),
        (b"0\n" + b"x\n" * 257 + b"\n" + head(257).encode(), "too-many-lines"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_bad_batches_are_refused_with_their_reason(payload, reason):
    with pytest.raises(WireError) as e:
        wire.decode_batch(payload)
    assert e.value.reason == reason


@given(
    st.binary(max_size=300)
    | st.tuples(st.integers(0, len(WHOLE)), st.binary(max_size=4)).map(lambda t: WHOLE[: t[0]] + t[1] + WHOLE[t[0] :])
)
def test_any_bytes_are_a_batch_or_refused(payload):
    refused_for: str | None = None
    try:
        batch = wire.decode_batch(payload)
    except WireError as e:
        refused_for = e.reason
    else:
        assert wire.encode_batch(batch.first, batch.lines, batch.note) == payload
    assert refused_for in (None, *wire.REASONS)


def test_a_batch_that_would_be_too_large_is_not_made():
    with pytest.raises(WireError, match="at most 65536 bytes"):
        wire.encode_batch(0, [b"x" * 4096] * 17, head(17))
    with pytest.raises(WireError, match="at most 256 lines"):
        wire.encode_batch(0, [b"x"] * 257, head(257))


def test_topics():
    assert wire.topic("DSJ-0012345", "journal") == "zhilu/DSJ-0012345/journal"
    assert wire.parse_topic("zhilu/DSJ-0012345/journal") == ("DSJ-0012345", "journal")
    for bad in (
        "zhilu/ledger",
        "zhilu//journal",
        "other/x/journal",
        "zhilu/a b/journal",
        "zhilu/x/",
        "zhilu/x/y/z",
        "zhilu/+/journal",
        "zhilu/é/journal",
    ):
        with pytest.raises(WireError):
            wire.parse_topic(bad)


def test_origins():
    assert wire.origin("evidence.example.gov", "DSJ-0012345", 1) == ORIGIN
    assert wire.parse_origin(ORIGIN) == ("evidence.example.gov", "DSJ-0012345", 1)
    assert wire.parse_origin("example.gov/bureau/X/12") == ("example.gov/bureau", "X", 12)
    for bad in ("", "a/b", "a/b/0", "a/b/01", "a/b/x", "a b/c/1", "/c/1", "a/../1/", "a/b+/1"):
        with pytest.raises(WireError):
            wire.parse_origin(bad)
