"""Whether stored bytes are what signed lines say: a device's media folder, or the server's.

Rules:
- Bytes that are not there are *missing*; bytes that are there and hash to something else are *wrong*.
- A server's file may have holes: of a fragment that was never received, zeroes are read. They count as missing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from server.evidence.errors import UnreadableError

PIECE = 1 << 20
SUFFIXES = (".mp4", ".m4a", ".jpg")
EXTENSIONS = {"video/mp4": ("mp4",), "audio/mp4": ("m4a", "mp4"), "image/jpeg": ("jpg",)}


class Fragment(NamedTuple):
    """A fragment line, as far as bytes are concerned."""

    seq: int
    offset: int
    bytes: int
    sha256: str


@dataclass
class Found:
    """What a look at a track's file found: `seq` of fragments that are missing, and of those that are wrong."""

    missing: list[int] = field(default_factory=list)
    wrong: list[int] = field(default_factory=list)


class Media:
    """A folder of track files; `holes`: zeroes stand for bytes that never came."""

    def __init__(self, folder: Path, *, holes: bool, look: bool = True) -> None:
        self._folder, self._holes, self._look = folder, holes, look
        self.files: set[Path] = set()
        self.bytes = 0

    def check(self, place: str, track: str, media: str, fragments: list[Fragment]) -> Found:
        """Hash a track's fragments; `place` is the recording's folder below ours."""
        found = Found()
        path = self._path(place, track, media)
        if path is None:
            found.missing = [f.seq for f in fragments]
            return found
        self.files.add(path)
        if not self._look:
            size = path.stat().st_size
            found.missing = [f.seq for f in fragments if f.offset + f.bytes > size]
            return found
        buffer = memoryview(bytearray(PIECE))
        try:
            with path.open("rb", buffering=0) as file:
                for fragment in fragments:
                    self._fragment(file, fragment, buffer, found)
        except OSError as e:
            raise UnreadableError(f"{path}: {e.strerror or e}") from e
        return found

    def unnamed(self) -> list[str]:
        """Track files that no line of what was looked at names."""
        files = (path for path in sorted(self._folder.rglob("*")) if path.suffix in SUFFIXES and path.is_file() and path.name[0] != ".")
        return [str(path.relative_to(self._folder)) for path in files if path not in self.files]

    def _path(self, place: str, track: str, media: str) -> Path | None:
        """The track's file, never outside the folder and never through a link."""
        if not track.replace("-", "").replace("_", "").isalnum() or media not in EXTENSIONS:
            return None
        for extension in EXTENSIONS[media]:
            path = self._folder / place / f"{track}.{extension}"
            if path.is_file() and not path.is_symlink():
                return path
        return None

    def _fragment(self, file: object, fragment: Fragment, buffer: memoryview, found: Found) -> None:
        sha256, left, zeroes = hashlib.sha256(), fragment.bytes, True
        file.seek(fragment.offset)  # type: ignore[attr-defined]
        while left:
            got = file.readinto(buffer[: min(left, PIECE)])  # type: ignore[attr-defined]
            if not got:
                found.missing.append(fragment.seq)
                return
            piece = buffer[:got]
            sha256.update(piece)
            if zeroes:
                zeroes = not any(piece)
            left -= got
        self.bytes += fragment.bytes
        if sha256.hexdigest() != fragment.sha256:
            (found.missing if zeroes and self._holes else found.wrong).append(fragment.seq)
