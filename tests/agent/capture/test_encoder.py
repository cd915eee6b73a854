"""Sound on the device's clock: drift, jitter, holes and late samples."""

from __future__ import annotations

import io
import itertools
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.capture.encoder import AacEncoder, SoundLine
from agent.capture.errors import SoundError
from agent.capture.feeds import SoundFeed
from agent.capture.settings import CaptureSettings
from hal.contracts import AudioChunk, AudioFormat

RATE = 48_000
MONO = AudioFormat(RATE, 1, "microphone of the test")


def chunk(samples: int, up_us: int, lost: int = 0, channels: int = 1) -> AudioChunk:
    return AudioChunk(bytes(samples * 2 * channels), up_us, lost)


def test_frames_stand_where_their_samples_were_taken():
    """A click in each frame is heard where it was made: priming is neither missing nor counted."""
    line = SoundLine(MONO, 96_000)
    wave = np.zeros(RATE, np.int16)
    clicks = range(5_000, RATE - 6_000, 10_000)
    for at in clicks:
        wave[at : at + 48] = 20_000
    sounds = []
    for first in range(0, RATE, 960):
        sounds += line.feed(AudioChunk(wave[first : first + 960].tobytes(), 1_000_000 + first * 1_000_000 // RATE)).sounds
    sounds += line.flush()
    assert sounds[0].up_us == 1_000_000
    decoder = av.CodecContext.create("aac", "r")
    decoder.extradata = line.format.config
    heard = []
    for number, sound in enumerate(sounds):
        packet = av.Packet(sound.data)
        packet.pts, packet.time_base = number * 1_024, Fraction(1, RATE)
        heard += [frame.to_ndarray()[0] for frame in decoder.decode(packet)]
    loud = np.flatnonzero(np.abs(np.concatenate(heard)) > 0.3)
    starts = [int(at) for before, at in zip([-9_999, *loud], loud, strict=False) if at - before > 1_000]
    assert starts == pytest.approx(list(clicks), abs=20)


def test_stereo_and_other_rates_are_encoded():
    line = SoundLine(AudioFormat(44_100, 2, "microphone of the test"), 64_000)
    sounds = [sound for number in range(100) for sound in line.feed(chunk(441, number * 10_000, channels=2)).sounds]
    assert line.format.channels == 2
    assert [later.up_us - sound.up_us for sound, later in itertools.pairwise(sounds)] == pytest.approx([23_220] * (len(sounds) - 1), abs=2)


@settings(max_examples=15)
@given(st.integers(-400, 400), st.lists(st.integers(0, 20_000), min_size=400, max_size=400))
def test_drift_is_followed_and_jitter_is_not(ppm, jitter):
    """Stamps up to 20 ms late and a card's clock that runs wrong: frames stay within 40 ms and never jump."""
    line = SoundLine(MONO, 32_000)
    times = []
    for number, late in enumerate(jitter):
        taken_us = round(number * 20_000 * (1 + ppm / 1e6))
        fed = line.feed(chunk(960, taken_us + late))
        assert fed.missing_us == 0
        times += [sound.up_us for sound in fed.sounds]
    steps = [later - time for time, later in itertools.pairwise(times)]
    assert all(abs(step - 21_333) < 400 for step in steps)
    truth = [number * 1_024 / RATE * 1e6 * (1 + ppm / 1e6) for number in range(len(times))]
    assert all(-25_000 < time - at < 40_000 for time, at in zip(times, truth, strict=True))


def test_lost_samples_become_silence_of_their_length():
    line = SoundLine(MONO, 64_000)
    for number in range(10):
        line.feed(chunk(960, number * 20_000))
    fed = line.feed(chunk(960, 300_000, lost=4_800))
    assert fed.missing_us == 100_000
    assert fed.first_us == 300_000
    assert line.next_us == pytest.approx(320_000, abs=1)


def test_a_jump_that_lasts_is_filled_and_one_that_does_not_is_not():
    line = SoundLine(MONO, 64_000)
    for number in range(10):
        line.feed(chunk(960, number * 20_000))
    assert line.feed(chunk(960, 200_000 + 60_000)).missing_us == 0  # a late stamp
    assert line.feed(chunk(960, 220_000)).missing_us == 0
    told = [line.feed(chunk(960, 300_000 + number * 20_000)).missing_us for number in range(5)]
    assert told == [0, 0, 0, 0, pytest.approx(60_000, abs=700)]


def test_samples_for_a_time_that_was_filled_are_left_out_and_told():
    line = SoundLine(MONO, 64_000)
    for number in range(10):
        line.feed(chunk(960, number * 20_000))
    line.silence(50_000)
    first = line.feed(chunk(960, 200_000))
    second = line.feed(chunk(960, 220_000))
    third = line.feed(chunk(960, 240_000))
    assert (first.length_us, second.length_us) == (0, 0)
    assert third.first_us == pytest.approx(250_000, abs=50)
    assert third.missing_us == pytest.approx(50_000, abs=50)
    assert line.next_us == pytest.approx(260_000, abs=50)


def test_a_feed_fills_a_short_silence_and_gives_up_a_long_one():
    feed = SoundFeed(CaptureSettings(), 0)
    feed.begin(MONO, 0)
    for number in range(50):
        feed.feed(chunk(960, number * 20_000), 0, "")
    filled, lost_us = [], 0
    for now_us in range(1_000_000, 4_100_000, 50_000):
        _, sounds, lost = feed.idle(now_us)
        filled += sounds
        lost_us = lost_us or (now_us if lost else 0)
        assert not filled or now_us > 2_500_000
    assert filled[-1].up_us == pytest.approx(2_500_000, abs=100_000)
    assert lost_us == 4_000_000
    holes, _ = feed.feed(chunk(960, 4_200_000), 0, "")
    assert [(hole.from_us, hole.until_us) for hole in holes] == [(1_000_000, 4_200_000)]


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 400_000), st.integers(0, 4_800)), max_size=60))
def test_sound_never_goes_back_and_all_that_is_missing_is_told(pauses):
    """Any pauses and counted losses: frames follow each other, and holes with what was kept cover the time."""
    feed = SoundFeed(CaptureSettings(), 0)
    feed.begin(MONO, 0)
    now_us, sounds, told_us, kept_us = 0, [], 0, 0
    for pause_us, lost in [*pauses, (0, 0)]:
        now_us += pause_us + lost * 1_000_000 // RATE
        _, made, _ = feed.idle(now_us)
        sounds += made
        holes, made = feed.feed(chunk(960, now_us, lost), 0, "")
        sounds += made
        told_us += sum(hole.until_us - hole.from_us for hole in holes)
        kept_us += 20_000
        now_us += 20_000
    assert all(21_000 <= later.up_us - sound.up_us < 22_000 for sound, later in itertools.pairwise(sounds))
    unexplained_us = now_us - kept_us - told_us
    assert unexplained_us <= 200_000 * (len(pauses) + 1)  # below a stall nothing needs telling


@pytest.mark.parametrize(
    ("format_", "says"),
    [(AudioFormat(RATE, 6, "array"), "1 or 2 channels, got 6"), (AudioFormat(1_000, 1, "toy"), "1000")],
)
def test_what_can_not_be_encoded_is_refused(format_, says):
    with pytest.raises(SoundError, match=says):
        AacEncoder(format_, 64_000)


def test_torn_samples_are_refused():
    with pytest.raises(SoundError, match="whole samples of 2 bytes, got 3 bytes"):
        SoundLine(MONO, 64_000).feed(AudioChunk(b"abc", 0))


def test_the_decoder_configuration_is_the_muxer_s():
    """The container's own encoder writes the configuration; it must be that of the frames inside."""
    from agent.capture.fragmenter import Fragmenter

    for format_ in (MONO, AudioFormat(16_000, 1, ""), AudioFormat(44_100, 2, "")):
        sound = AacEncoder(format_, 64_000).format
        with av.open(io.BytesIO(Fragmenter(None, sound, 0, 1_000).init), "r") as container:
            inside = bytes(container.streams.audio[0].codec_context.extradata or b"")
        assert inside[:2] == sound.config[:2]
