"""What the lines say so far: carried on from any prefix it is the same, whatever the lines are."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.journal.errors import Damaged
from agent.journal.story import Story, parse

NAMES = st.sampled_from(["01JA", "01JB"])
TRACKS = st.sampled_from(["front", "front-2", "still-1"])
NUMBERS = st.integers(0, 9000)
BODIES = st.one_of(
    st.fixed_dictionaries(
        {
            "kind": st.just("boot"),
            "format": st.just(1),
            "boot": NUMBERS,
            "software": st.just(""),
            "hardware": st.just(""),
            "clean": st.booleans(),
            "lost": st.just({}),
        }
    ),
    st.fixed_dictionaries(
        {
            "kind": st.just("start"),
            "recording": NAMES,
            "n": st.just(0),
            "trigger": st.just(""),
            "officer": st.just(""),
            "case": st.just(""),
            "matter": st.just(""),
            "epoch": NUMBERS,
            "governing": st.just([]),
        }
    ),
    st.fixed_dictionaries(
        {
            "kind": st.just("track"),
            "recording": NAMES,
            "n": NUMBERS,
            "track": TRACKS,
            "media": st.just("video/mp4"),
            "codecs": st.just(""),
            "source": st.just(""),
        }
    ),
    st.fixed_dictionaries(
        {
            "kind": st.just("fragment"),
            "recording": NAMES,
            "n": NUMBERS,
            "track": TRACKS,
            "seq": NUMBERS,
            "offset": NUMBERS,
            "bytes": NUMBERS,
            "sha256": st.just(""),
            "pts": NUMBERS,
            "duration": NUMBERS,
        }
    ),
    st.fixed_dictionaries(
        {
            "kind": st.just("gap"),
            "recording": NAMES,
            "track": TRACKS,
            "from": NUMBERS,
            "lost": NUMBERS,
            "reason": st.sampled_from(["power", "camera"]),
        },
        optional={"n": NUMBERS},
    ),
    st.fixed_dictionaries({"kind": st.just("stop"), "recording": NAMES, "n": NUMBERS, "trigger": st.just(""), "tracks": st.just([])}),
    st.fixed_dictionaries(
        {
            "kind": st.just("purge"),
            "recording": NAMES,
            "tracks": st.just([]),
            "bytes": NUMBERS,
            "reason": st.just(""),
            "receipt": st.just(""),
        }
    ),
    st.fixed_dictionaries({"kind": st.sampled_from(["signon", "signoff"]), "officer": st.just(""), "how": st.just("")}),
    st.fixed_dictionaries({"kind": st.sampled_from(["config", "assign"])}, optional={"number": NUMBERS | st.text()}),
    st.fixed_dictionaries({"kind": st.just("order"), "number": NUMBERS, "name": st.just(""), "result": st.just("")}),
    st.fixed_dictionaries({"kind": st.just("power"), "event": st.sampled_from(["low", "shutdown"])}),
    st.dictionaries(
        st.sampled_from(["kind", "recording", "n", "seq"]), st.none() | st.integers() | st.text(max_size=3) | st.lists(st.none())
    ),
)
LINES = st.lists(BODIES.map(lambda body: json.dumps({"at": 1, "up": 1, **body}).encode()) | st.binary(min_size=1, max_size=20), max_size=40)


def told(lines: list[bytes], story: Story | None = None) -> Story:
    story = story or Story()
    for line in lines:
        story.add(story.size, line)
    return story


@given(lines=LINES, cut=st.integers(0, 40))
def test_a_carried_story_goes_on_as_if_it_had_been_read_from_the_beginning(lines, cut):
    whole, begin = told(lines), told(lines[:cut])
    carried = Story.load(begin.dump(), begin.size)
    assert carried == begin
    assert told(lines[cut:], carried) == whole
    copy = begin.copy()
    assert told(lines[cut:], copy) == whole
    assert begin == told(lines[:cut]), "a copy is independent"


@given(st.binary(max_size=60) | LINES.map(b",".join))
def test_any_bytes_are_read_or_have_no_meaning(line):
    members = parse(line)
    assert members is None or (isinstance(members, dict) and isinstance(members["kind"], str))


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"size": 3}', b"\xff", Story(size=4).dump()])
def test_a_state_that_is_none_is_refused(data):
    with pytest.raises(Damaged, match="state"):
        Story.load(data, 3)


def test_numbers_of_orders_and_the_last_line(device):
    device.scribe.order(3, "locate", "done")
    device.scribe.order(2, "locate", "refused")
    device.scribe.state("config", [("number", 9), ("digest", "00")])
    device.scribe.state("assign", [("officer", "1")])
    story = device.journal.story
    assert (story.last_order, story.last_desired, story.clean) == (3, 9, False)
    device.scribe.shutdown()
    assert device.journal.story.clean
