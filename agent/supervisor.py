"""Runs the agent: one table of daemons, one loop, one place where everything is caught, and an orderly end.

Rules:
- A daemon is a `step()` that does one piece of work and says what it did; its loop is three lines. It never stops the others.
- `except Exception` stands here and nowhere else: what no stage expected is logged with its traceback, counted, shown in
  `health`, and the daemon goes on after a wait (`core.backoff`): a recorder in the street has nobody to restart it.
- SIGTERM and SIGINT end it: the recording is stopped (trigger `signal`) and made durable, the farewell is said, exit 0.
- Where only the next journal can go on, the same is done (trigger `journal`), and the next pipeline goes on with the recording:
  an officer who pressed once is recorded until he presses again.

What the steps do is the stages' business.
"""

from __future__ import annotations

import logging
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.core.backoff import Backoff

if TYPE_CHECKING:
    from agent.pipeline.wiring import Pipeline

log = logging.getLogger(__name__)

RESTART_FIRST_MS = 200
RESTART_MAX_MS = 30_000
JOIN_WITHIN_S = 5.0
LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class Daemon:
    """`step` is taken from the pipeline; `period_s` is the pause after a step (0: the step itself waits for work).

    `ends`: `first` daemons stop taking in before the recording is stopped, `last` ones go on until all is on the disk.
    """

    name: str
    step: Callable[[Pipeline], Callable[[], str]]
    period_s: float
    ends: str


# name, step, pause after a step in seconds, when it ends
DAEMONS = (
    Daemon("journal", lambda p: p.clerk.step, 0, "last"),
    Daemon("buttons", lambda p: p.buttons.step, 0, "first"),
    Daemon("orders", lambda p: p.orders.step, 0, "first"),
    Daemon("position", lambda p: p.position.step, 0, "last"),
    Daemon("duty", lambda p: p.duty.step, 0.1, "last"),
    Daemon("exchange", lambda p: p.upward.exchange_step, 0, "last"),
    Daemon("handshake", lambda p: p.upward.greet_step, 0.2, "last"),
    Daemon("upload", lambda p: p.upward.upload_step, 0, "last"),
    Daemon("purge", lambda p: p.purger.step, 5, "last"),
)


class Supervisor:
    """Threads for a table of daemons; `faults` counts by name what no stage expected."""

    def __init__(self, pipeline: Pipeline, daemons: tuple[Daemon, ...] = DAEMONS) -> None:
        self.faults: Counter[str] = Counter()
        self.last_words: dict[str, str] = {}
        self._pipeline = pipeline
        self._stopping = {"first": threading.Event(), "last": threading.Event()}
        self._threads = {one.name: threading.Thread(target=self._run, args=(one,), name=one.name, daemon=True) for one in daemons}
        self._ends = {one.name: one.ends for one in daemons}

    def start(self) -> None:
        """Start every daemon."""
        for thread in self._threads.values():
            thread.start()

    def end(self, when: str) -> None:
        """Ask the daemons that end `first` or `last` to end, and wait for them."""
        self._stopping[when].set()
        for name, thread in self._threads.items():
            if self._ends[name] == when:
                thread.join(JOIN_WITHIN_S)
                if thread.is_alive():
                    log.warning("daemon does not end", extra={"daemon": name})

    def _run(self, daemon: Daemon) -> None:
        stopping, step = self._stopping[daemon.ends], daemon.step(self._pipeline)
        backoff = Backoff(RESTART_FIRST_MS, RESTART_MAX_MS)
        while not stopping.is_set():
            wait_s = self.once(daemon, step, backoff)
            stopping.wait(wait_s)

    def once(self, daemon: Daemon, step: Callable[[], str], backoff: Backoff) -> float:
        """One step; how long to pause after it, in seconds."""
        try:
            did = step()
        except Exception:
            self.faults[daemon.name] += 1
            log.exception("daemon failed", extra={"daemon": daemon.name, "faults": self.faults[daemon.name]})
            return max(daemon.period_s, backoff.next(random.random()) / 1_000)  # noqa: S311 — jitter, no secret
        if did:
            self.last_words[daemon.name] = did
            log.debug(did, extra={"daemon": daemon.name})
        backoff.reset()
        return daemon.period_s


@dataclass(frozen=True, slots=True)
class Again:
    """The pipeline ended because only the next journal can go on: make it anew. `continues`: the recording that was open."""

    continues: str | None


def run(pipeline: Pipeline, asked: threading.Event) -> Again | None:
    """Run until `asked`, then end in order; Again where only the next journal can go on."""
    supervisor = Supervisor(pipeline)
    pipeline.start(supervisor.faults)
    supervisor.start()
    log.info("running", extra={"origin": pipeline.origin})
    while not asked.wait(LOOK_S) and not pipeline.must_restart:
        pass  # a wait without end would not see a signal on every platform
    log.info("stopping")
    supervisor.end("first")
    recording = pipeline.stop_recording("signal" if asked.is_set() else "journal")
    supervisor.end("last")
    pipeline.close()
    log.info("stopped")
    return Again(recording) if pipeline.must_restart and not asked.is_set() else None


def listen() -> threading.Event:
    """An event that SIGTERM and SIGINT set."""
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())
    return asked
