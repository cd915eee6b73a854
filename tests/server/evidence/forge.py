"""What a forger has: a genuine package, an editor, and BagIt tools that make the manifests fit again."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from agent.core import merkle, note
from server.evidence.gather import ranges_of
from server.evidence.text import as_text
from server.evidence.verify import verify
from tests.server.evidence.world import Device, World

FRONT, STILL = "data/media/front.mp4", "data/media/still-1.jpg"
JOURNAL, PROOF, CLAIMS = "data/journal.jsonl", "data/journal.proof", "data/recording.json"

Forgery = Callable[["Forger"], None]


class Table:
    """Forgeries, each with the verdict that it must come to and what the first place must hold."""

    def __init__(self) -> None:
        self.rows: list[tuple[Forgery, str, str]] = []

    def __call__(self, verdict: str, place: str) -> Callable[[Forgery], Forgery]:
        def put(function: Forgery) -> Forgery:
            self.rows.append((function, verdict, place))
            return function

        return put

    @property
    def names(self) -> list[str]:
        return [row[0].__name__ for row in self.rows]


def judge(forger: Forger, verdict: str, place: str) -> None:
    """The verifier's verdict and first place."""
    report = verify(str(forger.folder), forger.world.trusted)
    assert report.verdict == verdict, as_text(report)
    assert report.first is not None
    assert place in f"{report.first.place}: {report.first.message}", as_text(report)


class Forger:
    """Works on a package's folder. `rebag` is what any BagIt tool does; nobody signs a manifest."""

    def __init__(self, folder: Path, world: World, device: Device):
        self.folder, self.world, self.device = folder, world, device

    def path(self, name: str) -> Path:
        return self.folder / name

    def read(self, name: str) -> bytes:
        return self.path(name).read_bytes()

    def write(self, name: str, data: bytes | str) -> None:
        self.path(name).parent.mkdir(parents=True, exist_ok=True)
        self.path(name).write_bytes(data.encode() if isinstance(data, str) else data)

    def remove(self, name: str) -> None:
        self.path(name).unlink()

    def replace(self, name: str, old: bytes | str, new: bytes | str) -> None:
        old, new = (v.encode() if isinstance(v, str) else v for v in (old, new))
        data = self.read(name)
        assert old in data, f"{name} does not hold {old!r}"
        self.write(name, data.replace(old, new, 1))

    def flip(self, name: str, at: int) -> None:
        data = bytearray(self.read(name))
        data[at] ^= 1
        self.write(name, bytes(data))

    def names(self) -> list[str]:
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

    # ------------------------------------------------------------------- what stands in it

    @property
    def claims(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.read("data/recording.json"))
        return value

    def claim(self, change: Callable[[dict[str, Any]], None]) -> None:
        claims = self.claims
        change(claims)
        self.write("data/recording.json", json.dumps(claims))

    @property
    def lines(self) -> list[bytes]:
        return self.read("data/journal.jsonl").splitlines()

    @property
    def indices(self) -> list[int]:
        proof = note.parse_range_proof(self.read("data/journal.proof").decode())
        return [i for first, end in proof.ranges for i in range(first, end)]

    def show_only(self, indices: Iterable[int], size: int | None = None, signed: str | None = None) -> None:
        """Other lines of the device's real journal, well proved."""
        shown = sorted(indices)
        signed = signed or note.parse_range_proof(self.read("data/journal.proof").decode()).checkpoint
        size = size or note.parse_checkpoint(note.split(signed)[0]).size
        ranges = ranges_of(shown)
        hashes = merkle.range_hashes(merkle.from_leaves(self.device.leaves), ranges, size)
        self.write("data/journal.proof", note.range_proof(ranges, hashes, signed))
        self.write("data/journal.jsonl", b"".join(self.device.lines[i] + b"\n" for i in shown))

    def index_of(self, *words: str) -> int:
        """The first shown line that holds all the words."""
        return next(i for i in self.indices if all(w.encode() in self.device.lines[i] for w in words))

    def cut(self, name: str, track: str, seqs: Iterable[int]) -> None:
        """Take fragments out of a media file and out of the claims."""
        members = [json.loads(line) for line in self.lines]
        rows = [m for m in members if m["kind"] == "fragment" and m["track"] == track]
        data, at, kept, held = self.read(name), 0, b"", []
        for row in rows:
            if row["seq"] not in seqs:
                kept += data[at : at + row["bytes"]]
                held.append(row["seq"])
            at += row["bytes"]
        self.write(name, kept)

        def change(claims: dict[str, Any]) -> None:
            for claimed in claims["tracks"]:
                if claimed["track"] == track:
                    claimed["held"] = [list(r) for r in ranges_of(held)]

        self.claim(change)

    def copy_to(self, folder: Path) -> Forger:
        shutil.copytree(self.folder, folder)
        return Forger(folder, self.world, self.device)
