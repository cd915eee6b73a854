"""The page of one virtual recorder, and the same things over HTTP for tests.

    GET  /                               the page
    GET  /state                          everything that is shown, as JSON
    GET  /events                         server-sent events: {"state", "events"}; Last-Event-ID or ?after=N goes on from there
    POST /button/{name}/{down|up}        an edge
    POST /gesture/{start|stop|mark|still} the press that the device's settings name for it; answers when the finger is up again
    POST /power/{off|on}                 off pulls it
    POST /network/{on|off}
    POST /weather/{name}?seed=           what the network does (simulators.weather)
    POST /battery/{percent}?charging=    0 to 100
    POST /fault/{camera|microphone|locator}/{on|off}

Only this machine is served, and only pages from here may press buttons: another site's page that happens to be open in the
same browser may not (Host and Sec-Fetch-Site are checked).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import Depends, FastAPI, Header, HTTPException, Path, Query, Request
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from starlette.middleware.trustedhost import TrustedHostMiddleware

from simulators.errors import SimulatorError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from simulators.host import Host

STATIC = FilePath(__file__).with_name("static")
BEAT_S = 10.0
"""A line at least so often, so that a browser notices when nobody is there any more."""

Name = Annotated[str, Path(pattern=r"^[a-z0-9-]{1,16}$")]


def build(host: Host) -> FastAPI:
    """The page's application."""
    app = FastAPI(title=f"Virtual recorder {host.name}", openapi_url=None, dependencies=[Depends(own_pages_only)])
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    @app.exception_handler(SimulatorError)
    async def refused(_request: Request, problem: Exception) -> JSONResponse:
        return JSONResponse({"detail": str(problem)}, 422)

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(STATIC / "recorder.html", headers={"Cache-Control": "no-store"})

    @app.get("/state")
    async def state() -> dict[str, Any]:
        return host.state()

    @app.get("/events")
    async def events(
        last_event_id: Annotated[int, Header(ge=0)] = 0,
        after: Annotated[int, Query(ge=0)] = 0,
    ) -> StreamingResponse:
        return StreamingResponse(
            _watch(host, max(last_event_id, after)), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    @app.post("/button/{name}/{edge}")
    async def button(name: Name, edge: Literal["down", "up"]) -> dict[str, Any]:
        host.edge(name, down=edge == "down")
        return host.state()

    @app.post("/gesture/{action}")
    async def gesture(action: Literal["start", "stop", "mark", "still"]) -> dict[str, Any]:
        await host.gesture(action)
        return host.state()

    @app.post("/power/{which}")
    async def power(which: Literal["on", "off"]) -> dict[str, Any]:
        await (host.power_on() if which == "on" else host.power_off())
        return host.state()

    @app.post("/network/{which}")
    async def network(which: Literal["on", "off"]) -> dict[str, Any]:
        await host.set_network(up=which == "on")
        return host.state()

    @app.post("/weather/{name}")
    async def weather(name: Name, seed: Annotated[int | None, Query(ge=0)] = None) -> dict[str, Any]:
        await host.set_weather(name, seed)
        return host.state()

    @app.post("/battery/{percent}")
    async def battery(percent: Annotated[int, Path(ge=0, le=100)], *, charging: bool = False) -> dict[str, Any]:
        host.set_battery(percent, charging=charging)
        return host.state()

    @app.post("/fault/{role}/{which}")
    async def fault(role: Literal["camera", "microphone", "locator"], which: Literal["on", "off"]) -> dict[str, Any]:
        host.set_fault(role, broken=which == "on")
        return host.state()

    return app


async def own_pages_only(request: Request) -> None:
    """Refuse what another site's page sends."""
    if request.method == "POST" and request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        raise HTTPException(403, "another site's page may not press buttons here")


async def _watch(host: Host, known: int) -> AsyncIterator[str]:
    """State and news, at once and then whenever something changes."""
    while True:
        fresh = host.events(known)
        known, seen = host.number, host.version
        yield f"id: {known}\ndata: {json.dumps({'state': host.state(), 'events': fresh}, ensure_ascii=False)}\n\n"
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(host.news(seen), BEAT_S)
