"""Packages that are well signed and cosigned, and yet do not hold together: what a device, or who has its key, can't get past."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.core import lines
from server.evidence import package
from server.evidence.package import Wanted
from server.evidence.text import as_text
from server.evidence.verdict import Report
from server.evidence.verify import verify
from tests.server.evidence.conftest import RECORDING, record
from tests.server.evidence.world import MEDIA, Device, World

Story = Callable[[Device], object]


def tell(story: Story, folder: Path, *, beacon: bool = True) -> Report:
    """Write a journal, have it cosigned and exported, verify."""
    world = World()
    device = world.device("DSJ-0012345")
    if beacon:
        device.beacon()
    story(device)
    device.cosign()
    world.anchor()
    world.custody_line("start", device.name, RECORDING)
    world.custody_line("export", device.name, RECORDING)
    package.make(world, Wanted(device.origin, RECORDING, device.starts[RECORDING])).write_folder(folder)
    return verify(str(folder), world.trusted)


def begin(device: Device) -> None:
    device.start(RECORDING)
    device.track(RECORDING)
    device.fragment(RECORDING, MEDIA[0], 0, 0)
    for i in range(3):
        device.fragment(RECORDING, MEDIA[1 + i], i * 1000)


def raw(device: Device, line: bytes) -> None:
    device.up += 1
    device.add(line)


def no_stop(d: Device) -> None:
    begin(d)


def totals_too_small(d: Device) -> None:
    begin(d)
    d.tracks[RECORDING]["front"]["bytes"] -= 1
    d.stop(RECORDING)


def a_track_forgotten_in_the_stop(d: Device) -> None:
    begin(d)
    d.tracks[RECORDING].clear()
    d.stop(RECORDING)


def a_silent_loss(d: Device) -> None:
    begin(d)
    d.fragment(RECORDING, MEDIA[5], 5000)
    d.stop(RECORDING)


def a_loss_stated_too_small(d: Device) -> None:
    begin(d)
    d.gap(RECORDING, 3000, 500)
    d.fragment(RECORDING, MEDIA[5], 5000)
    d.stop(RECORDING)


def a_loss_stated_of_another_track(d: Device) -> None:
    begin(d)
    d.gap(RECORDING, 3000, 2000, track="rear")
    d.fragment(RECORDING, MEDIA[5], 5000)
    d.stop(RECORDING)


def media_time_that_goes_back(d: Device) -> None:
    begin(d)
    d.fragment(RECORDING, MEDIA[5], 1000)
    d.stop(RECORDING)


def a_silent_loss_between_two_tracks(d: Device) -> None:
    begin(d)
    d.track(RECORDING, "front-2")
    d.fragment(RECORDING, MEDIA[0], 9000, 0, "front-2")
    d.fragment(RECORDING, MEDIA[1], 9000, 1000, "front-2")
    d.stop(RECORDING)


def a_track_that_no_package_holds(d: Device) -> None:
    begin(d)
    d.track(RECORDING, "depth", "application/x-depth")
    d.fragment(RECORDING, b"depth", 0, 0, "depth")
    d.track(RECORDING, "../up")
    d.fragment(RECORDING, b"up", 0, 0, "../up")
    d.stop(RECORDING)


def n_doubled(d: Device) -> None:
    begin(d)
    d.n[RECORDING] -= 1
    d.stop(RECORDING)


def n_left_out(d: Device) -> None:
    begin(d)
    d.n[RECORDING] += 1
    d.stop(RECORDING)


def n_after_the_stop(d: Device) -> None:
    begin(d)
    d.stop(RECORDING)
    d.gap(RECORDING, 0, 1000)


def two_starts(d: Device) -> None:
    begin(d)
    d.line("start", [("trigger", "button"), ("officer", ""), ("case", ""), ("matter", ""), ("epoch", 0), ("governing", [])], RECORDING)
    d.stop(RECORDING)


def a_gap_without_n_in_the_middle(d: Device) -> None:
    begin(d)
    d.gap(RECORDING, 3000, 10, n=False)
    d.stop(RECORDING)


def a_fragment_doubled(d: Device) -> None:
    begin(d)
    d.tracks[RECORDING]["front"]["fragments"] -= 1
    d.fragment(RECORDING, MEDIA[4], 3000)
    d.stop(RECORDING)


def a_fragment_upon_another(d: Device) -> None:
    begin(d)
    totals = d.tracks[RECORDING]["front"]
    totals["bytes"] -= 10
    d.fragment(RECORDING, MEDIA[4], 3000)
    totals["bytes"] += 10
    d.stop(RECORDING)


def a_seq_left_out(d: Device) -> None:
    begin(d)
    d.tracks[RECORDING]["front"]["fragments"] += 1
    d.fragment(RECORDING, MEDIA[4], 3000)
    d.tracks[RECORDING]["front"]["fragments"] -= 1
    d.stop(RECORDING)


def a_track_that_begins_twice(d: Device) -> None:
    begin(d)
    d.line("track", [("track", "front"), ("media", "video/mp4"), ("codecs", "avc1"), ("source", "test")], RECORDING)
    d.stop(RECORDING)


def a_negative_length(d: Device) -> None:
    begin(d)
    d.fragment(RECORDING, MEDIA[4], 3000, -5)
    d.stop(RECORDING)


def _spoiled(d: Device, spoil: Callable[[bytes], bytes]) -> None:
    """A mark whose line is spoiled, and signed as it is."""
    begin(d)
    members = [("recording", RECORDING), ("n", d.n[RECORDING]), ("label", "x")]
    d.n[RECORDING] += 1
    raw(d, spoil(lines.build("mark", 1, d.up, d.world.salt(), members)))
    d.stop(RECORDING)


def a_name_twice(d: Device) -> None:
    _spoiled(d, lambda line: line.replace(b'"label":"x"', b'"label":"x","label":"y"'))


def a_float(d: Device) -> None:
    _spoiled(d, lambda line: line.replace(b'"at":1,', b'"at":1.5,'))


def a_number_beyond_2_to_53(d: Device) -> None:
    _spoiled(d, lambda line: line.replace(b'"at":1,', b'"at":9007199254740993,'))


def a_member_missing(d: Device) -> None:
    _spoiled(d, lambda line: line.replace(b'"label":"x",', b""))


def no_json_at_all(d: Device) -> None:
    _spoiled(d, lambda line: b"\xff" + line)


def a_count_that_is_no_number_in_a_kind_of_later(d: Device) -> None:
    _spoiled(d, lambda line: line.replace(b'"kind":"mark"', b'"kind":"hologram"').replace(b'"n":6', b'"n":"six"'))


LIES = [
    (no_stop, "incomplete", "the stop line is not there"),
    (totals_too_small, "tampered", "the stop line"),
    (a_track_forgotten_in_the_stop, "tampered", "track front is not in it"),
    (a_silent_loss, "incomplete", "2000 ms of media are missing before it"),
    (a_loss_stated_too_small, "incomplete", "no gap line says so"),
    (a_loss_stated_of_another_track, "incomplete", "no gap line says so"),
    (a_silent_loss_between_two_tracks, "incomplete", "6000 ms are missing behind front"),
    (a_track_that_no_package_holds, "incomplete", "track depth fragment 0"),
    (media_time_that_goes_back, "tampered", "before the end of the one before it"),
    (n_doubled, "tampered", "doubled or out of order"),
    (n_left_out, "incomplete", "n 6 to 6 are not there"),
    (n_after_the_stop, "tampered", "after the stop line"),
    (two_starts, "tampered", "a second start line"),
    (a_gap_without_n_in_the_middle, "tampered", "not after the stop line"),
    (a_fragment_doubled, "tampered", "stands twice"),
    (a_fragment_upon_another, "tampered", "does not come behind fragment"),
    (a_seq_left_out, "incomplete", "no line names fragment 4"),
    (a_track_that_begins_twice, "tampered", "begins a second time"),
    (a_negative_length, "tampered", "a negative number"),
]


@pytest.mark.parametrize(("story", "verdict", "place"), LIES, ids=[lie[0].__name__ for lie in LIES])
def test_what_is_signed_must_hold_together(story, verdict, place, tmp_path):
    report = tell(story, tmp_path / "package")
    assert report.verdict == verdict, as_text(report)
    assert report.first is not None
    assert place in f"{report.first.place}: {report.first.message}", as_text(report)


@pytest.mark.parametrize(
    "story",
    [a_name_twice, a_float, a_number_beyond_2_to_53, a_member_missing, no_json_at_all, a_count_that_is_no_number_in_a_kind_of_later],
    ids=lambda s: s.__name__,
)
def test_a_line_without_meaning_says_nothing_and_is_missing(story, tmp_path):
    report = tell(story, tmp_path / "package")
    assert report.verdict == "incomplete", as_text(report)
    assert "n 6 to 6 are not there" in as_text(report)


def test_stated_gaps_leave_a_recording_intact(tmp_path):
    def story(d: Device) -> None:
        begin(d)
        d.gap(RECORDING, 3000, 2000)
        d.fragment(RECORDING, MEDIA[5], 5000)
        d.stop(RECORDING)

    report = tell(story, tmp_path / "package")
    assert report.verdict == "intact", as_text(report)
    assert report.facts["gaps"] == 1


def test_a_stated_gap_between_two_tracks_leaves_a_recording_intact(tmp_path):
    def story(d: Device) -> None:
        begin(d)
        d.gap(RECORDING, 2900, 6100)
        d.track(RECORDING, "front-2")
        d.fragment(RECORDING, MEDIA[0], 9000, 0, "front-2")
        d.fragment(RECORDING, MEDIA[1], 9000, 1000, "front-2")
        d.stop(RECORDING)

    report = tell(story, tmp_path / "package")
    assert report.verdict == "intact", as_text(report)


def test_without_a_beacon_there_is_no_lower_bound(tmp_path):
    report = tell(record, tmp_path / "package", beacon=False)
    assert (report.verdict, report.facts["not_before"]) == ("incomplete", None)
    assert "no beacon line was in force" in as_text(report)


def test_a_clock_that_was_set_back_changes_no_verdict_and_is_said(tmp_path):
    def story(d: Device) -> None:
        d.world.now_ms -= 86_400_000
        record(d)
        d.world.now_ms += 86_400_000

    report = tell(story, tmp_path / "package")
    assert report.verdict == "intact", as_text(report)
    assert "earlier than possible" in as_text(report)
