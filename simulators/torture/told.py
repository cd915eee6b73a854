"""What a server has told its devices, and what is true about them: the measure of what must be on its disk."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

WELL = ("200", "201")


@dataclass(frozen=True, slots=True)
class Head:
    """The first three lines of a checkpoint."""

    origin: str
    size: int
    root: bytes


def head_of(note: str) -> Head:
    """What a signed note is about (C2SP tlog-checkpoint)."""
    origin, size, root, *_ = note.split("\n")
    return Head(origin, int(size), base64.b64decode(root))


@dataclass(frozen=True, slots=True)
class Receipt:
    """A `.tlog-proof` (C2SP) as far as it says what is stored: the ledger's line, where it is, and under which head."""

    index: int
    line: bytes
    head: Head
    recording: str

    @classmethod
    def of(cls, text: str) -> Receipt:
        """Read one."""
        proof, _, note = text.partition("\n\n")
        rows = dict(row.split(" ", 1) for row in proof.split("\n") if " " in row)
        line = base64.b64decode(rows["extra"])
        return cls(int(rows["index"]), line, head_of(note), json.loads(line)["recording"])


@dataclass(slots=True)
class Told:
    """Everything that the server has let out to one device. It only grows."""

    cosigned: set[Head] = field(default_factory=set)
    held: set[tuple[str, str, int, int]] = field(default_factory=set)
    """(recording, track, first, end) of fragments that it said to hold."""
    receipts: set[Receipt] = field(default_factory=set)
    beacons: set[Head] = field(default_factory=set)

    def published(self, topic: str, text: str) -> None:
        """A message of the broker."""
        leaf = topic.rsplit("/", 1)[-1]
        if leaf == "receipt":
            receipt = Receipt.of(text)
            self.receipts.add(receipt)
            self.beacons.add(receipt.head)
        elif leaf == "witness":
            self.cosigned.add(head_of(text))
        elif leaf == "ledger":
            self.beacons.add(head_of(text))

    def answered(self, status: str, path: str, text: str) -> None:
        """An answer over HTTPS: /api/v1/journal/DEVICE/N/checkpoint, or /api/v1/media/DEVICE/RECORDING[/TRACK/OFFSET]."""
        parts = path.strip("/").split("/")
        if status not in WELL or parts[2] not in ("journal", "media"):
            return
        if parts[2] == "journal":
            if parts[-1] == "checkpoint":
                self.cosigned.add(head_of(text))
            return
        said: Any = json.loads(text)
        if len(parts) > 5:
            self.held.add((parts[4], said["track"], said["first"], said["end"]))
        else:
            for track in said["tracks"]:
                self.held |= {(parts[4], track["track"], first, end) for first, end in track["held"]}

    def copy(self) -> Told:
        """As much as has been told until now."""
        return Told(set(self.cosigned), set(self.held), set(self.receipts), set(self.beacons))


@dataclass(slots=True)
class Truth:
    """A device's own side: all its lines, and the bytes of every recording with where its fragments end."""

    device: str
    origin: str
    lines: list[bytes] = field(default_factory=list)
    media: dict[str, bytes] = field(default_factory=dict)
    ends: dict[str, list[int]] = field(default_factory=dict)
