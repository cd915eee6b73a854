"""The index of what waits (`agent.buffer`) on a disk that loses its power: SQLite's own writes on the same tape as everything else.

The duty is told once more, with the index's files on the disk in memory: each write, truncation, sync and deletion that SQLite makes
is noted (`vfs`), between those of journal and media. Then the power goes, what is left of the index is laid where the next start
looks for it, and the agent starts.

Rules:
- Whatever is left, evidence is judged as always: the index decides about nothing.
- Behind a start the index says what one says that was built anew from the journal; it may know of an older cosignature.
- It says of nothing that it was sent which the server was not sent: else its media would never be.
- The power goes behind SQLite's steps; what else is on the tape is cut at every step elsewhere (`programme.memory.duty`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from agent.buffer.index import Index
from agent.errors import AgentError
from simulators.torture import vfs
from simulators.torture.cuts import Cut
from simulators.torture.device import Device, Home, StepClock
from simulators.torture.judge import Findings, Judge
from simulators.torture.kernel import Image, Kernel, Tree
from simulators.torture.promises import Promise, Sent
from simulators.torture.scene import LATER_US, Found, Sampling, Scene
from simulators.torture.stories import tell_duty

SHARED = "-shm"
"""What connections share is memory, and on no disk."""
NAME = "buffer.sqlite"
ROWS = {
    "state": "SELECT version, origin, size, tip, cosigned FROM state",
    "recordings": "SELECT name, start, stop, stop_leaf, marked, receipt FROM recording WHERE purged = 0 ORDER BY name",
    "fragments": """SELECT line, recording, track, seq, offset, bytes, sha256, pts, duration, gone
        FROM fragment WHERE recording IN (SELECT name FROM recording WHERE purged = 0) ORDER BY line""",
}
SENT = "SELECT recording, track, seq FROM fragment WHERE sent = 1"
COSIGNED = "SELECT name, cosigned_s FROM recording WHERE purged = 0 AND cosigned_s IS NOT NULL"


# --------------------------------------------------------------------------- the tape


class _Watch:
    """Notes what SQLite does to the files of the disk that is being watched; one to a process, as `vfs` has it."""

    def __init__(self) -> None:
        self.kernel: Kernel | None = None
        self._installed = False

    def install(self) -> None:
        if not self._installed:
            vfs.install(self)
            self._installed = True

    def __call__(self, call: vfs.Call, do: Any) -> int:
        done = int(do())
        kernel = self.kernel
        if done == 0 and kernel is not None and call.path.is_relative_to(kernel.mount) and not call.path.name.endswith(SHARED):
            kernel.database(call.kind, call.path, call.offset, call.data)
            if call.folder:
                kernel.database("sync", kernel.mount)
        return done


_WATCH = _Watch()


@contextmanager
def watched() -> Iterator[None]:
    """Devices that start meanwhile have their index on their disk in memory."""
    _WATCH.install()
    Device.on_start = _attend
    try:
        yield
    finally:
        Device.on_start, _WATCH.kernel = None, None


def _attend(device: Device) -> None:
    _WATCH.kernel = device.kernel


def tell_indexed(home: Home, seed: int, seconds: int) -> Scene:
    """The duty, with the index on the tape."""
    home.forget_index()
    with watched():
        return tell_duty(home, seed, seconds)


# --------------------------------------------------------------------------- cutting it


def of_sqlite(scene: Scene) -> list[int]:
    """Positions behind the steps that SQLite made."""
    numbers = {step.child for step in scene.tape if step.kind == "link" and step.name.startswith(NAME)}
    return [at for at, step in enumerate(scene.tape, 1) if step.node in numbers]


def cut_index(home: Home, scene: Scene, how: Sampling) -> Found:
    """Cut at these positions, and start with what is left of the index."""
    found = Found()
    for one in scene.cuts(how):
        found.add(_judged(home, scene, one), f"{scene.name} with its index, cut {one.position} {one.fate}", 0.0)
        if how.first_red and found.red:
            break
    return found


def _judged(home: Home, scene: Scene, cut: Cut) -> Findings:
    files = {name: data for name, data in cut.image.files.items() if name.startswith(NAME)}
    bare = Image({name: data for name, data in cut.image.files.items() if name not in files}, cut.image.folders)
    before = scene.promised(cut.position)
    home.forget_index()
    for name, data in files.items():
        (home.state / name).write_bytes(data)
    device = Device(home, Kernel(home.state, Tree.of(bare)), 99, StepClock(0, scene.clock_us + LATER_US))
    device.promises = list(before)
    try:
        device.start(keep_index=True)
    except (AgentError, OSError, sqlite3.Error) as error:
        return Findings([f"lost: the start failed: {type(error).__name__}: {error}"])
    try:
        wrong = _wrong(home, device, before)
    finally:
        device.end()
    findings = Judge(home.identity, before, bare, device.kernel.tree.image(), bare).judge()
    findings.problems += [f"hidden: the index: {what}" for what in wrong]
    return findings


def _wrong(home: Home, device: Device, promises: list[Promise]) -> list[str]:
    """What the index says and one that is built anew does not."""
    evidence, path = device.open, home.state / "anew.sqlite"
    with closing(Index.open(path, evidence.scribe.journal, evidence.media, evidence.receipts.recordings)):
        now, anew = _read(home.index), _read(path)
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    wrong = [f"{what}: {_differs(now[what], anew[what])}" for what in ROWS if now[what] != anew[what]]
    really = {fragment for one in promises if isinstance(one, Sent) for fragment in one.fragments} | set(anew["sent"])
    if more := set(now["sent"]) - really:
        wrong.append(f"{len(more)} fragments count as sent, and none of them was: {min(more)}")
    for name, seconds in now["cosigned"]:
        if seconds > dict(anew["cosigned"]).get(name, 0):
            wrong.append(f"{name} was cosigned at {seconds}, the journal says {dict(anew['cosigned']).get(name)}")
    return wrong


def _differs(now: list[Any], anew: list[Any]) -> str:
    missing, more = [row for row in anew if row not in now], [row for row in now if row not in anew]
    return f"{len(missing)} rows are missing and {len(more)} are too many: {(missing or more or ['their order'])[0]}"


def _read(path: Path) -> dict[str, list[Any]]:
    with closing(sqlite3.connect(path)) as database:
        found = {what: database.execute(sql).fetchall() for what, sql in ROWS.items()}
        return found | {"sent": database.execute(SENT).fetchall(), "cosigned": database.execute(COSIGNED).fetchall()}
