"""A forger's hands on a genuine package: beside the editor he has every other genuine package, the card, and sometimes the key."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

from agent.core import merkle, note
from agent.journal.signer import FileSigner
from simulators.adversary import mp4
from simulators.adversary.bag import FRONT, BagForger, Piece
from simulators.adversary.genuine import BENT, MAIN, NONSENSE, OLD, OTHER, Genuine

DEVICE_OF = {"other": OTHER, "late": OTHER, "expired": OLD, **dict.fromkeys(NONSENSE, BENT)}


def journal_of(material: Genuine, device: str) -> list[bytes]:
    """All lines of a device's journal, from its card."""
    segments = sorted((material.card(device) / "journal" / "1").glob("segment-*.jsonl"))
    return [line for path in segments for line in path.read_bytes().split(b"\n")[:-1]]


class PackageForger(BagForger):
    """A copy of the genuine package `of`; `chance` chooses where he begins."""

    def __init__(self, folder: Path, material: Genuine, of: str, chance: random.Random) -> None:
        self.material, self.of, self.chance = material, of, chance
        self.device = DEVICE_OF.get(of, MAIN)
        super().__init__(folder, journal_of(material, self.device))

    @property
    def recording(self) -> str:
        """Its name."""
        return self.material.recordings["whole" if self.of == "excerpt" else self.of]

    def genuine(self, of: str) -> PackageForger:
        """Another genuine package, to be looked into."""
        return PackageForger(self.material.package(of), self.material, of, self.chance)

    def key(self) -> FileSigner:
        """The device's real evidence key."""
        return FileSigner.load(self.material.card(self.device) / "evidence" / "evidence.key")

    def signed(self, lines: list[bytes]) -> str:
        """A checkpoint over other lines, signed with the device's real key."""
        signer, origin = self.key(), self.material.origin(self.device)
        body = note.checkpoint(origin, len(lines), merkle.root_of([merkle.leaf_hash(line) for line in lines]))
        return note.sign(body, origin, signer.algorithm, signer.public_key(), signer.sign)

    # ------------------------------------------------------------------- what must fit to each other

    def forget(self, *names: str) -> None:
        """Take files away whose names begin so: what is about something that the forger has changed."""
        for name in self.names():
            if name.startswith(names):
                self.remove(name)

    def become(self, of: str) -> None:
        """Another genuine package in the place of this one."""
        other = self.genuine(of)
        self.forget("")
        for name in other.names():
            self.write(name, other.read(name))

    def claim_shown(self) -> None:
        """Keep of files and claims only the tracks that shown lines begin."""
        begun = {m["track"] for m in map(json.loads, self.lines) if m["kind"] == "track"}
        for row in self.claims["tracks"]:
            if row["track"] not in begun:
                self.forget(f"data/media/{row['track']}.")
        self.claim(lambda claims: claims.update(tracks=[row for row in claims["tracks"] if row["track"] in begun]))

    # ------------------------------------------------------------------- media

    def any_piece(self, track: str = "front", *, beyond: int = 0, before_end: int = 0) -> Piece:
        """A fragment, not an init segment; `beyond` and `before_end` keep away from the ends."""
        pieces = self.pieces(track)[1:]
        return self.chance.choice(pieces[beyond : len(pieces) - before_end])

    def bytes_of(self, piece: Piece, name: str = FRONT) -> bytes:
        """A fragment's bytes."""
        return self.read(name)[piece.begin : piece.end]

    def put(self, piece: Piece, data: bytes, name: str = FRONT) -> dict[str, int]:
        """Other bytes in the place of a fragment's."""
        whole = self.read(name)
        self.write(name, whole[: piece.begin] + data + whole[piece.end :])
        return {"seq": piece.seq}

    def edit(self, piece: Piece, change: Callable[[mp4.Fragment], mp4.Fragment]) -> dict[str, int]:
        """A fragment with other samples: it plays."""
        return self.put(piece, mp4.build(change(mp4.parse(self.bytes_of(piece)))))

    @property
    def init(self) -> bytes:
        """The init segment of the picture's track."""
        return self.bytes_of(self.pieces()[0])
