"""The officer's hand and the receiver's position: two readers that pass on what a device says.

A device that fails is read again after a wait with jitter (`core.backoff`); it never ends anything. Whether a position can be true is
`whereabouts`' question; what it says of it goes on record and is signalled, and the position stays what the receiver said.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.core.backoff import Backoff
from agent.pipeline.timekeeping import moment, time_off_ms
from hal.errors import HalError, SignalLost

if TYPE_CHECKING:
    from agent.capture.recorder import Recorder
    from agent.pipeline.clerk import Clerk
    from agent.pipeline.state import State
    from agent.pipeline.whereabouts import Whereabouts
    from hal.contracts import Button, Clock, Fix, Locator

log = logging.getLogger(__name__)

READ_S = 0.5
RETRY_FIRST_MS = 500
RETRY_MAX_MS = 30_000


class Buttons:
    """Edges to the recorder. While nothing may be recorded a press is answered by an alarm instead of silence."""

    def __init__(self, button: Button | None, recorder: Recorder | None, state: State) -> None:
        self._button, self._recorder, self._state = button, recorder, state
        self._backoff = Backoff(RETRY_FIRST_MS, RETRY_MAX_MS)
        self._pause = threading.Event()

    def step(self) -> str:
        """One edge, or none in time."""
        if self._button is None:
            self._pause.wait(READ_S)
            return ""
        try:
            edge = self._button.read(READ_S)
        except HalError as error:
            log.warning("buttons failed", extra={"why": str(error)})
            self._pause.wait(self._backoff.next(random.random()) / 1_000)  # noqa: S311 — jitter, no secret
            return "failed"
        self._backoff.reset()
        if edge is None:
            return ""
        if self._recorder is None or (self._recorder.state == "idle" and not self._state.may_record):
            if edge.down:
                self._state.happened("alarm")
            return f"{edge.button} refused"
        self._recorder.press(edge.button, edge.down, edge.up_us)
        return f"{edge.button} {'down' if edge.down else 'up'}"


class Position:
    """Fixes to the clerk, who writes them while something is recorded. `past_ms`: a wall time that is certainly over."""

    def __init__(
        self, locator: Locator | None, clerk: Clerk, state: State, watch: Whereabouts, clock: Clock, past_ms: Callable[[], int]
    ) -> None:
        self._locator, self._clerk, self._state = locator, clerk, state
        self._watch, self._clock, self._past_ms = watch, clock, past_ms
        self._backoff = Backoff(RETRY_FIRST_MS, RETRY_MAX_MS)
        self._pause = threading.Event()
        self._started = False

    def step(self) -> str:
        """One fix, or none in time."""
        if self._locator is None:
            self._pause.wait(READ_S)
            return ""
        try:
            if not self._started:
                self._locator.start()
                self._started = True
            fix = self._locator.read(READ_S)
        except SignalLost:
            self._state.position = False
            return self._nothing()
        except HalError as error:
            self._state.position = False
            self._started = False
            log.warning("position failed", extra={"why": str(error)})
            self._nothing()
            self._pause.wait(self._backoff.next(random.random()) / 1_000)  # noqa: S311 — jitter, no secret
            return "failed"
        self._backoff.reset()
        if fix is None:
            return self._nothing()
        self._state.position = True
        self._clerk.seen(fix)
        return self._say(self._watch.seen(fix, self._time_off_ms(fix)))

    def _nothing(self) -> str:
        told = self._watch.idle(self._clock.up_us())
        if self._watch.lost:
            self._state.position = False
        return self._say(told)

    def _say(self, told: list[tuple[str, str]]) -> str:
        for event, detail in told:
            self._clerk.alarm(event, detail)
        return ", ".join(event for event, _ in told)

    def _time_off_ms(self, fix: Fix) -> int | None:
        try:
            reading = self._clock.reading()
        except HalError:
            return None
        return time_off_ms(fix, reading, moment(self._clock), self._past_ms())
