"""Carries out the server's orders and answers each in the journal (docs/evidence-format.md, section 8).

Rules:
- `start` `stop` `mark` `locate` `upload` are carried out; every other one is answered `unsupported`, an old one `expired`, one
  that the recorder's state does not know `refused: …`. An order to purge changes nothing about what may go (section 6).
- An order is acknowledged to the broker once its line is durable, so it is never lost; its number is never taken twice.

Who may order was decided by the inbox: the orders key, our origin, a number that rises.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.core.errors import SessionError
from agent.pipeline.tray import Entry

if TYPE_CHECKING:
    from agent.capture.recorder import Recorder
    from agent.pipeline.clerk import Clerk
    from agent.pipeline.machine import OrderQueue
    from agent.pipeline.state import State
    from agent.uplink.inbox import Order
    from agent.uplink.upload import Uploader

log = logging.getLogger(__name__)

WAIT_S = 0.5
MAX_LABEL = 200
DONE = "done"


class Orders:
    """One order after the other, in a thread of their own: a stop may have to wait for the last fragment."""

    def __init__(
        self,
        recorder: Recorder | None,
        clerk: Clerk,
        state: State,
        uploader: Callable[[], Uploader | None],
        waiting: OrderQueue | None = None,
    ) -> None:
        self._recorder, self._clerk, self._state, self._uploader = recorder, clerk, state, uploader
        self._queue: OrderQueue = waiting if waiting is not None else queue.SimpleQueue()
        self._known: dict[str, Callable[[Order], str]] = {
            "start": self._start,
            "stop": self._stop,
            "mark": self._mark,
            "locate": self._locate,
            "upload": self._upload,
        }

    def post(self, order: Order, done: Callable[[], None]) -> None:
        """An order came; `done` is called when its answer is on record."""
        self._queue.put((order, done))

    def step(self) -> str:
        """Carry out one order."""
        try:
            order, done = self._queue.get(timeout=WAIT_S)
        except queue.Empty:
            return ""
        result = self.carry_out(order)
        log.info("order", extra={"number": order.number, "order": order.name, "result": result})
        self._clerk.post(Entry(lambda scribe: scribe.order(order.number, order.name, result), durable=done))
        return f"{order.name}: {result}"

    def carry_out(self, order: Order) -> str:
        """What became of it, in the words of the `order` line."""
        if order.expired:
            return "expired"
        act = self._known.get(order.name)
        if act is None:
            return "unsupported"
        try:
            return act(order)
        except SessionError as error:
            return f"refused: {error}"[:MAX_LABEL]

    def _start(self, _order: Order) -> str:
        if self._recorder is None:
            return "refused: there is no camera and no microphone"
        if not self._state.may_record:
            return "refused: " + "; ".join(self._state.alarms)
        self._recorder.start("remote")
        return DONE

    def _stop(self, _order: Order) -> str:
        if self._recorder is None:
            return "refused: there is no camera and no microphone"
        self._recorder.stop("remote")
        return DONE

    def _mark(self, order: Order) -> str:
        label = order.members.get("label", "remote")
        if not isinstance(label, str) or not 1 <= len(label) <= MAX_LABEL:
            return f"refused: a label is 1 to {MAX_LABEL} characters"
        if self._recorder is None:
            return "refused: there is no camera and no microphone"
        self._recorder.mark(label)
        return DONE

    def _locate(self, _order: Order) -> str:
        fix = self._clerk.newest_fix
        if fix is None:
            return "refused: no position is known"
        self._clerk.post(Entry(lambda scribe: scribe.fix(fix)))
        return DONE

    def _upload(self, _order: Order) -> str:
        uploader = self._uploader()
        if uploader is None:
            return "refused: the device has not spoken to the server yet"
        uploader.hurry()
        return DONE
