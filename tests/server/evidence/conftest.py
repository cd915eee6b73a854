"""Packages for the tests: made from the world in memory, and taken apart again by forgers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.core import note
from server.evidence import package
from server.evidence.excerpt import Stretch
from server.evidence.package import Package, Wanted
from tests.server.evidence.forge import Forger
from tests.server.evidence.world import MEDIA, STILL, Device, World

RECORDING = "01JD8Z3V9M5Q7R2T4W6Y8A0C1E"
EARLIER = "01JD8Z1111111111111111111A"


def record(device: Device, recording: str = RECORDING, seconds: int = 8) -> None:
    """A recording with picture, a still, positions and a mark; other lines of the device stand in between."""
    device.start(recording)
    device.track(recording)
    device.fragment(recording, MEDIA[0], 0, 0)
    for i in range(seconds):
        device.world.now_ms += 1000
        device.up += 1000
        device.fragment(recording, MEDIA[1 + i % 8], i * 1000, pre=True if i < 2 else None)
        device.fix(recording, i)
        if i == 3:
            device.line("mark", [("label", "重点")], recording)
            device.track(recording, "still-1", "image/jpeg")
            device.fragment(recording, STILL, 3500, 0, "still-1")
            device.line("order", [("number", 3), ("name", "locate"), ("result", "done")])
        if i == 5:
            device.beacon()
            device.clock(recording)
    device.stop(recording)


def scene(algorithm: int = note.ED25519, before_export: Callable[[World, Device], None] | None = None) -> tuple[World, Device]:
    """The story of the golden package: two devices, an earlier recording, one that is stored, anchored, looked at and exported."""
    world = World()
    device, other = world.device("DSJ-0012345", algorithm), world.device("DSJ-0099999")
    other.cosign()
    device.beacon()
    record(device, EARLIER, 2)
    device.cosign()
    world.anchor()
    device.beacon()
    record(device)
    device.line("power", [("event", "charging")])
    device.cosign()
    world.anchor()
    world.custody_line("start", device.name, RECORDING, origin=device.origin)
    world.stored(device, RECORDING)
    device.line("retire", [("reason", "test")])
    other.cosign()
    device.cosign()
    world.anchor()
    world.custody_line("view", device.name, RECORDING, by="console")
    if before_export is not None:
        before_export(world, device)
    return world, device


def export(world: World, device: Device, stretch: Stretch | None = None, recording: str = RECORDING) -> Package:
    """The package, with its own export line in the ledger."""
    what = {} if stretch is None else {"from": stretch.first_ms, "to": stretch.end_ms}
    world.custody_line("export", device.name, recording, by="console", **what)
    return package.make(world, Wanted(device.origin, recording, device.starts[recording], stretch), b"verify.pyz in tests\n")


@pytest.fixture(scope="session")
def golden_scene() -> tuple[World, Device, Package]:
    """The golden package's world; tests do not change it."""
    world, device = scene()
    return world, device, export(world, device)


@pytest.fixture
def golden(golden_scene: tuple[World, Device, Package], tmp_path: Path) -> tuple[Path, list[str]]:
    """(folder of a genuine package, trusted keys)."""
    world, _, made = golden_scene
    made.write_folder(tmp_path / "package")
    return tmp_path / "package", world.trusted


@pytest.fixture
def forger(golden_scene: tuple[World, Device, Package], golden: tuple[Path, list[str]]) -> Forger:
    """A forger with a copy of the golden package."""
    world, device, _ = golden_scene
    return Forger(golden[0], world, device)
