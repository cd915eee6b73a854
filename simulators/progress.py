"""How far a recording has come, seen from outside: a virtual recorder's state folder, read as it is written.

Reads only what evidence-format.md says is there (journal lines, checkpoints, the newest cosigned note, receipts) and asks the
agent nothing, so it can't disturb what it measures. Nothing is verified here: that is `zhilu verify`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.core import lines, note
from agent.core.errors import CoreError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Seen:
    """A line of the journal and its index."""

    index: int
    members: dict[str, Any]


class Progress:
    """The journal in `<state>/journal/<n>`; with `after`, lines below that index are passed over."""

    def __init__(self, state: Path, n: int, after: int = 0) -> None:
        self._journal = state / "journal" / str(n)
        self._receipts = state / "receipts"
        self._after = after

    def size(self) -> int:
        """Whole lines that are in the files now."""
        return sum(data.count(b"\n") for _, data in self._segments())

    def line(self, kind: str, **members: Any) -> Seen | None:
        """The first line of that kind with those members; None while there is none."""
        for first, data in self._segments():
            for index, raw in enumerate(data.split(b"\n")[:-1], first):
                found = _read(raw) if index >= self._after and kind.encode() in raw else {}
                if found.get("kind") == kind and all(found.get(name) == value for name, value in members.items()):
                    return Seen(index, found)
        return None

    def durable(self) -> int:
        """The size that the newest checkpoint on the disk covers."""
        try:
            data = (self._journal / "checkpoints").read_bytes()
        except FileNotFoundError:
            return 0
        notes = data.decode("ascii", "replace").split("\n")
        # five lines each: origin, size, root, blank, signature; the last piece is what follows the last newline
        whole = (len(notes) - 1) // 5
        return int(notes[(whole - 1) * 5 + 1]) if whole else 0

    def cosigned(self) -> int:
        """The size that the server has cosigned, as far as the device knows."""
        try:
            body, _ = note.split((self._journal / "cosigned").read_text("utf-8"))
            return int(note.parse_checkpoint(body).size)
        except (FileNotFoundError, CoreError):
            return 0

    def stored(self, recording: str) -> bool:
        """Whether the device has the server's receipt for it."""
        return (self._receipts / f"{recording}.tlog-proof").is_file()

    def _segments(self) -> list[tuple[int, bytes]]:
        paths = sorted(self._journal.glob("segment-*.jsonl"))
        return [(int(path.stem.removeprefix("segment-")), path.read_bytes()) for path in paths]


def _read(raw: bytes) -> dict[str, Any]:
    try:
        found: dict[str, Any] = lines.read(raw)
    except CoreError:
        return {}
    return found
