"""Real cuts: the agent's own process records on a loop-mounted ext4 that is shut down under it at a moment chosen by a seed.

Each cut: the file system is shut down without a flush, the process killed a moment later, the image mounted again, the agent
started; when its lamp says that it is armed, it is held still, its disk is read and judged. There is no server: each append that
counted as durable is told outside in that moment (`outspoken`), and the judge holds the recorder to all of it, lines and
checkpoints, from the first start on.

Camera: a stream copy of a small drawing, so that the encoder does not decide about the figures. The agent has precedence over
whatever else the machine does: a recorder has its processor to itself.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import av

from agent.journal.signer import FileSigner
from agent.pipeline import enrolment as enrolments
from provisioning import deployment as deployments
from provisioning import device as devices
from provisioning import toml
from provisioning.deployment import Ports
from simulators import media
from simulators.children import ROOT
from simulators.errors import ProcessError
from simulators.torture.judge import Findings, Judge
from simulators.torture.kernel import Image
from simulators.torture.loopdisk import LoopDisk
from simulators.torture.outspoken import told
from simulators.torture.promises import Identity
from simulators.torture.reading import members_of, written
from simulators.torture.reel import HEIGHT, KBIT_S, RATE, WIDTH

ARMED_WITHIN_S = 120.0
LOOK_S = 0.02
RUNS_S = (0.1, 4.5)
"""Between being armed and the cut."""
DYING_S = 0.03
"""Between the shutdown and the kill, at most: the agent sees a disk that refuses."""
PRECEDENCE = -15
"""Nice value of the agent's session."""
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Tried:
    """Figures of all real cuts. `armed_ms`: from before the process is made to the lamp; `armed_cpu_ms`: its own work until then.

    `missing_ms`: media time of a recording that was cut, which is not there after the next start; `unstated_ms`: what of that its
    gap by power does not say.
    """

    findings: list[tuple[str, Findings]] = field(default_factory=list)
    missing_ms: list[int] = field(default_factory=list)
    unstated_ms: list[int] = field(default_factory=list)
    armed_ms: list[int] = field(default_factory=list)
    armed_cpu_ms: list[int] = field(default_factory=list)
    resumed: int = 0
    decoded: int = 0
    told: int = 0


class RealCuts:
    """One recorder, one disk, cut after cut; `program` is its agent."""

    def __init__(self, folder: Path, disk: LoopDisk, seed: int, program: str = "simulators.torture.outspoken") -> None:
        self._folder, self._disk, self._program = folder, disk, program
        self._chance = random.Random(seed)  # noqa: S311 — moments are chosen again by their seed
        self._state = disk.mount / "state"
        self._lamp, self._script, self._log = folder / "lamp.jsonl", folder / "buttons.toml", folder / "agent.log"
        self._outside = folder / "told.jsonl"
        self._cut_ms: int | None = None
        self._whose = self._enrol()
        self.tried = Tried()

    def _enrol(self) -> Identity:
        """Provision the device onto the disk; nobody listens at the addresses that it is given."""
        made = deployments.create(self._folder / "deployment", "evidence.example.gov", ports=Ports(broker=1, devices=1, console=1))
        clip = media.encoded(None, self._folder / "media", (WIDTH, HEIGHT), RATE, KBIT_S, 10)
        settings: toml.Table = {
            "agent": {"resume_after_power_loss": True},
            "capture": {"pre_event_s": 2},
            "overlay": {"enabled": False},
            "storage": {"reserve_bytes": 1_048_576, "stop_below_bytes": 0},
            "board": {
                "camera": {"driver": "simulators.copycamera:CopyCamera", "path": str(clip)},
                "button": {"driver": "simulators.buttons:Buttons", "script": str(self._script)},
                "indicator": {"driver": "simulators.indicator:Indicator", "log": str(self._lamp)},
                "clock": {"driver": "hal.drivers.linux:SystemClock"},
            },
        }
        devices.enrol(made, "DSJ-0012345", self._state, settings)
        os.sync()
        mine = enrolments.load(self._state)
        return Identity(mine.origin, mine.n, FileSigner.load(self._state / "evidence" / "evidence.key").public_key())

    # ----------------------------------------------------------------- one cut

    def cut(self, number: int) -> None:
        """Start, judge what the last cut left, record, cut."""
        self._press()
        with self._started(number):
            time.sleep(self._chance.uniform(*RUNS_S))
            self._cut_ms = _up_ms()
            self._disk.cut()
            time.sleep(self._chance.random() * DYING_S)
        self._disk.power_on()

    def last(self, number: int) -> None:
        """Judge what the last cut left."""
        self._press()
        with self._started(number):
            pass

    @contextmanager
    def _started(self, number: int) -> Iterator[None]:
        before = read(self._state)
        promises = told(self._outside)
        open_before = _unfinished(before, self._whose)
        began_ms = _up_ms()
        with self._agent() as agent:
            self._armed(agent, began_ms, resumed=bool(open_before))
            after = settled(self._held_still(agent), self._whose)
            judge = Judge(self._whose, promises, before, after, before, live=True)
            findings = judge.judge()
            self._played(findings, after, open_before)
            self.tried.told = sum(len(one.lines) for one in promises)
            if self._cut_ms is not None:
                self._exposed(self._cut_ms, after, open_before)
                self.tried.findings.append((f"cut {number - 1}", findings))
            yield

    @contextmanager
    def _agent(self) -> Iterator[subprocess.Popen[bytes]]:
        """The agent's process; killed at the end, as the power does it."""
        self._lamp.unlink(missing_ok=True)
        leash = ("-m", "simulators.leash", str(os.getpid()), sys.executable, "-m", self._program, str(self._outside), "run", "--settings")
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *leash, str(self._state / "settings.toml")],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        _precede(process.pid)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()

    def _press(self) -> None:
        """What the officer's hand will do at this start: mark, still, stop and begin again, at moments of chance."""
        at, steps = self._chance.uniform(0.05, 0.4), []
        for button, held in self._chance.choice(HANDS):
            steps += [(at, button, True), (at + held, button, False)]
            at += held + self._chance.uniform(0.5, 1.2)
        text = "".join(
            f'[[step]]\nat = {moment:.3f}\nto = "button"\ndo = "edge"\nbutton = "{button}"\ndown = {"true" if down else "false"}\n'
            for moment, button, down in steps
        )
        self._script.write_text(text)

    def _armed(self, agent: subprocess.Popen[bytes], began_ms: int, *, resumed: bool) -> None:
        """Wait for the lamp; where a recording was cut off it must say that it records again, by itself."""
        wanted = ("recording",) if resumed else ("ready", "recording")
        end = time.monotonic() + ARMED_WITHIN_S
        while time.monotonic() < end:
            if agent.poll() is not None:
                raise ProcessError(f"the agent ended with status {agent.returncode}; {self._log} ends with: {self._said()}")
            shown = [said for line in self._shown() if (said := json.loads(line))["lamp"] in wanted]
            if shown:
                self.tried.armed_cpu_ms.append(_cpu_ms(agent.pid))
                self.tried.armed_ms.append(shown[0]["up"] - began_ms)
                self.tried.resumed += resumed
                return
            time.sleep(LOOK_S)
        raise ProcessError(
            f"the lamp did not say {' or '.join(wanted)} within {ARMED_WITHIN_S:.0f} s; {self._log} ends with: {self._said()}"
        )

    def _shown(self) -> list[str]:
        try:
            return self._lamp.read_text("utf-8").split("\n")[:-1]
        except FileNotFoundError:
            return []

    def _said(self) -> str:
        return " / ".join(self._log.read_text("utf-8", "replace").strip().splitlines()[-3:])

    def _held_still(self, agent: subprocess.Popen[bytes]) -> Image:
        """The disk as it is seen at one moment."""
        agent.send_signal(signal.SIGSTOP)
        _stopped(agent.pid)
        try:
            return read(self._state)
        finally:
            agent.send_signal(signal.SIGCONT)

    # ----------------------------------------------------------------- judging

    def _played(self, findings: Findings, after: Image, open_before: list[str]) -> None:
        """What was cut off plays to its end, and the recording goes on in another that says so."""
        for name in open_before:
            if why := self._undecodable(after, name):
                findings.hidden(f"{name} can't be decoded: {why}")
        starts = [m for m in map(members_of, written(after, self._whose).lines) if m["kind"] == "start"]
        if open_before and open_before[-1] not in {start["continues"] for start in starts if start["trigger"] == "resume"}:
            findings.hidden(f"{open_before[-1]} was cut off, and no recording goes on with it")

    def _undecodable(self, image: Image, recording: str) -> str:
        """Why a player would stop before the last whole fragment; empty where it plays to its end."""
        path = f"media/{recording}/front.mp4"
        if path not in image.files or not image.files[path]:
            return ""
        copy = self._folder / "played.mp4"
        copy.write_bytes(image.files[path])
        named = [
            m for m in map(members_of, written(image, self._whose).lines) if m.get("recording") == recording and m["kind"] == "fragment"
        ]
        expected = sum(said["duration"] for said in named if said["track"] == "front") * RATE // 1000
        try:
            with av.open(str(copy)) as container:
                frames = sum(1 for _ in container.decode(video=0)) if expected else 0
        except av.FFmpegError as error:
            return str(error)
        self.tried.decoded += 1
        return "" if abs(frames - expected) <= 1 else f"{frames} frames, its fragments have {expected}"

    def _exposed(self, cut_ms: int, after: Image, open_before: list[str]) -> None:
        """Media time that the cut cost: from the end of the last fragment on record to the moment of the cut."""
        lines = [m for m in map(members_of, written(after, self._whose).lines) if m.get("recording") in open_before]
        for name in open_before:
            mine = [m for m in lines if m["recording"] == name]
            epoch = next(m["epoch"] for m in mine if m["kind"] == "start")
            end = max((m["pts"] + m["duration"] for m in mine if m["kind"] == "fragment"), default=0)
            stated = sum(m["lost"] for m in mine if m["kind"] == "gap" and m["reason"] == "power")
            self.tried.missing_ms.append(cut_ms - epoch - end)
            self.tried.unstated_ms.append(max(cut_ms - epoch - end - stated, 0))


HANDS: tuple[tuple[tuple[str, float], ...], ...] = (
    (("record", 0.15), ("mark", 0.15)),
    (("record", 0.15), ("mark", 1.2)),
    (("record", 0.15), ("record", 1.2), ("record", 0.15)),
    (("mark", 0.15), ("record", 1.2)),
    (("record", 1.2), ("record", 0.15), ("mark", 1.2), ("mark", 0.15)),
)
"""Buttons and how long each is held, in seconds: a short press begins, a long one ends; mark: short, still: long."""


def read(state: Path) -> Image:
    """What of a state folder is evidence."""
    files = {}
    for folder in ("journal", "media", "receipts"):
        for path in (state / folder).rglob("*"):
            with suppress(FileNotFoundError):
                if path.is_file():
                    files[str(path.relative_to(state))] = path.read_bytes()
    return Image(files)


def settled(image: Image, whose: Identity) -> Image:
    """The disk of a running recorder without what is on its way: lines without a checkpoint, bytes without a line."""
    journal = written(image, whose)
    if not journal.notes:
        return image
    files, size = dict(image.files), journal.notes[-1].size
    newest = max(name for name in files if "/segment-" in name and name.endswith(".jsonl"))
    first = int(newest[-18:-6])
    lines = files[newest].split(b"\n")[: max(size - first, 0)]
    files[newest] = b"".join(line + b"\n" for line in lines)
    checkpoints = f"journal/{whose.n}/checkpoints"
    files[checkpoints] = files[checkpoints][: journal.notes[-1].end]
    covered = [members_of(line) for line in journal.lines[: size - journal.first]]
    stopped = {m["recording"] for m in covered if m["kind"] == "stop"}
    ends: dict[str, int] = {}
    for m in covered:
        if m["kind"] == "fragment":
            place = f"media/{m['recording']}/{m['track']}."
            ends[place] = max(ends.get(place, 0), m["offset"] + m["bytes"])
    for name in [name for name in files if name.startswith("media/") and name.split("/")[1] not in stopped]:
        end = ends.get(name[: name.rindex(".") + 1], 0)
        files[name] = files[name][:end]
        if not end:
            del files[name]
    return Image(files)


def _unfinished(image: Image, whose: Identity) -> list[str]:
    lines = [members_of(line) for line in written(image, whose).lines]
    stopped = {m["recording"] for m in lines if m["kind"] == "stop"}
    return [m["recording"] for m in lines if m["kind"] == "start" and m["recording"] not in stopped]


def _up_ms() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def _precede(pid: int) -> None:
    """Before everything else that the machine does, where the kernel lets us (sched(7): a session is scheduled as one)."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, PRECEDENCE)
        Path(f"/proc/{pid}/autogroup").write_text(str(PRECEDENCE))


def _cpu_ms(pid: int) -> int:
    """Processor time of the process so far, in user and in system mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 // TICKS


def _stopped(pid: int) -> None:
    """Wait until every thread of the process stands still."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        while True:
            try:
                state = (task / "stat").read_text().rpartition(") ")[2][:1]
            except (FileNotFoundError, ProcessLookupError):
                break
            if state in "TtZX":
                break
            time.sleep(0.001)
