"""When the next batch goes, and when what went counts as lost: `core.replica` with a clock handed in.

Rules (docs/evidence-format.md, section 5):
- Only a cosignature counts as delivered; the broker's acknowledgement proves nothing.
- When no cosignature comes within a while, it is sent again; each time in vain doubles the while, up to 16 times, with jitter, so
  that a thousand devices do not ask in step. From then on until there is an answer one small batch asks for all of them: a server
  that is away for a week, behind a broker that takes everything, costs the line little and its own queue less.
- After ASK_AFTER times in vain the handshake is due again (`exchange`): the server may hold less than it once said, or be away.
- What the broker has not even acknowledged is still on its way while the connection lasts: on a slow line that is no reason to
  send it again behind itself, only to wait longer, `MAX_EXTENSIONS` times at most.
- A connection that ended with something on its way, and a wait in vain, halve the next batches; each step forward doubles them
  again. So the largest batch that a bad line carries in one piece is found, and something arrives over the worst.
- An answer that brings nothing new while something is on its way means that the server misses a batch: sending starts again
  from there, once for each step forward, so that doubled answers can't make a storm.
"""

from __future__ import annotations

from collections.abc import Callable

from agent.core import wire
from agent.core.replica import Replica

MAX_DOUBLINGS = 4
MAX_EXTENSIONS = 16
ASK_AFTER = 2
LEAST_BATCH_BYTES = 2_048
"""A few lines and their checkpoint: 16 s at 1 kbit/s, within any broker's patience."""
MS = 1_000


class Sending:
    """The device's side of replication over time; `random01` gives numbers from 0 to 1, times are `up` microseconds."""

    def __init__(self, replica: Replica, answer_within_s: int, random01: Callable[[], float]) -> None:
        self.replica = replica
        self.resent = 0
        self.batch_bytes = wire.MAX_BATCH_BYTES
        self._within_us = answer_within_s * MS * MS
        self._random01 = random01
        self.in_vain = self._extended = 0
        self._deadline_us: int | None = None
        self._may_go_back = True

    def next_first(self, size: int) -> int | None:
        """Index at which the next batch begins now that the journal has `size` lines; None when nothing may go."""
        self.replica.grow(size)
        if self.in_vain and self.replica.in_flight:
            return None
        first: int | None = self.replica.next_first()
        return first

    def sent(self, end: int, now_us: int) -> None:
        """The batch from `next_first()` to `end` was handed to the broker."""
        self.replica.note_sent(end)
        if self._deadline_us is None:
            self._deadline_us = now_us + self._patience_us()

    def witnessed(self, size: int, now_us: int) -> bool:
        """A cosignature of ours at `size` came. True when it is news."""
        if self.replica.witnessed(size):
            self.in_vain = self._extended = 0
            self.batch_bytes = min(self.batch_bytes * 2, wire.MAX_BATCH_BYTES)
            self._may_go_back = True
            self._deadline_us = now_us + self._patience_us() if self.replica.in_flight else None
            return True
        if self.replica.in_flight and self._may_go_back:
            self._may_go_back = False
            self._again()
        return False

    def overdue(self, now_us: int, *, under_way: bool = False) -> bool:
        """Whether the answer has not come in time; then everything that is not cosigned goes again.

        `under_way`: the broker has not acknowledged all of it yet.
        """
        if self._deadline_us is None or now_us < self._deadline_us:
            return False
        if under_way and self._extended < MAX_EXTENSIONS:
            self._extended += 1
            self._deadline_us = now_us + self._patience_us()
            return False
        self.in_vain += 1
        self._smaller()
        self._again()
        return True

    def after(self, in_vain: int) -> None:
        """Begin where another conversation was in vain so many times."""
        self.in_vain = in_vain
        self.batch_bytes = max(wire.MAX_BATCH_BYTES >> in_vain, LEAST_BATCH_BYTES)

    def connected(self) -> None:
        """A new connection: what was on its way may never have arrived."""
        if self.replica.in_flight:
            self._smaller()
            self._again()

    def _smaller(self) -> None:
        self.batch_bytes = max(self.batch_bytes // 2, LEAST_BATCH_BYTES)
        self._extended = 0

    def _again(self) -> None:
        self.replica.rewind()
        self.resent += 1
        self._deadline_us = None

    def _patience_us(self) -> int:
        whole = self._within_us << min(self.in_vain, MAX_DOUBLINGS)
        return int(whole * (0.75 + self._random01() / 2))
