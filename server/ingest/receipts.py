"""Hands devices their receipts: the ledger's `stored` line, proved, on `zhilu/<device>/receipt` (docs/evidence-format.md, section 6).

A receipt may be lost, as every message; so a device that says it is online gets those of its newest stored recordings that it
has not purged once more, and one that asks what is held of a stored recording gets that one's (`media`). The device compares every
member, and an old one changes nothing.
"""

from __future__ import annotations

from agent.core import wire
from server.ingest.ports import Publish
from server.ledger.ledger import Ledger
from server.metrics import Metrics
from server.store.catalogue import Catalogue, Recording

MOST = 256
"""Receipts that are repeated when a device comes online."""


class Receipts:
    """Sends what is proved."""

    def __init__(self, ledger: Ledger, catalogue: Catalogue, publish: Publish, metrics: Metrics) -> None:
        self._ledger, self._catalogue, self._publish, self._metrics = ledger, catalogue, publish, metrics

    def send(self, recording: Recording) -> None:
        """One recording's receipt."""
        if recording.stored_entry is None:
            return
        proof = self._ledger.proof(recording.stored_entry)
        if self._publish(wire.topic(recording.device, "receipt"), proof.encode(), retain=False):
            self._metrics.add("zhilu_receipts_total")

    def remind(self, device: str) -> int:
        """All that the device may be missing, the oldest first; how many."""
        found = self._catalogue.unpurged(device, MOST)
        for recording in reversed(found):
            self.send(recording)
        return len(found)
