"""Every driver that can run here, real and simulated, one after another, for the contract suite."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from hal.drivers import linux
from simulators import battery, buttons, camera, clock, indicator, locator, media, microphone
from simulators.pace import ManualClock
from simulators.powercut import SimulatedFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CLOCK = ManualClock(up_us=60_000_000)
EDGES = [{"at": 0.1 * n, "to": "button", "do": "edge", "button": "record", "down": n % 2 == 0} for n in range(4)]


def _copy(folder: Path) -> Any:
    return camera.CopyCamera(clock=CLOCK, path=str(media.encoded(None, folder, seconds=1)))


CAMERAS: dict[str, Callable[[Path], Any]] = {
    "file": lambda _: camera.FileCamera(clock=CLOCK, path=str(media.clip("bikes")), width=320, height=180, numbered=False),
    "pattern": lambda _: camera.PatternCamera(clock=CLOCK),
    "copy": _copy,
}
MICROPHONES: dict[str, Callable[[Path], Any]] = {
    "file": lambda _: microphone.FileMicrophone(clock=CLOCK, path=str(media.clip("bigbuckbunny"))),
    "tone": lambda _: microphone.ToneMicrophone(clock=CLOCK, channels=2, rate=16_000),
}
CLOCKS: dict[str, Callable[[], Any]] = {
    "linux": linux.SystemClock,
    "simulated": lambda: clock.SimulatedClock(offset_ms=90_000, drift_ppm=50),
    "manual": ManualClock,
}
BATTERIES: dict[str, Callable[[], Any]] = {
    "linux": linux.Battery,
    "simulated": lambda: battery.Battery(CLOCK, percent=40, charging=False, percent_per_hour=10),
}
FILES: dict[str, Callable[[], Any]] = {"linux": linux.Files, "simulated": SimulatedFiles}


@pytest.fixture(params=CAMERAS)
def any_camera(request, tmp_path_factory) -> Iterator[Any]:
    device = CAMERAS[request.param](tmp_path_factory.mktemp("camera"))
    yield device
    device.close()


@pytest.fixture(params=MICROPHONES)
def any_microphone(request, tmp_path) -> Iterator[Any]:
    device = MICROPHONES[request.param](tmp_path)
    yield device
    device.close()


@pytest.fixture(params=CLOCKS)
def any_clock(request) -> Any:
    return CLOCKS[request.param]()


@pytest.fixture(params=BATTERIES)
def any_battery(request) -> Any:
    return BATTERIES[request.param]()


@pytest.fixture(params=["script"])
def any_buttons(request) -> Any:
    return buttons.Buttons(CLOCK, script=EDGES)


@pytest.fixture(params=["bt451", "beidou-bd"])
def any_locator(request) -> Any:
    return locator.ReplayLocator(CLOCK, log=request.param)


@pytest.fixture(params=["log"])
def any_indicator(request, tmp_path) -> Any:
    return indicator.Indicator(CLOCK, log=str(tmp_path / "signals.jsonl"))


@pytest.fixture(params=FILES)
def any_files(request) -> Any:
    return FILES[request.param]()


_folders = itertools.count()


@pytest.fixture
def folder(any_files, tmp_path) -> Path:
    """A folder that is there in either world."""
    path = tmp_path / f"disk-{next(_folders)}"
    any_files.make_folder(path)
    return path
