"""A board is put together by name, and says of every role that is missing why and what to do."""

from __future__ import annotations

import pytest

from hal.board import ROLES, open_board, open_driver
from hal.drivers.linux import SystemClock
from hal.errors import DeviceFault, DeviceMissing, HalError
from simulators.pace import ManualClock


def test_named_drivers_play_their_roles_on_one_clock():
    board = open_board({
        "camera": {"driver": "simulators.camera:PatternCamera", "width": 320, "height": 180, "numbered": False},
        "button": {"driver": "simulators.buttons:Buttons"},
        "power": {"driver": "simulators.battery:Battery", "percent": 50},
        "clock": {"driver": "simulators.clock:SimulatedClock", "wall_ms": 0},
    })  # fmt: skip
    assert board.camera is not None
    assert board.power is not None
    assert board.power.read().percent == 50
    assert board.microphone is None
    assert board.missing == {}
    assert board.camera.clock is board.clock  # type: ignore[attr-defined]
    assert board.clock.wall_ms() < 600_000
    board.close()


def test_without_a_table_the_clock_is_the_machines_own():
    assert isinstance(open_board({}).clock, SystemClock)


def test_a_role_that_fails_is_missing_with_its_reason_and_the_others_are_there():
    board = open_board({
        "camera": {"driver": "simulators.camera:FileCamera"},
        "microphone": {"driver": "simulators.microphone:ToneMicrophone"},
    })  # fmt: skip
    assert board.camera is None
    assert board.microphone is not None
    assert "camera: driver simulators.camera:FileCamera needs the option path" in str(board.missing["camera"])


@pytest.mark.parametrize(
    ("table", "error", "complaint"),
    [
        ({}, HalError, "camera: driver is None; expected 'package.module:Class'"),
        ({"driver": "simulators.camera"}, HalError, "driver is 'simulators.camera'; expected 'package.module:Class'"),
        ({"driver": "os; import this:x"}, HalError, "expected 'package.module:Class'"),
        ({"driver": "hal.drivers.nonesuch:Camera"}, DeviceMissing, "No module named 'hal.drivers.nonesuch'; install what it needs"),
        ({"driver": "simulators.camera:Camcorder"}, DeviceMissing, "simulators.camera has no class Camcorder; it offers"),
        ({"driver": "simulators.camera:jpeg"}, DeviceMissing, "simulators.camera has no class jpeg"),
        ({"driver": "simulators.camera:PatternCamera", "widht": 1}, HalError, "has no option widht; its options are buffer_ms, .*width"),
        ({"driver": "simulators.battery:Battery"}, DeviceFault, "simulators.battery:Battery is not a camera: it has no start, still"),
    ],
)
def test_a_driver_that_cant_be_had_is_refused_with_what_to_do(table, error, complaint):
    with pytest.raises(error, match=complaint):
        open_driver("camera", table, ManualClock())


def test_a_role_that_does_not_exist_is_refused():
    with pytest.raises(HalError, match="no role is called webcam; the roles are clock, camera"):
        open_board({"webcam": {"driver": "a:B"}})


def test_a_clock_that_cant_be_had_stops_everything():
    with pytest.raises(DeviceMissing, match=r"clock: driver hal\.drivers\.sundial:Clock can't be loaded"):
        open_board({"clock": {"driver": "hal.drivers.sundial:Clock"}})


def test_every_role_of_the_contracts_can_be_named():
    assert set(ROLES) == {"clock", "camera", "microphone", "locator", "climate", "scanner", "button", "indicator", "power"}
