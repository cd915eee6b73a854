"""A recorder's evidence and its way to the server, step by step: the agent's own journal, buffer and inbox, no thread and no socket.

Rules:
- What decides is the agent's: recovery, scribe, index, inbox, handshake, adoption. Only time, the wire and the threads are missing.
- A power cut is that nothing more is called; `torn` adds what a cut leaves behind. `on` is what the agent does after every start.
- The wall clock is the world's plus `wrong_ms`, so that a clock can be set back.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from agent.core import merkle, note, wire
from agent.journal.adopt import adopt
from agent.pipeline import enrolment as enrolments
from agent.pipeline.clerk import Clerk, Rules
from agent.pipeline.evidence import Evidence, open_evidence
from agent.pipeline.news import News
from agent.pipeline.orders import Orders
from agent.pipeline.state import State
from agent.pipeline.tray import Entry, Tray
from agent.uplink.handshake import Behind, Handshake
from agent.uplink.https import Https
from agent.uplink.inbox import Inbox
from hal.contracts import ClockReading, Files
from hal.drivers import linux
from simulators.adversary.office import Office
from simulators.errors import AdversaryError

OFFICER = "110234"
BOOT_US = 1_000_000
MANY = 10_000


@dataclass(slots=True)
class Time:
    """The world's time in ms since 1970; it goes on when somebody says so."""

    ms: int = 1_763_712_000_000

    def __call__(self) -> int:
        return self.ms


@dataclass(slots=True)
class DeviceClock:
    """A device's two clocks over the world's time: every look at `up` is 20 µs later."""

    time: Time
    wrong_ms: int = 0
    source: str = "ntp"
    _booted_ms: int = 0
    _looks_us: int = 0

    def boot(self) -> None:
        """`up` begins anew."""
        self._booted_ms, self._looks_us = self.time.ms, 0

    def wall_ms(self) -> int:
        """As the device believes."""
        return self.time.ms + self.wrong_ms

    def up_us(self) -> int:
        """Since the start."""
        self._looks_us += 20
        return BOOT_US + (self.time.ms - self._booted_ms) * 1_000 + self._looks_us

    def reading(self) -> ClockReading:
        """What it knows of being wrong: nothing, where nobody set it."""
        return ClockReading(self.source, 0, 20) if self.source != "none" else ClockReading("none", 0, 0)


@dataclass
class Device:
    """One enrolled recorder: `state` is its folder on the disk that `files` writes to."""

    state: Path
    time: Time
    seed: int = 1
    files: Files = field(default_factory=linux.Files)
    evidence: Evidence | None = None

    def __post_init__(self) -> None:
        """Off."""
        self.chance = random.Random(self.seed)  # noqa: S311 — a story is told again by its seed
        self.clock = DeviceClock(self.time)
        self.beacon: str | None = None

    # ----------------------------------------------------------------- power

    def on(self) -> Evidence:
        """Start: recover, say what was found, be ready to write."""
        self.clock.boot()
        enrolment = enrolments.load(self.state)
        self.evidence = open_evidence(self.state, enrolment, self.files, self.clock, lambda: None, self.chance.randbytes)
        self.enrolment = self.evidence.enrolment
        self.tray, self.alarms = Tray(), State()
        rules = Rules(1_000, self.clock.up_us, lambda _what, _detail: None, OFFICER)
        self.clerk = Clerk(self.evidence.scribe, rules, self.tray, self.beacon)
        orders = Orders(None, self.clerk, self.alarms, lambda: None)
        self.news = News(self.clerk, self.evidence.index, self.evidence.receipts, orders, self.alarms, lambda: None)
        self.inbox = Inbox(self.enrolment.origin, self.enrolment.keys)
        self.evidence.scribe.clock(self.clock.reading())
        self.evidence.scribe.state("signon", [("officer", OFFICER), ("how", "badge")])
        return self.evidence

    def pull(self) -> None:
        """The power is gone."""
        if self.evidence is not None:
            self.evidence.close()
            self.evidence = None

    def off(self) -> None:
        """An orderly end."""
        self.work()
        self.open.scribe.shutdown()
        self.pull()

    @property
    def open(self) -> Evidence:
        """What `on` opened."""
        if self.evidence is None:
            raise AdversaryError(f"{self.state.name} is off; switch it on first")
        return self.evidence

    def work(self) -> None:
        """Write what waits."""
        while self.clerk.waiting:
            self.clerk.step()

    def do(self, write: Callable[[], object]) -> None:
        """Put something on record in its order."""
        self.tray.put(Entry(lambda _scribe: write()))
        self.work()

    # ----------------------------------------------------------------- the way to the server

    def greet(self, office: Office) -> int:
        """The handshake: what the server holds and we lost is taken back; from which line on to send."""
        journal = self.open.scribe.journal
        handshake = Handshake(cast(Https, office.wire(self.enrolment.device)), self.enrolment.device, self.enrolment.n, self.inbox)
        answer = handshake.ask(journal, journal.cosigned_size)
        if isinstance(answer, Behind):
            signer, scribe = self.open.signer, self.open.scribe
            adopt(scribe, signer, answer.first, answer.lines, answer.note)
            return self.greet(office)
        if answer.news is not None:
            self.news.cosigned(answer.news)
        self.work()
        return answer.size

    def send_lines(self, office: Office) -> None:
        """Replicate everything that the server does not have, and keep its cosignature."""
        journal = self.open.scribe.journal
        first = self.greet(office)
        while (batch := journal.batch(first)) is not None:
            lines, checkpoint = batch
            first += len(lines)
            for answer in office.offer(self.enrolment.device, wire.encode_batch(first - len(lines), lines, checkpoint)):
                self.news.cosigned(self.inbox.witness(answer.encode(), journal.root_at))
        self.work()

    def send_media(self, office: Office, most: int = MANY) -> None:
        """Upload what waits, `most` fragments of it; take the receipts."""
        for one in self.open.index.pending(most):
            office.upload(self.enrolment.device, one.recording, one.track, one.offset, self.open.read(one))
            self.open.index.sent([one])
        self.hear(office)

    def hear(self, office: Office) -> None:
        """Take what the server has said meanwhile: receipts, and the newest ledger checkpoint."""
        for payload in office.receipts(self.enrolment.device):
            self.news.stored(self.inbox.receipt(payload, self.news.stopped))
        self.news.beacon(self.inbox.ledger(office.ledger_note().encode()))
        self.beacon = self.clerk.known_beacon
        self.work()

    def sync(self, office: Office) -> None:
        """Everything, both ways."""
        self.send_lines(office)
        self.send_media(office)

    def purge(self, recording: str) -> None:
        """Delete local media on the ledger's receipt, as retention does."""
        proof = self.open.receipts.read(recording)
        line = note.parse_tlog_proof(proof).extra if proof is not None else None
        if line is None:
            raise AdversaryError(f"{recording} has no receipt: the agent would not purge it")
        self.open.scribe.purge(recording, "space", merkle.leaf_hash(line).hex())
