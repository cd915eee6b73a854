"""A device's way to the world: late, slow, shared, off, or dead without saying so.

Rules:
- A connection keeps order and loses nothing while it lasts; what is on its way when it breaks is lost. A break is a new `generation`.
- `off`: everybody notices at once. `swallow` (half-open): what is sent vanishes, and only patience finds out.
- Who shares a pipe gets an equal part of it, piece by piece.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from simulators.universe.agenda import US_PER_S, Agenda, pause

LTE_BYTES_S = 1_250_000
"""10 Mbit/s up."""
PIECE_BYTES = 262_144
ALONE = 4
"""Pieces that go as one where nobody shares the pipe and nothing is to break it."""
PIECE_US = 10 * US_PER_S
"""A piece is this long or this large, whichever is less: so often it is looked whether the line still lasts."""


@dataclass(slots=True)
class Pipe:
    """A bandwidth that several lines may share, in bytes a second."""

    bytes_s: int = LTE_BYTES_S
    active: int = 0
    carried: int = 0


@dataclass(slots=True)
class Line:
    """One device's. `told` hears of a break that its ends notice."""

    agenda: Agenda
    chance: random.Random
    pipe: Pipe = field(default_factory=Pipe)
    up: bool = True
    swallow: bool = False
    hole: bool = False
    late_ms: tuple[int, int] = (20, 80)
    breaks: float = 0.0
    generation: int = 0
    told: Callable[[], None] = lambda: None
    _last_us: dict[str, int] = field(default_factory=dict)

    def turn(self, *, up: bool, swallow: bool = False, hole: bool = False) -> None:
        """Off, on, half-open, or a hole (`swallow` comes and goes); whatever was on its way is lost."""
        broke = self.up and not up
        self.up, self.swallow, self.hole = up, swallow, hole
        if broke:
            self.cut()

    def cut(self) -> None:
        """Every connection breaks, and its ends notice."""
        self.generation += 1
        self.told()

    def delay_us(self) -> int:
        """How long one way takes now."""
        return self.chance.randint(*self.late_ms) * 1_000

    def carry(self, way: str, size: int, arrive: Callable[[], object]) -> None:
        """Bring a message one way, behind those before it; nothing arrives over a broken or half-open line."""
        if not self.up or self.swallow:
            return
        took_us = size * US_PER_S // max(self.pipe.bytes_s, 1)
        when_us = max(self._last_us.get(way, 0), self.agenda.now_us + self.delay_us()) + took_us
        self._last_us[way] = when_us
        generation = self.generation

        def there() -> None:
            if self.generation == generation and self.up and not self.swallow:
                arrive()

        self.agenda.at(when_us, there)

    def lasts(self, generation: int) -> bool:
        """Whether a connection that began in that generation is still one."""
        return self.up and self.generation == generation

    def push(self, size: int) -> bool:
        """Bring bytes through the pipe, in virtual time, for the task that calls; False where the line broke."""
        generation = self.generation
        self.pipe.active += 1
        try:
            left = size
            while left > 0:
                most = PIECE_BYTES if self.breaks or self.pipe.active > 1 else ALONE * PIECE_BYTES
                piece = min(left, most, max(self.pipe.bytes_s * PIECE_US // US_PER_S, 1))
                pause(piece * self.pipe.active * US_PER_S // max(self.pipe.bytes_s, 1))
                if not self.lasts(generation) or self.swallow:
                    return False
                if self.breaks and self.chance.random() < self.breaks * piece / PIECE_BYTES:
                    self.cut()
                    return False
                left -= piece
                self.pipe.carried += piece
        finally:
            self.pipe.active -= 1
        return True
