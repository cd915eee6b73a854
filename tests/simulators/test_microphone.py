"""Simulated microphones: samples by time, losses counted, a clip's sound that stays with its picture."""

from __future__ import annotations

import numpy as np
import pytest

from hal.contracts import AudioChunk
from hal.errors import DeviceMissing, HalError, SignalLost
from simulators import media
from simulators.microphone import FileMicrophone, ToneMicrophone


def samples(chunks):
    return np.concatenate([np.frombuffer(chunk.samples, "<i2") for chunk in chunks])


def test_a_chunk_is_there_when_its_last_sample_was_heard(clock):
    microphone = ToneMicrophone(clock=clock)
    form = microphone.start()
    assert (form.rate, form.channels, form.source) == (48_000, 1, "simulators tone")
    chunk = microphone.read(1.0)
    assert chunk is not None
    assert chunk.up_us == 7_000_000
    assert clock.up_us() == 7_020_000


def test_the_tone_beeps_at_every_whole_second_of_up(clock):
    clock.advance(0.5)
    microphone = ToneMicrophone(clock=clock)
    microphone.start()
    heard = samples([microphone.read(1.0) for _ in range(100)])
    loud = np.flatnonzero(np.abs(heard.astype(int)) > 5_000)
    starts = loud[np.flatnonzero(np.diff(loud, prepend=-48_000) > 1_000)]
    assert np.abs(starts - np.array([24_000, 72_000])).max() < 48  # within a millisecond of the second
    assert 0.07 < (loud < 48_000).sum() / 48_000 * 1.4 < 0.13


def test_a_late_reader_loses_samples_and_is_told_how_many(clock):
    microphone = ToneMicrophone(clock=clock)
    microphone.start()
    first = microphone.read(1.0)
    clock.advance(3.0)
    second = microphone.read(1.0)
    assert first is not None
    assert second is not None
    assert second.lost == 149 * 960
    assert second.up_us == first.up_us + 150 * 20_000


def test_a_file_goes_round_without_a_seam(clock, tmp_path, bunny):
    sound = media.sound_of(bunny, tmp_path)
    microphone = FileMicrophone(clock=clock, path=str(sound))
    form = microphone.start()
    assert form.source == "simulators file bigbuckbunny-48000.wav"
    length = media.length_us(bunny) * 48 // 1_000
    heard = samples([microphone.read(1.0) for _ in range(2 * length // 960 + 1)])
    assert (heard[:length] == heard[length : 2 * length]).all()
    assert np.abs(heard.astype(int)).mean() > 50


def test_the_sound_belongs_to_the_moment_whenever_the_microphone_began(clock, tmp_path, bunny):
    """What a microphone that began 1.24 s later hears is what the first hears then: sound stays with the picture."""
    sound = str(media.sound_of(bunny, tmp_path))
    early, late = FileMicrophone(clock=clock, path=sound), FileMicrophone(clock=clock, path=sound)
    early.start()
    before = samples([early.read(1.0) for _ in range(62)])
    late.start()
    together = samples([early.read(1.0) for _ in range(10)])
    assert (samples([late.read(1.0) for _ in range(10)]) == together).all()
    assert not (before[: len(together)] == together).all()


def test_mute_is_silence_and_unplug_is_a_lost_signal(clock):
    steps = [
        {"at": 0.1, "to": "microphone", "do": "mute"},
        {"at": 0.2, "to": "microphone", "do": "unmute"},
        {"at": 0.3, "to": "microphone", "do": "unplug"},
        {"at": 0.4, "to": "microphone", "do": "plug"},
    ]
    microphone = ToneMicrophone(clock=clock, script=steps)
    microphone.start()
    heard: list[str] = []
    while clock.up_us() < 7_500_000:
        try:
            chunk = microphone.read(0.03)
        except SignalLost:
            heard.append("lost")
        else:
            assert chunk is not None
            heard.append("sound" if any(chunk.samples) else "silence")
    order = [word for place, word in enumerate(heard) if place == 0 or heard[place - 1] != word]
    assert order == ["sound", "silence", "sound", "lost", "sound"]


@pytest.mark.parametrize("options", [{"channels": 3}, {"rate": 100}, {"chunk_ms": 0}])
def test_wrong_settings_are_refused(clock, options):
    with pytest.raises(HalError, match="expected 1 or 2 channels, 8000 to 192000 Hz, chunks of 1 to 1000 ms"):
        ToneMicrophone(clock=clock, **options)


def test_a_file_without_sound_is_missing(clock, bikes, tmp_path):
    for path in (bikes, tmp_path / "none.wav"):
        with pytest.raises(DeviceMissing, match=r"can't be played.*name a sound file that is there"):
            FileMicrophone(clock=clock, path=str(path))


def test_what_is_said_while_the_cable_is_out_is_lost_and_not_kept_by_it(clock):
    steps = [{"at": 1, "to": "microphone", "do": "unplug"}, {"at": 4, "to": "microphone", "do": "plug"}]
    microphone = ToneMicrophone(clock=clock, buffer_ms=20_000, script=steps)
    microphone.start()
    heard: list[tuple[AudioChunk, int]] = []
    while len(heard) < 100:
        try:
            chunk = microphone.read(0.25)
        except SignalLost:
            continue
        if chunk is not None:
            heard.append((chunk, clock.up_us()))
    assert all(now_us - chunk.up_us <= 40_000 for chunk, now_us in heard)
    assert sum(chunk.lost for chunk, _ in heard) == pytest.approx(3 * 48_000, abs=48_000 // 2)
