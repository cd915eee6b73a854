"""A replayed receiver: its places, at its pace, in today's time."""

from __future__ import annotations

import itertools
import re

import pytest

from hal.errors import DeviceFault, DeviceMissing, SignalLost
from simulators.clock import SimulatedClock
from simulators.locator import LOGS, ReplayLocator, load
from simulators.pace import ManualClock


def replay(locator, seconds):
    heard = []
    for _ in range(seconds):
        try:
            heard.append(locator.read(10.0))
        except SignalLost:
            heard.append(None)
    return heard


@pytest.mark.parametrize(
    ("log", "lat", "lon"),
    [("bt451", 55.8, 23.6), ("beidou-bd", 31.2, 121.5), ("quectel-eg25-g", 36.76, 31.41), ("telit-he910", 50.84, 4.35)],
)
def test_each_log_is_where_its_collector_was(log, lat, lon):
    found = [fix for _, fix in load(log) if fix["valid"]]
    assert found
    assert abs(found[0]["lat"] / 1e7 - lat) < 0.3
    assert abs(found[0]["lon"] / 1e7 - lon) < 0.3


def test_a_moving_vehicle_moves_at_the_receivers_pace_in_todays_time(clock):
    locator = ReplayLocator(clock, log="bt451")
    locator.start()
    heard = replay(locator, 18)
    assert heard[:4] == [None] * 4  # the receiver was switched on and looked for the sky
    moving = heard[-5:]
    assert all(15_000 < fix.speed < 17_000 for fix in moving)  # mm/s; 30 knots
    assert len({(fix.lat, fix.lon) for fix in moving}) == 5
    assert {later.up_us - fix.up_us for fix, later in itertools.pairwise(moving)} == {500_000}  # it was set to 2 Hz
    assert moving[-1].time_ms == clock.wall_ms()


def test_a_lost_fix_is_a_lost_signal_and_comes_back(clock):
    for log in ("quectel-eg25-g", "telit-he910"):
        locator = ReplayLocator(clock, log=log)
        locator.start()
        heard = replay(locator, len(load(log)))
        assert None in heard
        assert any(fix is not None for fix in heard)


def test_a_tunnel_on_order(clock):
    steps = [{"at": 6.5, "to": "locator", "do": "lose"}, {"at": 9.5, "to": "locator", "do": "find"}]
    locator = ReplayLocator(clock, log="bt451", script=steps)
    locator.start()
    heard = "".join("." if fix is None else "o" for fix in replay(locator, 18))
    assert heard == "....ooooo.....oooo"


def test_a_satellite_knows_the_time_when_the_device_does_not():
    true = ManualClock(wall_ms=1_700_000_000_000)
    locator = ReplayLocator(SimulatedClock(wall_ms=0, clock=true), log="bt451")
    locator.start()
    fix = next(fix for fix in replay(locator, 18) if fix is not None)
    assert fix.time_ms > 1_700_000_000_000


def test_a_log_that_is_not_one_is_refused(clock, tmp_path):
    with pytest.raises(DeviceMissing, match="name a log that is there, such as beidou-bd, bt451"):
        ReplayLocator(clock, log="atlantis")
    (tmp_path / "empty.log").write_text("# nothing\n")
    with pytest.raises(DeviceFault, match="holds no position"):
        ReplayLocator(clock, log=str(tmp_path / "empty.log"))


def test_the_logs_keep_their_licence():
    text = (LOGS / "README.md").read_text()
    assert "BSD-2-Clause" in text
    for log in LOGS.glob("*.log"):
        assert f"`{log.name}`" in text


def test_a_receiver_that_hangs_says_nothing_and_comes_back(clock):
    steps = [{"at": 6.5, "to": "locator", "do": "hang"}, {"at": 9.5, "to": "locator", "do": "find"}]
    locator = ReplayLocator(clock, log="bt451", script=steps)
    locator.start()
    heard = "".join("." if fix is None else "o" for fix in replay(locator, 18))
    assert re.fullmatch(r"\.{4}o{4,}\.{3,4}o{4,}", heard), heard
    assert locator.read(0.1) is None  # none is due yet


def test_a_receiver_lies_about_place_time_and_speed_as_ordered(clock):
    lies = [
        {"to": "locator", "do": "shift", "lat": 500_000, "lon": -500_000},
        {"to": "locator", "do": "mistime", "by_ms": -619_315_200_000},
        {"to": "locator", "do": "misspeed", "speed": 0},
    ]
    honest, lying = ReplayLocator(clock, log="bt451"), ReplayLocator(clock, log="bt451", script=[{"at": 0, **lie} for lie in lies])
    for locator in (honest, lying):
        locator.start()
    true, false = (next(fix for fix in replay(locator, 12) if fix is not None) for locator in (honest, lying))
    assert (false.lat - true.lat, false.lon - true.lon) == (500_000, -500_000)
    assert false.time_ms < true.time_ms - 619_000_000_000  # 1,024 weeks: a receiver whose week number rolled over
    assert false.speed == 0 < true.speed
