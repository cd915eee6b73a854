"""The console's pages: at a glance, recordings, devices, the ledger; in English and Chinese.

Rules:
- A page is HTML from a template; its tables renew themselves by fetching the same part again (htmx).
- Opening a recording is a `view` line in the ledger before the page is given out; lists are not.
- Scripts and styles come from here alone: the policy sent with each page allows nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Cookie, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from server.console import show, text, vendor, views
from server.errors import Unknown
from server.ledger.enrolments import Enrolments
from server.ledger.ledger import Ledger
from server.ledger.logs import Logs
from server.store.catalogue import Catalogue, Recording

HERE = Path(__file__).parent
LINES_SHOWN = 40
MAX_LINES_READ = 50_000
"""Lines of one recording that its page reads: seven hours with a fix a second. The package always has all."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
        " media-src 'self' blob:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_STATIC = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

_EMPTY = {"here": "", "query": "", "next": None}
"""What templates may ask for and most pages do not set."""

Language = Annotated[str | None, Cookie()]


@dataclass(frozen=True)
class Sources:
    """What the pages read, and the ledger that records the looking. `keys`: the vkeys to check packages with."""

    catalogue: Catalogue
    logs: Logs
    ledger: Ledger
    enrolments: Enrolments
    keys: str
    zone: str = "Asia/Shanghai"


class Pages:
    """Renders; the routes below call it."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self._templates = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined)
        moment = show.moment_in(ZoneInfo(sources.zone))
        self._templates.filters.update(moment=moment, length_of=show.length_of, size=show.size)

    def page(self, request: Request, template: str, language: str | None, values: dict[str, Any], status: int = 200) -> HTMLResponse:
        """The page in the reader's language."""
        chosen = self.language(request, language)
        body = self._templates.get_template(template).render(t=text.of(chosen), **{**_EMPTY, "path": request.url.path, **values})
        return HTMLResponse(body, status, HEADERS)

    def problem(self, request: Request, status: int, detail: str) -> HTMLResponse:
        """An error for whoever looks with a browser."""
        chosen = request.cookies.get("language")
        said = text.of(self.language(request, chosen))
        title = said.not_found if status == HTTPStatus.NOT_FOUND else said.refused
        return self.page(request, "problem.html", chosen, {"title": title, "detail": detail}, status)

    @staticmethod
    def language(request: Request, chosen: str | None) -> str:
        """The language chosen by cookie, else what the browser asks for."""
        return chosen or ("zh" if request.headers.get("accept-language", "").lower().startswith("zh") else "en")

    # ----------------------------------------------------------------------- values

    def devices(self) -> list[dict[str, Any]]:
        """A row for each enrolled device: its newest journal."""
        states = self.sources.catalogue.states()
        newest = {e.device: e for e in self.sources.enrolments.all() if e.revoked is None}
        return [views.device(e, self.sources.logs.head(e.origin), states) for _, e in sorted(newest.items())]

    def rows(self, found: list[Recording]) -> list[dict[str, Any]]:
        """Rows of recordings, with the labels of their marks."""
        return [views.recording(one, [m["label"] for m in self.sources.catalogue.marks(one.id)] if one.marks else []) for one in found]

    def recordings(self, after: str | None, device: str | None, limit: int) -> tuple[list[dict[str, Any]], str | None]:
        """(rows, where the next page begins or None)."""
        found = self.sources.catalogue.page(limit + 1, _cursor(after), device=device)
        more = f"{found[limit - 1].started_at}-{found[limit - 1].id}" if len(found) > limit else None
        return self.rows(found[:limit]), more

    def glance(self) -> dict[str, int]:
        """What needs a person now, in figures."""
        counts = self.sources.catalogue.counts()
        silent = sum(d["state"] == "offline" for d in self.devices())
        return {
            "recording": counts.get("recording", 0),
            "waiting": counts.get("uploading", 0),
            "stored": counts.get("stored", 0),
            "silent": silent,
            "forks": len(self.sources.logs.forks()),
        }

    def story(self, one: Recording) -> list[dict[str, Any]]:
        """The recording's lines as its page tells them."""
        end = one.stop_line + 1 if one.stop_line is not None else self.sources.logs.size(one.origin)
        end = min(end, one.start_line + MAX_LINES_READ)
        return views.journal_of(one, self.sources.logs.lines(one.origin, one.start_line, end))


def _cursor(after: str | None) -> tuple[int, int] | None:
    at, dash, ident = (after or "").partition("-")
    # A cursor is at most two numbers that the database keeps.
    return (int(at), int(ident)) if dash and at.isdecimal() and ident.isdecimal() and max(len(at), len(ident)) < 19 else None


def router(pages: Pages) -> APIRouter:
    """All pages. Handlers are plain functions: FastAPI runs them beside its event loop, as they read the database."""
    routes = APIRouter(include_in_schema=False)
    _lists(routes, pages)
    _details(routes, pages)
    _parts(routes, pages)
    _files(routes)
    return routes


def _lists(routes: APIRouter, pages: Pages) -> None:
    @routes.get("/")
    def glance(request: Request, language: Language = None) -> Response:
        rows, _ = pages.recordings(None, None, 10)
        values = {"glance": pages.glance(), "devices": pages.devices(), "recordings": rows, "query": "limit=10"}
        return pages.page(request, "glance.html", language, {**values, "here": "glance"})

    @routes.get("/recordings")
    def recordings(request: Request, after: str | None = None, language: Language = None) -> Response:
        rows, more = pages.recordings(after, None, views.RECORDINGS_SHOWN)
        query = f"after={after}" if _cursor(after) else ""
        return pages.page(request, "recordings.html", language, {"recordings": rows, "next": more, "query": query, "here": "recordings"})

    @routes.get("/devices")
    def devices(request: Request, language: Language = None) -> Response:
        return pages.page(request, "devices.html", language, {"devices": pages.devices(), "here": "devices"})

    @routes.get("/ledger")
    def ledger(request: Request, language: Language = None) -> Response:
        origin = pages.sources.ledger.origin
        size = pages.sources.logs.size(origin)
        first = max(0, size - LINES_SHOWN)
        lines = [views.ledger_line(first + i, line) for i, line in enumerate(pages.sources.logs.lines(origin, first, size))]
        values = {"checkpoint": pages.sources.ledger.checkpoint(), "keys": pages.sources.keys, "lines": lines[::-1]}
        return pages.page(request, "ledger.html", language, {**values, "here": "ledger"})


def _details(routes: APIRouter, pages: Pages) -> None:
    sources = pages.sources

    @routes.get("/recordings/{name}")
    def recording(request: Request, name: str, language: Language = None) -> Response:
        try:
            one = sources.catalogue.find(name)
        except Unknown as e:
            return pages.problem(request, HTTPStatus.NOT_FOUND, str(e))
        sources.ledger.append("view", {"device": one.device, "recording": one.recording, "by": "console"})
        story = pages.story(one)
        tracks = [t for t in sources.catalogue.tracks(one.id) if t.media != "image/jpeg"]
        fragments = [f for t in tracks for f in sources.catalogue.fragments(t.id)]
        values = {
            "r": pages.rows([one])[0],
            "timeline": views.timeline(one, fragments, story),
            "events": views.events(story, text.of(pages.language(request, language))),
            "custody": views.custody(sources.ledger.custody(one.device, one.recording)),
        }
        return pages.page(request, "recording.html", language, {**values, "here": "recordings"})

    @routes.get("/devices/{device}")
    def device(request: Request, device: str, language: Language = None) -> Response:
        found = next((d for d in pages.devices() if d["id"] == device), None)
        if found is None:
            return pages.problem(request, HTTPStatus.NOT_FOUND, f"there is no device {device[:40]} here")
        rows, _ = pages.recordings(None, device, views.RECORDINGS_SHOWN)
        facts = views.health_facts(found["health"], text.of(pages.language(request, language)))
        values = {"device": found, "facts": facts, "recordings": rows, "query": f"device={found['id']}"}
        return pages.page(request, "device.html", language, {**values, "here": "devices"})


def _parts(routes: APIRouter, pages: Pages) -> None:
    """The pieces of pages that renew themselves."""

    @routes.get("/parts/glance")
    def glance(request: Request, language: Language = None) -> Response:
        return pages.page(request, "_glance.html", language, {"glance": pages.glance()})

    @routes.get("/parts/devices")
    def devices(request: Request, language: Language = None) -> Response:
        return pages.page(request, "_devices.html", language, {"devices": pages.devices()})

    @routes.get("/parts/recordings")
    def recordings(
        request: Request,
        after: str | None = None,
        device: str | None = None,
        limit: int = views.RECORDINGS_SHOWN,
        language: Language = None,
    ) -> Response:
        rows, _ = pages.recordings(after, device, max(1, min(limit, views.RECORDINGS_SHOWN)))
        return pages.page(request, "_recordings.html", language, {"recordings": rows})


def _files(routes: APIRouter) -> None:
    @routes.get("/static/{name}")
    def static(name: str) -> Response:
        path = HERE / "static" / Path(name).name
        kind = _STATIC.get(path.suffix)
        return FileResponse(path, media_type=kind) if kind and path.is_file() else Response(status_code=404)

    @routes.get("/vendor/{name}")
    def third_party(name: str) -> Response:
        path = vendor.path(name)
        return FileResponse(path) if path else Response(status_code=404)

    @routes.get("/language/{language}")
    def choose(language: str, back: str = "/") -> Response:
        # Only a path of ours: `//host` would lead elsewhere.
        target = back if back.startswith("/") and not back.startswith(("//", "/\\")) else "/"
        answer = RedirectResponse(target, 303)
        if language in text.LANGUAGES:
            answer.set_cookie("language", language, max_age=365 * 86400, samesite="lax", httponly=True)
        return answer
