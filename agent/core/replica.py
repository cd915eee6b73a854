"""The device's half of replication: what to send next, and what the server's answers say.

Rules (docs/evidence-format.md, section 5):
- Only a cosignature counts as delivered. What was sent and is not cosigned is sent again: after a new connection, and after
  an answer that does not reach as far as what the server must have seen by then.
- At most `window` batches are in flight. The caller cuts the batches (each must end at a checkpoint); here are only indices.
- The server's newest size is the truth about the server, even when it is smaller than what was sent.

No clock: the caller says when it has waited long enough (`timed_out`).
"""


class Replica:
    """Indices of one journal: `size` lines are durable here, `cosigned` at the server, up to `sent` on their way."""

    def __init__(self, size: int, cosigned: int, window: int = 4) -> None:
        self.size = size
        self.cosigned = cosigned
        self.sent = cosigned
        self.window = window
        self._ends: "list[int]" = []

    @property
    def in_flight(self) -> int:
        """Batches that were sent and are not covered by a cosignature."""
        return len(self._ends)

    def grow(self, size: int) -> None:
        """The journal has become longer."""
        self.size = max(self.size, size)

    def next_first(self) -> "int | None":
        """Index at which the next batch begins; None when nothing waits or enough is in flight."""
        if self.sent >= self.size or len(self._ends) >= self.window:
            return None
        return self.sent

    def note_sent(self, end: int) -> None:
        """A batch that begins at `next_first()` and ends before `end` was handed to the broker."""
        if not self.sent < end <= self.size:
            raise ValueError("a batch ends between %d and %d, got %d" % (self.sent + 1, self.size, end))
        self.sent = end
        self._ends.append(end)

    def witnessed(self, size: int) -> bool:
        """A cosignature of ours came. True when it moved us forward; an old one, late or doubled, changes nothing."""
        if size <= self.cosigned:
            return False
        self.cosigned = size
        self._ends = [end for end in self._ends if end > size]
        self.sent = max(self.sent, size)
        return True

    def answered(self, size: int) -> bool:
        """The server's newest is `size` though more was sent: True when a batch was lost, and sending goes on from there.

        With a batch that ends behind `size` still on its way that is no news; the caller asks only when it has waited.
        """
        moved = self.witnessed(size)
        if self.sent > self.cosigned and not moved:
            self.rewind()
            return True
        return False

    def rewind(self) -> None:
        """Send everything again that is not cosigned: after a new connection, a lost batch, or a wait too long."""
        self.sent = self.cosigned
        self._ends = []

    timed_out = rewind
