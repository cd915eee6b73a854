"""A recorder without camera and network: the agent's own start, journal, buffer and purger on a disk in memory, step by step.

What capture and the server would say is posted by whoever plays (`duty`); what leaves the device is told: from then on it is a
promise, and the tape of the disk says after which step it was made.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from agent.capture.events import Event
from agent.config import StorageSection
from agent.core import note, ulid, wire
from agent.core.retention import purgeable
from agent.journal.signer import FileSigner
from agent.pipeline import enrolment as enrolments
from agent.pipeline.clerk import Clerk, Rules
from agent.pipeline.enrolment import Enrolment
from agent.pipeline.evidence import Evidence, open_evidence
from agent.pipeline.news import News
from agent.pipeline.orders import Orders
from agent.pipeline.purger import Purger
from agent.pipeline.state import State
from agent.pipeline.tray import Entry, Tray
from hal.contracts import ClockReading
from hal.drivers import linux
from simulators.torture.kernel import Kernel
from simulators.torture.promises import Deleted, Filmed, Handed, Identity, Lines, Promise, Sent, Slow
from simulators.torture.reel import Reel
from simulators.torture.witness import DOMAIN, SECONDS, Witness

DEVICE = "DSJ-0012345"
EPOCH_MS = 1_763_712_297_000


@dataclass(frozen=True, slots=True)
class Home:
    """A folder on the machine's own disk with what is no evidence: key, index. Its path is where the simulated disk is mounted."""

    state: Path
    enrolment: Enrolment
    signer: FileSigner
    witness: Witness
    reel: Reel

    @classmethod
    def make(cls, state: Path, reel: Reel) -> Home:
        """Enrol the device, with keys that are the same every time."""
        state.mkdir(parents=True, exist_ok=True)
        (state / "evidence").mkdir(exist_ok=True)
        signer = FileSigner.from_seed(hashlib.sha256(b"torture evidence").digest())
        path = state / "evidence" / "evidence.key"
        if not path.exists():
            _write_key(signer, path)
        witness = Witness()
        origin = wire.origin(DOMAIN, DEVICE, 1)
        members = {
            "device": DEVICE,
            "domain": DOMAIN,
            "n": 1,
            "origin": origin,
            "vkey": note.vkey(origin, signer.algorithm, signer.public_key()),
            "certificate": hashlib.sha256(b"certificate").hexdigest(),
            "keys": witness.vkeys(),
        }
        return cls(state, enrolments.judged(members, state / enrolments.NAME), signer, witness, reel)

    def fresh(self) -> Home:
        """The same device, and a server that has seen nothing yet: a story is told the same way every time."""
        return replace(self, witness=Witness())

    @property
    def identity(self) -> Identity:
        """Whom the judge is told that this is."""
        return Identity(self.enrolment.origin, self.enrolment.n, self.signer.public_key())

    @property
    def index(self) -> Path:
        """The SQLite file."""
        return self.state / "buffer.sqlite"

    def forget_index(self) -> None:
        """As if there had never been one."""
        for suffix in ("", "-wal", "-shm", ".broken"):
            with suppress(FileNotFoundError):
                self.index.with_name(self.index.name + suffix).unlink()


def _write_key(signer: FileSigner, path: Path) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    pem = signer._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())  # noqa: SLF001 — the key of a simulated device
    path.write_bytes(pem)
    path.chmod(0o600)


@dataclass(slots=True)
class StepClock:
    """Every look at it is 20 µs later; whoever plays moves it on."""

    up: int = 0
    wall: int = EPOCH_MS * 1000

    def advance(self, us: int) -> None:
        """Time passes."""
        self.up += us
        self.wall += us

    def wall_ms(self) -> int:
        """Milliseconds since 1970."""
        self.advance(20)
        return self.wall // 1000

    def up_us(self) -> int:
        """Microseconds since the start of the machine."""
        self.advance(20)
        return self.up

    def reading(self) -> ClockReading:
        """A good clock."""
        return ClockReading("ntp", 0, 5)


@dataclass
class Device:
    """One start of the recorder on a disk."""

    home: Home
    kernel: Kernel
    seed: int = 1
    clock: StepClock = field(default_factory=StepClock)
    promises: list[Promise] = field(default_factory=list)
    told_size: int = 0
    silent: bool = False
    """Nothing is sent before the handshake."""
    signals: list[str] = field(default_factory=list)
    on_start: ClassVar[Callable[[Device], None] | None] = None
    """Whoever wants to see a device before it starts."""

    def __post_init__(self) -> None:
        """Nothing has begun yet."""
        self.chance = random.Random(self.seed)  # noqa: S311 — a story is told again by its seed
        self.evidence: Evidence | None = None

    # ----------------------------------------------------------------- start and end

    def start(self, *, keep_index: bool = False) -> None:
        """What the agent does after every start."""
        if Device.on_start is not None:
            Device.on_start(self)
        if not keep_index:
            self.home.forget_index()
        files = linux.Files(self.kernel)
        evidence = open_evidence(self.home.state, self.home.enrolment, files, self.clock, self._changed, self.chance.randbytes)
        self.evidence = evidence
        self.tray, self.state = Tray(), State()
        self.tray.watch(self.clock.up_us, lambda _us: self.promise(Slow()))
        self.clerk = Clerk(evidence.scribe, Rules(1_000, self.clock.up_us, self._happened), self.tray)
        orders = Orders(None, self.clerk, self.state, lambda: None)
        self.news = News(self.clerk, evidence.index, evidence.receipts, orders, self.state, lambda: None)
        self._changed()

    def end(self) -> None:
        """The process is gone; what it had open is closed by the system."""
        if self.evidence is not None:
            self.evidence.close()
            self.evidence = None

    @property
    def open(self) -> Evidence:
        """What `start` opened."""
        assert self.evidence is not None, "the device is off"
        return self.evidence

    # ----------------------------------------------------------------- promises

    def promise(self, what: Promise) -> None:
        """From now on somebody else knows it; what camera and officer see is noted too, and is no promise."""
        self.promises.append(what)
        name = type(what).__name__.lower()
        self.kernel.tell(str(len(self.promises) - 1), f"told {name}", promise=not isinstance(what, Handed | Filmed | Slow | Sent))

    def _changed(self) -> None:
        if self.evidence is not None and not self.silent:
            self.tell_all()

    def tell_all(self) -> None:
        """Everything that is durable now may have left the device."""
        journal = self.open.scribe.journal
        if journal.size > self.told_size:
            first = max(self.told_size, journal.oldest)
            checkpoint = journal.checkpoint
            assert checkpoint is not None, "lines have a checkpoint"
            self.promise(Lines(first, tuple(journal.lines(first, journal.size)), checkpoint))
            self.told_size = journal.size

    def _happened(self, what: str, _detail: str) -> None:
        self.signals.append(what)
        if what == "storage":
            self.promise(Slow(refused=True))

    # ----------------------------------------------------------------- work

    def post(self, *things: Event | Entry) -> None:
        """Let these wait for the journal's thread."""
        for thing in things:
            self.tray.put(thing)

    def work(self) -> None:
        """Write what waits."""
        while self.clerk.waiting:
            self.clerk.step()

    def do(self, *things: Event | Entry) -> None:
        """Post and write."""
        self.post(*things)
        self.work()

    def aside(self, task: Callable[[], object]) -> None:
        """Run a task that waits for the journal's thread, and be that thread meanwhile."""
        done = threading.Event()

        def run() -> None:
            try:
                task()
            finally:
                done.set()
                self.post(Entry(lambda _: None))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        while not done.is_set():
            self.clerk.step()
        thread.join()
        self.work()

    def purges(self, *, free: int = 1 << 40) -> None:
        """Everything goes that may go by age; marked ones too where there is too little space."""
        evidence, settings, witness_s = self.open, StorageSection(keep_days=0), SECONDS + 10 * 86_400
        names = purgeable(evidence.index.held(), 0 if free else 1 << 40, settings.keep_days, witness_s)
        if names:
            purger = Purger(self.clerk, evidence.index, evidence.receipts, settings, lambda: free, lambda: witness_s, lambda: 0)
            self.aside(purger.step)
        for name in names:
            self.promise(Deleted(name))

    def ulid(self) -> str:
        """A new recording's name."""
        return ulid.new(self.clock.wall // 1000, self.chance.randbytes(10))
