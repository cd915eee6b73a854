"""The seconds before the press: what is kept, and how much memory it takes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.capture.ring import Ring
from agent.capture.samples import Hole, Picture, Sound, SoundFormat
from hal.contracts import VideoFormat, VideoPacket

PERIOD_US = 40_000
VIDEO = VideoFormat(320, 180, 25, b"", "camera of the test")
AUDIO = SoundFormat(48_000, 1, b"", "microphone of the test")
SECOND = 1_000_000


def picture(number, key, size=100):
    at = number * PERIOD_US
    return Picture(VideoPacket(bytes(size), at, at, key), VIDEO)


def sound(up_us, size=20):
    return Sound(bytes(size), up_us, AUDIO)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 400)), max_size=300),
    st.sampled_from([0, 1, 3, 10]),
    st.sampled_from([2_000, 10**9]),
)
def test_it_begins_with_a_key_frame_and_holds_the_seconds_it_can(frames, seconds, max_bytes):
    ring = Ring(seconds * SECOND, max_bytes)
    keys = []
    for number, (key, size) in enumerate(frames):
        ring.picture(picture(number, key, size))
        ring.sound(sound(number * PERIOD_US + 5_000))
        if key:
            keys.append(number * PERIOD_US)
        held = ring.pictures
        assert ring.size <= max_bytes
        assert ring.size == sum(len(one.packet.data) for one in held) + sum(len(one.data) for one in ring.sounds)
        if held:
            assert held[0].packet.key
            assert [one.packet.pts_us for one in held] == list(range(held[0].packet.pts_us, held[-1].packet.pts_us + 1, PERIOD_US))
            if not ring.short:
                newest_key = keys[-1]
                old_enough = [at for at in keys if at <= newest_key - seconds * SECOND]
                assert held[0].packet.pts_us == (old_enough[-1] if old_enough else keys[0])


def test_sound_older_than_the_pictures_goes_with_them():
    ring = Ring(2 * SECOND, 10**9)
    for number in range(250):
        ring.picture(picture(number, key=number % 25 == 0))
        ring.sound(sound(number * PERIOD_US + 10))
    assert ring.oldest_us == ring.pictures[0].packet.pts_us == 7 * SECOND
    assert ring.sounds[0].up_us == 7 * SECOND + 10


def test_without_pictures_sound_alone_fills_the_time():
    ring = Ring(2 * SECOND, 10**9)
    for number in range(250):
        ring.sound(sound(number * PERIOD_US))
    assert ring.oldest_us == 249 * PERIOD_US - 2 * SECOND


def test_pictures_of_a_camera_that_went_away_are_kept_as_long_as_the_ring_is():
    ring = Ring(5 * SECOND, 10**9)
    for number in range(100):
        ring.picture(picture(number, key=number % 25 == 0))
    for number in range(100, 400):
        ring.sound(sound(number * PERIOD_US))
        assert bool(ring.pictures) == (number * PERIOD_US - 99 * PERIOD_US <= 8 * SECOND)


def test_holes_older_than_the_ring_are_forgotten():
    ring = Ring(2 * SECOND, 10**9)
    ring.hole(Hole("camera", 0, 100, "camera"))
    for number in range(250):
        ring.picture(picture(number, key=number % 25 == 0))
    ring.hole(Hole("camera", 9_900_000, 9_950_000, "camera"))
    ring.picture(picture(250, key=True))
    assert [hole.from_us for hole in ring.holes] == [9_900_000]


def test_when_the_bytes_do_not_suffice_the_oldest_group_goes_and_it_says_so():
    ring = Ring(100 * SECOND, 10_000)
    for number in range(101):
        ring.picture(picture(number, key=number % 25 == 0))
        assert ring.short == (number == 100)
    assert ring.pictures[0].packet.pts_us == SECOND
    assert ring.size == 7_600
