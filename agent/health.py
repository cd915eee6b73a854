"""How the device is: what `status`, `health` and `reported` say over MQTT, and what `agent check` prints.

Nothing here proves anything; evidence is in the journal. A figure that the machine does not give is left out.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hal.errors import HalError

if TYPE_CHECKING:
    from agent.pipeline.state import State
    from hal.board import Board

THERMAL = Path("/sys/class/thermal/thermal_zone0/temp")
MEMORY = Path("/proc/meminfo")
WIRELESS = Path("/proc/net/wireless")
MODEL = Path("/proc/device-tree/model")
KIB = 1_024


@cache
def software() -> str:
    """Name and version of what runs here; looked up once, because `status` says it at every turn."""
    try:
        return f"zhilu {importlib.metadata.version('zhilu')}"
    except importlib.metadata.PackageNotFoundError:
        return "zhilu"


@cache
def hardware() -> str:
    """What the machine calls itself."""
    model = _read(MODEL).strip("\0\n ")
    return (model or f"{platform.system()} {platform.machine()}")[:120]


def machine() -> dict[str, int]:
    """`temperature` in m°C, `load` in hundredths, `memory_free` in bytes, `signal` in dBm, as far as the kernel says."""
    found: dict[str, int] = {"load": int(os.getloadavg()[0] * 100)}
    temperature = _read(THERMAL).strip()
    if temperature.lstrip("-").isdecimal():
        found["temperature"] = int(temperature)
    for line in _read(MEMORY).splitlines():
        if line.startswith("MemAvailable:"):
            found["memory_free"] = int(line.split()[1]) * KIB
    for line in _read(WIRELESS).splitlines()[2:]:
        words = line.split()
        if len(words) > 3 and words[3].rstrip(".").lstrip("-").isdecimal():
            found["signal"] = int(words[3].rstrip("."))
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the figures come from; each answers at once."""

    state: State
    recording: Callable[[], str | None]
    backlog: Callable[[], Mapping[str, int] | None]
    counts: Callable[[], Mapping[str, int]]
    wall_ms: Callable[[], int]
    applied: Callable[[], int]


class Reports:
    """The three documents, and the farewell that the broker says for a device that vanishes."""

    def __init__(self, sources: Sources, settings: bytes) -> None:
        self._sources = sources
        self._since = sources.wall_ms()
        self._settings = hashlib.sha256(settings).hexdigest()

    def status(self) -> dict[str, Any]:
        """Retained: whether it is there and what it does."""
        recording = self._sources.recording()
        state = "recording" if recording else "alarm" if self._sources.state.grave else "ready"
        alarms = list(self._sources.state.alarms)
        return {"online": True, "since": self._since, "software": software(), "state": state, "recording": recording, "alarms": alarms}

    def farewell(self) -> dict[str, Any]:
        """Retained: it is not there any more."""
        return {"online": False, "since": self._since, "software": software(), "state": "off", "recording": None}

    def health(self) -> dict[str, Any]:
        """Figures; those that nothing gives are left out."""
        state = self._sources.state
        figures: dict[str, Any] = {
            "at": self._sources.wall_ms(),
            "battery": state.percent,
            "charging": state.charging,
            "free": state.free_bytes,
            "backlog": self._sources.backlog(),
            "clock": {"source": state.clock_source, "error": state.clock_error_ms},
            "position": state.position,
            "counts": dict(self._sources.counts()),
            **machine(),
        }
        return {name: value for name, value in figures.items() if value is not None}

    def reported(self) -> dict[str, Any]:
        """Retained: what it has, for whoever wants it to have something else."""
        return {"software": software(), "hardware": hardware(), "settings": self._settings, "desired": self._sources.applied()}


# --------------------------------------------------------------------------- agent check

READ_S = 5.0


def check(board: Board, wanted: Mapping[str, Any]) -> list[tuple[str, bool | None, str]]:
    """(role, works, what it says) of every role; None for one that the settings do not name, which is no failure."""
    return [(role, *_checked(board, role, wanted)) for role in PROBES]


def _checked(board: Board, role: str, wanted: Mapping[str, Any]) -> tuple[bool | None, str]:
    problem = board.missing.get(role)
    if problem is not None:
        return False, str(problem)
    device = getattr(board, role)
    if device is None:
        return None, "not in the settings"
    try:
        said = PROBES[role](device)
    except HalError as error:
        return False, str(error)
    return True, f"{said} ({wanted.get(role, {}).get('driver', 'the default')})"


def _camera(camera: Any) -> str:
    shape = camera.start(None)
    frame = camera.read(READ_S)
    return f"{shape.source}: {shape.width} × {shape.height}, {shape.rate} a second, first frame {'came' if frame else 'did not come'}"


def _microphone(microphone: Any) -> str:
    shape = microphone.start()
    chunk = microphone.read(READ_S)
    return f"{shape.source}: {shape.rate} Hz, {shape.channels} channel(s), first samples {'came' if chunk else 'did not come'}"


def _locator(locator: Any) -> str:
    locator.start()
    fix = locator.read(READ_S)
    return "no position yet" if fix is None else f"position {fix.lat / 1e7:.5f}, {fix.lon / 1e7:.5f}"


def _climate(climate: Any) -> str:
    temperature, humidity = climate.read()
    return f"{temperature / 1000:.1f} °C, {humidity / 10:.0f} %"


def _scanner(scanner: Any) -> str:
    return "a badge was read" if scanner.read(0) else "no badge before it"


def _button(button: Any) -> str:
    edge = button.read(0)
    return f"{edge.button} is pressed" if edge else "nobody presses"


def _indicator(indicator: Any) -> str:
    from agent.pipeline.signals import Glance, signal

    indicator.show(signal(Glance(), "mark"))
    return "shows ready"


def _power(power: Any) -> str:
    reading = power.read()
    return f"{'?' if reading.percent is None else reading.percent} %{', charging' if reading.charging else ''}"


def _clock(clock: Any) -> str:
    reading = clock.reading()
    return f"{reading.source}, within {reading.error_ms} ms" if reading.source != "none" else "nobody says how right it is"


PROBES: dict[str, Callable[[Any], str]] = {
    "camera": _camera,
    "microphone": _microphone,
    "locator": _locator,
    "climate": _climate,
    "scanner": _scanner,
    "button": _button,
    "indicator": _indicator,
    "power": _power,
    "clock": _clock,
}
