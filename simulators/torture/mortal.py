"""The server with an hour of death: its command line, with these options before it.

    --points FILE       write down each point that is reached (`points`), and how often
    --die "before X"    kill the process the --times N-th time that point is reached; with --disk FOLDER the file system there
                        loses its power in the same moment, --flush SEED lets it write some files' bytes first
    --tape FILE         write the whole run down, for cuts on paper (`tapes`)
    --forget            a server that forgets all its syncs
    --hasty             a server that tells before it commits

The last two are the guard on these kills, which must find them out. A life begins as a fork of a process that has imported everything
(`life`, by `multiprocessing`): importing costs more than the rest of a short one.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import random
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from sqlalchemy import Engine

from server import database
from server.__main__ import main
from server.database import Transaction
from simulators.leash import PR_SET_PDEATHSIG
from simulators.torture.loopdisk import shut_down
from simulators.torture.points import Act, Points
from simulators.torture.tapes import Recorder

WRITE_AND_WAIT = 7
"""SYNC_FILE_RANGE_WAIT_BEFORE | _WRITE | _WAIT_AFTER: the pages, and nothing that a new length or block needs (sync_file_range(2))."""
WAL_PAGES = 60
OPEN_FILES = Path("/proc/self/fd")
_libc = ctypes.CDLL(None)


class Death:
    """Counts how often each point is reached; kills at the chosen one. `forget`: no sync is done."""

    def __init__(self, given: argparse.Namespace) -> None:
        self._given = given
        self._left = int(given.times)
        self._seen = Counter[str]()
        self._lock = threading.Lock()
        self.let_leave: Callable[[], None] = lambda: None

    def before(self, act: Act) -> bool:
        """Count, and die if it is time."""
        self._reached("before", act)
        return not (self._given.forget and act.kind == "sync")

    def after(self, act: Act) -> None:
        """The same behind it; what was published has left by then."""
        self._reached("after", act)

    def _reached(self, when: str, act: Act) -> None:
        for name in act.names:
            with self._lock:  # the others wait at their point until there is nobody left to wait
                if when == "before":
                    self._count(name)
                if f"{when} {name}" == self._given.die:
                    self._left -= 1
                    if self._left == 0:
                        if (when, act.kind) == ("after", "publish"):
                            self.let_leave()
                        self._die()

    def _count(self, name: str) -> None:
        """Write it down the first, second, fourth … time."""
        self._seen[name] += 1
        count = self._seen[name]
        if self._given.points and count & (count - 1) == 0:
            with self._given.points.open("a") as file:
                file.write(f"{count} {name}\n")

    def _die(self) -> None:
        disk = self._given.disk
        if self._given.hasty:
            self.let_leave()
        if disk is not None:
            if self._given.flush is not None:
                flush_some(disk, random.Random(self._given.flush))  # noqa: S311 — chosen again by its seed
            shut_down(disk)
        os.kill(os.getpid(), signal.SIGKILL)


def flush_some(disk: Path, chance: random.Random) -> None:
    """What the kernel may do at any time: write the bytes of some open files, in any order."""
    for link in sorted(OPEN_FILES.iterdir()):
        path = link.resolve()
        if chance.random() < 0.5 and path.is_relative_to(disk) and path.is_file():
            _libc.sync_file_range(int(link.name), ctypes.c_int64(0), ctypes.c_int64(0), WRITE_AND_WAIT)


def short_wal() -> None:
    """Let SQLite take a WAL into its database after some dozen pages instead of a thousand: a life is short here."""
    prepare = database._prepare  # noqa: SLF001 — the pragmas stand in there

    def prepared(engine: Engine, begin: str, pragmas: Sequence[str]) -> None:
        prepare(engine, begin, [*pragmas, f"PRAGMA wal_autocheckpoint={WAL_PAGES}"])

    setattr(database, "_prepare", prepared)  # noqa: B010 — of another module


def hasty() -> None:
    """Tell before the commit what was to be told after it."""
    finish = Transaction.finish

    def early(transaction: Transaction) -> list[Callable[[], None]]:
        for act in finish(transaction):
            act()
        return []

    setattr(Transaction, "finish", early)  # noqa: B010 — of another module


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """The command line; `rest` is the server's."""
    parser = argparse.ArgumentParser(prog="mortal")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--die", default="")
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--disk", type=Path)
    parser.add_argument("--flush", type=int)
    parser.add_argument("--points", type=Path)
    parser.add_argument("--tape", type=Path)
    parser.add_argument("--forget", action="store_true")
    parser.add_argument("--hasty", action="store_true")
    parser.add_argument("rest", nargs=argparse.REMAINDER)
    return parser.parse_args(given)


def life(argv: Sequence[str], out: Connection, log: Path) -> None:
    """Be a server, which prints to `out` and logs to `log`, and ends with whoever started it."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.dup2(out.fileno(), sys.stdout.fileno())
    with log.open("ab") as file:
        os.dup2(file.fileno(), sys.stderr.fileno())
    given = arguments(argv)
    recorder = Recorder(given.folder) if given.tape else None
    death = Death(given)
    points = Points(given.folder, recorder or death)
    death.let_leave = points.let_leave
    points.install()
    short_wal()
    if given.hasty:
        hasty()
    status = main(given.rest)
    if recorder is not None:
        recorder.save(given.tape)
    sys.exit(status)
