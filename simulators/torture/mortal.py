"""The server with an hour of death: `python -m simulators.torture.mortal POINT NUMBER DISK run --settings FILE`.

At the NUMBER-th time that POINT is reached, the file system at DISK loses its power (nothing where DISK is `-`) and the process
kills itself. Points stand before and after everything that makes something durable or tells somebody of it:

    before-commit after-commit      a transaction of a database's writer
    before-sync after-sync          a media file, or the names in a folder
    before-publish after-publish    a cosignature, a receipt or a beacon to the broker

`forget:POINT` lets the server forget every sync besides: the guard on these kills, which must then find losses.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.engine.default import DefaultDialect

from server import database
from server.__main__ import main
from server.ingest.listener import Listener
from simulators.torture.loopdisk import shut_down

POINTS = ("before-commit", "after-commit", "before-sync", "after-sync", "before-publish", "after-publish")


class Death:
    """Counts how often its point was reached."""

    def __init__(self, point: str, number: int, disk: Path | None) -> None:
        self._point, self._left, self._disk = point, number, disk
        self._lock = threading.Lock()

    def reached(self, point: str) -> None:
        """Die, if it is time."""
        if point != self._point:
            return
        with self._lock:  # the others wait at their point until there is nobody left to wait
            self._left -= 1
            if self._left == 0:
                if self._disk is not None:
                    shut_down(self._disk)
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, what: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call between its two points."""

        def wrapped(*arguments: Any, **named: Any) -> Any:
            self.reached(f"before-{what}")
            answer = call(*arguments, **named)
            self.reached(f"after-{what}")
            return answer

        return wrapped


def arm(death: Death) -> None:
    """Put the points into the server's way."""
    for place, name, what in (
        (DefaultDialect, "do_commit", "commit"),
        (os, "fdatasync", "sync"),
        (os, "fsync", "sync"),
        (Listener, "publish", "publish"),
    ):
        setattr(place, name, death.around(what, getattr(place, name)))


def forget() -> None:
    """Databases that don't wait for the disk, and syncs that only say that they were done."""
    prepare = database._prepare  # noqa: SLF001 — the guard takes away what is in there

    def careless(engine: Any, begin: str, pragmas: Sequence[str]) -> None:
        prepare(engine, begin, [pragma.replace("synchronous=FULL", "synchronous=OFF") for pragma in pragmas])

    setattr(database, "_prepare", careless)  # noqa: B010 — of another module
    for name in ("fsync", "fdatasync"):
        setattr(os, name, lambda _fd: None)


if __name__ == "__main__":
    point = sys.argv[1].removeprefix("forget:")
    if point != sys.argv[1]:
        forget()
    arm(Death(point, int(sys.argv[2]), None if sys.argv[3] == "-" else Path(sys.argv[3])))
    sys.exit(main(sys.argv[4:]))
