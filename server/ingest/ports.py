"""What ingest needs from the broker's side, as a protocol: `listener` gives the real one."""

from __future__ import annotations

from typing import Protocol


class Publish(Protocol):
    """Hand a message to the broker; False where it is away: nothing is queued, whoever needs it is told again later."""

    def __call__(self, topic: str, payload: bytes, *, retain: bool) -> bool: ...
