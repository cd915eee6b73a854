"""A device's state folder with genuine recordings in it, made by the journal's own code; and what an auditor does with it."""

from __future__ import annotations

from pathlib import Path

from agent.core import merkle, note
from hal.drivers import linux
from server.evidence.audit import audit
from server.evidence.text import MEANS_OF_AUDIT, as_text
from server.evidence.verdict import Report
from tests.agent.journal.conftest import ORIGIN, WITNESS, WITNESS_KEY, Device
from tests.server.evidence.world import DOMAIN, Key, World

WITNESS_VKEY = note.vkey(WITNESS, note.COSIGNATURE, WITNESS_KEY.public_key().public_bytes_raw())
LEDGER = Key(f"{DOMAIN}/ledger")
SECOND = f"{ORIGIN[:-1]}2"


class Folder:
    """A device that recorded twice, on a real disk; the first recording has its receipt."""

    def __init__(self, state: Path):
        self.state, self.world = state, World()
        self.device = Device(state, linux.Files())
        self.device.start()
        self.device.scribe.beacon(self.world.ledger.body())
        self.first = self.device.record(stop=True)
        self.second = self.device.record(stop=True)
        self.device.cosign()
        self.receipt(self.first)

    @property
    def journal(self) -> Path:
        return self.state / "journal" / "1" / "segment-000000000000.jsonl"

    def lines(self) -> list[bytes]:
        return self.journal.read_bytes().splitlines()

    def receipt(self, recording: str, stop: str | None = None) -> str:
        """The ledger's `stored` line, proved, kept; its leaf hash."""
        found = next(line for line in self.lines() if b'"stop"' in line and recording.encode() in line)
        world = self.world
        members = {"origin": ORIGIN, "stop": stop or merkle.leaf_hash(found).hex(), "fragments": 4, "bytes": 1}
        index = world.custody_line("stored", "DSJ-0012345", recording, **members)
        (self.state / "receipts").mkdir(exist_ok=True)
        (self.state / "receipts" / f"{recording}.tlog-proof").write_text(world.ledger_proof(index, world.ledger_size()))
        return world.ledger.leaves[index].hex()

    def audit(self, *keys: str, media: bool = True) -> Report:
        return audit(str(self.state), list(keys) or [LEDGER.vkey, WITNESS_VKEY], media=media)

    def judge(self, verdict: str, place: str, *keys: str) -> Report:
        report = self.audit(*keys)
        assert report.verdict == verdict, as_text(report, MEANS_OF_AUDIT)
        assert report.first is not None
        assert place in f"{report.first.place}: {report.first.message}", as_text(report, MEANS_OF_AUDIT)
        return report
