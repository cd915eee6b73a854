"""How long a package takes to verify: the slope between a small and a large one, against `openssl dgst -sha256` of the same media.

The slope is what counts: starting Python and checking signatures do not grow with the recording. One core and two are measured by
pinning the whole command.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
from pathlib import Path

from benchmarks.measure import ROOT, Row, command, workplace
from server.evidence import package
from server.evidence.package import Wanted
from tests.server.evidence.world import World

RECORDING = "01JD8Z3V9M5Q7R2T4W6Y8A0C1E"
FRAGMENT_BYTES = 500_000
VARIANTS = 16
NUMBERS = {1: "one core", 2: "two cores"}


def _package(folder: Path, seconds: int) -> tuple[Path, list[str]]:
    """A package whose media are `seconds` fragments of 500 kB (digests do not care what the bytes mean)."""
    world = World()
    device = world.device("DSJ-0012345")
    device.beacon()
    device.start(RECORDING)
    device.track(RECORDING)
    pieces = [os.urandom(FRAGMENT_BYTES) for _ in range(VARIANTS)]
    for i in range(seconds):
        world.now_ms += 1000
        device.up += 1000
        device.fragment(RECORDING, pieces[i % VARIANTS], i * 1000)
        device.fix(RECORDING, i)
    device.stop(RECORDING)
    device.cosign()
    world.custody_line("start", device.name, RECORDING, origin=device.origin)
    world.stored(device, RECORDING)
    world.custody_line("export", device.name, RECORDING, by="benchmark")
    package.make(world, Wanted(device.origin, RECORDING, device.starts[RECORDING])).write_folder(folder)
    return folder, world.trusted


def _verify(folder: Path, keys: list[str], cores: set[int]) -> float:
    argv = [sys.executable, str(ROOT / "zhilu.py"), "verify", str(folder), "--json"]
    for key in keys:
        argv += ["--key", key]
    return command(*argv, cores=cores).wall


def rows(*, quick: bool) -> list[Row]:
    """One core and two."""
    small, large, turns = (20, 100, 1) if quick else (600, 6000, 3)
    cores = sorted(os.sched_getaffinity(0))
    with workplace() as where:
        short, keys = _package(where / "short", small)
        long, long_keys = _package(where / "long", large)
        media = (short / "data/media/front.mp4", long / "data/media/front.mp4")
        answer = []
        for many, bound in ((1, 1.2), (2, 0.7)):
            if len(cores) < many:
                continue
            ratios, behind = [], []
            for _ in range(turns):
                ours = _verify(long, long_keys, set(cores[:many])) - _verify(short, keys, set(cores[:many]))
                theirs = [command("openssl", "dgst", "-sha256", str(path), cores={cores[0]}).wall for path in media]
                ratios.append(ours / (theirs[1] - theirs[0]))
                behind.append((ours, theirs[1] - theirs[0]))
            figures = {"slope_s": statistics.median(o for o, _ in behind), "openssl_slope_s": statistics.median(t for _, t in behind)}
            figures |= {"small_mb": small * FRAGMENT_BYTES / 1e6, "large_mb": large * FRAGMENT_BYTES / 1e6}
            what = f"verify a package, wall, slope from small to large, of openssl dgst -sha256: {NUMBERS[many]}"
            answer.append(Row(what, bound, "<=", ratios, "×", figures))
        shutil.rmtree(long)
    return answer
