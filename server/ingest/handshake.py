"""A device's questions after a start, over HTTPS: the newest cosigned checkpoint of its journal, and its own lines back.

Lines come as they went (docs/evidence-format.md, section 5): the batch format, ending at a checkpoint that the device signed
and the server cosigned. From the end of the log on the batch has no lines.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import PlainTextResponse, Response

from agent.core import note, wire
from agent.core.errors import WireError
from server import description
from server.ingest.enrolments import Intake
from server.ledger.enrolments import Enrolment
from server.problems import Problem
from server.services import Services
from server.tls import own_device

OWN = description.problems("no-certificate", "not-yours", "revoked", "unknown-origin", "no-checkpoint", "not-found")
Number = Annotated[int, Path(ge=1, lt=note.MAX_SIZE)]
Index = Annotated[int, Path(ge=0, lt=note.MAX_SIZE)]
BATCH_TYPE = "application/octet-stream"


def router(services: Services, intake: Intake) -> APIRouter:
    """The routes below /api/v1/journal."""
    made = APIRouter(prefix="/api/v1/journal", tags=["journal"])

    @made.get("/{device}/{n}/checkpoint", response_class=PlainTextResponse, responses=OWN)
    def checkpoint(request: Request, device: str, n: Number) -> str:
        """The newest cosigned checkpoint; 404 while there is none."""
        journal = own_journal(services, intake, request, device, n)
        return _newest(services, journal)

    @made.get("/{device}/{n}/{first}", response_class=Response, responses=description.content("A batch", BATCH_TYPE) | OWN)
    def lines(request: Request, device: str, n: Number, first: Index) -> Response:
        """Lines from index `first` on, as many as a batch holds, with the cosigned checkpoint at their end."""
        journal = own_journal(services, intake, request, device, n)
        return Response(batch(services, journal, first), media_type=BATCH_TYPE)

    return made


def own_journal(services: Services, intake: Intake, request: Request, device: str, n: int) -> Enrolment:
    """The n-th journal of the device that asks; Problem where it is another's, unknown or revoked."""
    own_device(request, device)
    origin = f"{services.settings.domain}/{device}/{n}"
    found = services.enrolments.get(origin)
    if found is None and intake.step():
        found = services.enrolments.get(origin)
    if found is None:
        raise Problem("unknown-origin", f"the ledger does not list {origin}")
    if found.revoked is not None:
        raise Problem("revoked", f"{origin} was revoked by line {found.revoked} of the ledger")
    return found


def _newest(services: Services, journal: Enrolment) -> str:
    newest = services.logs.checkpoint(journal.origin)
    if newest is None:
        raise Problem("no-checkpoint", f"nothing of {journal.origin} was cosigned yet")
    return newest


def batch(services: Services, journal: Enrolment, first: int) -> bytes:
    """As many whole admitted batches from line `first` on as one message holds."""
    newest = _newest(services, journal)
    if first > services.logs.size(journal.origin):
        raise Problem("not-found", f"{journal.origin} has no line {first}")
    lines: list[bytes] = []
    payload = b""
    for admitted in services.logs.batches(journal.origin, first, wire.MAX_BATCH_LINES):
        lines += admitted.lines[max(0, first - admitted.first) :]
        try:
            payload = wire.encode_batch(first, lines, admitted.note)
        except WireError:
            break
    return payload or wire.encode_batch(first, [], newest)
