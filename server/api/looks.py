"""Looking is recorded: `view`, `play`, `search` and `export` lines in the ledger (docs/evidence-format.md, section 7).

A page that renews itself and a player that fetches a playlist every second are one look: the same viewer, doing the same with
the same recording, is written down again only after ten minutes without.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from fastapi import Request

from server.ledger.ledger import Ledger
from server.store.catalogue import Recording

PAUSE_S = 600.0
MAX_VIEWERS = 10_000
BY = "console"
"""Who looks, while there is no login: whoever sits at the machine, for the console listens on nothing else."""


class Looks:
    """Writes looks into the ledger. For any thread."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._last: dict[tuple[str, ...], float] = {}

    def look(self, request: Request, kind: str, recording: Recording) -> None:
        """Somebody looks at a recording."""
        if self._new((viewer(request), kind, recording.device, recording.recording)):
            self._ledger.append(kind, about(recording))

    def search(self, request: Request, query: dict[str, Any]) -> None:
        """Somebody searches; what for is written down."""
        said = {name: value for name, value in sorted(query.items()) if value is not None}
        if said and self._new((viewer(request), "search", str(said))):
            self._ledger.append("search", {"by": BY, "query": said})

    def export(self, recording: Recording, **what: Any) -> int:
        """Somebody takes a package away; the index of the line that goes along."""
        return self._ledger.append("export", {**about(recording), **what})

    def _new(self, key: tuple[str, ...]) -> bool:
        now = time.monotonic()
        with self._lock:
            last = self._last.pop(key, None)
            self._last[key] = now
            while len(self._last) > MAX_VIEWERS:
                del self._last[next(iter(self._last))]
        return last is None or now - last > PAUSE_S


def viewer(request: Request) -> str:
    """Who is asking, as well as it can be told without a login."""
    client = request.client.host if request.client else ""
    return f"{client} {request.headers.get('user-agent', '')}"


def about(recording: Recording) -> dict[str, Any]:
    """The members of a line about a recording; the ledger adds `c`."""
    return {"device": recording.device, "recording": recording.recording, "by": BY}
