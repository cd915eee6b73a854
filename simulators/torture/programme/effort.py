"""How much is tried, where, and how a row names the command that runs it again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from simulators.torture.device import Home
from simulators.torture.reel import reel

REEL_S = 40
MODULE = "python -m simulators.torture"


@dataclass(frozen=True, slots=True)
class Effort:
    """`seconds` of recording in the duty, lines in a segment, fates by chance at each step, real cuts and kills.

    `index`: so many of the steps that SQLite makes for the index, by chance.
    `device_days` of simulated worlds, `seeds` of forgers and of network stories, honest `packages`.
    """

    seed: int = 1
    seconds: int = 180
    segment: int = 64
    samples: int = 3
    starts_each: int = 2
    index: int = 10_000
    cuts: int = 200
    device_days: int = 1_000
    seeds: int = 5
    packages: int = 1_000


QUICK = Effort(seconds=24, segment=16, samples=0, starts_each=1, index=40, cuts=5, device_days=6, seeds=1, packages=60)
"""What `make test` has time for."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the work is done: `memory` should be a tmpfs, for the device's index; `disk` is any folder."""

    memory: Path
    disk: Path

    def home(self) -> Home:
        """A device, and media for its camera."""
        return Home.make(self.memory / "state", reel(self.disk / "media", REEL_S))


def again(name: str, effort: Effort) -> str:
    """The command that runs a row once more."""
    quick = " --quick" if effort.seconds == QUICK.seconds else ""
    return f"{MODULE} --only {name} --seed {effort.seed}{quick}"
