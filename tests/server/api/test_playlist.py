"""Playlists over what is held: while a recording runs, with holes, over tracks that continue one another."""

from __future__ import annotations

import dataclasses

import pytest

from server.api import playlist
from server.api.playback import covered, parse_range
from server.problems import Problem
from server.store.catalogue import Fragment, Recording, Track

RECORDING = Recording(
    id=1,
    device="D",
    recording="R",
    origin="o/D/1",
    start_line=0,
    stop_line=None,
    stop_leaf=None,
    trigger="button",
    stop_trigger=None,
    officer="",
    case_id="",
    matter="",
    continues=None,
    started_at=1_700_000_000_000,
    stopped_at=None,
    marks=0,
    gaps=0,
    lost_ms=0,
    irregular=0,
    started_entry=1,
    stored_entry=None,
    stored_at=None,
    purged_at=None,
    fragments=0,
    bytes=0,
    held=0,
    held_bytes=0,
    duration=0,
)
STORED = dataclasses.replace(RECORDING, stop_line=9, stored_entry=5)


def track(name: str, media: str = "video/mp4") -> Track:
    return Track(1, name, media, "avc1", 1, 1, 1, "", 0, 0, 0, 0, 0)


def fragments(held: str) -> list[Fragment]:
    """`+` held, `-` missing, `~` under a gap; the first is the init segment."""
    return [
        Fragment(seq, seq, seq * 100, 100, b"", max(0, seq - 1) * 1000, 1000 if seq else 0, held=c == "+", lost=c == "~")
        for seq, c in enumerate(held)
    ]


def rows(recording: Recording, *parts: tuple[str, str]) -> list[str]:
    text = playlist.build(recording, [(track(name), fragments(held)) for name, held in parts])
    assert text.startswith("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n")
    return text.splitlines()[5:]


def test_a_stored_recording():
    assert rows(STORED, ("front", "+++")) == [
        '#EXT-X-MAP:URI="media/front",BYTERANGE="100@0"',
        "#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:20.000+00:00",
        "#EXTINF:1.000,",
        "#EXT-X-BYTERANGE:100@100",
        "media/front",
        "#EXTINF:1.000,",
        "#EXT-X-BYTERANGE:100@200",
        "media/front",
        "#EXT-X-ENDLIST",
    ]


def test_while_it_is_recorded_the_list_ends_before_what_is_missing():
    found = rows(RECORDING, ("front", "++-+"))
    assert [row for row in found if row.startswith("#EXT-X-BYTERANGE")] == ["#EXT-X-BYTERANGE:100@100"]
    assert "#EXT-X-ENDLIST" not in found
    assert rows(RECORDING, ("front", "-+")) == rows(RECORDING, ("front", "")) == []


def test_a_hole_is_a_discontinuity_with_its_own_time():
    for recording in (RECORDING, STORED):
        found = rows(recording, ("front", "++~+"))
        at = found.index("#EXT-X-DISCONTINUITY")
        assert found[at + 1] == "#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:22.000+00:00"
        assert found[at + 3] == "#EXT-X-BYTERANGE:100@300"


def test_tracks_of_one_camera_follow_one_another():
    found = rows(STORED, ("front", "++"), ("front-2", "++"))
    at = found.index("#EXT-X-DISCONTINUITY")
    assert found[at + 1] == '#EXT-X-MAP:URI="media/front-2",BYTERANGE="100@0"'
    tracks = [track(name) for name in ("front", "rear", "front-2")] + [track("still-1", "image/jpeg")]
    assert [one.track for one in playlist.family(tracks)] == ["front", "front-2"]
    assert [one.track for one in playlist.family(tracks, "rear")] == ["rear"]
    assert playlist.family(tracks, "side") == []


def test_pictures_are_what_is_played_and_sound_where_there_are_none():
    sound = track("sound", "audio/mp4")
    assert [one.track for one in playlist.family([sound, track("front"), track("front-2")])] == ["front", "front-2"]
    assert [one.track for one in playlist.family([sound, track("still-1", "image/jpeg")])] == ["sound"]
    assert playlist.family([track("still-1", "image/jpeg")]) == []


def test_a_clock_beyond_any_calendar():
    wild = dataclasses.replace(STORED, started_at=2**53 - 1)
    assert "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:00.000+00:00" in rows(wild, ("front", "++"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("bytes=0-9", (0, 10)),
        ("bytes=90-", (90, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-1000", (0, 100)),
        ("bytes=50-1000", (50, 100)),
        ("bytes=-", None),
        ("bytes=0-1,5-6", None),
        ("lines=0-1", None),
    ],
)
def test_range_headers(value, expected):
    assert parse_range(value, 100) == expected


@pytest.mark.parametrize("value", ["bytes=100-", "bytes=9-3", "bytes=-0"])
def test_ranges_that_no_file_has(value):
    with pytest.raises(Problem, match="range"):
        parse_range(value, 100)


@pytest.mark.parametrize(
    ("held", "first", "end", "expected"),
    [
        ("+++", 0, 300, True),
        ("+-+", 0, 300, False),
        ("+-+", 0, 100, True),
        ("+-+", 250, 260, True),
        ("+-+", 150, 160, False),
        ("+", 50, 101, False),
    ],
)
def test_what_is_covered(held, first, end, expected):
    assert covered(fragments(held), first, end) is expected
