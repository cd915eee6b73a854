"""The server's process, killed at its commits and during media intake, its disk cut where there is one that can be.

Three devices send without a pause. After each death the databases and the media are read as they stand on the disk, by SQL and
by hashes, before a server is started again: whatever a device was told must be there. Then it goes on from there.

    lost    a cosigned line, a held fragment or a stored recording that somebody was told of is not there
    hidden  the ledger or a journal no longer leads to a checkpoint that was let out
"""

from __future__ import annotations

import json
import os
import random
import select
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import httpx

from agent.core import note
from provisioning import deployment as deployments
from provisioning import device as devices
from provisioning import toml
from provisioning.deployment import Ports
from provisioning.mosquitto import Mosquitto
from simulators.children import ROOT
from simulators.torture.judge import Findings
from simulators.torture.loopdisk import LoopDisk
from simulators.torture.mortal import POINTS
from simulators.torture.sender import Sender, recording_of, size_of
from simulators.torture.trees import Folded, digest, leaf

READY_S = 120.0
ROUND_S = 20.0
"""A server that has not come to its hour of death by then is killed where it is."""
MOST = 25
DOMAIN = "evidence.example.gov"


class ServerCuts:
    """One deployment; `disk` is where the server's data lie, or None where nothing can be cut but the process.

    `forget`: the server forgets its syncs.
    """

    def __init__(self, folder: Path, disk: LoopDisk | None, seed: int, *, forget: bool = False) -> None:
        self._folder, self._disk, self._forget = folder, disk, "forget:" if forget else ""
        self._chance = random.Random(seed)  # noqa: S311 — deaths are chosen again by their seed
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self._made = deployments.create(folder / "deployment", DOMAIN, ports=Ports(broker=port, devices=0, console=0))
        self._settings()
        states = [devices.enrol(self._made, f"DSJ-{number:07}", folder / f"device-{number}").folder for number in range(3)]
        if disk is not None:
            shutil.move(self._made.server_folder, disk.mount / "server")
            self._made.server_folder.symlink_to(disk.mount / "server")
            os.sync()
        self._broker = Mosquitto(self._made)
        self.senders = [Sender(state, port, seed * 10 + number) for number, state in enumerate(states)]
        self.findings: list[tuple[str, Findings]] = []
        self.deaths: dict[str, int] = {}
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

    def cut(self, number: int) -> None:
        """Run a server until its hour, read what is left, judge."""
        point, times = self._chance.choice(POINTS), self._chance.randint(1, MOST)
        with self._server(point, times) as (process, port):
            for sender in self.senders:
                self._greet(sender, port)
            self._load(process, port)
            if process.poll() is None:
                point = "anywhere"
                if self._disk is not None:
                    self._disk.cut()
        self.deaths[point] = self.deaths.get(point, 0) + 1
        if self._disk is not None:
            self._disk.power_on()
        self.findings.append((f"kill {number} at {point} {times}", self._judged()))

    @contextmanager
    def _server(self, point: str, times: int) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
        disk = "-" if self._disk is None else str(self._disk.mount)
        arguments = [
            "simulators.torture.mortal",
            f"{self._forget}{point}",
            str(times),
            disk,
            "run",
            "--settings",
            str(self._made.server_settings),
        ]
        leash = (sys.executable, "-m", "simulators.leash", str(os.getpid()), sys.executable, "-m")
        with self._log.open("ab") as log:
            process = subprocess.Popen([*leash, *arguments], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
        assert process.stdout is not None
        try:
            ready, _, _ = select.select([process.stdout], [], [], READY_S)
            line = process.stdout.readline() if ready else b""
            yield process, int(json.loads(line)["device_port"]) if line else 0
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    def _greet(self, sender: Sender, port: int) -> None:
        """Ask how much the server holds; one that died while it started says nothing."""
        with suppress(httpx.HTTPError):
            if port:
                sender.ask(port)

    def _load(self, process: subprocess.Popen[bytes], port: int) -> None:
        """All devices at once, until the server is dead."""
        end = time.monotonic() + ROUND_S

        def send(sender: Sender) -> None:
            while port and process.poll() is None and time.monotonic() < end:
                with suppress(httpx.HTTPError):
                    sender.step(port)

        threads = [threading.Thread(target=send, args=(sender,), daemon=True) for sender in self.senders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    # ----------------------------------------------------------------- judging

    def _judged(self) -> Findings:
        """What is on the disk against what was told; a copy is read, so that nothing is repaired before the server does it."""
        findings = Findings()
        data, copy = self._made.server_folder, self._folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        for path in data.glob("*.sqlite*"):
            shutil.copy(path, copy)
        logs = Logs(copy / "logs.sqlite")
        ledger = logs.lines(f"{DOMAIN}/ledger")
        roots = _roots(ledger)
        for sender in self.senders:
            self._journal(sender, logs, findings)
            self._media(sender, data / "media", findings)
            for text in sender.told.beacons:
                _leads(text, roots, "the ledger", findings)
            for text in sender.told.receipts:
                proof = note.parse_tlog_proof(text)
                if proof.index >= len(ledger) or ledger[proof.index] != proof.extra:
                    findings.lost(f"{sender.device}: line {proof.index} of the ledger, which a receipt proved")
                _leads(proof.checkpoint, roots, "the ledger under a receipt", findings)
        return findings

    @staticmethod
    def _journal(sender: Sender, logs: Logs, findings: Findings) -> None:
        held = logs.lines(sender.origin)
        told = max(map(size_of, sender.told.cosigned), default=0)
        if held[:told] != sender.lines[:told]:
            findings.lost(f"{sender.device}: cosigned lines: {told} were told, {len(held)} are held")
        roots = _roots(sender.lines)
        for text in sender.told.cosigned:
            _leads(text, roots, sender.device, findings)

    @staticmethod
    def _media(sender: Sender, media: Path, findings: Findings) -> None:
        """Bytes of every fragment that was answered well, and all bytes of a recording with a receipt."""
        ranges = set(sender.told.held)
        for text in sender.told.receipts:
            recording = recording_of(text)
            ranges.add((recording, 0, len(sender.ends[recording]) - 1))
        for recording, first, end in sorted(ranges):
            ends, path = sender.ends[recording], media / sender.device / recording / "front.mp4"
            data = path.read_bytes() if path.is_file() else b""
            if digest(data[ends[first] : ends[end]]) != digest(sender.media[recording][ends[first] : ends[end]]):
                findings.lost(f"{sender.device}: fragments {first} to {end} of {recording}, which were said to be held")


class Logs:
    """The server's logs by SQL."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def lines(self, origin: str) -> list[bytes]:
        """All lines of a log."""
        if not self._path.exists():
            return []
        query = "SELECT lines FROM batch JOIN log ON log.id = batch.log WHERE origin = ? ORDER BY first"
        with closing(sqlite3.connect(self._path)) as database:
            try:
                return [line for (some,) in database.execute(query, (origin,)) for line in bytes(some).split(b"\n")]
            except sqlite3.OperationalError:
                return []


def _roots(lines: list[bytes]) -> dict[int, bytes]:
    fold, roots = Folded(), {0: Folded.root_of(())}
    for line in lines:
        fold.append(leaf(line))
        roots[fold.size] = Folded.root_of(fold.stack())
    return roots


def _leads(text: str, roots: dict[int, bytes], whose: str, findings: Findings) -> None:
    """A checkpoint that was let out must still be one of the log."""
    head = note.parse_checkpoint(note.split(text)[0])
    if head.size not in roots:
        findings.lost(f"{whose}: a checkpoint of {head.size} lines was let out, there are {len(roots) - 1}")
    elif roots[head.size] != head.root:
        findings.hidden(f"{whose}: the root at {head.size} lines is another than the one that was let out")
