"""What a forger has: a genuine package of the world in memory, and his hands (simulators.adversary.bag)."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from server.evidence.text import as_text
from server.evidence.verify import verify
from simulators.adversary.bag import CLAIMS, FRONT, JOURNAL, PROOF, STILL, BagForger
from tests.server.evidence.world import Device, World

__all__ = ["CLAIMS", "FRONT", "JOURNAL", "PROOF", "STILL", "Forger", "Forgery", "Table", "judge"]

Forgery = Callable[["Forger"], None]


class Table:
    """Forgeries, each with the verdict that it must come to and what the first place must hold."""

    def __init__(self) -> None:
        self.rows: list[tuple[Forgery, str, str]] = []

    def __call__(self, verdict: str, place: str) -> Callable[[Forgery], Forgery]:
        def put(function: Forgery) -> Forgery:
            self.rows.append((function, verdict, place))
            return function

        return put

    @property
    def names(self) -> list[str]:
        return [row[0].__name__ for row in self.rows]


def judge(forger: Forger, verdict: str, place: str) -> None:
    """The verifier's verdict and first place."""
    report = verify(str(forger.folder), forger.world.trusted)
    assert report.verdict == verdict, as_text(report)
    assert report.first is not None
    assert place in f"{report.first.place}: {report.first.message}", as_text(report)


class Forger(BagForger):
    """Works on a package of a world, and knows that world."""

    def __init__(self, folder: Path, world: World, device: Device):
        super().__init__(folder, device.lines)
        self.world, self.device = world, device

    def copy_to(self, folder: Path) -> Forger:
        shutil.copytree(self.folder, folder)
        return Forger(folder, self.world, self.device)
