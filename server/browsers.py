"""Who may ask the console: people at this machine, and not the pages of other sites that are open in their browsers.

Rules:
- `Host` names this machine: localhost or a loopback address. Another name that leads here is another site's, pointed at us
  to read everything as its own (DNS rebinding).
- What a browser sends on behalf of another site (Fetch Metadata: `Sec-Fetch-Site`) is refused, save a link that is followed:
  forms that hand over packages, pictures and scripts of strangers would write lines into the ledger that nobody meant.
- Browsers that know no Fetch Metadata send `Origin` with what changes something: it must be ours.

Programs send none of these but Host. Loopback alone keeps out other machines; this keeps out other pages.
"""

from __future__ import annotations

import ipaddress
import re

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from server.metrics import Metrics
from server.problems import Problem

_HOST = re.compile(r"(localhost|[0-9.]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?", re.IGNORECASE)
_OWN = ("same-origin", "none")


class OwnPages:
    """The middleware."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with a problem."""
        problem = refusal(scope["method"], Headers(scope=scope)) if scope["type"] == "http" else None
        if problem is None:
            await self._app(scope, receive, send)
            return
        self._metrics.add("zhilu_problems_total", problem.slug)
        await JSONResponse(problem.body(), problem.status, media_type="application/problem+json")(scope, receive, send)


def refusal(method: str, headers: Headers) -> Problem | None:
    """Why a request is not answered; None when it is."""
    hosts = headers.getlist("host")
    if len(hosts) != 1 or not is_loopback(hosts[0]):
        return Problem("other-host", f"expected localhost or a loopback address as Host, got {', '.join(hosts)[:80]!r}")
    site, mode, target = (headers.get(f"sec-fetch-{name}") for name in ("site", "mode", "dest"))
    followed = method == "GET" and mode == "navigate" and target == "document"
    if site is not None and site not in _OWN and not followed:
        return Problem("other-site", f"a page of another site ({site[:20]}) asked for this")
    origin = headers.get("origin")
    if origin is not None and method not in ("GET", "HEAD") and origin.partition("://")[2].lower() != hosts[0].lower():
        return Problem("other-site", f"a page of {origin[:80]} asked for this")
    return None


def is_loopback(host: str) -> bool:
    """Whether a Host header names this machine."""
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    name = found[1].strip("[]")
    try:
        return name.lower() == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
