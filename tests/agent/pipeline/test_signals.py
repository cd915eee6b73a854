"""What the officer sees, hears and feels."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.pipeline.signals import PATTERNS, Glance, signal

READY = Glance(battery_percent=80, free_bytes=12 << 30, waiting_bytes=3 << 20, clock="12:00:05", online=True)
REC = replace(READY, recording=True, elapsed_s=3_725)


def test_a_recorder_that_is_ready_says_what_one_checks_before_duty():
    shown = signal(READY)
    assert shown.lamp == "ready"
    assert shown.screen == ("READY", "12:00:05", "battery 80 %", "free 12.0 GB", "waiting 3 MB")


def test_a_recording_shows_its_time():
    shown = signal(REC, "start")
    assert (shown.lamp, shown.screen[0]) == ("recording", "REC 01:02:05")
    assert shown.sound == shown.vibration == PATTERNS["start"]


def test_start_and_stop_feel_different():
    assert len({PATTERNS["start"], PATTERNS["stop"], PATTERNS["mark"], PATTERNS["alarm"]}) == 4


def test_an_alarm_is_shown_and_does_not_look_like_the_end_of_a_recording():
    alarmed = replace(READY, alarms=("no camera",))
    assert signal(alarmed).lamp == "alarm"
    assert "! no camera" in signal(alarmed).screen
    while_recording = signal(replace(REC, alarms=("no camera",)), "alarm")
    assert while_recording.lamp == "recording"
    assert while_recording.vibration == PATTERNS["alarm"]
    assert "! no camera" in while_recording.screen


def test_an_untrusted_time_has_a_star():
    assert "12:00:05 *" in signal(replace(READY, clock_trusted=False)).screen


def test_discreet_is_dark_and_silent_and_still_felt():
    shown = signal(replace(REC, discreet=True), "mark")
    assert (shown.lamp, shown.sound, shown.vibration) == ("off", "", PATTERNS["mark"])
    assert signal(replace(READY, discreet=True)).lamp == "ready"


def test_a_device_that_is_not_enrolled_says_only_that():
    shown = signal(Glance(enrolled=False))
    assert shown.lamp == "unenrolled"
    assert "NOT ENROLLED" in shown.screen


@pytest.mark.parametrize("glance", [READY, REC, Glance()])
def test_a_pattern_is_played_once_and_no_news_is_silent(glance):
    assert (signal(glance).sound, signal(glance).vibration) == ("", "")


def test_no_network_is_said():
    assert "waiting 3 MB, offline" in signal(replace(READY, online=False)).screen
