"""What a package is made from, out of the server's own folder: `server.evidence.source.Source` over logs, ledger and files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from agent.core import note
from server.api.playback import PIECE, covered
from server.errors import Unknown
from server.evidence.errors import ExportError
from server.evidence.source import Anchored, Custody
from server.services import Services
from server.store.catalogue import Fragment


class ServerSource:
    """For one package at a time: it remembers which fragments are held."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._logs, self._ledger = services.logs, services.ledger
        self._tracks: dict[tuple[str, str, str], tuple[Path, list[Fragment]]] = {}

    # ----------------------------------------------------------------------- journal

    def lines(self, origin: str, first: int, end: int) -> Sequence[bytes]:
        return self._logs.lines(origin, first, end)

    def size(self, origin: str) -> int:
        return self._logs.size(origin)

    def subtree(self, origin: str) -> Callable[[int, int], bytes]:
        return self._logs.subtree(origin)

    def cosigned_covering(self, origin: str, size: int) -> str | None:
        return self._logs.cosigned_covering(origin, size)

    def anchored_covering(self, origin: str, size: int) -> Anchored | None:
        found = self._ledger.anchor_covering(origin, size)
        return Anchored(found.size, found.line, self._ledger.anchor_proof(found)) if found else None

    # ----------------------------------------------------------------------- ledger

    def ledger_size(self) -> int:
        return note.parse_checkpoint(note.split(self._ledger.checkpoint())[0]).size

    def ledger_proof(self, index: int, size: int) -> str:
        return self._ledger.proof(index, size)

    def ledger_note(self, body: str) -> str:
        try:
            return self._ledger.note_of(body)
        except Unknown as e:
            raise ExportError(str(e)) from e

    def newest_anchor(self, size: int) -> int:
        return self._ledger.newest_anchor(size)

    def enrolment(self, origin: str) -> int:
        found = self._services.enrolments.get(origin)
        if found is None:
            raise ExportError(f"the ledger does not list {origin}")
        return found.enrolled

    def custody(self, device: str, recording: str) -> Sequence[Custody]:
        return [Custody(one.index, one.line) for one in self._ledger.custody(device, recording)]

    # ----------------------------------------------------------------------- bytes and information

    def media(self, device: str, recording: str, track: str, offset: int, length: int) -> Iterator[bytes] | None:
        key = (device, recording, track)
        if key not in self._tracks:
            self._tracks[key] = self._track(*key)
        path, fragments = self._tracks[key]
        if not covered(fragments, offset, offset + length):
            return None
        end = offset + length
        return (self._services.objects.read(path, at, min(PIECE, end - at)) for at in range(offset, end, PIECE))

    def _track(self, device: str, recording: str, track: str) -> tuple[Path, list[Fragment]]:
        """A track's file and fragments: asked once, for a package asks for each fragment twice."""
        catalogue = self._services.catalogue
        try:
            one = catalogue.track(catalogue.find(f"{device}:{recording}").id, track)
        except Unknown:  # its line is there and the catalogue did not take it in: nothing of it is held, and that is what the package says
            return Path(), []
        return self._services.objects.path(device, recording, track, one.media), catalogue.fragments(one.id)

    def certificates(self, origin: str) -> Mapping[str, bytes]:
        """The evidence certificate as the enrolment brought it, where the file is still there."""
        _, device, n = origin.rsplit("/", 2)
        path = self._services.settings.path("enrolments") / f"{device}-{n}.json"
        try:
            pem = json.loads(path.read_text(encoding="utf-8")).get("certificate_pem")
            return {"evidence.pem": pem.encode()} if isinstance(pem, str) else {}
        except (OSError, ValueError, AttributeError, RecursionError):
            return {}

    def vkeys(self) -> Sequence[str]:
        return [self._ledger.key.vkey, self._services.witness.key.vkey]


def vkeys(services: Services) -> str:
    """The keys that somebody must be given to verify packages, a line each."""
    return "".join(f"{key.vkey}\n" for key in (services.ledger.key, services.witness.key))
