"""Looks after local media: says which are missing, and deletes what the server has proved to hold when age or space ask for it.

Which may go and in which order is `core.retention`'s rule, what stands in its way the buffer's figures; the deletion is a `purge`
line that is durable before the first byte goes (docs/evidence-format.md, section 6).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.core import merkle, note
from agent.core.retention import purgeable
from agent.journal.errors import Storage

if TYPE_CHECKING:
    from agent.buffer.index import Index
    from agent.config import StorageSection
    from agent.journal.receipts import Receipts
    from agent.pipeline.clerk import Clerk

log = logging.getLogger(__name__)

WITHIN_S = 120.0
HEADROOM = 2
"""Space is made to twice the reserve, so that it is not made again with every fragment."""


class Purger:
    """One look at what may go."""

    def __init__(
        self,
        clerk: Clerk,
        index: Index,
        receipts: Receipts,
        settings: StorageSection,
        free_bytes: Callable[[], int],
        witness_s: Callable[[], int],
        mend: Callable[[], int],
    ) -> None:
        self.purged = 0
        self._clerk, self._index, self._receipts, self._settings = clerk, index, receipts, settings
        self._free_bytes, self._witness_s, self._mend = free_bytes, witness_s, mend

    def step(self) -> str:
        """Say what is missing, delete what may go and should; what was deleted."""
        if self._mend():
            return "mended"
        try:
            free, reserve = self._free_bytes(), self._settings.reserve_bytes
        except Storage:
            return ""  # a disk that can't be written deletes nothing either; `duty` says so
        need = reserve * HEADROOM - free if free < reserve else 0
        names = purgeable(self._index.held(), need, self._settings.keep_days, self._witness_s())
        return ", ".join(name for name in names if self._purge(name, "space" if need else "age"))

    def _purge(self, recording: str, reason: str) -> bool:
        proof = self._receipts.read(recording)
        line = note.parse_tlog_proof(proof).extra if proof else None
        if line is None:
            return False
        digest = merkle.leaf_hash(line).hex()
        if not self._clerk.written(lambda scribe: scribe.purge(recording, reason, digest), WITHIN_S):
            return False
        log.info("purged", extra={"recording": recording, "reason": reason})
        self.purged += 1
        return True
