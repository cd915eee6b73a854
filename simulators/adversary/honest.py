"""Packages and histories that nobody touched, of any shape: none of them may be called forged.

A world is a server and a recorder (both real, the recorder on a disk in memory that can lose its power), and a handful of recordings:
any length, tracks, stills, gaps, a camera that goes and comes back, marks and positions, power cuts, hours without a network, media that
have not all arrived, the whole or a stretch. Media bytes are whole boxes of noise: shapes are tried here, not pictures.

What must be said of a package is known from the story and not from the server:
- `incomplete` where its stop was not sent, bytes that a line names were not, or no beacon was known when it began;
- else `excerpt` for a stretch, `intact` for the whole.

At the end of each world its card and its server's store are audited: the card is intact, the store too, or incomplete where media wait.
"""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.core import ulid
from hal.contracts import Fix
from server.evidence.audit import audit, fast_primitives
from server.evidence.excerpt import Stretch
from server.evidence.text import as_text
from server.evidence.verify import verify
from server.services import World
from simulators.adversary import mp4
from simulators.adversary.device import Device, Time
from simulators.adversary.office import Office, deployment, office
from simulators.powercut import SimulatedFiles

A_WORLD = 10
"""Recordings in a world: a server costs more to make than they do."""
NAME = "DSJ-0012345"
SECOND_MS = 1_000


@dataclass
class Tally:
    """What came of them: verdicts on packages, what their shapes had, verdicts on histories, and every false alarm in words."""

    packages: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    shapes: Counter[str] = field(default_factory=Counter)
    audits: Counter[str] = field(default_factory=Counter)
    alarms: list[str] = field(default_factory=list)


@dataclass
class Film:
    """A recording of the story, and what of it is known to have gone where."""

    name: str
    dated: bool
    shape: set[str] = field(default_factory=set)
    tracks: dict[str, int] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    track: str = "front"
    front: int = 1
    stills: int = 0


def run(count: int, seed: int, folder: Path) -> Tally:
    """So many packages, in worlds of their own below `folder`."""
    tally, number = Tally(), 0
    while tally.packages < count:
        place = folder / f"world-{number}"
        time = Time()
        with office(deployment(place / "deployment"), World(time)) as server:
            _World(server, time, place, f"{seed} {number}", tally).tell(min(A_WORLD, count - tally.packages))
        shutil.rmtree(place)
        number += 1
    return tally


class _World:
    def __init__(self, server: Office, time: Time, place: Path, seed: str, tally: Tally) -> None:
        self.server, self.time, self.place, self.seed, self.tally = server, time, place, seed, tally
        self.chance = random.Random(seed)  # noqa: S311 — the same seed, the same shapes
        self.keys = [server.services.ledger.key.vkey, server.services.witness.key.vkey]
        state = server.enrol(NAME, place / "device", time.ms).folder
        self.device = Device(state, time, self.chance.randrange(1 << 30), SimulatedFiles())

    def tell(self, count: int) -> None:
        """Record, lose power, send what arrives, hand over."""
        self.device.on()
        if self.chance.random() < 0.8:
            self.device.sync(self.server)
        films = []
        for _ in range(count):
            films.append(film := self.record())
            self.arrive(film)
            self.hand_over(film)
        waits = any(list(self.device.open.index.of(film.name, sent=False)) for film in films)
        self.device.pull()
        self._audit("card", self._card(), "intact")
        self._audit("store", self.place / "deployment" / "server", "incomplete" if waits else "intact")

    # ----------------------------------------------------------------- a recording

    def record(self) -> Film:
        """From its start to its stop, or to the power cut that ends it."""
        device, scribe = self.device, self.device.open.scribe
        self.time.ms += self.chance.randrange(100, 90_000)
        if device.beacon is not None:
            scribe.beacon(device.beacon)
        # Governing is the newest beacon of the journal, whoever wrote it and when: before this start, or in an earlier boot.
        film = Film(ulid.new(self.time.ms, self.chance.randbytes(10)), "beacon" in scribe.journal.story.governing)
        scribe.start(film.name, "button", device.clock.up_us())
        self.begin_track(film)
        for _ in range(self.chance.choice((0, 1, 3, 8, 20))):
            self.event(film)
        if self.chance.random() < 0.25:
            film.shape.add("power cut")
            self.lose_power()
        else:
            scribe.stop(film.name, "button")
        return film

    def begin_track(self, film: Film) -> None:
        """A video track with its init segment."""
        scribe = self.device.open.scribe
        film.track = "front" if film.front == 1 else f"front-{film.front}"
        scribe.track(film.name, film.track, "video/mp4", "avc1.42c01e", "honest", width=640, height=360, rate=25)
        film.ends[film.track] = max(film.ends.values(), default=0)
        self.fragment(film, mp4.box(b"ftyp", b"iso6") + mp4.box(b"moov", self.chance.randbytes(60)), 0)

    def fragment(self, film: Film, data: bytes, duration: int) -> None:
        """The next fragment of the running track."""
        track, seq = film.track, film.tracks.get(film.track, 0)
        self.device.open.scribe.fragment(film.name, track, seq, data, film.ends[track], duration)
        film.tracks[track], film.ends[track] = seq + 1, film.ends[track] + duration
        self.time.ms += duration

    def event(self, film: Film) -> None:
        """Whatever happens while something is recorded; mostly a second passes."""
        scribe, kind = self.device.open.scribe, self.chance.choices(EVENTS, WEIGHTS)[0]
        film.shape.add(kind)
        if kind == "second":
            noise = self.chance.randbytes(self.chance.randrange(1, 4_000))
            length = self.chance.choice((SECOND_MS, SECOND_MS, 960, 40, 2_013))
            self.fragment(film, mp4.box(b"moof", self.chance.randbytes(30)) + mp4.box(b"mdat", noise), length)
        elif kind == "gap":
            lost = self.chance.randrange(1, 9_000)
            scribe.gap(film.name, film.track, film.ends[film.track], lost, "camera")
            film.ends[film.track] += lost
        elif kind == "another track":
            film.front += 1
            lost = self.chance.randrange(500, 5_000)
            scribe.gap(film.name, film.track, film.ends[film.track], lost, "camera")
            film.ends[film.track] += lost
            self.begin_track(film)
        elif kind == "still":
            film.stills += 1
            name = f"still-{film.stills}"
            scribe.track(film.name, name, "image/jpeg", "jpeg", "honest", width=64, height=48)
            scribe.fragment(film.name, name, 0, b"\xff\xd8" + self.chance.randbytes(90) + b"\xff\xd9", film.ends[film.track], 0)
        elif kind == "line":
            self.line(film)
        elif kind == "sent meanwhile":
            self.device.send_lines(self.server)

    def line(self, film: Film) -> None:
        """A line beside the media."""
        scribe, device = self.device.open.scribe, self.device
        choice = self.chance.randrange(4)
        if choice == 0:
            scribe.mark(film.name, "重点")
        elif choice == 1:
            scribe.clock(device.clock.reading())
        elif choice == 2:
            scribe.event("power", "low", percent=9)
        else:
            scribe.fix(Fix(device.clock.up_us(), self.chance.randrange(10**8), self.chance.randrange(10**8)))

    def lose_power(self) -> None:
        """The disk keeps what was synced, and of the rest what chance leaves; the next start says what was lost."""
        self.device.pull()
        files = self.device.files
        assert isinstance(files, SimulatedFiles)
        self.device.files = files.after_cut(self.chance.randrange(1 << 30))
        self.time.ms += self.chance.randrange(1_000, 600_000)
        self.device.on()

    # ----------------------------------------------------------------- what arrives, and what goes out

    def arrive(self, film: Film) -> None:
        """The network is there, or for a while, or only for lines."""
        self.time.ms += self.chance.randrange(0, 7_200_000)
        way = self.chance.choices(("all", "lines", "some media"), (8, 1, 1))[0]
        if way != "all":
            film.shape.add("not all arrived")
        self.device.send_lines(self.server)
        if way != "lines":
            self.device.send_media(self.server, 10_000 if way == "all" else self.chance.randrange(1, 4))
        if self.chance.random() < 0.6:
            self.server.anchor()
            film.shape.add("anchored")

    def rows(self, film: Film, kind: str) -> list[dict[str, Any]]:
        """Members of a recording's lines of a kind, from the device's own journal."""
        journal = self.device.open.scribe.journal
        found = [json.loads(line) for line in journal.lines(0, journal.size) if film.name.encode() in line]
        return [m for m in found if m["kind"] == kind]

    def missing(self, film: Film, stretch: Stretch | None) -> bool:
        """Whether bytes that a shown line names are not at the server: by the device's own account, or because a power cut took them."""
        sizes = {m["track"]: self.device.open.scribe.media.size(film.name, m["track"]) for m in self.rows(film, "track")}
        waiting = {(one.track, one.seq) for one in self.device.open.index.of(film.name, sent=False)}
        rows = self.rows(film, "fragment")
        shown = rows
        if stretch is not None:
            shown = [m for m in rows if m["pts"] < stretch.end_ms and m["pts"] + max(m["duration"], 1) > stretch.first_ms]
        tracks = {m["track"] for m in shown if m["seq"] > 0 or m["track"].startswith("still")}
        if stretch is not None:
            shown = [m for m in shown if m["track"] in tracks]
            shown += [m for m in rows if m["seq"] == 0 and m["track"] in tracks]
        return any((m["track"], m["seq"]) in waiting or m["offset"] + m["bytes"] > sizes[m["track"]] for m in shown)

    def stretch(self, film: Film) -> Stretch | None:
        """A stretch that meets some fragment, or the whole."""
        playable = [m for m in self.rows(film, "fragment") if m["seq"] > 0]
        if not playable or self.chance.random() < 0.6:
            return None
        first, last = sorted(self.chance.choices(playable, k=2), key=lambda m: int(m["pts"]))
        begin = first["pts"] + self.chance.randrange(first["duration"])
        return Stretch(begin, max(begin + 1, last["pts"] + self.chance.randrange(last["duration"]) + 1))

    def hand_over(self, film: Film) -> None:
        """Export it, as a folder or a .zip, and ask the verifier."""
        stretch = self.stretch(film)
        made = self.server.export(NAME, film.name, stretch)
        target = self.place / film.name
        if self.chance.random() < 0.5:
            made.write_folder(target)
        else:
            target.write_bytes(b"".join(made.zip_pieces()))
        report = verify(str(target), self.keys, primitives=fast_primitives())
        self._judge(film, stretch, report.verdict, as_text(report))

    def _card(self) -> Path:
        """The disk in memory, written to a folder as a reader of cards would find it."""
        state, files, card = self.device.state, self.device.files, self.place / "card"
        shutil.copytree(state, card)
        assert isinstance(files, SimulatedFiles)
        for path in files.paths():
            target = card / path.relative_to(state)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(files.read(path))
        return card

    def _audit(self, what: str, folder: Path, expected: str) -> None:
        report = audit(str(folder), self.keys, primitives=fast_primitives())
        self.tally.audits[f"{what} {report.verdict}"] += 1
        if report.verdict != expected:
            self.tally.alarms.append(f"world {self.seed}, {what}: expected {expected}, got {report.verdict}\n{as_text(report)}")

    def _judge(self, film: Film, stretch: Stretch | None, verdict: str, text: str) -> None:
        lacks = not film.dated or self.missing(film, stretch)
        expected = "incomplete" if lacks else "excerpt" if stretch else "intact"
        tally = self.tally
        tally.packages += 1
        tally.verdicts[verdict] += 1
        tally.shapes.update({*film.shape, "excerpt" if stretch else "whole", "no beacon" if not film.dated else "dated"})
        if verdict != expected:
            tally.alarms.append(f"world {self.seed}, {film.name}: expected {expected}, got {verdict}\n{text}")


EVENTS = ("second", "gap", "another track", "still", "line", "sent meanwhile")
WEIGHTS = (10, 1, 1, 1, 4, 1)
