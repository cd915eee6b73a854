"""The genuine material: a story told by the real recorder and the real server, and what a forger finds of it afterwards.

    packages/whole      the recording that matters: picture and sound, a still, positions, a mark, a stated gap
    packages/excerpt    a second and a half of it
    packages/earlier    another recording of the same device, stored and then purged from its card
    packages/cut        a recording that a power cut ended
    packages/other      a recording of another device
    packages/late       one that was made with the clock a year behind
    packages/twice, float, large   recordings with a line that readers read differently, written by who has the device's key, and cosigned
    packages/expired    one whose evidence certificate had run out, of a device that was revoked afterwards
    cards/<device>      state folders, as they lie on the cards; the main device's ends with a recording that nobody has cosigned
    cards/older         the main device's as it was before the recording that matters
    store/              the server's data folder

The keys are new each time; `seed` decides nothing here but salts and names.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from agent.core import wire
from server.evidence.excerpt import Stretch
from server.services import World
from simulators.adversary.device import Time
from simulators.adversary.office import DOMAIN, Office, deployment, office
from simulators.adversary.recorder import Unit

MAIN, OTHER, OLD, BENT = "DSJ-0012345", "DSJ-0099999", "DSJ-0000007", "DSJ-0006666"
STRETCH = Stretch(1_500, 3_000)
YEAR_MS = 365 * 86_400_000
NAME = "genuine.json"
NONSENSE = {"twice": '"label":"y"', "float": '"weight":1.5', "large": '"weight":9007199254740993'}
"""What is added to a line that is then signed and cosigned: a name twice, a float, a number beyond 2⁵³."""


@dataclass
class Genuine:
    """Where everything lies, how the recordings are called, which keys an expert is given, and cosigned notes that passed by."""

    folder: Path
    keys: list[str] = field(default_factory=list)
    recordings: dict[str, str] = field(default_factory=dict)
    heard: dict[str, str] = field(default_factory=dict)
    ended_ms: int = 0

    def package(self, name: str) -> Path:
        """A package as a folder."""
        return self.folder / "packages" / name

    def card(self, name: str = MAIN) -> Path:
        """A device's state folder."""
        return self.folder / "cards" / name

    @property
    def store(self) -> Path:
        """The server's data folder."""
        return self.folder / "store"

    @staticmethod
    def origin(device: str = MAIN) -> str:
        """A device's journal."""
        return wire.origin(DOMAIN, device, 1)


def make(folder: Path, seed: int = 1) -> Genuine:
    """Tell the story below `folder`, which is new. What a key's holder wrote comes last, in packages only: the store is genuine."""
    made = Genuine(folder)
    time, deployed = Time(), deployment(folder / "deployment")
    with office(deployed, World(time)) as server:
        made.keys = [server.services.ledger.key.vkey, server.services.witness.key.vkey]
        _Story(made, server, time, seed).tell()
    made.ended_ms = time.ms
    shutil.copytree(deployed.server_folder, made.store)
    with office(deployed, World(time)) as server:
        _Story(made, server, time, seed).nonsense()
    shutil.rmtree(folder / "deployment")
    said = {"keys": made.keys, "recordings": made.recordings, "heard": made.heard, "ended_ms": made.ended_ms}
    (folder / NAME).write_text(json.dumps(said), encoding="utf-8")
    return made


def load(folder: Path) -> Genuine:
    """What `make` made there."""
    said = json.loads((folder / NAME).read_text(encoding="utf-8"))
    return Genuine(folder, said["keys"], said["recordings"], said["heard"], said["ended_ms"])


class _Story:
    def __init__(self, made: Genuine, server: Office, time: Time, seed: int) -> None:
        self.made, self.server, self.time, self.seed = made, server, time, seed

    def tell(self) -> None:
        """From the first enrolment to the last package."""
        main, other = self.unit(MAIN, self.time.ms), self.unit(OTHER, self.time.ms)
        self.duty(main, other)
        self.hand_over()
        self.old_device()
        self.backwards(other)
        self.time.ms += 60_000
        self.server.anchor()
        self.unanchored(main)
        for unit in (main, other):
            shutil.copytree(unit.state, self.made.card(unit.state.name))

    def unit(self, name: str, at_ms: int) -> Unit:
        """A new recorder, known to the server; its certificates are of that time."""
        enrolled = self.server.enrol(name, self.made.folder / "devices" / name, at_ms)
        return Unit(enrolled.folder, self.time, self.seed * 100 + at_ms % 97)

    def wake(self, unit: Unit, scene: int) -> None:
        """Switch on, meet the server, and see something for a while: the seconds before a press are real too."""
        self.time.ms += 5_000
        unit.power(scene)
        unit.sync(self.server)
        unit.watch(1.5)

    def record(self, unit: Unit, name: str, seconds: int, *, still: bool = False, mark: bool = False, lose: int = 0) -> str:
        """A recording under a name of the story, and everything of it to the server."""
        self.made.recordings[name] = recording = unit.record(seconds, still=still, mark=mark, lose=lose)
        unit.sync(self.server)
        self.server.anchor()
        return recording

    def duty(self, main: Unit, other: Unit) -> None:
        """An ordinary day: an earlier recording, the one that matters, another device's, a purge, a power cut."""
        self.wake(main, 1)
        earlier = self.record(main, "earlier", 4)
        main.off()
        shutil.copytree(main.state, self.made.card("older"))
        self.wake(other, 2)
        self.record(other, "other", 5, still=True)
        other.off()
        self.wake(main, 3)
        self.record(main, "whole", 6, still=True, mark=True, lose=6)
        main.purge(earlier)
        main.sync(self.server)
        self.made.recordings["cut"] = main.begin()
        main.watch(2.4)
        main.send_lines(self.server)
        self.made.heard["before the cut"] = main.open.scribe.journal.cosigned or ""
        main.cut()
        self.wake(main, 4)
        main.off()
        self.server.look(MAIN, self.made.recordings["whole"])
        self.time.ms += 60_000
        self.server.anchor()

    def hand_over(self) -> None:
        """The packages that go out."""
        for name, device in (("whole", MAIN), ("earlier", MAIN), ("cut", MAIN), ("other", OTHER)):
            self.export(name, device, self.made.recordings[name])
        self.export("excerpt", MAIN, self.made.recordings["whole"], STRETCH)

    def export(self, name: str, device: str, recording: str, stretch: Stretch | None = None) -> None:
        """One package as a folder."""
        self.time.ms += 500
        self.server.export(device, recording, stretch).write_folder(self.made.package(name))

    def old_device(self) -> None:
        """One whose evidence certificate has run out: it records all the same, and is then revoked."""
        unit = self.unit(OLD, self.time.ms - 11 * YEAR_MS)
        self.wake(unit, 5)
        recording = self.record(unit, "expired", 3)
        self.export("expired", OLD, recording)
        self.server.revoke(unit.enrolment.origin)
        self.made.recordings["revoked"] = unit.record(3)
        unit.off()
        shutil.copytree(unit.state, self.made.card(OLD))

    def nonsense(self) -> None:
        """Whoever has a device's key has lines signed and cosigned that readers read differently, in the middle of a recording."""
        unit = self.unit(BENT, self.time.ms)
        for scene, (name, more) in enumerate(NONSENSE.items(), 8):
            self.wake(unit, scene)
            self.made.recordings[name] = recording = unit.begin()
            unit.watch(1)
            scribe = unit.open.scribe
            with scribe.batch():
                line = scribe.line("mark", [("label", "x")], recording)
            scribe.journal.append([line.replace(b',"label":"x"', b',"label":"x",' + more.encode())])
            unit.end()
            unit.sync(self.server)
            self.server.anchor()
            unit.off()
            self.export(name, BENT, recording)
        shutil.copytree(unit.state, self.made.card(BENT))

    def backwards(self, other: Unit) -> None:
        """Somebody sets a clock back a year before he records."""
        other.clock.wrong_ms, other.clock.source = -YEAR_MS, "none"
        self.wake(other, 6)
        self.record(other, "late", 3)
        other.off()
        self.export("late", OTHER, self.made.recordings["late"])

    def unanchored(self, main: Unit) -> None:
        """Out of reach: a recording that only the card has."""
        self.wake(main, 7)
        self.made.heard["the newest"] = main.open.scribe.journal.cosigned or ""
        self.made.heard["the ledger"] = self.server.ledger_note()
        self.made.recordings["unseen"] = main.record(3)
        main.off()
