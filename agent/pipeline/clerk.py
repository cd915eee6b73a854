"""The journal's thread: everything that goes on record passes through one queue and is written here, in the order it came.

Rules:
- What is waiting is written in one durable append: a fragment, the position and a mark of the same moment share their waiting
  for the disk. A position alone waits up to a second for company; a stop waits for nothing.
- Just before a `start` stands the newest beacon (docs/evidence-format.md, section 2).
- When the disk refuses, the recording ends with an alarm (trigger `storage`). What could not be written is lost and said: a line
  `storage` `failed`, a `gap` for each track and the `stop` are tried again until they are written, or recovery writes gaps and stop
  after the next start. That line is also how the disk is asked whether it is back.
- An entry that has no meaning (its track never began, its recording is over) costs itself only: the others of its batch are
  written without it. It is logged and counted.

How a line looks is the scribe's; when lines beside the media are due is `due`'s.
"""

from __future__ import annotations

import errno
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.capture.events import Alarm, FragmentMade, GapFound, Marked, RecordingStarted, RecordingStopped, TrackBegun
from agent.journal.errors import JournalError, Storage
from agent.pipeline.due import beacon_due, fix_due
from agent.pipeline.losses import Losses
from agent.pipeline.tray import Entry, Thing, Tray
from hal.contracts import Fix

if TYPE_CHECKING:
    from agent.journal.scribe import Scribe

log = logging.getLogger(__name__)

WAIT_S = 0.25
FIX_WAITS_US = 1_000_000
RETRY_US = 1_000_000
MS = 1_000


@dataclass(frozen=True, slots=True)
class Running:
    """The recording that is on record as begun and not stopped; `up_us` is the moment of its press."""

    recording: str
    up_us: int


@dataclass(frozen=True, slots=True)
class Rules:
    """What the clerk is told by the settings, and whom it tells what happened (`start` `stop` `mark` `storage`).

    `officer` is who the `start` line names: the one whose number is burnt into the picture.
    """

    fix_every_ms: int
    up_us: Callable[[], int]
    happened: Callable[[str, str], None]
    officer: str = ""


class Clerk:
    """The only writer. `post` and `seen` are for every thread, `step` for one; capture puts its events into the tray itself."""

    def __init__(self, scribe: Scribe, rules: Rules, tray: Tray, beacon: str | None = None) -> None:
        self.running: Running | None = None
        self.known_beacon = beacon
        self.written_beacon = beacon
        self.refused: Counter[str] = Counter()
        self.trouble = ""
        self.newest_fix: Fix | None = None
        self._scribe = scribe
        self._rules = rules
        self._tray = tray
        self._again: list[Thing] = []
        self._fix: Fix | None = None
        self._last_fix: Fix | None = None
        self._losses = Losses()
        self._retry_us = 0
        self._failed: dict[str, int | str] = {}
        self._writers: dict[type, Callable[[Scribe, object], None]] = {
            RecordingStarted: self._start,
            TrackBegun: _track,
            FragmentMade: _fragment,
            GapFound: _gap,
            Marked: self._mark,
            RecordingStopped: self._stop,
            Alarm: _alarm,
        }

    # ----------------------------------------------------------------- any thread

    def post(self, entry: Entry) -> None:
        """Put something on record, soon."""
        self._tray.put(entry)

    def alarm(self, event: str, detail: str) -> None:
        """Something that looks, listens or receives failed, or is well again: a `camera` line, and then a signal."""
        self._tray.put(Alarm(event, detail))

    def written(self, write: Callable[[Scribe], object], within_s: float) -> bool:
        """Have something written by itself and wait until it is, or was refused; False where that takes too long."""
        done = self._tray.event()
        self.post(Entry(write, durable=done.set, alone=True))
        return done.wait(within_s)

    def seen(self, fix: Fix) -> None:
        """A position; it goes on record while recording, with what is written next."""
        self._fix = self.newest_fix = fix

    @property
    def under_way(self) -> Running | None:
        """What lamp and `status` may call a recording: it runs, and the disk takes what comes of it."""
        running = self.running
        return None if running is None or self.trouble or self._losses.names(running.recording) else running

    @property
    def waiting(self) -> int:
        """What is not on record yet."""
        return len(self._tray)

    # ----------------------------------------------------------------- the journal's thread

    def step(self) -> str:
        """Write what is waiting; what was written."""
        things = self._tray.take(WAIT_S)
        things[:0] = self._pay_losses()
        wrote = 0
        while things:
            together: list[Thing] = []
            while things and not _is_alone(things[0]):
                together.append(things.pop(0))
            wrote += self._write_together(together)
            if things:
                wrote += self._write_one(things.pop(0))
        if not wrote and self._fix_is_due():
            wrote += self._write_together([])
        return f"wrote {wrote}" if wrote else ""

    def _write_together(self, things: list[Thing]) -> int:
        """All in one append; where one has no meaning, one by one; where the disk refuses, they are lost and said."""
        kept = [thing for thing in things if not self._is_lost(thing)]
        fix = self._fix if self._fix_is_due(company=bool(kept)) else None
        if not kept and fix is None:
            return 0
        try:
            with self._scribe.batch():
                for thing in kept:
                    self._write(thing)
                if fix is not None:
                    self._scribe.fix(fix)
        except Storage as error:
            self._lose(kept, error)
            return 0
        except JournalError as error:
            if len(kept) > 1:
                return sum(self._write_together([thing]) for thing in kept)
            self._refuse(kept, error)
            return 0
        if fix is not None:
            self._last_fix, self._fix = fix, None
        self._settle(kept)
        return len(kept) + (fix is not None)

    def _write_one(self, thing: Thing) -> int:
        try:
            self._write(thing)
        except Storage as error:
            self._lose([thing], error)
            return 0
        except JournalError as error:
            self._refuse([thing], error)
            return 0
        self._settle([thing])
        return 1

    def _write(self, thing: Thing) -> None:
        if isinstance(thing, Entry):
            thing.write(self._scribe)
        else:
            self._writers[type(thing)](self._scribe, thing)

    def _settle(self, things: list[Thing]) -> None:
        """What follows from being durable."""
        self._recover()
        for thing in things:
            if isinstance(thing, Entry):
                if thing.durable is not None:
                    thing.durable()
            elif isinstance(thing, RecordingStarted):
                self.running = Running(thing.recording, thing.up_us)
                self._rules.happened("start", thing.recording)
            elif isinstance(thing, RecordingStopped):
                self._stopped(thing.recording)
            elif isinstance(thing, Marked):
                self._rules.happened("mark", thing.label)
            elif isinstance(thing, Alarm):
                self._rules.happened("alarm", thing.event)

    def _stopped(self, recording: str) -> None:
        if self.running and self.running.recording == recording:
            self.running = None
        self._last_fix = None
        self._rules.happened("stop", recording)

    # ----------------------------------------------------------------- positions

    def _fix_is_due(self, *, company: bool = False) -> bool:
        fix = self._fix
        if fix is None or self.running is None or not fix_due(self._last_fix, fix, self._rules.fix_every_ms):
            return False
        return company or self._rules.up_us() - fix.up_us >= FIX_WAITS_US

    # ----------------------------------------------------------------- lines of recordings

    def _start(self, scribe: Scribe, thing: object) -> None:
        assert isinstance(thing, RecordingStarted)
        if beacon_due(self.written_beacon, self.known_beacon, 0, 0, starting=True):
            self.write_beacon(scribe)
        scribe.start(thing.recording, thing.trigger, thing.epoch_us, officer=self._rules.officer, continues=thing.continues)

    def write_beacon(self, scribe: Scribe) -> None:
        """The newest ledger checkpoint known goes on record."""
        if self.known_beacon is not None:
            scribe.beacon(self.known_beacon)
            self.written_beacon = self.known_beacon

    def _mark(self, scribe: Scribe, thing: object) -> None:
        assert isinstance(thing, Marked)
        scribe.mark(thing.recording, thing.label)

    def _stop(self, scribe: Scribe, thing: object) -> None:
        assert isinstance(thing, RecordingStopped)
        scribe.stop(thing.recording, thing.trigger)

    # ----------------------------------------------------------------- what the disk or the format refuses

    def _lose(self, things: list[Thing], error: Storage) -> None:
        """The disk refused: nothing of these is on record."""
        log.error("the disk refused", extra={"why": str(error), "entries": len(things)})
        self.refused["storage"] += 1
        self.trouble = str(error)
        self._retry_us = self._rules.up_us() + RETRY_US
        if not self._failed:
            self._failed = {"error": errno.errorcode.get(error.errno, str(error.errno)), "since": self._rules.up_us() // MS, "entries": 0}
        self._failed["entries"] = int(self._failed["entries"]) + len(things)
        for thing in things:
            if isinstance(thing, Entry | Alarm):
                self._again.append(thing)
            else:
                self._losses.add(thing, on_record=self._on_record)
        self._rules.happened("storage", str(error))

    def _recover(self) -> None:
        """The disk took something again."""
        if self.trouble:
            self.trouble = ""
            self._rules.happened("storage-over", "")

    def _on_record(self, recording: str) -> bool:
        return recording in self._scribe.journal.story.open

    def _is_lost(self, thing: Thing) -> bool:
        """Whether this belongs to a recording that a refused append has ended; it is counted there."""
        if isinstance(thing, Entry) or not self._losses.covers(thing):
            return False
        self._losses.add(thing, on_record=self._on_record)
        return True

    def _pay_losses(self) -> list[Thing]:
        """Say what was lost, and end the recordings that lost it, as soon as the disk takes it; entries that are to be tried again."""
        if self._rules.up_us() < self._retry_us:
            return []
        try:
            self._say_failed()
            for recording in self._losses.over():
                self._pay(recording)
        except Storage as error:
            self.trouble = str(error)
            self._retry_us = self._rules.up_us() + RETRY_US
            return []
        again, self._again = self._again, []
        return again

    def _say_failed(self) -> None:
        """That the disk refused, since when (`up` in ms) and how many entries; on record it proves that the disk is back."""
        if self._failed:
            self._scribe.event("storage", "failed", **self._failed)
            self._failed = {}
            self._recover()

    def _pay(self, recording: str) -> None:
        try:
            began = self._losses.write(self._scribe, recording)
        except Storage:
            raise
        except JournalError as error:
            began = True
            self.refused[type(error).__name__] += 1
            log.exception("a loss could not be put on record", extra={"recording": recording})
        self._losses.done(recording)
        if began:  # nobody felt a start, so nobody feels a stop
            self._stopped(recording)

    def _refuse(self, things: list[Thing], error: JournalError) -> None:
        self.refused[type(error).__name__] += 1
        log.error("refused by the journal", extra={"why": str(error), "what": [type(thing).__name__ for thing in things]})
        for thing in things:
            if isinstance(thing, Entry) and thing.durable is not None:
                thing.durable()  # whoever waits must not wait for ever; the log says what became of it


def _is_alone(thing: Thing) -> bool:
    return isinstance(thing, Entry) and thing.alone


def _track(scribe: Scribe, thing: object) -> None:
    assert isinstance(thing, TrackBegun)
    shape = {"width": thing.width or None, "height": thing.height or None, "rate": thing.rate or None}
    scribe.track(thing.recording, thing.track, thing.media, thing.codecs, thing.source, **shape)


def _fragment(scribe: Scribe, thing: object) -> None:
    assert isinstance(thing, FragmentMade)
    scribe.fragment(thing.recording, thing.track, thing.seq, thing.data, thing.pts_ms, thing.duration_ms, pre=thing.pre)


def _gap(scribe: Scribe, thing: object) -> None:
    assert isinstance(thing, GapFound)
    scribe.gap(thing.recording, thing.track, thing.from_ms, thing.lost_ms, thing.reason)


def _alarm(scribe: Scribe, thing: object) -> None:
    assert isinstance(thing, Alarm)
    scribe.event("camera", thing.event, detail=thing.detail[:500])
