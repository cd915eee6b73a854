"""A recording in virtual time, with real encoding: what a player, an expert and a court would miss."""

from __future__ import annotations

import itertools

import pytest

from agent.capture.events import FragmentMade, RecordingStarted, RecordingStopped, TrackBegun
from agent.capture.inlet import Gone
from agent.capture.settings import CaptureSettings


def started(world) -> RecordingStarted:
    return next(event for event in world.events if isinstance(event, RecordingStarted))


def touching(fragments) -> bool:
    return all(one.pts_ms + one.duration_ms == two.pts_ms for one, two in itertools.pairwise(fragments))


def recorded(world, before_s=5.0, seconds=6.0):
    world.run(before_s)
    world.recorder.start("button")
    world.run(seconds)
    world.recorder.stop("button")
    world.run(2)
    assert world.recorder.state == "idle"
    return world


def test_events_come_in_the_order_that_the_journal_needs(make_world):
    world = recorded(make_world())
    kinds = [type(event) for event in world.events]
    assert kinds[:3] == [RecordingStarted, TrackBegun, FragmentMade]
    assert kinds[-1] is RecordingStopped
    assert kinds.count(RecordingStarted) == kinds.count(RecordingStopped) == kinds.count(TrackBegun) == 1
    (track,) = world.tracks()
    assert (track.track, track.media, track.codecs) == ("front", "video/mp4", "avc1.42c00d, mp4a.40.2")
    assert (track.width, track.height, track.rate) == (320, 180, 30)
    assert [fragment.seq for fragment in world.fragments("front")] == list(range(len(world.fragments("front"))))
    assert world.gaps() == []
    assert world.alarms() == []


def test_the_seconds_before_the_press_are_there_and_say_so(make_world, decode):
    world = recorded(make_world())
    start = started(world)
    assert start.epoch_us == 0
    assert start.up_us == 5_000_000
    fragments = world.fragments("front")[1:]
    assert [fragment.pre for fragment in fragments] == [fragment.pts_ms + fragment.duration_ms <= 5_000 for fragment in fragments]
    assert sum(fragment.pre for fragment in fragments) == 5
    assert decode(world.file("front")).pictures[0] == 0.0


def test_fragments_touch_and_say_what_decoding_finds(make_world, decode):
    world = recorded(make_world(), seconds=6.5)
    init, *fragments = world.fragments("front")
    assert (init.seq, init.pts_ms, init.duration_ms) == (0, 0, 0)
    assert touching(fragments)
    assert {fragment.duration_ms for fragment in fragments[:-1]} == {1_000}
    for fragment in fragments:
        alone = decode(init.data + fragment.data)
        assert alone.pictures[0] == pytest.approx(fragment.pts_ms / 1_000, abs=0.001)
        last_s = alone.pictures[-1] + 1 / 30
        assert last_s == pytest.approx((fragment.pts_ms + fragment.duration_ms) / 1_000, abs=0.001)


def test_every_prefix_of_whole_fragments_plays(make_world, decode):
    world = recorded(make_world(), seconds=3)
    init, *fragments = world.fragments("front")
    data = init.data
    for count, fragment in enumerate(fragments, 1):
        data += fragment.data
        seen = decode(data)
        end_s = (fragment.pts_ms + fragment.duration_ms) / 1_000
        assert len(seen.pictures) == round(end_s * 30), count
        assert seen.sound_s == pytest.approx(end_s, abs=0.06)


def test_sound_and_picture_stay_within_40_ms_of_the_truth(make_world, decode):
    world = recorded(make_world(), before_s=5.4, seconds=9)
    seen = decode(world.file("front"))
    truth = [second - started(world).epoch_us / 1_000_000 for second in range(0, 15, 2)]
    assert seen.flashes == pytest.approx(truth, abs=0.001)
    # the first frame's first half is lost with the one before it, so its beep, cut by the epoch, is found late
    assert seen.beeps[1:] == pytest.approx(truth[1:], abs=0.005)


@pytest.mark.parametrize("skew_ppm", [-1_000, 1_000])
def test_sound_follows_the_device_s_clock_however_the_card_s_runs(make_world, decode, skew_ppm):
    world = make_world(settings=CaptureSettings(pre_event_s=0), late_us=60_000)
    world.skew_ppm = skew_ppm
    world.run(60.3)  # 60 ms of drift by now
    world.recorder.start("button")
    world.run(10)
    world.recorder.stop("button")
    world.run(2)
    seen = decode(world.file("front"))
    taken = [second * (1 + skew_ppm / 1e6) - started(world).epoch_us / 1e6 for second in range(60, 72, 2)]
    beeps = [beep for beep in seen.beeps if beep > 1]
    assert beeps == pytest.approx([at for at in taken if 1 < at < seen.pictures[-1]], abs=0.010)


def test_a_stop_keeps_everything_up_to_its_moment_and_nothing_after(make_world, decode):
    world = recorded(make_world(), before_s=5, seconds=4.5)
    seen = decode(world.file("front"))
    assert len(seen.pictures) == 285
    assert seen.sound_s == pytest.approx(9.5, abs=0.05)
    assert world.fragments("front")[-1].duration_ms == 500


@pytest.mark.parametrize(("pre_event_s", "pressed_s", "oldest_s"), [(0, 9.5, 9), (5, 19.5, 14), (30, 49.5, 19), (120, 129.5, 9)])
def test_the_ring_holds_what_is_asked_for(make_world, pre_event_s, pressed_s, oldest_s):
    world = make_world(settings=CaptureSettings(pre_event_s=pre_event_s))
    world.run(pressed_s)
    assert not world.events
    world.recorder.start("button")
    start = started(world)
    assert start.epoch_us == oldest_s * 1_000_000
    world.run(1.2)
    fragments = world.fragments("front")[1:]
    assert fragments[0].pts_ms == 0
    assert touching(fragments)
    assert sum(fragment.pre for fragment in fragments) == int(pressed_s) - oldest_s


def test_target_length_is_a_setting_and_cuts_stand_at_key_frames(make_world):
    world = recorded(make_world(settings=CaptureSettings(fragment_ms=2_000)), before_s=3.5, seconds=6)
    fragments = world.fragments("front")[1:]
    assert [fragment.duration_ms for fragment in fragments] == [2_000] * 4 + [1_500]


def test_dropped_frames_become_exact_gaps(make_world, decode):
    world = make_world()
    world.dropped_frames = {200, 230, 231, 232}
    recorded(world)
    assert world.gaps() == [("front", 6_667, 33, "camera"), ("front", 7_667, 100, "camera")]
    assert touching(world.fragments("front")[1:])
    assert len(decode(world.file("front")).pictures) == 330 - 4


def test_a_drop_before_the_press_is_told_too_but_none_outside(make_world):
    world = make_world(settings=CaptureSettings(pre_event_s=3))
    world.dropped_frames = {10, 100, 400}
    recorded(world)
    assert started(world).epoch_us == 1_000_000
    assert world.gaps() == [("front", 2_333, 34, "camera")]


def test_a_stall_that_nobody_counted_is_found(make_world):
    world = make_world()
    world.silent["camera"] = [(7_000_000, 7_700_000)]
    recorded(world)
    assert world.gaps() == [("front", 7_000, 700, "camera")]
    assert [track.track for track in world.tracks()] == ["front"]
    assert world.alarms() == []


def test_a_camera_that_goes_and_comes_back_begins_another_track_and_sound_goes_on(make_world, decode):
    world = make_world()
    world.silent["camera"] = [(7_000_000, 13_000_000)]
    recorded(world, seconds=12)
    assert [(track.track, track.media, track.codecs) for track in world.tracks()] == [
        ("front", "video/mp4", "avc1.42c00d, mp4a.40.2"),
        ("sound", "audio/mp4", "mp4a.40.2"),
        ("front-2", "video/mp4", "avc1.42c00d, mp4a.40.2"),
    ]
    assert world.gaps() == [("front", 7_000, 6_000, "camera")]
    assert world.alarms() == ["camera-lost", "camera-back"]
    between = decode(world.file("sound"))
    assert between.beeps == pytest.approx([8, 10, 12], abs=0.005)
    after = decode(world.file("front-2"))
    assert after.flashes == pytest.approx([14, 16], abs=0.001)
    assert after.beeps == pytest.approx([14, 16], abs=0.005)
    for track in ("front", "sound", "front-2"):
        assert touching(world.fragments(track)[1:])
    assert world.fragments("front")[-1].pts_ms + world.fragments("front")[-1].duration_ms == 7_000
    assert world.fragments("sound")[1].pts_ms == pytest.approx(7_000, abs=22)


def test_an_outage_before_the_press_is_told_like_one_after_it(make_world):
    world = make_world()
    world.silent["camera"] = [(7_000_000, 13_000_000)]
    recorded(world, before_s=15, seconds=2)
    assert [track.track for track in world.tracks()] == ["front", "sound", "front-2"]
    assert world.gaps() == [("front", 7_000, 6_000, "camera")]


def test_an_outage_that_goes_on_is_told_while_it_does(make_world):
    world = make_world()
    world.silent["camera"] = [(7_000_000, 40_000_000)]
    world.run(5)
    world.recorder.start("button")
    world.run(15)
    told = world.gaps()
    assert len(told) == 1
    assert told[0][:2] == ("front", 7_000)
    assert 10_000 <= told[0][2] <= 10_050
    world.recorder.stop("button")
    world.run(2)
    first, second = world.gaps()
    assert first[1] + first[2] == second[1]
    assert second[1] + second[2] == 20_000


def test_a_microphone_that_stalls_is_heard_as_silence_and_told(make_world, decode):
    world = make_world()
    world.silent["microphone"] = [(7_000_000, 8_500_000)]
    recorded(world)
    assert world.gaps() == [("front", 7_000, 1_500, "microphone")]
    assert [track.track for track in world.tracks()] == ["front"]
    seen = decode(world.file("front"))
    assert seen.beeps == pytest.approx([0, 2, 4, 6, 10], abs=0.02)
    assert seen.sound_s == pytest.approx(11, abs=0.05)


def test_a_microphone_that_goes_leaves_pictures_alone_and_comes_back(make_world, decode):
    world = make_world()
    world.silent["microphone"] = [(6_500_000, 12_300_000)]
    recorded(world, seconds=12)
    assert [(track.track, track.codecs) for track in world.tracks()] == [
        ("front", "avc1.42c00d, mp4a.40.2"),
        ("front-2", "avc1.42c00d"),
        ("front-3", "avc1.42c00d, mp4a.40.2"),
    ]
    assert world.alarms() == ["microphone-lost", "microphone-back"]
    told = [gap for gap in world.gaps() if gap[3] == "microphone"]
    assert told[0][1] == 6_500
    assert told[0][1] + told[0][2] == 12_300
    assert told[1][1] == pytest.approx(12_300, abs=22)  # until the next key frame, which begins a track with sound
    assert told[1][1] + told[1][2] == 13_000
    pictures = [decode(world.file(track.track)).pictures for track in world.tracks()]
    assert sum(map(len, pictures)) == 17 * 30
    assert decode(world.file("front-3")).beeps == pytest.approx([14, 16], abs=0.005)


def test_a_microphone_that_hears_nothing_is_told_and_its_silence_is_no_gap(make_world, decode):
    world = make_world()
    world.flat = [(6_000_000, 18_500_000)]
    recorded(world, seconds=16)
    assert world.alarms() == ["microphone-silent", "microphone-back"]
    assert world.gaps() == []
    assert [track.track for track in world.tracks()] == ["front"]
    assert decode(world.file("front")).beeps == pytest.approx([0, 2, 4, 20], abs=0.01)


def test_a_recording_that_begins_with_a_dead_microphone_says_so_itself(make_world):
    world = make_world()
    world.flat = [(0, 60_000_000)]
    recorded(world, before_s=11, seconds=3)
    assert world.alarms() == ["microphone-silent", "microphone-silent"]
    kinds = [type(event).__name__ for event in world.events]
    assert kinds[:3] == ["Alarm", "RecordingStarted", "Alarm"]
    assert world.gaps() == []


def test_an_encoder_that_is_too_slow_is_told_once_until_it_keeps_up_and_each_hole_says_so(make_world):
    world = make_world()
    world.cause = "encoder"
    world.dropped_frames = {number for number in range(6 * 30, 10 * 30) if number % 3}
    recorded(world, seconds=30)
    assert world.alarms() == ["media-dropped", "media-back"]
    assert {gap[3] for gap in world.gaps()} == {"encoder"}
    assert sum(gap[2] for gap in world.gaps()) == pytest.approx(len(world.dropped_frames) * 1_000 / 30, abs=40)


def test_a_frame_dropped_now_and_then_is_a_gap_and_no_alarm(make_world):
    world = make_world()
    world.dropped_frames = set(range(30, 40 * 30, 30))
    recorded(world, seconds=30)
    assert world.alarms() == []
    assert len(world.gaps()) >= 30
    assert {gap[3] for gap in world.gaps()} == {"camera"}


def test_without_a_microphone_pictures_are_recorded(make_world, decode):
    world = recorded(make_world(microphone=False))
    (track,) = world.tracks()
    assert (track.media, track.codecs) == ("video/mp4", "avc1.42c00d")
    assert len(decode(world.file("front")).pictures) == 330


def test_without_a_camera_sound_is_recorded(make_world, decode):
    world = recorded(make_world(camera=False))
    (track,) = world.tracks()
    assert (track.track, track.media, track.codecs) == ("sound", "audio/mp4", "mp4a.40.2")
    assert (track.width, track.height, track.rate) == (0, 0, 48_000)
    fragments = world.fragments("sound")[1:]
    assert touching(fragments)
    assert all(900 <= fragment.duration_ms <= 1_100 for fragment in fragments[:-1])
    assert decode(world.file("sound")).beeps[1:] == pytest.approx([2, 4, 6, 8, 10], abs=0.005)


def test_a_press_while_the_camera_starts_waits_for_it_and_tells_what_is_missing(make_world):
    world = make_world()
    world.silent["camera"] = [(0, 700_000)]
    world.recorder.start("button")
    world.run(4)
    world.recorder.stop("button")
    world.run(2)
    assert [track.track for track in world.tracks()] == ["front"]
    assert world.fragments("front")[1].pts_ms == 1_000  # its first key frame
    assert ("front", 0, 700, "camera") in world.gaps()
    missing = sum(lost for _, _, lost, reason in world.gaps() if reason == "camera")
    assert missing >= 1_000


def test_devices_that_are_missing_at_the_start_are_alarms_and_the_rest_is_recorded(make_world):
    world = make_world()
    world.recorder.inlet.notice(Gone("camera", "camera: /dev/video0 is not there"))
    world.silent["camera"] = [(0, 6_000_000)]
    world.run(2)
    world.recorder.start("button")
    world.run(8)
    world.recorder.stop("button")
    world.run(2)
    assert [track.track for track in world.tracks()] == ["sound", "front"]
    assert world.alarms() == ["camera-lost", "camera-back"]
    assert world.gaps() == [("sound", 0, 6_000, "camera")]
    assert world.fragments("front")[1].pts_ms == 6_000


def test_without_a_microphone_s_first_word_pictures_do_not_wait(make_world):
    world = make_world()
    world.recorder.inlet.notice(Gone("microphone", "microphone: card 1 is not there"))
    world.silent["microphone"] = [(0, 60_000_000)]
    recorded(world, before_s=2, seconds=3)
    assert [(track.track, track.codecs) for track in world.tracks()] == [("front", "avc1.42c00d")]
    assert world.alarms() == ["microphone-lost"]
    assert world.gaps() == [("front", 0, 5_000, "microphone")]


def test_two_recordings_after_each_other_each_have_their_seconds_before(make_world, decode):
    world = make_world()
    world.run(3)
    first = world.recorder.start("button")
    world.run(3)
    world.recorder.stop("button")
    second = world.recorder.start("button")
    assert world.recorder.state == "restarting"
    world.run(3)
    assert world.recorder.recording == second
    world.recorder.stop("button")
    world.run(2)
    ends = [event.recording for event in world.events if isinstance(event, (RecordingStarted, RecordingStopped))]
    assert ends == [first, first, second, second]
    assert len(decode(world.file("front", first)).pictures) == 180
    assert decode(world.file("front", second)).pictures[0] == 0


def test_seconds_after_the_stop_are_a_setting(make_world, decode):
    world = make_world(settings=CaptureSettings(post_event_s=5, pre_event_s=0))
    world.run(2)
    world.recorder.start("button")
    world.run(2)
    world.recorder.stop("button")
    assert world.recorder.state == "post"
    world.run(7)
    assert world.recorder.state == "idle"
    assert started(world).epoch_us == 1_000_000  # with no seconds before: the group of pictures that the press fell into
    assert len(decode(world.file("front")).pictures) == 8 * 30


def test_close_ends_an_open_recording_with_everything_that_was_read(make_world, decode):
    world = make_world()
    world.run(5)
    world.recorder.start("button")
    world.run(2.52)
    world.recorder.close("shutdown")
    assert isinstance(world.events[-1], RecordingStopped)
    assert world.events[-1].trigger == "shutdown"
    seen = decode(world.file("front"))
    assert len(seen.pictures) == 225  # up to 7.48 s: what had come by 7.52 s
    assert seen.sound_s == pytest.approx(7.48, abs=0.05)
    world.recorder.close("shutdown")
