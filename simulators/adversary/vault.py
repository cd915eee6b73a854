"""A forger's hands on the server's data folder: its tables and its media, and what somebody with a device's key says to the server.

He edits files and tables. The witness's and the ledger's keys lie elsewhere for him: he never signs with them.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from agent.core import merkle, note, wire
from agent.journal.signer import FileSigner
from provisioning import deployment as deployments
from server.services import World
from simulators.adversary.device import Time
from simulators.adversary.genuine import MAIN, Genuine
from simulators.adversary.hands import journal_of
from simulators.adversary.office import DOMAIN, Office, office
from simulators.errors import AdversaryError

LATER_MS = 600_000


class VaultForger:
    """A copy of the genuine store; `chance` chooses where he begins."""

    def __init__(self, folder: Path, material: Genuine, _of: str, chance: random.Random) -> None:
        self.folder, self.material, self.chance = folder, material, chance
        self.ledger = f"{DOMAIN}/ledger"
        self.checkpoints: list[str] = []

    # ------------------------------------------------------------------- tables

    def sql(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """Run a statement in logs.sqlite; AdversaryError where it changes nothing."""
        with closing(sqlite3.connect(self.folder / "logs.sqlite")) as db:
            done = db.execute(statement, values)
            rows = done.fetchall()
            if not rows and not done.rowcount:
                raise AdversaryError(f"nothing was changed by: {statement}")
            db.commit()
        return rows

    def log(self, origin: str) -> int:
        """A log's row."""
        found = self.sql("SELECT id FROM log WHERE origin = ?", origin)[0][0]
        assert isinstance(found, int)
        return found

    def batches(self, origin: str) -> list[tuple[int, list[bytes], str]]:
        """(first, lines, note) of a log, in order."""
        rows = self.sql("SELECT first, lines, note FROM batch WHERE log = ? ORDER BY first", self.log(origin))
        found = []
        for first, joined, text in rows:
            assert isinstance(first, int)
            assert isinstance(joined, bytes)
            assert isinstance(text, str)
            found.append((first, joined.split(b"\n"), text))
        return found

    def batch_with(self, origin: str, *words: str) -> tuple[int, list[bytes], str]:
        """The batch with the first line that holds all the words."""
        for first, lines, text in self.batches(origin):
            if any(all(word.encode() in line for word in words) for line in lines):
                return first, lines, text
        raise AdversaryError(f"no line of {origin} holds {words}")

    def write(self, origin: str, first: int, lines: Sequence[bytes], text: str | None = None) -> None:
        """Other lines in a batch, and another note where one is given."""
        ident = self.log(origin)
        self.sql("UPDATE batch SET lines = ?, count = ? WHERE log = ? AND first = ?", b"\n".join(lines), len(lines), ident, first)
        if text is not None:
            self.sql("UPDATE batch SET note = ? WHERE log = ? AND first = ?", text, ident, first)

    def change(self, origin: str, words: tuple[str, ...], change: Callable[[bytes], bytes]) -> dict[str, int]:
        """Change the first line that holds all the words; where its batch ends."""
        first, lines, _ = self.batch_with(origin, *words)
        at = next(i for i, line in enumerate(lines) if all(word.encode() in line for word in words))
        changed = change(lines[at])
        if changed == lines[at]:
            raise AdversaryError(f"line {first + at} of {origin} is what it was")
        self.write(origin, first, [*lines[:at], changed, *lines[at + 1 :]])
        return {"size": first + len(lines), "line": first + at}

    def cut(self, origin: str, first: int) -> None:
        """The batches from a line on go, and the log's own count with them."""
        ident = self.log(origin)
        self.sql("DELETE FROM batch WHERE log = ? AND first >= ?", ident, first)
        self.sql("UPDATE log SET size = ? WHERE id = ?", first, ident)

    # ------------------------------------------------------------------- media and keys

    def media(self, name: str, device: str = MAIN) -> Path:
        """The picture of a recording of the story."""
        return self.folder / "media" / device / self.material.recordings[name] / "front.mp4"

    def signed(self, device: str, lines: Sequence[bytes]) -> str:
        """A checkpoint with a device's real key."""
        signer, origin = FileSigner.load(self.material.card(device) / "evidence" / "evidence.key"), self.material.origin(device)
        body = note.checkpoint(origin, len(lines), merkle.root_of([merkle.leaf_hash(line) for line in lines]))
        return note.sign(body, origin, signer.algorithm, signer.public_key(), signer.sign)

    def journal(self, device: str = MAIN) -> list[bytes]:
        """All lines of a device's journal, from its card."""
        return journal_of(self.material, device)

    def held(self, device: str = MAIN) -> list[bytes]:
        """The lines of it that the server holds."""
        return [line for _, lines, _ in self.batches(self.material.origin(device)) for line in lines]

    @contextmanager
    def running(self) -> Iterator[Office]:
        """The server itself, over this folder."""
        root = self.folder.with_name(f"{self.folder.name}-running")
        root.mkdir()
        self.folder.rename(root / "server")
        try:
            with office(deployments.Deployment(root, DOMAIN), World(Time(self.material.ended_ms + LATER_MS))) as server:
                yield server
        finally:
            (root / "server").rename(self.folder)
            root.rmdir()

    def say(self, device: str, first: int, lines: Sequence[bytes], text: str) -> None:
        """A batch on the device's topic, to the running server."""
        with self.running() as server:
            server.offer(device, wire.encode_batch(first, list(lines), text))
            server.settle()
