"""What a network does to connections, as values with names: rules of a relay (simulators.network), without a socket.

Rules:
- A relay carries a stream, so nothing in it is dropped, doubled or put in another order: TCP hides all that, and what is left of
  it to see are lateness (`late_percent`), silence (`swallow`, `dark_bytes`) and connections that end (`cut_bytes`).
- A connection that was swallowed or has gone dark stays so when the weather changes, as one behind a router that has forgotten it:
  its ends have to find out.
- The figures of a moment come from a seed; processes and kernels keep their own time, so a seed repeats what is done, not what
  comes of it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from simulators.errors import SimulatorError

RETRANSMISSION_MS = 200
"""The least that Linux waits before it sends a lost segment again (RFC 6298 has 1 s); each further loss doubles it."""

MAX_RETRANSMISSIONS = 5


@dataclass(frozen=True, slots=True)
class Weather:
    """Every figure 0 or None: nothing is done.

    `delay_ms` and `jitter_ms` hold every piece back, each way; `late_percent` of the pieces by a retransmission or several.
    `bytes_per_s` is the line's, each way, shared by all that use it. `hold_ms` is how long a new connection may be kept waiting, so
    that later ones overtake it. After `cut_bytes` (least, most) a connection is reset, in the middle of whatever goes through it.
    `swallow`: what comes is taken and never answered. After `dark_bytes` nothing passes any more and nobody is told.
    `refuse`: new connections find nobody.
    """

    delay_ms: int = 0
    jitter_ms: int = 0
    late_percent: int = 0
    bytes_per_s: int = 0
    hold_ms: int = 0
    cut_bytes: tuple[int, int] | None = None
    swallow: bool = False
    dark_bytes: int | None = None
    refuse: bool = False

    def behind_s(self, chance: random.Random) -> float:
        """How long this piece is held back."""
        late_ms = 0
        for again in range(MAX_RETRANSMISSIONS):
            if chance.random() * 100 >= self.late_percent:
                break
            late_ms += RETRANSMISSION_MS << again
        return (self.delay_ms + chance.random() * self.jitter_ms + late_ms) / 1_000

    def piece_bytes(self, most: int) -> int:
        """How much is taken at a time: at most a twentieth of what the line carries in a second, so that its users take turns."""
        return most if not self.bytes_per_s else max(32, min(most, self.bytes_per_s // 20))


CLEAR = Weather()

WEATHERS: dict[str, Weather] = {
    "clear": CLEAR,
    "far": Weather(delay_ms=300, jitter_ms=50),  # a satellite: 600 ms there and back
    "jitter": Weather(delay_ms=20, jitter_ms=400),
    "lossy": Weather(delay_ms=40, jitter_ms=20, late_percent=8),
    "narrow": Weather(bytes_per_s=8_000, delay_ms=50),  # 64 kbit/s
    "trickle": Weather(bytes_per_s=125, delay_ms=50),  # 1 kbit/s: a TLS handshake takes half a minute
    "cut": Weather(cut_bytes=(400, 250_000)),  # from the first bytes of a handshake to the middle of a second of media
    "half-open": Weather(swallow=True),
    "black-hole": Weather(dark_bytes=6_000),  # behind the TLS handshake
    "reorder": Weather(hold_ms=1_500),
    "refuse": Weather(refuse=True),
}


def weather(name: str) -> Weather:
    """The weather of that name; SimulatorError names those that there are."""
    try:
        return WEATHERS[name]
    except KeyError:
        raise SimulatorError(f"no weather is called {name!r}; there are {', '.join(WEATHERS)}") from None


def forecast(seed: int, names: Sequence[str], longest_s: float = 8.0) -> Iterator[tuple[str, float]]:
    """(name, seconds) without end: each of the names once in an order by the seed, then again in another; clear in between."""
    chance = random.Random(seed)  # noqa: S311 — a storm is made again by its seed
    while True:
        for name in chance.sample(list(names), len(names)):
            yield name, round(chance.uniform(0.2, 1.0) * longest_s, 2)
            yield "clear", round(chance.uniform(0.05, 0.5) * longest_s, 2)
