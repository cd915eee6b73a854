"""A recorder's disk read as docs/evidence-format.md says that it is written, by nothing of the agent's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from simulators.torture.kernel import Image
from simulators.torture.promises import Identity
from simulators.torture.trees import Head, heads


@lru_cache(maxsize=8192)
def members_of(line: bytes) -> dict[str, Any]:
    """What a line says; nothing where it is none."""
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    return found if isinstance(found, dict) and "kind" in found else {"kind": ""}


@dataclass(slots=True)
class Written:
    """A journal as it stands on a disk: lines from index `first` on, bytes of a torn one behind them."""

    first: int
    lines: list[bytes]
    torn: bytes
    notes: list[Head]
    note_bytes: int
    torn_notes: int
    cosigned: Head | None

    @property
    def end(self) -> int:
        """Index behind the last whole line."""
        return self.first + len(self.lines)

    def bytes(self) -> int:
        """All line bytes."""
        return sum(map(len, self.lines)) + len(self.lines) + len(self.torn)


def written(image: Image, whose: Identity) -> Written:
    """The journal on that disk."""
    folder = f"journal/{whose.n}/"
    names = _unbroken(sorted(name for name in image.files if name.startswith(f"{folder}segment-") and name.endswith(".jsonl")), image)
    first = int(names[0][-18:-6]) if names else 0
    *lines, torn = b"".join(image.files[name] for name in names).split(b"\n")
    data = image.files.get(f"{folder}checkpoints", b"")
    notes, end = heads(data, whose.origin, whose.public)
    kept, _ = heads(image.files.get(f"{folder}cosigned", b""), whose.origin, whose.public)
    return Written(first, lines, torn, notes, len(data), len(data) - end, kept[-1] if kept else None)


def _unbroken(names: list[str], image: Image) -> list[str]:
    """The segments that reach the end without a hole; what lies before one was trimmed."""
    begin = len(names) - 1
    while begin > 0 and int(names[begin][-18:-6]) == int(names[begin - 1][-18:-6]) + image.files[names[begin - 1]].count(b"\n"):
        begin -= 1
    return names[max(begin, 0) :]


def stem(track: str) -> str:
    """What a track and those that go on after it have in common."""
    head, _, tail = track.rpartition("-")
    return head if head and tail.isdecimal() else track


@lru_cache(maxsize=1024)
def plays(data: bytes) -> bool:
    """Whether the bytes are `ftyp`, `moov` and then whole pairs of `moof` and `mdat`."""
    kinds, at = [], 0
    while at < len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if size < 8 or at + size > len(data):
            return False
        kinds.append(kind)
        at += size
    media = kinds[2:]
    return not kinds or (
        kinds[:2] == [b"ftyp", b"moov"] and media[::2] == [b"moof"] * (len(media) // 2) and media[1::2] == [b"mdat"] * (len(media) // 2)
    )
