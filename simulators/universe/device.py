"""A device's life: it is switched on, starts, works, is switched off or loses its power, and starts again.

Inside runs the agent's real pipeline (`agent.pipeline.wiring`), each daemon of `agent.supervisor`'s table as a task; around it are the
board's simulated parts. What no stage expected is caught as the supervisor catches it, and told to the judge: in this world nothing
is unexpected but a mistake.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from agent import config
from agent.core import note, wire
from agent.core.backoff import Backoff
from agent.errors import AgentError
from agent.pipeline import enrolment as enrolments
from agent.pipeline.wiring import Pipeline
from agent.supervisor import DAEMONS, RESTART_FIRST_MS, RESTART_MAX_MS, Daemon
from hal.board import Board
from hal.contracts import Signal
from simulators.powercut import PowerCut
from simulators.universe.agenda import US_PER_S, Agenda, Bell, Task, pause
from simulators.universe.capture import Lens
from simulators.universe.card import Card
from simulators.universe.chance import stream
from simulators.universe.clock import DeviceClock
from simulators.universe.link import Way
from simulators.universe.machine import Ports, SimulatedMachine
from simulators.universe.parts import Battery, Buttons, Indicator, Receiver
from simulators.universe.server import DOMAIN

if TYPE_CHECKING:
    from simulators.universe.https import Road

RESTART_S = 10.0
"""After a start that failed, as the service manager waits."""
START_US = 2 * US_PER_S
IDLE_S = 300.0
UNSETTLED_S = 60.0
BUSY_S = 1.0
GREET_S = 5.0
"""The handshake is looked after this often while it records; the real one looks five times a second."""
ASK_US = 60 * US_PER_S
PURGE_S = 300.0
LEAST_US = 1_000
ALARM = "short-short-short"

SETTINGS = """
[agent]
resume_after_power_loss = {resume}
[server]
url = "https://server.example.gov:8443"
[broker]
host = "server.example.gov"
[uplink]
health_every_s = 3600
[capture]
pre_event_s = 5
[storage]
keep_days = {keep_days}
reserve_bytes = {reserve_bytes}
stop_below_bytes = {stop_below_bytes}
[overlay]
officer_number = "{officer}"
"""


@dataclass(frozen=True, slots=True)
class Making:
    """How a device is set up; bytes are the simulated world's (film.SCALE)."""

    keep_days: int = 7
    reserve_bytes: int = 512_000
    stop_below_bytes: int = 64_000
    resume: bool = False


class Watcher(Protocol):
    """Who hears what happens (`judge`)."""

    def emitted(self, device: Device, event: Any) -> None: ...

    def started(self, device: Device) -> None: ...

    def durable(self, device: Device, first: int, lines: list[bytes]) -> None: ...

    def removed(self, device: Device, path: Path) -> None: ...

    def failed(self, device: Device, daemon: str, error: BaseException) -> None: ...

    def died(self, device: Device) -> None: ...


@dataclass(slots=True)
class Outside:
    """The world around a device: what lies between it and broker and server, who watches."""

    way: Way
    road: Road
    watcher: Watcher


class Device:
    """One recorder. `outside` is given by the world; everything else is its own."""

    def __init__(self, agenda: Agenda, name: str, folder: Path, seed: int, making: Making) -> None:
        self.name, self.folder, self.making = name, folder, making
        self.agenda = agenda
        self.chance: random.Random = stream(seed, name)
        self.clock = DeviceClock(agenda)
        self.lens = Lens()
        self.card = Card(folder, stream(seed, name, "card"), self._removed)
        self.indicator = Indicator(lambda: agenda.now_us)
        self.battery = Battery(lambda: agenda.now_us)
        self.buttons = Buttons(Bell(lambda _seconds: PURGE_S))
        self.receiver = Receiver(Bell(self.patience), self.clock.up_us, self.clock.true_ms, stream(seed, name, "receiver"), 10.0)
        self.powered = False
        self.pipeline: Pipeline | None = None
        self.machine: SimulatedMachine | None = None
        self.outside: Outside | None = None
        self.boots = 0
        self.index_fate = ""
        self._life = 0
        self._ask_us, self._waiting = 0, True
        self._tasks: list[Task] = []
        self._duty = Bell(self.patience)
        self._key = Ed25519PrivateKey.from_private_bytes(stream(0, "evidence", name).randbytes(32))

    # ----------------------------------------------------------------- making

    def provision(self, keys: dict[str, str]) -> dict[str, str]:
        """Write the state folder as provisioning does; the members of the enrolment."""
        origin = wire.origin(DOMAIN, self.name, 1)
        vkey = note.vkey(origin, note.ED25519, self._key.public_key().public_bytes_raw())
        (self.folder / "evidence").mkdir(parents=True)
        key = self.folder / "evidence" / "evidence.key"
        key.write_bytes(self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        key.chmod(0o600)
        who = {"device": self.name, "domain": DOMAIN, "n": 1, "origin": origin, "vkey": vkey, "certificate": "ab" * 32, "keys": keys}
        (self.folder / enrolments.NAME).write_text(json.dumps(who))
        making = self.making
        text = SETTINGS.format(
            resume=str(making.resume).lower(),
            keep_days=making.keep_days,
            reserve_bytes=making.reserve_bytes,
            stop_below_bytes=making.stop_below_bytes,
            officer="100007",
        )
        (self.folder / "settings.toml").write_text(text)
        return self.enrolment()

    def enrolment(self) -> dict[str, str]:
        """The members that the server must be told of the journal that is written now."""
        mine = enrolments.load(self.folder)
        return {"origin": mine.origin, "vkey": mine.vkey, "certificate": mine.certificate}

    @property
    def n(self) -> int:
        """Which journal is written."""
        return enrolments.load(self.folder).n

    # ----------------------------------------------------------------- power

    def switch_on(self) -> None:
        """Power comes; soon the agent starts."""
        if not self.powered:
            self.powered = True
            self._life += 1
            self.clock.boot()
            self._task("start", lambda: self._start(START_US))

    def cut(self) -> None:
        """The power goes, now."""
        if self.powered:
            self._down()
            self.card.cut()
            fate = self.chance.random()
            self.index_fate = self.index_fate or ("older" if fate < 0.15 else "broken" if fate < 0.2 else "")

    def switch_off(self, then: Callable[[], None] | None = None) -> None:
        """An orderly end (SIGTERM), and the power with it; `then` when that is done."""
        if self.powered:
            self._task("end", lambda: self._end(then))

    def restart(self) -> None:
        """The agent ends in order and starts again, the machine stays on."""
        if self.powered:
            self._task("end", lambda: self._end(None, again=True))

    def _down(self) -> None:
        """Nothing of it runs any more."""
        self.powered = False
        pipeline, self.pipeline = self.pipeline, None
        if self.machine is not None and self.machine.capture is not None:
            self.machine.capture.dead()
        for task in self._tasks:
            self.agenda.after(0, task.kill)
        self._tasks.clear()
        if self.machine is not None and self.machine.connection is not None:
            self.machine.connection.dead()
        self.machine = None
        if pipeline is not None:
            pipeline.evidence.close()
        self.indicator.shown = Signal("off")
        self._outside.watcher.died(self)

    @property
    def _outside(self) -> Outside:
        assert self.outside is not None, f"{self.name} stands in no world"
        return self.outside

    # ----------------------------------------------------------------- tasks

    def patience(self, seconds: float) -> float:
        """How long a daemon really waits that would look again in so many seconds: what is looked for is rung for."""
        pipeline = self.pipeline
        if pipeline is None or pipeline.clerk.running is not None or pipeline.clerk.trouble:
            return max(seconds, BUSY_S)
        return max(seconds, UNSETTLED_S if self._unsettled(pipeline) else IDLE_S)

    def _unsettled(self, pipeline: Pipeline) -> bool:
        """Whether something of it is not where it belongs; media are asked after once in a while."""
        journal = pipeline.evidence.scribe.journal
        if journal.size > journal.cosigned_size or not pipeline.upward.online:
            return True
        now_us = self.agenda.now_us
        if now_us >= self._ask_us:
            self._ask_us = now_us + ASK_US
            index = pipeline.evidence.index
            self._waiting = index.backlog().fragments > 0 or bool(index.unproved())
        return self._waiting

    def nudge(self) -> None:
        """Something changed that the duty looks at."""
        self._duty.ring(50_000)

    def _task(self, name: str, work: Callable[[], object]) -> None:
        life = self._life
        self._tasks = [task for task in self._tasks if not task.dead]
        self._tasks.append(self.agenda.spawn(f"{self.name} {name}", work, lambda error: self._ended(life, name, error)))

    def _ended(self, life: int, name: str, error: BaseException | None) -> None:
        if life != self._life or not self.powered:
            return  # what unwinds after the power has gone
        if isinstance(error, PowerCut):
            self.agenda.after(0, self.cut)
        elif error is not None:
            self._outside.watcher.failed(self, name, error)

    def _removed(self, path: Path) -> None:
        self._outside.watcher.removed(self, path)

    # ----------------------------------------------------------------- the agent's life

    def _start(self, after_us: int) -> None:
        """Make the pipeline, again and again until it can be made."""
        pause(after_us)
        self.indicator.shown = Signal("off")
        self.card.hurt_index(self.index_fate)
        self.index_fate = ""
        while True:
            try:
                self._run()
            except AgentError as error:
                self.indicator.show(Signal("alarm", ALARM, ALARM, ("ALARM", str(error))))
                self._abandon()
                pause(int(RESTART_S * US_PER_S))
            else:
                return

    def _abandon(self) -> None:
        """A start that failed leaves nothing behind."""
        if self.machine is not None and self.machine.capture is not None:
            self.machine.capture.dead()
        self.machine = None

    def _run(self) -> None:
        outside = self._outside
        ports = Ports(
            self.agenda,
            self.card.files,
            self.chance,
            self.clock,
            self.lens,
            outside.way,
            outside.road,
            lambda event: outside.watcher.emitted(self, event),
            self._task,
            self.patience,
        )
        self.machine = SimulatedMachine(self.name, ports)
        settings = config.load(self.folder / "settings.toml")
        board = Board(self.clock, button=self.buttons, locator=self.receiver, indicator=self.indicator, power=self.battery)
        pipeline = Pipeline(settings, enrolments.load(self.folder), board, self.machine)
        self.boots += 1
        self.card.keep_index()
        self._listen(pipeline)
        self.pipeline = pipeline
        outside.watcher.started(self)
        pipeline.start(pipeline.faults)
        for daemon in DAEMONS:
            self._task(daemon.name, self._loop(pipeline, daemon))

    def _listen(self, pipeline: Pipeline) -> None:
        """Hear of every durable append, after the index has."""
        scribe = pipeline.evidence.scribe
        taken = scribe.on_durable
        assert taken is not None

        def take(first: int, lines: Any) -> None:
            taken(first, lines)
            self._outside.watcher.durable(self, first, list(lines))
            self.nudge()

        scribe.on_durable = take

    def _loop(self, pipeline: Pipeline, daemon: Daemon) -> Callable[[], None]:
        step = daemon.step(pipeline)
        period_s = PURGE_S if daemon.name == "purge" else daemon.period_s
        backoff = Backoff(RESTART_FIRST_MS, RESTART_MAX_MS)

        def loop() -> None:
            while True:
                wait_s = self._once(pipeline, daemon, step, backoff, period_s)
                if pipeline.must_restart and self.pipeline is pipeline:
                    self.restart()
                    return
                if daemon.name == "duty":
                    self._show(pipeline, wait_s)
                else:
                    wait_s = max(wait_s, GREET_S) if daemon.name == "handshake" else wait_s
                    pause(max(int(self.patience(wait_s) * US_PER_S) if wait_s else 0, LEAST_US))

        return loop

    def _once(self, pipeline: Pipeline, daemon: Daemon, step: Callable[[], str], backoff: Backoff, period_s: float) -> float:
        """One step; how long to pause after it, as `agent.supervisor` decides it."""
        try:
            step()
        except PowerCut:
            raise
        except Exception as error:  # noqa: BLE001 - the top of a daemon, as the supervisor has it
            pipeline.faults[daemon.name] += 1
            self._outside.watcher.failed(self, daemon.name, error)
            return max(period_s, backoff.next(self.chance.random()) / 1_000)
        backoff.reset()
        return period_s

    def _show(self, pipeline: Pipeline, wait_s: float) -> None:
        """Play what happened one after the other, then wait for the next thing to look at."""
        while pipeline.state.waiting:
            pause(100_000)
            pipeline.duty.show()
        self._duty.clear()
        self._duty.wait(wait_s)

    def _end(self, then: Callable[[], None] | None, *, again: bool = False) -> None:
        """What the supervisor does when it is asked to end, or when only the next journal can go on."""
        pipeline, machine = self.pipeline, self.machine
        if pipeline is not None:
            first = {f"{self.name} {daemon.name}" for daemon in DAEMONS if daemon.ends == "first"}
            self._kill(lambda task: task.name in first)
            pipeline.stop_recording("signal")
            pause(US_PER_S)
            self._kill(lambda task: not task.name.endswith(" end"))
            pipeline.close()
        self.pipeline, self.machine = None, None
        if machine is not None and machine.connection is not None:
            machine.connection.dead()
        self._outside.watcher.died(self)
        if again:
            self._task("start", lambda: self._start(START_US))
            return
        self.powered = False
        self._kill(lambda task: not task.name.endswith(" end"))
        if then is not None:
            then()

    def _kill(self, which: Callable[[Task], bool]) -> None:
        for task in self._tasks:
            if which(task):
                self.agenda.after(0, task.kill)
        self._tasks = [task for task in self._tasks if not which(task)]
        pause(0)
