"""Every error that HTTP answers: one table, problem details (RFC 9457), from our exceptions or raised as a Problem.

A type is `urn:zhilu:<slug>`; `detail` says which thing, what was expected and what came. Further members are named where raised.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from agent.core.errors import CoreError
from server import errors
from server.metrics import Metrics

log = logging.getLogger(__name__)

TABLE = {
    "bad-request": (400, "The request can't be read"),
    "bad-digest": (400, "Content-Digest can't be read"),
    "digest-mismatch": (400, "The bytes are not those of Content-Digest"),
    "no-certificate": (403, "A client certificate is needed"),
    "other-site": (403, "Only pages of this console may ask for this"),
    "not-yours": (403, "A device sees only its own"),
    "revoked": (403, "The device was revoked"),
    "not-found": (404, "There is no such thing here"),
    "unknown-origin": (404, "The ledger lists no such journal"),
    "no-checkpoint": (404, "Nothing of this journal was cosigned yet"),
    "method": (405, "This can't be done here"),
    "silent": (408, "The sender has gone silent"),
    "not-named": (409, "No cosigned line names these bytes yet"),
    "not-exportable": (409, "There is nothing that a package could prove yet"),
    "not-held": (409, "These bytes are not here yet"),
    "ambiguous": (409, "The id stands for several things"),
    "too-large": (413, "More than one request may bring"),
    "range": (416, "The range is not in the file"),
    "other-host": (421, "This console has no such name"),
    "mismatch": (422, "A fragment is not what its line says"),
    "busy": (429, "Too many requests of this device at once"),
    "unexpected": (500, "Something went wrong in the server"),
    "storage": (500, "The server could not keep or read it"),
    "not-ready": (503, "The server is not ready"),
    "storage-full": (507, "There is no room left"),
}
"""slug → (status, title)."""

SLUGS: tuple[tuple[type[Exception], str], ...] = (
    (errors.Unknown, "not-found"),
    (errors.Ambiguous, "ambiguous"),
    (errors.StorageFull, "storage-full"),
    (errors.StorageError, "storage"),
    (errors.ServerError, "unexpected"),
    (CoreError, "bad-request"),
)
"""Which of our errors is which problem; the first that fits."""

BY_STATUS = {404: "not-found", 405: "method", 413: "too-large"}


class Problem(Exception):
    """An answer that is an error: a slug of the table, what was expected and what came, and further members."""

    def __init__(self, slug: str, detail: str, **members: Any) -> None:
        super().__init__(f"{slug}: {detail}")
        self.slug, self.detail, self.members = slug, detail, members
        self.status, self.title = TABLE[slug]

    def body(self) -> dict[str, Any]:
        """The problem details."""
        return {
            "type": f"urn:zhilu:{self.slug}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            **self.members,
        }


def problem_of(error: Exception) -> Problem:
    """Any of the exceptions that reach HTTP, as a problem."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        told = "; ".join(f"{'.'.join(str(p) for p in one['loc'][1:])}: {one['msg']}" for one in error.errors())
        return Problem("bad-request", told[:1000])
    if isinstance(error, HTTPException):
        nowhere = error.status_code == 404 and error.detail == "Not Found"
        return Problem(BY_STATUS.get(error.status_code, "bad-request"), "nothing has this address here" if nowhere else str(error.detail))
    for kind, slug in SLUGS:
        if isinstance(error, kind):
            return Problem(slug, str(error))
    log.error("unexpected", exc_info=error)
    return Problem("unexpected", "the server's log says more")


def show_in(app: FastAPI, page: Callable[[Request, int, str], Response]) -> None:
    """Show problems as that page of (request, status, detail) to whoever asks for HTML, as a browser does for what it opens."""
    app.state.problem_page = page


def install(app: FastAPI, metrics: Metrics) -> None:
    """Answer every error of an application as a problem, and count it."""

    async def answer(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        metrics.add("zhilu_problems_total", problem.slug)
        page = getattr(app.state, "problem_page", None)
        if page is not None and "text/html" in request.headers.get("accept", ""):
            shown: Response = await run_in_threadpool(page, request, problem.status, problem.detail)
            return shown
        # 405 names the methods that there are (RFC 9110, section 15.5.6): only who raised it knows them.
        headers = error.headers if isinstance(error, HTTPException) else None
        return JSONResponse(problem.body(), problem.status, headers, media_type="application/problem+json")

    for kind in (Problem, HTTPException, RequestValidationError, errors.ServerError, CoreError, Exception):
        app.add_exception_handler(kind, answer)
