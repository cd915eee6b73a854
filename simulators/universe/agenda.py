"""Virtual time: what happens when, in order; and tasks, which are functions that may wait in the middle.

Rules:
- Nothing waits in truth: the clock jumps to the next event. Events of the same instant happen in the order in which they were put.
- One thing at a time: a task goes on until it waits (`pause`, `Bell.wait`) or ends. So one seed gives one history.
- What goes round in circles is found: where one minute holds more events than `most_a_minute`, `crowded` is told, once.
- A task that is killed unwinds from where it waits, as a process does that is told to exit; what its `finally` does is done.

Tasks are greenlets, because the agent's own code waits deep inside of calls. Nobody waits while holding a lock.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable
from itertools import count
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

from simulators.errors import SimulatorError

US_PER_S = 1_000_000

MOST_A_MINUTE = 60_000
"""Events: a recorder that records and sends makes some 1,600 in a minute."""

Entry = list[Any]
"""[when in µs, number, what to do or None where it was called off]."""


class Agenda:
    """The clock of a world: `now_us` since its beginning."""

    def __init__(self) -> None:
        self.now_us = 0
        self.stopped = ""
        self.steps = 0
        self.most_a_minute = MOST_A_MINUTE
        self.crowded: Callable[[], object] = lambda: None
        self._minute, self._steps_then = 0, 0
        self._heap: list[Entry] = []
        self._numbers = count()

    def at(self, when_us: int, act: Callable[[], object]) -> Entry:
        """Have something done at a time; at once where that is over."""
        entry: Entry = [max(when_us, self.now_us), next(self._numbers), act]
        heapq.heappush(self._heap, entry)
        return entry

    def after(self, delay_us: int, act: Callable[[], object]) -> Entry:
        """Have something done in a while."""
        return self.at(self.now_us + delay_us, act)

    def stop(self, why: str) -> None:
        """End the run behind what happens now."""
        self.stopped = self.stopped or why

    def run(self, until_us: int) -> None:
        """Let time pass."""
        while self._heap and self._heap[0][0] <= until_us and not self.stopped:
            when_us, _, act = heapq.heappop(self._heap)
            if act is not None:
                self.now_us = when_us
                self.steps += 1
                if when_us >= self._minute:
                    self._minute, self._steps_then = when_us + 60 * US_PER_S, self.steps
                elif self.steps - self._steps_then > self.most_a_minute:
                    self._minute = 0
                    self.crowded()
                act()
        if not self.stopped:
            self.now_us = max(self.now_us, until_us)

    def spawn(self, name: str, work: Callable[[], object], ended: Callable[[BaseException | None], None]) -> Task:
        """Begin a task, soon; `ended` hears of what it raised, or None."""
        task = Task(self, name, work, ended)
        self.after(0, task.resume)
        return task


def cancel(entry: Entry | None) -> None:
    """Call an entry off."""
    if entry is not None:
        entry[2] = None


class Task(greenlet):  # type: ignore[misc]  # it has no types
    """A function that may wait."""

    def __init__(self, agenda: Agenda, name: str, work: Callable[[], object], ended: Callable[[BaseException | None], None]) -> None:
        super().__init__(self._work, _hub())
        self.name = name
        self._agenda, self._function, self._ended = agenda, work, ended
        self._waking: Entry | None = None

    def _work(self) -> None:
        error: BaseException | None = None
        try:
            self._function()
        except GreenletExit:
            return
        except Exception as raised:  # noqa: BLE001 - the top of a task: its owner judges
            error = raised
        self._ended(error)

    def resume(self) -> None:
        """Go on; from the agenda only."""
        self._waking = None
        if not self.dead:
            self.switch()

    def wake_after(self, delay_us: int) -> None:
        """Go on in a while, or sooner where that was said before."""
        when_us = self._agenda.now_us + delay_us
        if self._waking is not None:
            if self._waking[0] <= when_us:
                return
            cancel(self._waking)
        self._waking = self._agenda.at(when_us, self.resume)

    def sleep(self, delay_us: int | None) -> None:
        """Wait, for the task itself; None: until somebody wakes it."""
        assert getcurrent() is self, f"{self.name} waits from somewhere else"
        cancel(self._waking)
        self._waking = None if delay_us is None else self._agenda.after(delay_us, self.resume)
        assert self.parent is not None
        self.parent.switch()

    def kill(self) -> None:
        """End it where it waits; from the agenda only."""
        cancel(self._waking)
        if not self.dead:
            self.throw(GreenletExit)


def _hub() -> greenlet:
    """Where the agenda runs: whom every task gives way to, whoever spawned it."""
    found = getcurrent()
    while found.parent is not None:
        found = found.parent
    return found


def current() -> Task:
    """The task that runs; SimulatorError where something would wait that can't."""
    found = getcurrent()
    if not isinstance(found, Task):
        raise SimulatorError("something waits that is not a task of the simulated world; run it by Agenda.spawn")
    return found


def in_task() -> bool:
    """Whether what runs now may wait."""
    return isinstance(getcurrent(), Task)


def pause(delay_us: int) -> None:
    """Let virtual time pass for the task that calls."""
    current().sleep(max(delay_us, 0))


class Bell(threading.Event):
    """What one task waits on and others ring; `threading.Event` in virtual time.

    `stretch` makes a wait longer: a daemon that looks once a second has nothing to see in an idle hour.
    """

    def __init__(self, stretch: Callable[[float], float] = lambda seconds: seconds) -> None:
        super().__init__()
        self._waiting: Task | None = None
        self._stretch = stretch

    def set(self) -> None:
        """Ring: whoever waits goes on."""
        self.ring(0)

    def ring(self, delay_us: int) -> None:
        """Ring in a while; company that comes until then is seen together."""
        super().set()
        if self._waiting is not None:
            self._waiting.wake_after(delay_us)

    def wait(self, timeout: float | None = None) -> bool:
        """Whether it was rung before the time was over."""
        if self.is_set():
            return True
        task = self._waiting = current()
        try:
            task.sleep(None if timeout is None else int(self._stretch(timeout) * US_PER_S))
        finally:
            self._waiting = None
        return self.is_set()
