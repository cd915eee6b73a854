"""The witness key: the server's own, time-stamped cosignature under a device's checkpoint (C2SP tlog-cosignature).

Rules (docs/evidence-format.md, section 5): of one origin, times never go back; never a size below the largest cosigned. The
second is kept by whoever appends (`server.ingest.replicate` admits only what makes a log longer).
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from agent.core import note
from server.ledger.keys import Key

_TIME = struct.Struct(">Q")


class Witness:
    """Cosigns. `now_ms` is the wall clock."""

    def __init__(self, key: Key, now_ms: Callable[[], int]) -> None:
        self.key = key
        self.now_ms = now_ms
        self._head = f"\u2014 {note.check_name(key.name)} "
        self._key_id = note.key_id(key.name, note.COSIGNATURE, key.public)

    def time(self, last_s: int) -> int:
        """Seconds for the next cosignature of a log whose last was at `last_s`."""
        return max(self.now_ms() // 1000, last_s)

    def line(self, body: str, seconds: int) -> str:
        """The signature line under a checkpoint's body.

        The same bytes as `note.cosign` for a body that has been parsed already: ingest does this for every batch.
        """
        signature = self.key.sign(b"cosignature/v1\ntime %d\n" % seconds + body.encode())
        return f"{self._head}{note.base64(self._key_id + _TIME.pack(seconds) + signature)}\n"
