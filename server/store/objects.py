"""Media on disk: one file a track, `media/<device>/<recording>/<track>.mp4|.jpg`, written at the offsets that lines name.

Rules:
- Only verified bytes are written, each byte once; a file may have holes. What is held is said by the catalogue, not by a size.
- Nothing counts before `sync`: the file's content, and the names of file and folders.
- A reserve of the disk is never filled, so that the logs can go on.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server.database import create_folder, sync_folder
from server.errors import StorageError, StorageFull

EXTENSIONS = {"video/mp4": ".mp4", "audio/mp4": ".m4a", "image/jpeg": ".jpg"}
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def extension(media: str) -> str:
    """How a track's file is called after its name: by the media type of the track line, `.bin` for one that is not ours."""
    return EXTENSIONS.get(media, ".bin")


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """The disk's errors as ours."""
    try:
        yield
    except OSError as e:
        kind = StorageFull if e.errno in FULL else StorageError
        raise kind(f"{path.name}: {e.strerror}") from e


class Objects:
    """The media folder. Names come from the catalogue, which takes in none that could leave the folder."""

    def __init__(self, folder: Path, reserve_bytes: int) -> None:
        self._folder = folder
        self._reserve = reserve_bytes
        create_folder(folder)

    def path(self, device: str, recording: str, track: str, media: str) -> Path:
        """The file of a track."""
        return self._folder / device / recording / f"{track}{extension(media)}"

    def make_room(self, size: int) -> None:
        """StorageFull unless `size` bytes fit beside the reserve."""
        status = os.statvfs(self._folder)
        free = status.f_bavail * status.f_frsize
        if free < size + self._reserve:
            raise StorageFull(f"{free} bytes are free, {size} are needed and {self._reserve} kept in reserve")

    @contextmanager
    def writing(self, path: Path) -> Iterator[int]:
        """A descriptor to write a track's file at offsets; on leaving everything is durable. Nothing is made before."""
        with translated(path):
            create_folder(path.parent.parent)
            create_folder(path.parent)
            new = not path.exists()
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
            try:
                yield descriptor
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)
            if new:
                sync_folder(path.parent)

    @staticmethod
    def read(path: Path, offset: int, size: int) -> bytes:
        """Bytes of a file; StorageError when it does not have them."""
        with translated(path), path.open("rb") as file:
            file.seek(offset)
            data = file.read(size)
        if len(data) != size:
            raise StorageError(f"{path.name}: expected {size} bytes at {offset}, got {len(data)}")
        return data


def write_at(descriptor: int, data: bytes | bytearray | memoryview, offset: int) -> None:
    """Write all of `data` at an offset."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
