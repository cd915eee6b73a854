"""The server's receipts on the disk: `receipts/<recording>.tlog-proof`, each the ledger's proof that it holds a recording.

Whether a receipt counts was decided by who took it in; it is kept for ever, because it says on whose proof media were deleted.
"""

from __future__ import annotations

from pathlib import Path

from agent.core import ulid
from agent.journal.errors import BadLine, disk
from hal.contracts import Files

SUFFIX = ".tlog-proof"


class Receipts:
    """The receipts of one device."""

    def __init__(self, folder: Path, files: Files) -> None:
        self.folder = folder
        self._files = files

    def settle(self) -> None:
        """Make durable what a killed process left: media go on the proof of a receipt, so it must not vanish after them."""
        with disk("list receipts", self.folder):
            if self._files.list(self.folder):
                self._files.sync_folder(self.folder)

    def keep(self, recording: str, proof: str) -> None:
        """Keep a receipt, durably."""
        path = self._path(recording)
        with disk("keep receipt", path):
            self._files.make_folder(self.folder)
            self._files.replace(path, proof.encode())

    def read(self, recording: str) -> str | None:
        """The receipt of a recording; None where there is none yet."""
        path = self._path(recording)
        with disk("read receipt", path):
            return self._files.read(path).decode() if path.name in self._files.list(self.folder) else None

    def recordings(self) -> list[str]:
        """Recordings that have a receipt."""
        with disk("list receipts", self.folder):
            names = [name.removesuffix(SUFFIX) for name in self._files.list(self.folder) if name.endswith(SUFFIX)]
        return [name for name in names if ulid.is_ulid(name)]

    def _path(self, recording: str) -> Path:
        if not ulid.is_ulid(recording):
            raise BadLine(f"a recording is named by a ULID, got {recording[:40]!r}")
        return self.folder / f"{recording}{SUFFIX}"
