"""For those who keep it running: alive, ready, and figures for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from server import description
from server.metrics import Metrics
from server.problems import Problem


def router(metrics: Metrics, checks: Mapping[str, Callable[[], bool]]) -> APIRouter:
    """`checks`: what must hold for the server to be ready, by name."""
    made = APIRouter(tags=["operations"])

    @made.get("/healthz")
    def healthz() -> dict[str, bool]:
        """The process answers."""
        return {"alive": True}

    @made.get("/readyz", responses=description.problems("not-ready"))
    def readyz() -> dict[str, bool]:
        """Everything that ingest needs is there."""
        found = {name: check() for name, check in checks.items()}
        if not all(found.values()):
            raise Problem("not-ready", ", ".join(name for name, fine in found.items() if not fine), checks=found)
        return found

    @made.get("/metrics", response_class=PlainTextResponse)
    def figures() -> PlainTextResponse:
        """Counts and gauges (Prometheus exposition format)."""
        return PlainTextResponse(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return made
