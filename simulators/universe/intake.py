"""The server's HTTP for devices without HTTP: the same answers by the same parts, in virtual time.

Routing, headers and statuses stand here again, in the words of `server.ingest.media` and `server.ingest.handshake`; what they ask is
the real thing: the upload that hashes each fragment, the catalogue, the logs. A request that broke off is settled as there: whole
fragments that had come are kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from server.errors import Unknown
from server.ingest import handshake, media
from server.ingest.enrolments import Intake
from server.ingest.indexer import Indexer
from server.ingest.intake import Upload
from server.ledger.enrolments import Enrolment
from server.problems import Problem, problem_of
from server.services import Services
from simulators.universe.https import Answer

JSON, PROBLEM, TEXT, BYTES = "application/json", "application/problem+json", "text/plain; charset=utf-8", "application/octet-stream"
JOURNAL = re.compile(r"/api/v1/journal/([^/]+)/(\d+)/(checkpoint|\d+)")
HELD = re.compile(r"/api/v1/media/([^/]+)/([^/]+)")
PUT = re.compile(r"/api/v1/media/([^/]+)/([^/]+)/([^/]+)/(\d+)")


class Door:
    """Requests of devices whose names their certificates say."""

    def __init__(self, services: Services, indexer: Indexer, enrolments: Intake, came_again: Callable[[str, int], object]) -> None:
        """`came_again(device, bytes)` hears of fragments that were held already when they came."""
        self._services, self._indexer, self._enrolments, self._came_again = services, indexer, enrolments, came_again

    def ask(self, device: str, method: str, path: str, body: bytes, headers: dict[str, str], *, whole: bool) -> Answer:
        """The answer, problems included."""
        try:
            return self._route(device, method, path, body, headers, whole=whole)
        except Exception as error:  # noqa: BLE001 - the outermost of a request: problem_of knows ours and calls the rest unexpected
            problem = problem_of(error)
            return problem.status, PROBLEM, json.dumps(problem.body()).encode()

    def _route(self, device: str, method: str, path: str, body: bytes, headers: dict[str, str], *, whole: bool) -> Answer:
        if method == "GET" and (found := JOURNAL.fullmatch(path)):
            return self._journal(_own(device, found[1]), int(found[2]), found[3])
        if method == "GET" and (found := HELD.fullmatch(path)):
            return self._held(_own(device, found[1]), found[2])
        if method == "PUT" and (found := PUT.fullmatch(path)):
            _own(device, found[1])
            return self._put(found, body, headers, whole=whole)
        raise Problem("not-found", f"{method} {path}")

    # ----------------------------------------------------------------- journals

    def _journal(self, device: str, n: int, what: str) -> Answer:
        journal = self._own_journal(device, n)
        if what == "checkpoint":
            newest = self._services.logs.checkpoint(journal.origin)
            if newest is None:
                raise Problem("no-checkpoint", f"nothing of {journal.origin} was cosigned yet")
            return 200, TEXT, newest.encode()
        return 200, BYTES, handshake.batch(self._services, journal, int(what))

    def _own_journal(self, device: str, n: int) -> Enrolment:
        origin = f"{self._services.settings.domain}/{device}/{n}"
        found = self._services.enrolments.get(origin)
        if found is None and self._enrolments.step():
            found = self._services.enrolments.get(origin)
        if found is None:
            raise Problem("unknown-origin", f"the ledger does not list {origin}")
        if found.revoked is not None:
            raise Problem("revoked", f"{origin} was revoked by line {found.revoked} of the ledger")
        return found

    # ----------------------------------------------------------------- media

    def _read_all(self) -> None:
        while self._indexer.step():
            pass

    def _held(self, device: str, recording: str) -> Answer:
        self._read_all()
        media.known_device(self._services, device)
        catalogue = self._services.catalogue
        found = catalogue.find(f"{device}:{recording}")
        tracks = [media.shown(track, catalogue.fragments(track.id)) for track in catalogue.tracks(found.id)]
        self._indexer.asked(found)
        said = {"device": device, "recording": found.recording, "state": found.state, "tracks": tracks}
        return 200, JSON, json.dumps(said).encode()

    def _put(self, found: re.Match[str], body: bytes, headers: dict[str, str], *, whole: bool) -> Answer:
        device, recording, track, offset = found[1], found[2], found[3], int(found[4])
        self._read_all()
        media.known_device(self._services, device)
        digests = media.content_digest(headers.get("content-digest"))
        upload = self._begin(device, recording, track, offset)
        try:
            upload.feed(body)
            if whole:
                upload.finish()
                for running, expected in digests:
                    running.update(body)
                    if running.digest() != expected:
                        raise Problem("digest-mismatch", f"expected {expected.hex()}, got {running.hexdigest()}")
        finally:
            if again := sum(one.bytes for one in upload.checked if one.held):
                self._came_again(device, again)
            new = upload.settle()
            if new:
                self._indexer.held()
        if not whole:
            return 0, "", b""
        first, last = upload.checked[0], upload.checked[-1]
        said: dict[str, Any] = {"track": track, "first": first.seq, "end": last.seq + 1}
        said |= {"bytes": last.offset + last.bytes - first.offset, "stored": new}
        return 201 if new else 200, JSON, json.dumps(said).encode()

    def _begin(self, device: str, recording: str, track: str, offset: int) -> Upload:
        catalogue = self._services.catalogue
        try:
            found = catalogue.find(f"{device}:{recording}")
            return Upload(self._services, found, catalogue.track(found.id, track), offset)
        except Unknown as e:
            raise Problem("not-named", str(e), track=track[:80], offset=offset) from e


def _own(device: str, named: str) -> str:
    if device != named:
        raise Problem("not-yours", f"the certificate is of {device}, the path names {named[:80]}")
    return named
