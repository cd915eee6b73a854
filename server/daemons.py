"""Loops around steps, each in a thread of its own, stopped together.

What goes wrong in a step is logged and counted, and the loop goes on.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from server.metrics import Metrics

log = logging.getLogger(__name__)
AFTER_ERROR_S = 1.0
PAUSE_S = 0.05
"""Between two steps that found work: much little work at once costs less than each on its own."""


class Daemons:
    """Threads that repeat a step; ends with the `with` block."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._stopping = threading.Event()
        self._wake: list[threading.Event] = []
        self._threads: list[threading.Thread] = []

    def every(self, name: str, seconds: float, step: Callable[[], object]) -> None:
        """Run `step` at once and then every so many seconds."""
        self._start(name, lambda: self._guard(name, step) and self._stopping.wait(seconds))

    def whenever(self, name: str, news: threading.Event, idle_s: float, step: Callable[[], object]) -> None:
        """Run `step` when there is news, or after a while without; while it finds something to do, with short pauses."""
        self._wake.append(news)
        self._start(name, lambda: self._guard(name, lambda: self._stopping.wait(PAUSE_S) if step() else news.wait(idle_s)))

    def _start(self, name: str, turn: Callable[[], object]) -> None:
        def loop() -> None:
            while not self._stopping.is_set():
                turn()

        thread = threading.Thread(target=loop, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _guard(self, name: str, step: Callable[[], object]) -> bool:
        try:
            step()
        except Exception:
            log.exception("%s: a step failed; trying again", name)
            self._metrics.add("zhilu_daemon_errors_total", name)
            self._stopping.wait(AFTER_ERROR_S)
            return False
        return True

    @property
    def alive(self) -> bool:
        """Whether every thread runs."""
        return all(thread.is_alive() for thread in self._threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stopping.set()
        for event in self._wake:
            event.set()
        for thread in self._threads:
            thread.join()
