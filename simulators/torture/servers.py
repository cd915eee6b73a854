"""The server's process, killed wherever it changes its disk, commits or tells, its disk cut where there is one that can be.

Devices send without a pause. Where the server can die is found while it runs (`points`); each death is at a place that has not been
tried yet, as long as there is one. After each death the data folder is read and judged as it stands (`store`), before a server is
started again; then it goes on from there. Some starts find the catalogue missing or broken.

Rules:
- Points that only the first start of a new deployment reaches are tried on new deployments (`birth`).
- A point that does not come within `ROUND_S` is given up after `GIVE_UP` tries, and named.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import random
import select
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

import httpx

from provisioning import deployment as deployments
from provisioning import device as devices
from provisioning import toml
from provisioning.deployment import Ports
from provisioning.mosquitto import Mosquitto
from simulators.torture import mortal
from simulators.torture.judge import Findings
from simulators.torture.loopdisk import LoopDisk
from simulators.torture.sender import Sender
from simulators.torture.store import Judge, media_of
from simulators.torture.tapes import Run
from simulators.torture.told import Told, Truth

READY_S = 120.0
TELLING = (" commit ", " publish ", " answer ", " body ")
"""Points on which a promise hangs; they come before those that only a start passes."""
ROUND_S = 4.0
"""A server that has not come to its hour of death by then is told to end, and may die on that way."""
AT_THE_END, END_SOON_S = "Writer.close", 1.0
"""Points of a good end are come to sooner."""
END_S = 120.0
"""How long the last server is given to take in all that is missing."""
GIVE_UP = 3
EARLIER = 4
"""By this factor a death comes earlier when its point was not reached so often the time before."""
PAGE = 4096
LINE = 4096
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["simulators.torture.mortal", "server.run", "server.console.pages"])
DEVICES = 3
DOMAIN = "evidence.example.gov"
WITHOUT_CATALOGUE = 8
"""Of so many starts one finds no catalogue, or a broken one."""


@dataclass(slots=True)
class Points:
    """What was seen of them: how often each was reached in one run, where deaths were, what was tried in vain."""

    counts: dict[str, int] = field(default_factory=dict)
    deaths: dict[str, int] = field(default_factory=dict)
    vain: dict[str, int] = field(default_factory=dict)
    born: set[str] = field(default_factory=set)
    """Names that only the first start of a deployment has."""

    def read(self, path: Path) -> None:
        """Add what a server wrote down."""
        for row in path.read_text().splitlines() if path.exists() else ():
            count, _, name = row.partition(" ")
            self.counts[name] = max(self.counts.get(name, 0), int(count))

    def known(self) -> list[str]:
        """Every place of a death: before and after each point, without those of a first start."""
        return places(set(self.counts) - self.born)

    def untried(self) -> list[str]:
        """Those where there was no death yet."""
        return [one for one in self.known() if one not in self.deaths and self.vain.get(one, 0) < GIVE_UP]

    def summary(self) -> str:
        """How far it is."""
        return f"{sum(self.deaths.values())} deaths at {len(self.deaths)} of {len(self.known())} places"

    def never(self) -> list[str]:
        """Those that were tried in vain only."""
        return [one for one in self.known() if one not in self.deaths]


def places(names: Iterable[str]) -> list[str]:
    """Before and after each of these points."""
    return [f"{when} {name}" for name in sorted(names) for when in ("before", "after")]


class ServerCuts:
    """One deployment; `disk` is where the server's data lie, or None where nothing can be cut but the process.

    `how`: options of `mortal`, for the guard.
    """

    def __init__(self, folder: Path, disk: LoopDisk | None, seed: int, how: Sequence[str] = ()) -> None:
        folder.mkdir(exist_ok=True)
        self._folder, self._disk, self._how = folder, disk, how
        self._chance = random.Random(seed)  # noqa: S311 — deaths are chosen again by their seed
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self._made = deployments.create(folder / "deployment", DOMAIN, ports=Ports(broker=port, devices=0, console=0))
        self._settings()
        states = [devices.enrol(self._made, f"DSJ-{number:07}", folder / f"device-{number}").folder for number in range(DEVICES)]
        if disk is not None:
            home = disk.mount / f"server-{len(list(disk.mount.iterdir()))}"
            shutil.move(self._made.server_folder, home)
            self._made.server_folder.symlink_to(home)
        self.data = self._made.server_folder.resolve()
        os.sync()
        self._broker = Mosquitto(self._made, prefix=(sys.executable, "-m", "simulators.leash", str(os.getpid())))
        self.senders = [Sender(state, port, seed * 10 + number) for number, state in enumerate(states)]
        self.findings: list[tuple[str, Findings]] = []
        self.points = Points()
        self.without_catalogue = 0
        self.broken = b""
        self._log = folder / "server.log"

    def _settings(self) -> None:
        """Small reserve, and an anchor every second."""
        path = self._made.server_settings
        text = path.read_text()
        path.write_text(text + "\n" + toml.write({"media": {"reserve_bytes": 0}, "ledger": {"anchor_s": 1}}, "Of the torture."))

    def close(self) -> None:
        """Hang up and end the broker."""
        for sender in self.senders:
            sender.close()
        self._broker.stop()

    # ----------------------------------------------------------------- one death

    def rehearse(self, seconds: float) -> None:
        """Two runs without a death, to learn where there can be one: the first start, and another without a catalogue."""
        self._life("the first start", [], seconds)
        first, self.points = self.points, Points()
        self.lose_catalogue()
        self._life("a rehearsal", [], seconds)
        self.points.born = set(first.counts) - set(self.points.counts)

    def live(self, seconds: float) -> None:
        """A life without a death."""
        self._life("a life after that", [], seconds)

    def cut(self, number: int, point: str = "") -> None:
        """Run a server until its hour, read what is left, judge."""
        point = point or self._chance.choice(self._first(self.points.untried()) or self.points.known())
        often = max(self.points.counts.get(point.partition(" ")[2], 1) / 2, 1)  # a life may be slower than the rehearsal
        times = max(int(2 ** self._chance.uniform(0, math.log2(often)) / EARLIER ** self.points.vain.get(point, 0)), 1)
        if "soundness" in point:  # only a server that finds a broken one passes there
            self.lose_catalogue(2 - self.points.vain.get(point, 0) % 2)
        elif "catalogue" in point or self._chance.randrange(WITHOUT_CATALOGUE) == 0:
            self.lose_catalogue()
        dead = self._life(
            f"kill {number} {point}, time {times}", ["--die", point, "--times", str(times)], END_SOON_S if AT_THE_END in point else ROUND_S
        )
        if dead:
            self.points.deaths[point] = self.points.deaths.get(point, 0) + 1
        else:
            self.points.vain[point] = self.points.vain.get(point, 0) + 1

    def _first(self, untried: list[str]) -> list[str]:
        """Those to be tried next: what was not gone for in vain, and of that what others are told of."""

        def later(point: str) -> tuple[int, bool]:
            return self.points.vain.get(point, 0), not any(word in point for word in TELLING)

        least = min(map(later, untried), default=None)
        return [point for point in untried if later(point) == least]

    def _life(self, where: str, options: list[str], seconds: float) -> bool:
        """One server from its start to its death; whether it died by itself."""
        written = self._folder / "points"
        written.unlink(missing_ok=True)
        disk = [] if self._disk is None else ["--disk", str(self._disk.mount)]
        if disk and self._chance.random() < 0.5:
            disk += ["--flush", str(self._chance.randrange(1 << 30))]
        with self._server([*options, *disk, "--points", str(written), *self._how]) as (process, port):
            for sender in self.senders:
                self._greet(sender, port)
            self._load(process, port, seconds, sure=not options)
            if process.is_alive():
                process.terminate()
                process.join(READY_S)
            dead = process.exitcode == -signal.SIGKILL
        self.points.read(written)
        if self._disk is not None:
            self._disk.power_on()
        self.findings.append((where, self.judged()))
        return dead

    def tape(self, seconds: float) -> tuple[Run, list[tuple[Truth, Told]]]:
        """A run from its start to its good end, on a tape; and the devices, with what they had been told before it."""
        before = [sender.told.copy() for sender in self.senders]
        path = self._folder / "tape"
        with self._server(["--tape", str(path)]) as (process, port):
            for sender in self.senders:
                self._greet(sender, port)
            self._load(process, port, seconds, sure=True)
            process.terminate()
            process.join(READY_S)
        return Run.load(path), [(sender.truth, told) for sender, told in zip(self.senders, before, strict=True)]

    @contextmanager
    def _server(self, options: Sequence[str]) -> Iterator[tuple[BaseProcess, int]]:
        """A server that lives; its process and the devices' port, 0 where it died before it listened."""
        command = ["--folder", str(self.data), *options, "run", "--settings", str(self._made.server_settings)]
        said, out = _FORKS.Pipe(duplex=False)
        process = _FORKS.Process(target=mortal.life, args=(command, out, self._log), daemon=True)
        process.start()
        out.close()
        try:
            ready, _, _ = select.select([said], [], [], READY_S)
            line = os.read(said.fileno(), LINE) if ready else b""
            yield process, int(json.loads(line)["device_port"]) if line else 0
        finally:
            process.kill()
            process.join()
            said.close()

    def _greet(self, sender: Sender, port: int) -> None:
        """Ask how much the server holds; one that died while it started says nothing."""
        with suppress(httpx.HTTPError):
            if port:
                sender.ask(port)

    def _load(self, process: BaseProcess, port: int, seconds: float, *, record: bool = True, sure: bool = False) -> None:
        """All devices at once, until the server is dead, the time is over or (without `record`) all is stored.

        `sure`: and at least until each device has a receipt, however slow the machine is.
        """
        begin = time.monotonic()

        def over(sender: Sender) -> bool:
            took = time.monotonic() - begin
            return took > END_S or (took > seconds and (bool(sender.told.receipts) or not sure)) or (not record and sender.idle)

        def send(sender: Sender) -> None:
            while port and process.is_alive() and not over(sender):
                with suppress(httpx.HTTPError):
                    sender.step(port, record=record)

        threads = [threading.Thread(target=send, args=(sender,), daemon=True) for sender in self.senders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def lose_catalogue(self, how: int | None = None) -> None:
        """What can be built again is gone (0), is no database any more (1), or lacks a page (2): then the server replaces it."""
        path = self.data / "catalogue.sqlite"
        for beside in self.data.glob("catalogue.sqlite-*"):
            beside.unlink()
        how = self._chance.randrange(3) if how is None else how
        if how == 0:
            path.unlink(missing_ok=True)
        elif path.exists() and how == 1:
            path.write_bytes(b"no database " * 1000)
        elif path.exists():
            data = path.read_bytes()
            path.write_bytes(data[:PAGE] + bytes(PAGE) + data[2 * PAGE :])
        self.broken = path.read_bytes() if how and path.exists() else b""
        self.without_catalogue += 1
        os.sync()

    # ----------------------------------------------------------------- judging

    def judged(self) -> Findings:
        """What is on the disk against what was told; a copy is read, so that nothing is repaired before the server does it."""
        copy = self._folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        for path in self.data.glob("*.sqlite*"):
            shutil.copy(path, copy)
        return Judge(copy, DOMAIN, self.broken).judge([(sender.truth, sender.told.copy()) for sender in self.senders], media_of(self.data))

    def finish(self) -> None:
        """A server that nobody kills: whatever was recorded is stored, its devices have the receipts, and it ends well."""
        with self._server(self._how) as (process, port):
            for sender in self.senders:
                self._greet(sender, port)
            self._load(process, port, END_S, record=False)
            process.terminate()
            process.join(READY_S)
            status = process.exitcode
        findings = self.judged()
        for sender in self.senders:
            if not sender.idle:
                findings.lost(f"{sender.device}: after all deaths its recording is not stored within {END_S:.0f} s")
        if status:
            findings.hidden(f"the last server ended with status {status}")
        self.findings.append(("the end", findings))
