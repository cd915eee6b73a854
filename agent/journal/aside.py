"""What recovery takes away and keeps: torn tails, abandoned lines, media that no line names; and its notes on that.

Rules (docs/evidence-format.md, section 4):
- Set aside, not deleted: each piece goes into `aside/` under a name made of where it stood and a digest of what it is, so
  that a recovery which is cut off and begins anew makes the same file and counts it once.
- What was found is noted durably (`findings`) before anything is taken away, and forgotten only when the `boot` line that
  tells of it is durable: a power cut during recovery hides nothing.
- On a full disk a piece of media stays where it is; a torn piece of the journal is cut off all the same, and counted.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from agent.journal.errors import DiskFull, disk
from hal.contracts import Files

FOLDER = "aside"
FINDINGS = "findings"
CHUNK_BYTES = 1_048_576


@dataclass(slots=True)
class Findings:
    """What recovery found, until it is on record: (kind, count) by place, and the checkpoint that was abandoned."""

    abandoned: str | None = None
    items: dict[str, tuple[str, int]] = field(default_factory=dict)

    def note(self, kind: str, place: str, count: int) -> None:
        """Count something once, however often it is found."""
        if count:
            self.items[f"{kind}@{place}"] = (kind, count)

    def total(self, kind: str) -> int:
        """Sum of all counts of a kind."""
        return sum(count for name, count in self.items.values() if name == kind)

    @classmethod
    def load(cls, files: Files, folder: Path) -> Findings:
        """What an earlier recovery found and could not put on record; nothing where its note can't be read."""
        try:
            data = json.loads(files.read(folder / FINDINGS))
            abandoned, items = data["abandoned"], {place: (kind, count) for place, (kind, count) in data["items"].items()}
        except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return cls()
        whole = all(type(kind) is str and type(count) is int for kind, count in items.values())
        return cls(abandoned, items) if whole and (abandoned is None or type(abandoned) is str) else cls()

    def save(self, files: Files, folder: Path) -> None:
        """Make them durable, where there are any."""
        if self.items or self.abandoned:
            text = json.dumps({"abandoned": self.abandoned, "items": self.items})
            files.replace(folder / FINDINGS, text.encode())


def forget_findings(files: Files, folder: Path) -> None:
    """The boot line is durable: they are on record."""
    with disk("forget findings in", folder):
        if FINDINGS in files.list(folder):
            files.remove(folder / FINDINGS)
            files.sync_folder(folder)


class Aside:
    """The folder of one journal for what was taken away."""

    def __init__(self, folder: Path, files: Files) -> None:
        self.folder = folder / FOLDER
        self._files = files

    def keep(self, name: str, data: bytes) -> bool:
        """Keep a piece; False where the disk is too full for it."""
        try:
            with disk("set aside", self.folder):
                self._files.make_folder(self.folder)
                self._files.replace(self.folder / f"{name}-{digest(data)}", data)
        except DiskFull:
            return False
        return True

    def keep_tail(self, name: str, path: Path, offset: int) -> bool:
        """Keep the bytes of a file from `offset` on, in pieces that fit into memory; False where the disk is too full."""
        at, size = offset, self._files.size(path)
        while at < size:
            data = self._files.read(path, at, CHUNK_BYTES)
            if not self.keep(f"{name}-{at}", data):
                return False
            at += len(data)
        return True

    def move(self, name: str, path: Path) -> None:
        """Move a whole file here."""
        self._files.make_folder(self.folder)
        self._files.rename(path, self.folder / f"{name}-0-whole")
        self._files.sync_folder(self.folder)
        self._files.sync_folder(path.parent)

    def pieces(self, name: str) -> dict[int, Path]:
        """Pieces of the file that was called `name`, by the offset at which each began."""
        found = {}
        for entry in self._files.list(self.folder):
            rest = entry.removeprefix(f"{name}-")
            offset = rest.partition("-")[0]
            if rest != entry and offset.isdecimal():
                found[int(offset)] = self.folder / entry
        return found


def digest(data: bytes) -> str:
    """Eight hex digits that tell pieces apart."""
    return hashlib.sha256(data).hexdigest()[:8]


def media_name(recording: str, file: str) -> str:
    """What a track's file is called in `aside/`."""
    return f"media-{recording}-{file}"
