"""A forger's hands on a device's card, taken out and put into a reader: its journal, its media, its receipts; and a start afterwards.

`start` is the device's own: recovery, and what it announces. `visit` lets it meet the real server, on a copy of the store.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.core import merkle, note
from agent.journal.signer import FileSigner
from provisioning import deployment as deployments
from server.services import World
from simulators.adversary.device import Device, Time
from simulators.adversary.genuine import MAIN, Genuine
from simulators.adversary.office import DOMAIN, office
from simulators.errors import AdversaryError

SEGMENT = "segment-000000000000.jsonl"
LATER_MS = 600_000


class CardForger:
    """A copy of the genuine card `of`; `chance` chooses where he begins."""

    def __init__(self, folder: Path, material: Genuine, of: str, chance: random.Random) -> None:
        self.folder, self.material, self.of, self.chance = folder, material, of, chance
        self.device = MAIN if of == "older" else of
        self.said = ""
        self.checkpoints: list[str] = []

    # ------------------------------------------------------------------- what lies there

    @property
    def journal(self) -> Path:
        """The folder of journal 1."""
        return self.folder / "journal" / "1"

    @property
    def origin(self) -> str:
        """Its name."""
        return self.material.origin(self.device)

    @property
    def lines(self) -> list[bytes]:
        """All lines."""
        return (self.journal / SEGMENT).read_bytes().split(b"\n")[:-1]

    def write_lines(self, lines: Sequence[bytes]) -> None:
        """Other lines."""
        (self.journal / SEGMENT).write_bytes(b"".join(line + b"\n" for line in lines))

    def index_of(self, *words: str) -> int:
        """The first line that holds all the words; AdversaryError where there is none."""
        for index, line in enumerate(self.lines):
            if all(word.encode() in line for word in words):
                return index
        raise AdversaryError(f"no line of {self.origin} holds {words}")

    def of_recording(self, name: str) -> list[int]:
        """Where the lines of a recording of the story stand."""
        recording = self.material.recordings[name].encode()
        return [index for index, line in enumerate(self.lines) if recording in line]

    def media(self, name: str, track: str = "front.mp4") -> Path:
        """A track's file."""
        return self.folder / "media" / self.material.recordings[name] / track

    def receipt(self, name: str) -> Path:
        """The ledger's receipt for a recording."""
        return self.folder / "receipts" / f"{self.material.recordings[name]}.tlog-proof"

    @property
    def cosigned(self) -> str:
        """The newest cosigned note."""
        return (self.journal / "cosigned").read_text(encoding="utf-8")

    @property
    def cosigned_size(self) -> int:
        """How many lines it is of."""
        return note.parse_checkpoint(note.split(self.cosigned)[0]).size

    def notes(self) -> list[str]:
        """The device's own checkpoints, oldest first."""
        rows = (self.journal / "checkpoints").read_text(encoding="utf-8").splitlines(keepends=True)
        return ["".join(rows[at : at + 5]) for at in range(0, len(rows), 5)]

    def write_notes(self, notes: Sequence[str]) -> None:
        """Other checkpoints."""
        (self.journal / "checkpoints").write_text("".join(notes), encoding="utf-8")

    # ------------------------------------------------------------------- with the device's real key

    def signed(self, lines: Sequence[bytes]) -> str:
        """A checkpoint over these lines, signed with the device's real key."""
        signer = FileSigner.load(self.folder / "evidence" / "evidence.key")
        body = note.checkpoint(self.origin, len(lines), merkle.root_of([merkle.leaf_hash(line) for line in lines]))
        return note.sign(body, self.origin, signer.algorithm, signer.public_key(), signer.sign)

    def sign_anew(self, lines: Sequence[bytes]) -> None:
        """These lines, and one checkpoint over them."""
        self.write_lines(lines)
        self.write_notes([self.signed(lines)])

    def change(self, index: int, change: Callable[[bytes], bytes]) -> list[bytes]:
        """All lines, one of them changed; AdversaryError where nothing changes."""
        lines = self.lines
        changed = change(lines[index])
        if changed == lines[index]:
            raise AdversaryError(f"line {index} of {self.origin} is what it was")
        lines[index] = changed
        return lines

    # ------------------------------------------------------------------- the device afterwards

    def _device(self, later_ms: int = LATER_MS) -> Device:
        return Device(self.folder, Time(self.material.ended_ms + later_ms), self.chance.randrange(1 << 30))

    def start(self) -> Device:
        """Switch the device on; `said` is what recovery put on record."""
        device = self._device()
        evidence = device.on()
        size = evidence.scribe.journal.size
        found = [json.loads(line) for line in evidence.scribe.journal.lines(0, size)]
        boot = [line for line in found if line["kind"] == "boot"][-1]
        alarms = [line["event"] for line in found if line["kind"] == "tamper"]
        self.said = f"tamper: {', '.join(alarms) or 'none'}; lost: {json.dumps(boot['lost'])}"
        return device

    def restart(self) -> None:
        """Switch it on, and off again."""
        self.start().off()

    def visit(self) -> None:
        """Switch it on, and let it meet the server."""
        store = self.folder.with_name(f"{self.folder.name}-office")
        shutil.copytree(self.material.store, store / "server")
        device = self.start()
        try:
            with office(deployments.Deployment(store, DOMAIN), World(device.time)) as server:
                device.sync(server)
        finally:
            device.pull()
            shutil.rmtree(store)
