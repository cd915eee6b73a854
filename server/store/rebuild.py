"""Finds out again which bytes are held, by hashing what is on disk: for a catalogue that was lost and is built anew."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from server.database import Writer
from server.errors import StorageError
from server.store import holding, migrate
from server.store.catalogue import Catalogue, Fragment, Recording, Track
from server.store.objects import Objects

PAGE = 100


def find_held(catalogue: Catalogue, writer: Writer, objects: Objects) -> int:
    """Mark every fragment whose bytes are there and hash to what its line says; how many. Then the catalogue is filled."""
    count = 0
    for recording in recordings(catalogue):
        for track in catalogue.tracks(recording.id):
            found = _held(catalogue, objects, recording, track)
            if found:
                count += len(found)
                _hold(writer, track.id, found)
    writer.call(migrate.filled)
    return count


def _hold(writer: Writer, track: int, found: list[Fragment]) -> None:
    writer.call(lambda transaction: holding.hold(transaction, track, found))


def recordings(catalogue: Catalogue) -> Iterator[Recording]:
    """Every recording, the newest first."""
    place: tuple[int, int] | None = None
    while page := catalogue.page(PAGE, place):
        yield from page
        place = (page[-1].started_at, page[-1].id)


def _held(catalogue: Catalogue, objects: Objects, recording: Recording, track: Track) -> list[Fragment]:
    path = objects.path(recording.device, recording.recording, track.track, track.media)
    found: list[Fragment] = []
    if not path.exists():
        return found
    for fragment in catalogue.fragments(track.id):
        try:
            data = objects.read(path, fragment.offset, fragment.bytes)
        except StorageError:
            continue
        if hashlib.sha256(data).digest() == fragment.sha256:
            found.append(fragment)
    return found
