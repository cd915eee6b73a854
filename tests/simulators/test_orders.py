"""Orders and scripts: the closed list, the time of each step, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.errors import HalError
from simulators import orders
from simulators.battery import Battery
from simulators.buttons import Buttons
from simulators.clock import SimulatedClock
from simulators.errors import ScriptError
from simulators.pace import ManualClock


def test_steps_come_in_their_time_and_only_to_whom_they_are_for(clock):
    steps = [
        {"at": 2, "to": "button", "do": "edge", "button": "mark", "down": True},
        {"at": 0.5, "to": "button", "do": "edge", "button": "record", "down": True},
        {"at": 0.1, "to": "power", "do": "set", "percent": 7, "charging": None},
    ]
    buttons = Buttons(clock, script=steps)
    edge = buttons.read(5)
    assert edge is not None
    assert (edge.button, edge.down, edge.up_us) == ("record", True, 7_500_000)
    assert buttons.read(1) is None
    assert clock.up_us() == 8_500_000
    edge = buttons.read(5)
    assert edge is not None
    assert (edge.button, edge.up_us) == ("mark", 9_000_000)
    assert buttons.read(1) is None


def test_a_script_can_stand_in_a_file(clock, tmp_path):
    script = tmp_path / "script.toml"
    script.write_text('[[step]]\nat = 1\nto = "power"\ndo = "set"\npercent = 4\ncharging = false\n')
    battery = Battery(clock, percent=80, script=str(script))
    assert battery.read().percent == 80
    clock.advance(1)
    assert battery.read().percent == 4


@pytest.mark.parametrize(
    ("step", "complaint"),
    [
        ({"to": "button"}, "at is None; expected seconds from the start"),
        ({"at": -1, "to": "button"}, "at is -1; expected seconds"),
        ({"at": True, "to": "button"}, "at is True; expected seconds"),
        (
            {"at": 0, "to": "toaster", "do": "toast"},
            "to 'toaster' to do 'toast': there is no such order; expected one of button, cam",
        ),
        ({"at": 0, "to": "camera", "do": "stall"}, r"has the members \[\]; expected exactly \['ms'\]"),
        ({"at": 0, "to": "camera", "do": "stall", "ms": 1, "s": 1}, "expected exactly"),
        ({"at": 0, "to": "camera", "do": "stall", "ms": True}, "ms is True; expected int"),
        ({"at": 0, "to": "power", "do": "set", "percent": "5", "charging": None}, "percent is '5'; expected int or NoneType"),
    ],
)
def test_a_step_without_meaning_is_refused_before_anything_is_done(clock, step, complaint):
    with pytest.raises(HalError, match=complaint):
        Buttons(clock, script=[step])


@pytest.mark.parametrize("text", ["step = 1", "[[step", "step = [1]"])
def test_a_file_that_is_no_script_is_refused(clock, tmp_path, text):
    path = tmp_path / "script.toml"
    path.write_text(text)
    with pytest.raises(HalError, match=r"button: script .*script\.toml"):
        Buttons(clock, script=str(path))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_check_takes_an_order_or_refuses_it(value):
    order = value if isinstance(value, dict) else {"to": "camera", "do": value}
    try:
        orders.check(order)
    except ScriptError:
        return
    assert order.get("do") in ("unplug", "plug")


def test_a_battery_empties_by_itself_and_fills_on_the_charger(clock):
    battery = Battery(clock, percent=50, percent_per_hour=10)
    clock.advance(2 * 3600)
    assert battery.read().percent == 30
    clock.advance(9 * 3600)
    assert battery.read().percent == 0
    charging = Battery(clock, percent=50, percent_per_hour=40, charging=True)
    clock.advance(2 * 3600)
    assert charging.read().percent == 100


def test_a_clock_can_be_off_drift_jump_and_start_in_1970():
    true = ManualClock(up_us=1_000_000, wall_ms=1_700_000_000_000)
    off = SimulatedClock(offset_ms=-5_000, drift_ppm=100, clock=true)
    assert off.wall_ms() == true.wall_ms() - 5_000
    true.advance(10_000)
    assert off.wall_ms() - true.wall_ms() == -4_000
    assert off.reading().offset_ms == -4_000
    assert off.up_us() == true.up_us()

    old = SimulatedClock(wall_ms=0, source="none", clock=true)
    true.advance(60)
    assert old.wall_ms() == 60_000
    assert old.reading().source == "none"
    assert old.true_ms() == true.wall_ms()

    steps = [
        {"at": 1, "to": "clock", "do": "set", "offset_ms": 3_600_000},
        {"at": 2, "to": "clock", "do": "trust", "source": "gnss", "error_ms": 1},
        {"at": 3, "to": "clock", "do": "drift", "ppm": -1_000},
    ]
    jumping = SimulatedClock(script=steps, clock=true)
    assert jumping.wall_ms() == true.wall_ms()
    true.advance(1)
    assert jumping.wall_ms() == true.wall_ms() + 3_600_000
    true.advance(1)
    reading = jumping.reading()
    assert (reading.source, reading.offset_ms, reading.error_ms) == ("gnss", 3_600_000, 1)
    true.advance(1)
    jumping.wall_ms()
    true.advance(100)
    assert jumping.wall_ms() - true.wall_ms() == 3_600_000 - 100
