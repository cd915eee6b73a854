"""Track files: `media/<recording>/<track>.mp4|.jpg`, fragments one behind the other as they were made.

Rules (docs/evidence-format.md, section 4):
- Bytes are appended, and durable after `sync`, before any line names them. New names are made durable with them.
- What was appended since the last `sync` can be taken back: bytes whose line could not be written must not stay between
  fragments that have one. Where the disk refuses even that, it is done before the next append.
- Names come from outside (an order, a server's answer): only what can be a track or a recording becomes a path.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from pathlib import Path

from agent.core import ulid
from agent.journal.errors import BadLine, Storage, disk, storage_error
from hal.contracts import Files

EXTENSIONS = {"video/mp4": "mp4", "audio/mp4": "mp4", "image/jpeg": "jpg"}
MAX_TRACK_NAME = 32
_TRACK_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


@lru_cache(maxsize=64)  # the same few are asked for again at every fragment
def _track_file(folder: Path, recording: str, track: str, extension: str) -> Path:
    if not ulid.is_ulid(recording):
        raise BadLine(f"a recording is named by a ULID, got {recording[:40]!r}")
    if not 1 <= len(track) <= MAX_TRACK_NAME or not _TRACK_CHARACTERS.issuperset(track):
        raise BadLine(f"a track's name is 1 to {MAX_TRACK_NAME} of a–z, 0–9 and hyphen, got {track[:40]!r}")
    if extension not in EXTENSIONS.values():
        raise BadLine(f"a track file ends in mp4 or jpg, got {extension[:10]!r}")
    return folder / recording / f"{track}.{extension}"


class MediaFiles:
    """The media of one device. `append` is for the one writer; reading is for anybody."""

    def __init__(self, folder: Path, files: Files) -> None:
        self.folder = folder
        self._files = files
        self._lock = threading.Lock()
        self._unsynced: dict[Path, int] = {}
        self._undo: dict[Path, int] = {}

    def path(self, recording: str, track: str, extension: str) -> Path:
        """The file of a track; BadLine when the names can't be ones."""
        return _track_file(self.folder, recording, track, extension)

    # ------------------------------------------------------------------ writing

    def append(self, recording: str, track: str, extension: str, data: bytes) -> int:
        """Append to the track; the offset at which the bytes begin. Durable after `sync`, gone after `take_back`."""
        path = self.path(recording, track, extension)
        with self._lock, disk("append to", path):
            self._finish_undo()
            if path not in self._unsynced:
                size = self._size(path, missing=-1)
                if size < 0:
                    self._files.make_folder(path.parent)
                self._unsynced[path] = max(size, 0)
            return self._files.append(path, data)

    def sync(self) -> None:
        """Make everything durable that was appended since the last time."""
        with self._lock:
            for path, before in self._unsynced.items():
                with disk("sync", path):
                    self._files.sync(path)
                    if before == 0:
                        self._files.sync_folder(path.parent)

    def settle(self) -> None:
        """The lines over what was appended are durable: from now on it stays."""
        with self._lock:
            self._unsynced.clear()

    def take_back(self) -> None:
        """Cut off what was appended since the last `settle`."""
        with self._lock:
            self._undo |= self._unsynced
            self._unsynced.clear()
            try:
                self._finish_undo()
            except (OSError, Storage):
                return  # the disk that refused the append may refuse this too; the next append tries again

    def _finish_undo(self) -> None:
        for path, size in list(self._undo.items()):
            if self._size(path) > size:
                self._files.truncate(path, size)
                self._files.sync(path)
            del self._undo[path]

    def cut(self, recording: str, track: str, size: int) -> None:
        """Cut a track's file to `size` bytes, not durably yet: what stood behind was set aside by recovery."""
        path = self.found(recording, track)
        if path is not None:
            with disk("cut", path):
                self._files.truncate(path, size)

    def delete(self, recording: str) -> int:
        """Delete a recording's media; how many bytes that were. Nothing where there is nothing: it may be done twice."""
        total = 0
        with self._lock:
            for name in self.names(recording):
                path = self.folder / recording / name
                with disk("delete", path):
                    total += self._files.size(path)
                    self._files.remove(path)
            with disk("delete", self.folder / recording):
                if total:
                    self._files.sync_folder(self.folder / recording)
        return total

    # ------------------------------------------------------------------ reading

    def recordings(self) -> list[str]:
        """Recordings that have a folder with something in it."""
        with disk("list", self.folder):
            return [name for name in self._files.list(self.folder) if ulid.is_ulid(name) and self._files.list(self.folder / name)]

    def names(self, recording: str) -> list[str]:
        """Names of the files of a recording."""
        with disk("list", self.folder / recording):
            return list(self._files.list(self.folder / recording))

    def found(self, recording: str, track: str) -> Path | None:
        """The track's file, whatever it ends in; None where there is none."""
        for extension in ("mp4", "jpg"):
            path = self.path(recording, track, extension)
            if self._size(path, missing=-1) >= 0:
                return path
        return None

    def size(self, recording: str, track: str) -> int:
        """Bytes of the track's file; −1 where there is none."""
        path = self.found(recording, track)
        return -1 if path is None else self._size(path, missing=-1)

    def read(self, recording: str, track: str, offset: int = 0, length: int = -1) -> bytes:
        """Bytes of the track from `offset`; fewer at its end, none where there is no file."""
        path = self.found(recording, track)
        if path is None:
            return b""
        with disk("read", path):
            return self._files.read(path, offset, length)

    def free_bytes(self) -> int:
        """What may still be written on the disk that holds the media."""
        with disk("ask for free space", self.folder):
            self._files.make_folder(self.folder)
            return self._files.free_bytes(self.folder)

    def _size(self, path: Path, *, missing: int = 0) -> int:
        try:
            return self._files.size(path)
        except FileNotFoundError:
            return missing
        except OSError as error:
            raise storage_error("ask for the size of", path, error) from error
