"""What a piece of work costs: CPU of this process and of commands, wall time, and the shape of an answer.

Two busy cores drift; so the two sides of a ratio are measured in turn, round by round, and the median of the rounds' ratios counts.
"""

from __future__ import annotations

import os
import platform
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder on the disk of the work tree, which is gone afterwards: /tmp is often memory, where a sync costs nothing."""
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=build) as folder:
        yield Path(folder)


def machine() -> dict[str, Any]:
    """What the figures depend on. `load`: how many processes wanted a core in the last minute, when nothing was measured yet."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
        "file_system": _file_system(ROOT),
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
    }


def _file_system(path: Path) -> str:
    """Type of the file system that holds a path (proc_pid_mountinfo(5))."""
    found = {}
    for row in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = row.partition(" - ")
        found[Path(left.split(" ")[4])] = right.split(" ")[0]
    return next(found[place] for place in (path, *path.parents) if place in found)


@dataclass
class Spent:
    """Seconds of CPU (user and system) and of wall time."""

    cpu: float = 0.0
    wall: float = 0.0


@contextmanager
def spent() -> Iterator[Spent]:
    """What the block costs, this process's threads and its finished children together."""
    answer = Spent()
    cpu, wall = _cpu(), time.perf_counter()
    try:
        yield answer
    finally:
        answer.cpu, answer.wall = _cpu() - cpu, time.perf_counter() - wall


def _cpu() -> float:
    return sum(r.ru_utime + r.ru_stime for r in (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def command(*argv: str, cores: set[int] | None = None) -> Spent:
    """What a command costs; it must succeed."""
    with spent() as answer:
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, preexec_fn=_on(cores))
    return answer


def _on(cores: set[int] | None) -> Callable[[], None] | None:
    return None if cores is None else lambda: os.sched_setaffinity(0, cores)


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a running process has used (proc_pid_stat(5))."""
    with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass
class Row:
    """One figure: what, the bound, whether it must stay below (`<=`) or reach (`>=`), the rounds' ratios, and what lies behind them."""

    what: str
    bound: float
    sense: str
    rounds: Sequence[float]
    unit: str = "×"
    behind: dict[str, float] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.rounds)

    @property
    def reached(self) -> bool:
        """Whether the bound is kept."""
        return self.value <= self.bound if self.sense == "<=" else self.value >= self.bound

    def as_json(self) -> dict[str, object]:
        """Everything, rounded to what the measurement is worth."""
        return {
            "what": self.what,
            "value": round(self.value, 4),
            "unit": self.unit,
            "reach": f"{self.sense} {self.bound}",
            "reached": self.reached,
            "rounds": [round(one, 4) for one in self.rounds],
            "behind": {name: round(value, 6) for name, value in self.behind.items()},
        }
