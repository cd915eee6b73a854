"""Excerpts: what they show, what they hide, and what is said of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from server.evidence import package
from server.evidence.checks.journal import Line
from server.evidence.checks.sequence import Recording
from server.evidence.checks.stretch import check_stretch
from server.evidence.errors import ExportError
from server.evidence.excerpt import Stretch, select
from server.evidence.package import Wanted
from server.evidence.text import as_text
from server.evidence.verdict import Check
from server.evidence.verify import verify
from tests.server.evidence.conftest import RECORDING, export, scene
from tests.server.evidence.forge import Forger, judge


@pytest.fixture
def excerpt(tmp_path):
    """(forger on the excerpt from 2.5 s to 4.5 s)."""
    world, device = scene()
    export(world, device, Stretch(2500, 4500)).write_folder(tmp_path / "package")
    return Forger(tmp_path / "package", world, device)


def test_a_genuine_part_is_an_excerpt_and_says_what_is_left_out(excerpt):
    report = verify(str(excerpt.folder), excerpt.world.trusted)
    assert (report.verdict, report.exit_status(), report.exit_status(excerpt=True)) == ("excerpt", 5, 0), as_text(report)
    assert report.first is None
    sequence = next(c for c in report.checks if c.name == "sequence")
    shown = {json.loads(line).get("n") for line in excerpt.lines} - {None}
    assert sequence.figures["left_out"] == 24 - len(shown)
    assert "lines left out (n " in sequence.says


def test_it_shows_the_stretch_and_what_every_excerpt_holds(excerpt):
    members = [json.loads(line) for line in excerpt.lines]
    of = [m for m in members if m.get("recording") == RECORDING]
    assert [(m["track"], m["seq"]) for m in of if m["kind"] == "fragment"] == [
        ("front", 0),
        ("front", 3),
        ("front", 4),
        ("still-1", 0),
        ("front", 5),
    ]
    assert [m["kind"] for m in members][:2] == ["enrol", "boot"]
    assert {m["kind"] for m in of} >= {"start", "track", "stop", "fix", "mark"}


def test_what_is_left_out_is_nowhere_in_it(excerpt):
    hidden = [line for line in excerpt.device.lines if b'"fix"' in line and line not in excerpt.lines]
    assert len(hidden) > 5
    everything = b"".join(excerpt.read(name) for name in excerpt.names())
    for line in hidden:
        assert json.loads(line)["salt"].encode() not in everything


def test_its_media_play_alone(excerpt):
    data = excerpt.read("data/media/front.mp4")
    assert data[4:8] == b"ftyp"
    assert data.count(b"moof") == 3


def test_an_excerpt_without_what_every_excerpt_holds(excerpt):
    stop = excerpt.index_of('"stop"', RECORDING)
    indices = excerpt.indices
    excerpt.show_only(i for i in indices if i != stop)
    excerpt.rebag()
    judge(excerpt, "incomplete", "stop line is not there")


def test_an_excerpt_without_its_init_segment(excerpt):
    excerpt.cut("data/media/front.mp4", "front", [0])
    init = excerpt.index_of('"seq":0', '"front"', RECORDING)
    excerpt.show_only(i for i in excerpt.indices if i != init)
    excerpt.rebag()
    judge(excerpt, "incomplete", "seq 0, which every excerpt holds")


def test_a_fragment_of_the_excerpt_that_is_missing(excerpt):
    excerpt.cut("data/media/front.mp4", "front", [4])
    excerpt.rebag()
    judge(excerpt, "incomplete", "front fragment 4")


def test_an_excerpt_is_judged_by_every_byte(excerpt):
    excerpt.flip("data/media/front.mp4", 2000)
    judge(excerpt, "tampered", "front fragment 3")


def test_another_stretch_than_the_ledger_says_was_handed_over(tmp_path):
    world, device = scene()
    world.custody_line("export", device.name, RECORDING, by="console", **{"from": 0, "to": 1000})
    wanted = Wanted(device.origin, RECORDING, device.starts[RECORDING], Stretch(5500, 6500))
    package.make(world, wanted).write_folder(tmp_path / "package")
    judge(Forger(tmp_path / "package", world, device), "tampered", "the ledger exported 0 to 1000 ms")


@pytest.mark.parametrize(("gone", "named"), [([3], 3), ([4], 4), ([5], 5), ([3, 4], 4), ([4, 5], 4)])
def test_seconds_cut_out_of_an_excerpt_with_their_lines(excerpt, gone, named):
    """Lines may be left out of an excerpt, but not within the stretch that the ledger let go."""
    excerpt.cut("data/media/front.mp4", "front", gone)
    lines = [excerpt.index_of(f'"seq":{seq},', '"front"', RECORDING) for seq in gone]
    excerpt.show_only(i for i in excerpt.indices if i not in lines)
    excerpt.rebag()
    judge(excerpt, "incomplete", f"track front fragment {named}: left out, and the ledger exported 2500 to 4500 ms")


def shown(seq: int, pts: int, kind: str = "fragment") -> Line:
    members = {"kind": kind, "track": "front", "seq": seq, "pts": pts, "duration": 1000, "from": pts, "lost": 1000}
    return Line(seq, b"", b"", members)


def stretch_of(lines: list[Line], first: int, end: int, fragments: int | None = None) -> Check:
    stop = Line(99, b"", b"", {"kind": "stop", "tracks": [{"track": "front", "fragments": fragments}]}) if fragments else None
    check = Check("custody")
    check_stretch(check, Recording(lines=lines, stop=stop), first, end)
    return check


@pytest.mark.parametrize(
    ("lines", "first", "end", "fragments"),
    [
        ([shown(3, 2000), shown(4, 3000)], 2500, 3500, 9),
        ([shown(3, 2000), shown(4, 3000)], 2000, 4000, 9),
        ([shown(1, 900)], 0, 1500, 9),  # the track begins there
        ([shown(8, 7000)], 7100, 20_000, 9),  # and ends there
        ([shown(8, 7000)], 7100, 20_000, None),  # no stop: nothing says that there was more
        ([shown(0, 1500, "gap"), shown(3, 2500)], 1500, 3000, 9),  # a gap that meets the stretch is shown
        ([shown(3, 2000), shown(0, 3000, "gap")], 2500, 4000, 9),
        ([shown(3, 2090)], 2000, 3090, 9),  # two frames
    ],
)
def test_an_honest_stretch_leaves_nothing_out(lines, first, end, fragments):
    assert stretch_of(lines, first, end, fragments).ok


@pytest.mark.parametrize(
    ("lines", "first", "end", "place"),
    [
        ([shown(3, 2000)], 1000, 3000, "track front fragment 2"),
        ([shown(3, 2000)], 2000, 4000, "track front fragment 4"),
        ([shown(3, 2000), shown(5, 4000)], 2000, 5000, "track front fragment 4"),
        ([shown(0, 1500, "gap"), shown(3, 2700)], 1500, 3000, "track front fragment 2"),  # the gap covers a part of it only
    ],
)
def test_what_is_left_out_of_a_stretch_is_named(lines, first, end, place):
    check = stretch_of(lines, first, end, 9)
    assert [(f.verdict, f.place) for f in check.findings] == [("incomplete", place)]


@pytest.mark.parametrize(("first", "end"), [(-1, 5), (5, 5), (6, 5)])
def test_a_stretch_goes_forward(first, end):
    with pytest.raises(ExportError, match="to a later one"):
        Stretch(first, end)


def test_a_stretch_without_media():
    world, device = scene()
    world.custody_line("export", device.name, RECORDING)
    with pytest.raises(ExportError, match="no media between"):
        package.make(world, Wanted(device.origin, RECORDING, device.starts[RECORDING], Stretch(90_000, 91_000)))


def test_gaps_that_meet_the_stretch_are_shown():
    rows: list[dict[str, Any]] = [
        {"kind": "start", "epoch": 100, "up": 100},
        {"kind": "track", "track": "a", "media": "video/mp4"},
        {"kind": "fragment", "track": "a", "seq": 0, "pts": 0, "duration": 0},
        {"kind": "fragment", "track": "a", "seq": 1, "pts": 0, "duration": 1000},
        {"kind": "gap", "track": "a", "from": 1000, "lost": 500},
        {"kind": "fragment", "track": "a", "seq": 2, "pts": 1500, "duration": 1000},
        {"kind": "fix", "up": 1700},
        {"kind": "gap", "track": "a", "from": 2500, "lost": 500},
        {"kind": "stop"},
    ]
    assert select(enumerate(rows), Stretch(1400, 1600)) == {0, 1, 2, 4, 5, 8}
    assert select(enumerate(rows), Stretch(1600, 1601)) == {0, 1, 2, 5, 6, 8}
