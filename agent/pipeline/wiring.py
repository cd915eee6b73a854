"""A recorder put together: every stage made once and handed what it needs; the flow is the tree.

    camera, microphone → recorder → tray → clerk → scribe (journal, media) → index → exchange, uploader ⇢ server

Rules:
- Recording comes first: camera and microphone run before recovery has read a line, so that the seconds before the first press
  are there; nothing on the way from the press to the disk waits for the network.
- What can't be had (no camera, no certificate, no broker) is said by lamp, log and `status`; the rest works.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from agent import health
from agent.buffer.errors import BufferFault
from agent.capture.errors import CaptureError
from agent.capture.overlay import OverlayText
from agent.capture.settings import CaptureSettings
from agent.core.errors import SessionError
from agent.pipeline.clerk import Clerk, Rules
from agent.pipeline.duty import Duty, Figures
from agent.pipeline.evidence import Evidence, open_evidence, succeed
from agent.pipeline.hands import Buttons, Position
from agent.pipeline.machine import Machine
from agent.pipeline.orders import Orders
from agent.pipeline.purger import Purger
from agent.pipeline.state import State
from agent.pipeline.tray import Entry
from agent.pipeline.upward import Upward
from agent.pipeline.whereabouts import Whereabouts

if TYPE_CHECKING:
    from agent.capture.recorder import Recorder
    from agent.config import Settings
    from agent.pipeline.enrolment import Enrolment
    from hal.board import Board

log = logging.getLogger(__name__)

FLUSH_WITHIN_S = 30.0


class Pipeline:
    """One enrolled recorder; `step` functions of its parts are the supervisor's to call."""

    def __init__(
        self, settings: Settings, enrolment: Enrolment, board: Board, machine: Machine | None = None, continues: str | None = None
    ) -> None:
        """`continues`: the recording that the pipeline before this one had to end, because only this journal can go on."""
        self.settings, self.board = settings, board
        self._continues = continues
        self.machine = machine = machine if machine is not None else Machine()
        self.state = State(board.clock.up_us)
        self.faults: Counter[str] = Counter()
        self._tray = machine.tray()
        self.recorder = self._make_recorder()
        self._wake: Callable[[], None] = lambda: None
        self.evidence = open_evidence(settings.state, enrolment, machine.files, board.clock, self._changed, machine.random)
        self.enrolment = self.evidence.enrolment
        self.clerk = self._make_clerk()
        self._tray.watch(board.clock.up_us, slow_disk(self.state, self.clerk))
        self.orders = Orders(self.recorder, self.clerk, self.state, lambda: self.upward.uploader, machine.orders())
        around = machine.around(board.clock)
        self.upward = Upward(settings, self.evidence, self.clerk, self.orders, self.state, self._reports(), around, machine)
        self._wake = self.upward.wake
        self.buttons = Buttons(board.button, self.recorder, self.state)
        watch = Whereabouts(settings.duty.position_lost_s * 1_000_000, settings.duty.position_max_kmh, board.clock.up_us())
        self.position = Position(board.locator, self.clerk, self.state, watch, board.clock, self._past_ms)
        figures = Figures(self._waiting_bytes, lambda: self.upward.online, self._free_bytes, self._past_ms)
        self.duty = Duty(board, settings, self.clerk, self.recorder, self.state, figures)
        self.purger = Purger(
            self.clerk,
            self.evidence.index,
            self.evidence.receipts,
            settings.storage,
            figures.free_bytes,
            lambda: self.upward.witness_s,
            self.upward.mend,
        )

    @property
    def origin(self) -> str:
        """The journal that is written."""
        return self.enrolment.origin

    # ----------------------------------------------------------------- making

    def _make_recorder(self) -> Recorder | None:
        """Begin to look and listen; None where there is neither camera nor microphone."""
        chosen, buttons, overlay = self.settings.capture, self.settings.buttons, self.settings.overlay
        capture = CaptureSettings(
            track=chosen.track,
            pre_event_s=chosen.pre_event_s,
            post_event_s=chosen.post_event_s,
            fragment_ms=chosen.fragment_ms,
            silent_after_s=chosen.silent_after_s,
            silent_spread=chosen.silent_spread_steps,
            start_by=buttons.start,
            stop_by=buttons.stop,
            mark_by=buttons.mark,
            still_by=buttons.still,
            mark_label=buttons.mark_label,
        )
        label = OverlayText(overlay.device_number, overlay.officer_number, overlay.text, overlay.utc_offset_minutes)
        for role, problem in self.board.missing.items():
            self.state.alarm(f"{role}-missing")
            log.error("missing", extra={"role": role, "why": str(problem)})
        try:
            return self.machine.recorder(self.board, capture, self._tray, label if overlay.enabled else None)
        except CaptureError as error:
            log.error("nothing can be recorded", extra={"why": str(error)})  # noqa: TRY400 — the sentence says it all
            self.state.alarm("nothing-to-record")
            return None

    def _make_clerk(self) -> Clerk:
        rules = Rules(self.settings.duty.fix_every_ms, self.board.clock.up_us, self._happened, self.settings.overlay.officer_number)
        return Clerk(self.evidence.scribe, rules, self._tray, _beacon_of(self.evidence))

    def _reports(self) -> health.Reports:
        backlog = self.evidence.index.backlog

        def waiting() -> dict[str, int] | None:
            try:
                now = backlog()
            except BufferFault:
                return None  # said by whoever writes it
            return {"lines": now.lines, "fragments": now.fragments, "bytes": now.bytes}

        sources = health.Sources(
            state=self.state,
            recording=lambda: now.recording if (now := self.clerk.under_way) else None,
            backlog=waiting,
            counts=self._counts,
            wall_ms=self.board.clock.wall_ms,
            applied=lambda: self.evidence.scribe.journal.story.last_desired,
        )
        return health.Reports(sources, self.settings.path.read_bytes())

    def _counts(self) -> dict[str, int]:
        """Everything that was refused or failed, by a name that says where."""
        counts = {f"refused.{name}": count for name, count in self.upward.refused.items()}
        counts |= {f"journal.{name}": count for name, count in self.clerk.refused.items()}
        counts |= {f"daemon.{name}": count for name, count in self.faults.items()}
        return counts | self.upward.counts()

    def _waiting_bytes(self) -> int:
        """What waits for the server; as much as was known last where the index can't be asked, because lamp and screen go on."""
        try:
            return self.evidence.index.backlog().bytes
        except BufferFault:
            return self.state.waiting_bytes

    def _free_bytes(self) -> int:
        """Storage where nothing can be written; while something is recorded its appends say so themselves."""
        if self.clerk.under_way is None:
            self.evidence.scribe.journal.probe()
        return self.evidence.media.free_bytes()

    def _past_ms(self) -> int:
        """A wall time that is certainly over."""
        return self.upward.witness_s * 1_000

    # ----------------------------------------------------------------- what happens

    def _changed(self) -> None:
        """Something became durable; the uplink is made after the journal, so it is asked for at the time."""
        self._wake()

    def _happened(self, what: str, detail: str) -> None:
        """The clerk tells: what the officer should feel, and what stands until it is over."""
        if what == "storage":
            self.state.refusing = True
            self.state.alarm("disk-refuses")
            self.machine.background("end", lambda: self._end("storage"))
        elif what == "storage-over":
            self.state.refusing = False
            self.state.clear("disk")
        elif what == "alarm":
            self._alarm(detail)
        else:
            self.state.happened(what)

    def _alarm(self, event: str) -> None:
        """An event of capture: a fault, or the end of one."""
        if event.endswith("-back"):
            self.state.clear(event.removesuffix("-back"))
        else:
            self.state.alarm(event)

    def _end(self, trigger: str) -> None:
        """End the recording, from a thread that may wait: the recorder hands its last fragments to the clerk."""
        if self.recorder is not None:
            try:
                self.recorder.stop(trigger)
            except SessionError:
                log.info("no recording to end", extra={"trigger": trigger})

    # ----------------------------------------------------------------- the supervisor's side

    def start(self, faults: Counter[str]) -> None:
        """Say what is due before anything else, and go on with what a power cut interrupted where that is wanted."""
        self.faults = faults
        if self.evidence.tampered:
            self.state.alarm("journal-tampered", event=self.evidence.tampered)
        self.duty.look_at_clock()
        if self.enrolment.because and not self.evidence.scribe.journal.cosigned_size:
            self.state.alarm("journal-next", n=self.enrolment.n)
        continues = self._continues
        if continues is None and self.settings.agent.resume_after_power_loss and self.evidence.unfinished:
            continues = self.evidence.unfinished[-1]
        if continues is not None and self.recorder is not None:
            self.recorder.start("resume", continues=continues)

    @property
    def must_restart(self) -> str:
        """Why only journal n+1 can go on; empty while this one can."""
        return self.upward.contradicted

    def stop_recording(self, trigger: str) -> str | None:
        """End an open recording and everything that looks and listens; which recording that was."""
        self.upward.halt()
        if self.recorder is None:
            return None
        recording = self.recorder.recording if self.recorder.state == "recording" else None
        self.recorder.close(trigger)
        return recording

    def close(self) -> None:
        """The last line, the farewell, and everything closed. No daemon runs any more."""
        flushed = self.machine.event()
        self.clerk.post(Entry(lambda scribe: scribe.shutdown(), durable=flushed.set))
        end_us = self.board.clock.up_us() + int(FLUSH_WITHIN_S * 1_000_000)
        while not flushed.is_set() and self.board.clock.up_us() < end_us:
            self.clerk.step()
        why = self.must_restart
        self.upward.close()
        self.duty.dark()
        self.evidence.close()
        if why:
            succeed(self.settings.state, self.enrolment, self.machine.files, why)
        self.board.close()


def slow_disk(state: State, clerk: Clerk) -> Callable[[int], None]:
    """What follows where a fragment waits for the disk so many µs: a power cut would now cost more than two seconds."""

    def late(waited_us: int) -> None:
        if state.alarm("disk-slow"):
            clerk.post(Entry(lambda scribe: scribe.event("storage", "slow", waited=waited_us // 1_000)))

    return late


def _beacon_of(evidence: Evidence) -> str | None:
    """The newest ledger checkpoint on record."""
    from agent.journal.story import parse

    journal = evidence.scribe.journal
    found = journal.story.governing.get("beacon")
    if found is None or found[0] < journal.oldest:
        return None
    members = parse(journal.lines(found[0], found[0] + 1)[0])
    return str(members["checkpoint"]) if members else None
