"""A device's card: a disk in memory that can be full, refuse, turn read-only, lie about syncing, and lose its power.

Rules:
- It is `simulators.powercut`: what was not synced is kept, dropped or torn at a cut, by the seed.
- A card that lies answers every sync and does nothing; what it took meanwhile is lost at the next cut.
- The enrolment is read by the agent from the real folder, so what the agent writes of it is written there too.
- The index is SQLite's own file in the real folder. At a cut it is kept, is the one of the start before, or is broken.

`removed` hears of every file that the agent deletes, before it is gone.
"""

from __future__ import annotations

import errno
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from simulators.powercut import Operation, SimulatedFiles

INDEX = "buffer.sqlite"
CARD_BYTES = 256_000_000
"""256 GB (film.SCALE)."""
Fault = Literal["", "eio", "read-only"]


@dataclass(slots=True)
class Card:
    """The disk of one device; `files` is what the agent writes through until the next cut."""

    state: Path
    chance: random.Random
    removed: Callable[[Path], None]
    fault: Fault = ""
    errors: float = 1.0
    lies: bool = False
    cuts: int = 0
    files: SimulatedFiles = field(default_factory=SimulatedFiles)

    def __post_init__(self) -> None:
        """Take the disk into hand."""
        self._mount(self.files)
        self.leave_free(None)

    @property
    def tight(self) -> bool:
        """Whether a story has taken room away."""
        return self.files.capacity != CARD_BYTES

    def _mount(self, files: SimulatedFiles) -> None:
        self.files = files
        files.fault, files.skip = self._judge, self._skipping

    def _skipping(self, operation: Operation) -> bool:
        """Looked up anew each time: a story may break it."""
        return self._skips(operation)

    def _judge(self, operation: Operation) -> int | None:
        """What the operation gets instead of being done; None where it is done."""
        if self.fault == "read-only":
            return errno.EROFS
        if self.fault == "eio" and self.chance.random() < self.errors:
            return errno.EIO
        if operation.name == "remove":
            self.removed(operation.path)
        elif operation.name == "replace" and operation.path.parent == self.state:
            operation.path.write_bytes(operation.data)
        return None

    def _skips(self, operation: Operation) -> bool:
        return self.lies and operation.name in ("sync", "sync_folder")

    # ----------------------------------------------------------------- fullness

    @property
    def used(self) -> int:
        """Bytes of all files."""
        files = self.files
        return sum(files.size(path) for path in files.paths())

    def leave_free(self, size: int | None) -> None:
        """So many bytes are free from here on; None: as many as one likes."""
        self.files.capacity = CARD_BYTES if size is None else self.used + size

    # ----------------------------------------------------------------- power

    def cut_while_writing(self) -> None:
        """The power goes within the next few operations."""
        self.files.cut_at = self.files.count + self.chance.randint(0, 8)

    def cut(self) -> None:
        """The power is gone; what the next start finds."""
        self.cuts += 1
        self.files.cut()
        self._mount(self.files.after_cut(self.chance.randrange(1 << 40)))

    # ----------------------------------------------------------------- the index's file

    def keep_index(self) -> None:
        """Remember the index as it is at a start."""
        for name in (INDEX, f"{INDEX}-wal"):
            if (self.state / name).exists():
                shutil.copyfile(self.state / name, self.state / f"{name}.old")

    def hurt_index(self, how: str) -> None:
        """What a cut, or somebody, does to it: `older`, `broken`, `gone`; anything else leaves it."""
        path = self.state / INDEX
        if how == "older" and path.with_name(f"{INDEX}.old").exists():
            self._forget_index()
            for name in (INDEX, f"{INDEX}-wal"):
                old = self.state / f"{name}.old"
                if old.exists():
                    shutil.copyfile(old, self.state / name)
        elif how == "broken" and path.exists():
            self._forget_index(database=False)
            data = bytearray(path.read_bytes())
            for at in range(0, len(data), 4096):
                data[at : at + 64] = self.chance.randbytes(64)
            path.write_bytes(data)
        elif how == "gone":
            self._forget_index()

    def _forget_index(self, *, database: bool = True) -> None:
        for name in (f"{INDEX}-wal", f"{INDEX}-shm", *((INDEX,) if database else ())):
            (self.state / name).unlink(missing_ok=True)
