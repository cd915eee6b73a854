"""A world: devices, lines, broker, server, judge; made of a seed, moved by a story's phrases, over in the end.

Files that are real (the server's data folder, the devices' settings and indices) lie in a folder of the memory disk where there is one.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from simulators.universe.agenda import US_PER_S, Agenda
from simulators.universe.broker import Broker
from simulators.universe.chance import stream
from simulators.universe.device import Device, Making, Outside
from simulators.universe.ending import judge_ending, waits
from simulators.universe.film import SCALE
from simulators.universe.https import Counter, Road
from simulators.universe.judge import Judge
from simulators.universe.line import Line, Pipe
from simulators.universe.link import Way
from simulators.universe.server import Server, vkeys

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
HOUR_US = 3_600 * US_PER_S
SETTLE_US = 48 * HOUR_US
"""Good weather that is long enough for everything that is said to come through in the end."""
LOOK_US, MOST_LOOK_US = 60 * US_PER_S, 900 * US_PER_S
"""How often it is looked whether all is there: less and less often."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How a world is made."""

    seed: int = 1
    devices: int = 1
    making: Making = field(default_factory=Making)
    bound_percent: float | None = None
    shared_bytes_s: int | None = None
    """Bandwidth of a line that all devices share; None: each has its own."""


class World:
    """Use it in a `with`: its folder goes with it."""

    def __init__(self, setting: Setting, prepare: Callable[[World], object] = lambda _world: None) -> None:
        self.setting = setting
        self.agenda = Agenda()
        self.folder = Path(tempfile.mkdtemp(prefix="zhilu-", dir=MEMORY if MEMORY.is_dir() else None))
        self.judge = Judge(lambda: self.agenda.now_us, self.agenda.stop)
        self.agenda.crowded = lambda: self.judge.fault("finishes", f"more than {self.agenda.most_a_minute} events in a minute")
        self.broker = Broker(self.agenda, stream(setting.seed, "broker"))
        self.server = Server(self.agenda, self.folder / "server", "main", self.broker, setting.seed, self.judge.said)
        self.judge.server = self.server
        self.server.came_again = self.judge.came_again
        self.stranger: Server | None = None
        self.mixed = 0.0
        self.order_number = 0
        self.bound_percent = setting.bound_percent
        self.certificate_ends_ms: dict[str, int] = {}
        self.lines: dict[str, Line] = {}
        self._pipe = Pipe(setting.shared_bytes_s) if setting.shared_bytes_s else None
        self._mixing = stream(setting.seed, "mixed")
        self.devices = [self._device(number) for number in range(1, setting.devices + 1)]
        prepare(self)

    def _device(self, number: int) -> Device:
        setting, name = self.setting, f"DSJ-{number:07d}"
        device = Device(self.agenda, name, self.folder / name, setting.seed, setting.making)
        line = Line(self.agenda, stream(setting.seed, name, "line"), self._pipe or Pipe())
        self.lines[name] = line

        def trusted() -> str:
            return self._trusted(device)

        way = Way(self.agenda, line, self.broker, trusted, lambda topic, payload: self.judge.published(device, topic, payload))
        road = Road(line, self._whoever_answers, trusted, partial(self.judge.handed, name))
        device.outside = Outside(way, road, self.judge)
        self._announce(device, device.provision(vkeys("main")))
        return device

    def _announce(self, device: Device, members: dict[str, str]) -> None:
        for server in (self.server, self.stranger):
            if server is not None:
                server.enrol(device.name, device.n, members)

    def admit(self, device: Device) -> None:
        """The administrator's act: the journal that the device writes now is one of ours."""
        self._announce(device, device.enrolment())

    def _trusted(self, device: Device) -> str:
        """Why TLS would fail; certificates of the broker and the server are good from the year before on, for ten years."""
        year_ms = 365 * 86_400_000
        wall_ms, true_ms = device.clock.wall_ms(), device.clock.true_ms()
        if not true_ms - year_ms <= wall_ms <= true_ms + 9 * year_ms:
            return "certificate verify failed: not yet valid, or expired, by the device's clock"
        if self.certificate_ends_ms.get(device.name, true_ms + 1) <= true_ms:
            return "the device's certificate has expired"
        return ""

    def _whoever_answers(self) -> Counter:
        if self.stranger is not None and self._mixing.random() < self.mixed:
            return self.stranger
        return self.server

    def mix_in_a_stranger(self, share: float) -> None:
        """From here on so many requests are answered by another deployment's server, which hears the broker too; 0 ends it."""
        self.mixed = share
        self.judge.misled |= bool(share)
        if share and self.stranger is None:
            self.stranger = Server(
                self.agenda, self.folder / "stranger", "stranger", self.broker, self.setting.seed, lambda _topic, _payload: None
            )
            for device in self.devices:
                self.stranger.enrol(device.name, device.n, device.enrolment())
            self.stranger.start()
        elif not share and self.stranger is not None:
            self.stranger.close()
            self.stranger = None

    def device(self, number: int) -> Device:
        """By its number, from 1."""
        return self.devices[number - 1]

    def line(self, device: Device) -> Line:
        """A device's way to the world."""
        return self.lines[device.name]

    # ----------------------------------------------------------------- the course of the world

    def begin(self) -> None:
        """Everything is switched on."""
        self.server.start()
        for number, device in enumerate(self.devices):
            self.agenda.after(number * 100_000, device.switch_on)

    def run(self, until_us: int) -> bool:
        """Let time pass; whether nothing is broken."""
        self.agenda.run(until_us)
        return not self.judge.faults

    def good_weather(self) -> None:
        """Everything that could be wrong is put right."""
        self.mix_in_a_stranger(0)
        self.broker.mischief = type(self.broker.mischief)()
        self.broker.start()
        self.server.start()
        self.certificate_ends_ms.clear()
        for device in self.devices:
            line = self.line(device)
            line.turn(up=True)
            line.breaks, line.late_ms = 0.0, (20, 80)
            line.pipe.bytes_s = max(line.pipe.bytes_s, Pipe().bytes_s)
            self._heal(device)

    def _heal(self, device: Device) -> None:
        if device.card.fault or device.card.tight:
            self.judge.troubled(device.name)
        device.card.fault, device.card.lies = "", False
        device.card.leave_free(None)
        device.clock.keeps_time = True
        device.clock.drift(0)
        device.clock.put(0)
        device.clock.trust("ntp")
        device.battery.put(100, charging=True)
        device.battery.answers = True
        device.receiver.state = "well"
        device.lens.camera, device.lens.microphone, device.lens.silent, device.lens.slow = True, True, False, False
        device.lens.changed()
        device.switch_on()
        device.nudge()

    def end(self) -> None:
        """Good weather until everything is where it belongs, and the last judgement."""
        self.good_weather()
        until_us = self.agenda.now_us + SETTLE_US
        stopped: set[str] = set()
        look_us = LOOK_US
        while self.agenda.now_us < until_us and not self.judge.faults:
            self.run(self.agenda.now_us + look_us)
            look_us = min(look_us * 6 // 5, MOST_LOOK_US)
            for device in self.devices:
                recorder = device.pipeline.recorder if device.pipeline else None
                if recorder is not None and recorder.state in ("recording", "post"):
                    stopped.add(device.name)
                    recorder.stop("remote")
            if not waits(self):
                break
        if not self.judge.faults:
            judge_ending(self)

    def figures(self) -> dict[str, Any]:
        """What happened, in numbers."""
        judge = self.judge
        return {
            "device_days": round(self.agenda.now_us / (24 * HOUR_US) * len(self.devices), 2),
            "recordings": len(judge.takes.known),
            "lines": judge.counts["lines"],
            "batches": judge.counts["batches"],
            "receipts": judge.counts["receipts"],
            "deleted": judge.counts["deleted"],
            "starts": judge.counts["starts"],
            "cuts": sum(device.card.cuts for device in self.devices),
            "media_bytes": judge.traffic.media * SCALE,
            "sent_bytes": judge.traffic.sent_bytes,
            "again_bytes": judge.traffic.again_bytes,
            "held_again_bytes": judge.traffic.held_again * SCALE,
            "again_percent": round(judge.traffic.again_percent, 3),
            "unsaid": judge.takes.unsaid,
            "worst_cut_s": round(judge.takes.worst_cut_us / US_PER_S, 2),
            "worst_start_s": round(judge.takes.worst_start_us / US_PER_S, 2),
        }

    def close(self) -> None:
        """End all of it."""
        for device in self.devices:
            if device.powered:
                device.cut()
        self.agenda.stopped = ""
        self.agenda.run(self.agenda.now_us)
        for server in (self.server, self.stranger):
            if server is not None:
                server.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
