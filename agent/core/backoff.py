"""How long to wait before the next try: exponential, with full jitter.

Rules:
- The n-th wait is a random part of first × 2ⁿ, never more than the maximum ("full jitter", Brooker, AWS Architecture Blog 2015):
  after an outage hundreds of devices come back spread out and not all at once.
- Randomness is given in, so that a simulated world decides it. Waiting itself is the caller's.
"""


class Backoff:
    """Waits that grow from at most `first_ms` to at most `max_ms` until `reset`."""

    def __init__(self, first_ms: int, max_ms: int) -> None:
        self._first_ms = first_ms
        self._max_ms = max_ms
        self._limit_ms = min(first_ms, max_ms)

    def next(self, random01: float) -> int:
        """Milliseconds to wait now; `random01` lies in 0 to 1. The limit of the one after is doubled."""
        wait_ms = int(random01 * self._limit_ms)
        self._limit_ms = min(self._limit_ms * 2, self._max_ms)
        return wait_ms

    def reset(self) -> None:
        """It worked: begin again."""
        self._limit_ms = min(self._first_ms, self._max_ms)
