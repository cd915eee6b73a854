"""Hand-over packages, streamed as .zip. The ledger says who took which before the first byte goes out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from server import description
from server.api.looks import Looks
from server.api.source import ServerSource
from server.evidence import gather, package, pyz
from server.evidence.errors import ExportError
from server.evidence.excerpt import Stretch
from server.problems import Problem
from server.services import Services
from server.store.catalogue import Recording

ZIP_TYPE = "application/zip"
_PACKAGE = description.content("The package", ZIP_TYPE, headers={"Content-Disposition": "its name"}) | description.problems(
    "not-found", "ambiguous", "not-exportable"
)


def router(services: Services, looks: Looks) -> APIRouter:
    """POST /api/v1/recordings/{id}/package."""
    made = APIRouter(prefix="/api/v1/recordings", tags=["packages"])

    @made.post("/{name}/package", response_class=StreamingResponse, responses=_PACKAGE)
    def package_of(
        name: str,
        first_ms: Annotated[int | None, Query(alias="from")] = None,
        end_ms: Annotated[int | None, Query(alias="to")] = None,
    ) -> StreamingResponse:
        """The whole recording, or with `from` and `to` (ms of media time) the excerpt between them."""
        found = services.catalogue.find(name)
        try:
            ready = _made(services, looks, found, first_ms, end_ms)
        except ExportError as e:
            raise Problem("not-exportable", str(e)) from e
        headers = {"Content-Disposition": f'attachment; filename="{ready.name}.zip"', "Content-Length": str(ready.zip_size)}
        return StreamingResponse(ready.zip_pieces(), 200, headers, ZIP_TYPE)

    return made


def _made(services: Services, looks: Looks, found: Recording, first_ms: int | None, end_ms: int | None) -> package.Package:
    """The package, with its own `export` line in the ledger; nothing is written there when there is nothing to export."""
    whole = first_ms is None and end_ms is None
    stretch = None if whole else Stretch(first_ms or 0, found.duration if end_ms is None else end_ms)
    source = ServerSource(services)
    gather.find(source, found.origin, found.recording, found.start_line, stretch)
    line = looks.export(found, **({} if stretch is None else {"from": stretch.first_ms, "to": stretch.end_ms}))
    wanted = package.Wanted(found.origin, found.recording, found.start_line, stretch, line)
    return package.make(source, wanted, pyz.build())
