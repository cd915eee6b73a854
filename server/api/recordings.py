"""Recordings, devices and custody as JSON: lists with cursors, newest first. Looking at one is recorded in the ledger."""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from agent.core.errors import LineError
from server import description
from server.api import shapes
from server.api.looks import Looks
from server.errors import Unknown
from server.evidence.reading import meaning
from server.services import Services


class Filters(BaseModel):
    """What a list of recordings may be asked for. `since` and `until` bound `started_at` (ms since 1970)."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=shapes.MAX_PAGE)
    cursor: shapes.Cursor | None = None
    device: str | None = None
    officer: str | None = None
    case: str | None = None
    matter: str | None = None
    since: shapes.Whole | None = None
    until: shapes.Whole | None = None
    marked: bool | None = None
    state: Literal["recording", "uploading", "stored"] | None = None


class Revocation(BaseModel):
    """Why a device is revoked; it goes into the ledger."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=200)


Limit = Annotated[int, Query(ge=1, le=shapes.MAX_PAGE)]
MAX_POSITIONS = 100_000
_FIX = re.compile(rb'\{"at":[0-9]+,"up":[0-9]+,"kind":"fix"')


def router(services: Services, looks: Looks) -> APIRouter:
    """The routes below /api/v1."""
    made = APIRouter(prefix="/api/v1", tags=["recordings"])
    _lists(made, services, looks)
    _details(made, services, looks)
    return made


def _lists(made: APIRouter, services: Services, looks: Looks) -> None:
    catalogue, ledger, logs = services.catalogue, services.ledger, services.logs

    @made.get("/recordings")
    def recordings(request: Request, asked: Annotated[Filters, Query()]) -> dict[str, Any]:
        """Recordings, the newest first; a search by person, case or matter is recorded."""
        looks.search(request, asked.model_dump(include={"officer", "case", "matter"}))
        limit = asked.limit
        found = catalogue.page(limit + 1, shapes.place(asked.cursor), **asked.model_dump(exclude={"limit", "cursor"}))
        more = shapes.cursor(found[limit - 1]) if len(found) > limit else None
        return {"items": [shapes.recording(one) for one in found[:limit]], "next": more}

    @made.get("/devices")
    def devices() -> dict[str, Any]:
        """Every device that the ledger lists."""
        found = services.devices.all()
        return {"items": [shapes.device(one, {origin: logs.size(origin) for origin in one.origins}) for one in found]}

    @made.post("/devices/{device}/revoke", responses=description.problems("not-found"))
    def revoke(device: str, asked: Revocation) -> dict[str, Any]:
        """End all journals of a device that was lost or taken back: nothing of it is ever cosigned again."""
        journals = [one.origin for one in services.enrolments.of_device(device)]
        if not journals:
            raise Unknown(f"the ledger lists no device {device[:40]}")
        stages = [partial(services.enrolments.stage_revoke, origin=origin, reason=asked.reason) for origin in journals]
        new = [services.logs_writer.call(stage) for stage in stages]
        return {"device": device, "revoked": [origin for origin, done in zip(journals, new, strict=True) if done]}

    @made.get("/custody", responses=description.problems("not-found", "ambiguous"))
    def custody(
        limit: Limit = 50,
        cursor: shapes.Whole | None = None,
        recording: str | None = None,
        device: str | None = None,
        kind: str | None = None,
    ) -> dict[str, Any]:
        """The ledger's lines but the anchors, the newest first."""
        if recording is not None:
            found = catalogue.find(recording)
            device, recording = found.device, found.recording
        after = -1 if cursor is None else cursor
        entries = ledger.entries(after, limit + 1, newest=True, device=device, recording=recording, kind=kind)
        items = [{"index": one.index, **one.members} for one in entries[:limit]]
        return {"items": items, "next": str(entries[limit - 1].index) if len(entries) > limit else None}


def _details(made: APIRouter, services: Services, looks: Looks) -> None:
    catalogue, logs = services.catalogue, services.logs

    @made.get("/recordings/{name}", responses=description.problems("not-found", "ambiguous"))
    def recording(request: Request, name: str) -> dict[str, Any]:
        """One recording with its tracks, marks and gaps."""
        found = catalogue.find(name)
        looks.look(request, "view", found)
        tracks = [shapes.track(one) for one in catalogue.tracks(found.id)]
        custody = len(services.ledger.custody(found.device, found.recording))
        more = {"tracks": tracks, "mark_list": catalogue.marks(found.id), "gap_list": catalogue.gaps(found.id), "custody": custody}
        return shapes.recording(found) | more

    @made.get("/recordings/{name}/positions", responses=description.problems("not-found", "ambiguous"))
    def positions(request: Request, name: str) -> dict[str, Any]:
        """Where it was: `media_ms` since the recording's media time 0, `lat` and `lon` in 1e-7 degrees."""
        found = catalogue.find(name)
        looks.look(request, "view", found)
        end = logs.size(found.origin) if found.stop_line is None else found.stop_line
        lines = logs.lines(found.origin, found.start_line, min(end, found.start_line + MAX_POSITIONS))
        if not lines:
            raise Unknown(f"{name[:80]} has no lines")
        epoch = meaning(lines[0])["epoch"]
        return {"items": [_position(one, epoch) for one in map(_fix, lines) if one is not None]}


def _fix(line: bytes) -> dict[str, Any] | None:
    """The members of a position; None for any other line, and for one without meaning."""
    try:
        return meaning(line) if _FIX.match(line) else None
    except LineError:
        return None


def _position(members: dict[str, Any], epoch: int) -> dict[str, Any]:
    wanted = ("lat", "lon", "alt", "speed", "course", "hdop")
    return {"media_ms": members["up"] - epoch, **{name: members[name] for name in wanted if name in members}}
