"""A forger's hands on a package: an editor, the BagIt tools that anybody has, and all true lines of the device's journal.

Rules:
- He edits any file and makes the manifests fit again (`rebag`): nobody signs a manifest.
- He proves whatever true lines he likes under any true checkpoint (`show_only`): the hashes are no secret of the server's.
- Of a track's file he knows where each fragment lies: the lines say so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.core import merkle, note
from server.evidence.gather import ranges_of
from simulators.errors import AdversaryError

FRONT, STILL = "data/media/front.mp4", "data/media/still-1.jpg"
JOURNAL, PROOF, CLAIMS = "data/journal.jsonl", "data/journal.proof", "data/recording.json"
CUSTODY, ENROLMENT, CERTIFICATE = "data/custody.jsonl", "data/device.tlog-proof", "data/certificates/evidence.pem"


@dataclass(frozen=True, slots=True)
class Piece:
    """A fragment in a track's file of the package: its line's members, and where its bytes begin and end."""

    members: dict[str, Any]
    begin: int
    end: int

    @property
    def seq(self) -> int:
        """Its number."""
        return int(self.members["seq"])


class BagForger:
    """Works on a package's folder; `journal` are the lines of the device's real journal."""

    def __init__(self, folder: Path, journal: Sequence[bytes]) -> None:
        self.folder, self.journal = folder, journal

    # ------------------------------------------------------------------- files

    def path(self, name: str) -> Path:
        """A file of the package."""
        return self.folder / name

    def read(self, name: str) -> bytes:
        """Its bytes."""
        return self.path(name).read_bytes()

    def write(self, name: str, data: bytes | str) -> None:
        """Other bytes."""
        self.path(name).parent.mkdir(parents=True, exist_ok=True)
        self.path(name).write_bytes(data.encode() if isinstance(data, str) else data)

    def remove(self, name: str) -> None:
        """Take a file away."""
        self.path(name).unlink()

    def replace(self, name: str, old: bytes | str, new: bytes | str) -> None:
        """Put other bytes in the place of the first such ones; AdversaryError where there are none."""
        old, new = (v.encode() if isinstance(v, str) else v for v in (old, new))
        data = self.read(name)
        if old not in data:
            raise AdversaryError(f"{name} does not hold {old[:60]!r}")
        self.write(name, data.replace(old, new, 1))

    def flip(self, name: str, at: int) -> None:
        """One bit."""
        data = bytearray(self.read(name))
        data[at] ^= 1
        self.write(name, bytes(data))

    def names(self) -> list[str]:
        """Every file."""
        return sorted(str(p.relative_to(self.folder)) for p in self.folder.rglob("*") if p.is_file())

    def rebag(self) -> None:
        """Make both manifests and the Payload-Oxum fit what lies there."""
        payload = [n for n in self.names() if n.startswith("data/")]
        total = sum(self.path(n).stat().st_size for n in payload)
        info = [row for row in self.read("bag-info.txt").decode().splitlines() if not row.startswith("Payload-Oxum")]
        self.write("bag-info.txt", "\n".join([*info, f"Payload-Oxum: {total}.{len(payload)}", ""]))
        self._manifest("manifest-sha256.txt", payload)
        self._manifest("tagmanifest-sha256.txt", [n for n in self.names() if n not in payload and n != "tagmanifest-sha256.txt"])

    def _manifest(self, name: str, files: Iterable[str]) -> None:
        self.write(name, "".join(f"{hashlib.sha256(self.read(n)).hexdigest()}  {n}\n" for n in files))

    # ------------------------------------------------------------------- claims and lines

    @property
    def claims(self) -> dict[str, Any]:
        """recording.json."""
        value: dict[str, Any] = json.loads(self.read(CLAIMS))
        return value

    def claim(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Claim something else."""
        claims = self.claims
        change(claims)
        self.write(CLAIMS, json.dumps(claims))

    @property
    def lines(self) -> list[bytes]:
        """The lines that the package shows."""
        return self.read(JOURNAL).splitlines()

    @property
    def checkpoint(self) -> str:
        """The signed note in journal.proof."""
        return note.parse_range_proof(self.read(PROOF).decode()).checkpoint

    @property
    def size(self) -> int:
        """The size that it is of."""
        return note.parse_checkpoint(note.split(self.checkpoint)[0]).size

    @property
    def indices(self) -> list[int]:
        """Where the shown lines stand in the journal."""
        proof = note.parse_range_proof(self.read(PROOF).decode())
        return [i for first, end in proof.ranges for i in range(first, end)]

    def index_of(self, *words: str) -> int:
        """The first shown line that holds all the words."""
        return next(i for i in self.indices if all(w.encode() in self.journal[i] for w in words))

    def show_only(self, indices: Iterable[int], size: int | None = None, signed: str | None = None) -> None:
        """Other lines of the journal, well proved."""
        shown = sorted(indices)
        signed = signed or self.checkpoint
        size = size or note.parse_checkpoint(note.split(signed)[0]).size
        self.prove(self.journal, shown, size, signed)

    def prove(self, journal: Sequence[bytes], shown: list[int], size: int, signed: str) -> None:
        """Lines of any journal under any note."""
        leaves = [merkle.leaf_hash(line) for line in journal[:size]]
        ranges = ranges_of(shown)
        hashes = merkle.range_hashes(merkle.from_leaves(leaves), ranges, size)
        self.write(PROOF, note.range_proof(ranges, hashes, signed))
        self.write(JOURNAL, b"".join(journal[i] + b"\n" for i in shown))

    # ------------------------------------------------------------------- media

    def pieces(self, track: str = "front") -> list[Piece]:
        """The fragments of a track, in the order of its file."""
        found: list[Piece] = []
        for row in (json.loads(line) for line in self.lines):
            if row["kind"] == "fragment" and row["track"] == track:
                begin = found[-1].end if found else 0
                found.append(Piece(row, begin, begin + row["bytes"]))
        return found

    def cut(self, name: str, track: str, seqs: Iterable[int]) -> None:
        """Take fragments out of a media file and out of the claims."""
        data, gone = self.read(name), set(seqs)
        kept = [piece for piece in self.pieces(track) if piece.seq not in gone]
        self.write(name, b"".join(data[piece.begin : piece.end] for piece in kept))

        def change(claims: dict[str, Any]) -> None:
            for claimed in claims["tracks"]:
                if claimed["track"] == track:
                    claimed["held"] = [list(r) for r in ranges_of(piece.seq for piece in kept)]

        self.claim(change)
