"""Counts and logs what was refused: every one is counted, and of many for one reason the first ones of a minute are logged."""

from __future__ import annotations

import logging
import threading
import time

from server.ingest.reasons import Reason, Refusal
from server.metrics import Metrics

log = logging.getLogger(__name__)

LOGGED_A_MINUTE = 20


class Refusals:
    """One for all of ingest; for any thread."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._lock = threading.Lock()
        self._minute: dict[Reason, tuple[int, int]] = {}

    def refuse(self, device: str, refusal: Refusal) -> None:
        """One message of a device was not let in."""
        self._metrics.add("zhilu_refused_total", refusal.reason.value)
        minute = int(time.monotonic() // 60)
        with self._lock:
            began, logged = self._minute.get(refusal.reason, (minute, 0))
            logged = logged + 1 if began == minute else 1
            self._minute[refusal.reason] = (minute, logged)
        if logged <= LOGGED_A_MINUTE:
            log.warning("%s: refused as %s: %s", device, refusal.reason.value, refusal.detail)
