"""What is looked at while the recorder is on: clock, battery, space, and what the officer sees of it all.

Rules:
- What changes and bears on the evidence becomes a line (`due` says when): `clock`, `beacon`, `power`, `storage`.
- A battery about to end and a disk about to be full end the recording while there is enough for ending it properly.
- Lamp and screen follow within a step; a pattern is played once for each thing that happened.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agent.core.errors import SessionError
from agent.journal.errors import Storage
from agent.pipeline.due import UNVOUCHED, ClockNote, ClockRule, SpaceState, battery_state, beacon_due, clock_due, space_state, trusted
from agent.pipeline.signals import PATTERNS, Glance, signal
from agent.pipeline.timekeeping import Timekeeper, moment, reference
from agent.pipeline.tray import Entry
from hal.contracts import ClockReading, PowerReading, Signal
from hal.errors import HalError

if TYPE_CHECKING:
    from agent.capture.recorder import Recorder
    from agent.config import Settings
    from agent.pipeline.clerk import Clerk
    from agent.pipeline.state import State
    from hal.board import Board

log = logging.getLogger(__name__)

LOOK_EVERY_US = 1_000_000
US_PER_S = 1_000_000
MS = 1_000


@dataclass(frozen=True, slots=True)
class Figures:
    """What others know and the screen shows: bytes that wait, whether the broker is there, free bytes of the disk.

    `past_ms` is a wall time that is certainly over: the newest cosignature's.
    """

    waiting_bytes: Callable[[], int]
    online: Callable[[], bool]
    free_bytes: Callable[[], int]
    past_ms: Callable[[], int] = lambda: 0


class Duty:
    """Looks once a second, shows at every step."""

    def __init__(self, board: Board, settings: Settings, clerk: Clerk, recorder: Recorder | None, state: State, figures: Figures) -> None:
        self._board, self._settings, self._clerk, self._recorder, self._state = board, settings, clerk, recorder, state
        self._figures = figures
        duty = settings.duty
        self._rule = ClockRule(duty.clock_recording_s, duty.clock_idle_s, duty.clock_step_ms)
        self._keeper = Timekeeper(duty.clock_wrong_ms, duty.clock_step_ms)
        self._note: ClockNote | None = None
        self._beacon_ms = 0
        self._next_us = 0
        self._shown: Signal | None = None
        self._indicator_failed = False

    def step(self) -> str:
        """Look where it is time, show what changed."""
        now_us = self._board.clock.up_us()
        did = ""
        if now_us >= self._next_us:
            self._next_us = now_us + LOOK_EVERY_US
            self._state.waiting_bytes = self._figures.waiting_bytes()
            did = ", ".join(name for name, look in self._looks() if look())
        self.show()
        return did

    def _looks(self) -> tuple[tuple[str, Callable[[], bool]], ...]:
        return (
            ("clock", self.look_at_clock),
            ("beacon", self._look_at_beacon),
            ("power", self._look_at_power),
            ("space", self._look_at_space),
        )

    # ----------------------------------------------------------------- clock and beacon

    def look_at_clock(self) -> bool:
        """A `clock` line where one is due."""
        clock = self._board.clock
        try:
            reading = clock.reading()
        except HalError as error:
            log.warning("clock does not say how right it is", extra={"why": str(error)})
            reading = ClockReading("none", 0, 0)
        now, past_ms = moment(clock), self._figures.past_ms()
        at_ms, up_ms = now.at_ms, now.up_us // MS
        reading = reference(reading, now, self._clerk.newest_fix, past_ms)
        self._tell_clock(self._keeper.look(now, reading, past_ms), reading)
        state = self._state
        state.clock_source, state.clock_error_ms, state.clock_trusted = reading.source, reading.error_ms, trusted(reading)
        if not clock_due(self._note, reading, at_ms, up_ms, self._rule, recording=self._clerk.running is not None):
            return False
        self._note = ClockNote(reading, at_ms - up_ms, up_ms)
        self._clerk.post(Entry(lambda scribe: scribe.clock(reading)))
        return True

    def _tell_clock(self, how: str, reading: ClockReading) -> None:
        """An alarm while the clock is wrong, a passing one where it jumped and nobody vouches for what it shows."""
        state = self._state
        if how:
            state.alarm("clock-wrong", how=how)
        else:
            state.clear("clock")
        if reading.source not in UNVOUCHED:
            state.clear("clock-jumped")
        elif self._keeper.jumped and not how:
            state.alarm("clock-jumped")

    def _look_at_beacon(self) -> bool:
        clerk, now_ms = self._clerk, self._board.clock.up_us() // MS
        every_s = self._settings.duty.beacon_every_s
        if not beacon_due(clerk.written_beacon, clerk.known_beacon, now_ms - self._beacon_ms, every_s, starting=False):
            return False
        self._beacon_ms = now_ms
        clerk.post(Entry(clerk.write_beacon))
        return True

    # ----------------------------------------------------------------- power and space

    def _look_at_power(self) -> bool:
        if self._board.power is None:
            return False
        try:
            reading = self._board.power.read()
        except HalError as error:
            log.warning("battery does not answer", extra={"why": str(error)})
            reading = PowerReading(None, None)
        duty, state = self._settings.duty, self._state
        now = battery_state(reading, duty.battery_low_percent, duty.battery_stop_percent)
        state.percent, state.charging = reading.percent, reading.charging
        if now == state.battery:
            return False
        before, state.battery = state.battery, now
        figures = {} if reading.percent is None else {"percent": reading.percent}
        self._clerk.post(Entry(lambda scribe: scribe.event("power", now, **figures)))
        if now in {"low", "critical"} or (now == "unknown" and before != "unknown"):
            state.alarm(f"battery-{now}", percent=reading.percent)
        else:
            state.clear("power")
        if now == "critical":
            self._end("power")
        return True

    def _look_at_space(self) -> bool:
        storage, state = self._settings.storage, self._state
        figures: dict[str, int | str] = {}
        now: SpaceState = "unwritable"
        try:
            state.free_bytes = figures["free"] = free = self._figures.free_bytes()
            now = space_state(state.space, free, storage.reserve_bytes, storage.stop_below_bytes)
        except Storage as error:
            figures["error"] = errno.errorcode.get(error.errno, str(error.errno))
        if now in {"full", "unwritable"}:
            self._end("storage")
        if now == state.space:
            return False
        state.space = now
        self._clerk.post(Entry(lambda scribe: scribe.event("storage", now, **figures)))
        if now == "good":
            state.clear("space")
        else:
            state.alarm(f"disk-{now}")
        return True

    def _end(self, trigger: str) -> None:
        """End the recording while it can be ended properly."""
        recorder = self._recorder
        if recorder is not None and recorder.state in {"recording", "post", "restarting"}:
            try:
                recorder.stop(trigger)
            except SessionError:
                log.info("the recording ended by itself", extra={"trigger": trigger})

    # ----------------------------------------------------------------- lamp, sound, screen

    def glance(self) -> Glance:
        """Everything that is shown, now."""
        state, running = self._state, self._clerk.under_way
        now_us = self._board.clock.up_us()
        moment = datetime.fromtimestamp(self._board.clock.wall_ms() // MS, UTC).astimezone(self._settings.overlay.zone)
        return Glance(
            recording=running is not None,
            elapsed_s=(now_us - running.up_us) // US_PER_S if running else 0,
            battery_percent=state.percent,
            charging=state.charging,
            free_bytes=state.free_bytes,
            waiting_bytes=state.waiting_bytes,
            clock=moment.strftime("%H:%M:%S"),
            clock_trusted=state.clock_trusted,
            online=self._figures.online(),
            alarms=state.alarms,
            grave=state.grave,
            discreet=self._settings.indicator.discreet,
        )

    def dark(self) -> None:
        """The recorder is off; what happened last, the end of a recording above all, is felt and heard with that."""
        happened = ""
        while news := self._state.next_happening():
            happened = news
        pattern = PATTERNS.get(happened, "")
        if self._board.indicator is not None:
            try:
                self._board.indicator.show(Signal("off", "" if self._settings.indicator.discreet else pattern, pattern))
            except HalError as error:
                log.warning("the indicator does not work", extra={"why": str(error)})

    def show(self) -> None:
        """Show what is, and play what happened."""
        indicator = self._board.indicator
        happened = self._state.next_happening()
        if indicator is None:
            return
        now = signal(self.glance(), happened)
        if now == self._shown:
            return
        try:
            indicator.show(now)
        except HalError as error:
            if not self._indicator_failed:
                log.warning("the indicator does not work", extra={"why": str(error)})
            self._indicator_failed = True
            return
        self._indicator_failed = False
        # a pattern is played once: what comes next has none, and must be shown though all else is the same
        self._shown = now if not (now.sound or now.vibration) else None
