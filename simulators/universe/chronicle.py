"""Writes stories by chance: what happens to some devices in some days, from a seed.

Rules:
- A device records some times a day, for some seconds or minutes; sometimes somebody marks.
- On top of that come troubles, each at its own rate a day: the table TROUBLES. Most end by themselves.
- Nothing records for ever: whoever holds the recorder looks at it now and then and stops what should have stopped.
- The same seed, days and devices give the same story. Nothing in it is impossible: it is what a bad month may bring.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from simulators.universe.chance import stream
from simulators.universe.device import Making
from simulators.universe.scenario import Step, Story
from simulators.universe.words import DAY_US, US_PER_S, span_us
from simulators.universe.world import Setting

RECORDINGS_A_DAY = 2.5
MARKED = 0.15
LOOKS_US = (120 * US_PER_S, 900 * US_PER_S)
"""How long after a stop that should have come, or after an order to start, somebody looks; twice, if the first look came to nothing."""


SHARED_BYTES_S = (None, None, None, 1_250_000, 250_000)
"""A line of its own for each recorder, or one for all of them: a garage's 10 or 2 Mbit/s."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long, how many; `lying`: cards that answer a sync and do nothing."""

    days: float
    devices: int
    lying: bool = False


@dataclass(frozen=True, slots=True)
class Trouble:
    """One row: a phrase by chance, how often a day it comes to a device (or, `world`, to all), how near to a recording."""

    a_day: float
    words: Callable[[random.Random], str]
    while_recording: float = 0.5
    world: bool = False
    powers_off: bool = False


def _span(chance: random.Random, least_s: float, most_s: float) -> str:
    """A time between the two, each order of magnitude as likely."""
    seconds = least_s * (most_s / least_s) ** chance.random()
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.0f} h"


def _fixed(words: str) -> Callable[[random.Random], str]:
    return lambda _chance: words


def _lasting(words: str, least_s: float, most_s: float) -> Callable[[random.Random], str]:
    return lambda chance: f"{words} for {_span(chance, least_s, most_s)}"


TROUBLES = (
    Trouble(0.5, _lasting("power cut", 3, 3_600), 0.7, powers_off=True),
    Trouble(0.4, _lasting("power cut while writing", 3, 600), 0.9, powers_off=True),
    Trouble(0.2, _lasting("switch off", 5, 28_800), 0.3, powers_off=True),
    Trouble(0.1, _fixed("restart the agent"), 0.5),
    Trouble(0.6, _lasting("network off", 2, 14_400), 0.6),
    Trouble(0.08, _lasting("network off", 43_200, 259_200), 0.1),
    Trouble(0.3, _lasting("network half-open", 5, 7_200), 0.6),
    Trouble(0.4, _fixed("network cut"), 0.9),
    Trouble(0.2, lambda c: f"network {c.choice((16, 64, 256, 1_000))} kbit/s for {_span(c, 60, 7_200)}", 0.5),
    Trouble(0.3, lambda c: f"network breaks {c.choice((1, 5, 20))} % for {_span(c, 60, 14_400)}", 0.5),
    Trouble(0.1, lambda c: f"network late {c.choice((300, 2_000))} ms for {_span(c, 60, 14_400)}", 0.5),
    Trouble(
        0.08,
        lambda c: (
            f"clock jumps {c.choice(('ahead', 'back'))} {c.choice(('3 s', '2 h', '40 days', '1 year', '3 years'))}"
            f" for {_span(c, 60, 86_400)}"
        ),
        0.5,
    ),
    Trouble(0.05, lambda c: f"clock {c.choice(('gains', 'loses'))} {c.choice((1, 3, 60))} s a day", 0.2),
    Trouble(0.03, _fixed("clock without battery"), 0.0),
    Trouble(0.05, _fixed("clock right"), 0.0),
    Trouble(0.06, lambda c: f"clock trusted by {c.choice(('gnss', 'ntp', 'rtc', 'nobody'))}", 0.4),
    Trouble(0.1, lambda c: f"disk has {c.choice((0.01, 0.1, 0.4, 2))} MB left for {_span(c, 5, 7_200)}", 0.8),
    Trouble(0.06, _lasting("disk full", 2, 1_800), 0.8),
    Trouble(0.08, _lasting("disk fails", 1, 600), 0.8),
    Trouble(0.06, lambda c: f"disk fails {c.choice((2, 10, 50))} % of writes for {_span(c, 5, 600)}", 0.8),
    Trouble(0.05, _lasting("disk read-only", 2, 3_600), 0.8),
    Trouble(0.1, lambda c: f"index {c.choice(('broken', 'gone', 'older'))}", 0.2),
    Trouble(0.25, _lasting("camera unplugged", 1, 600), 0.8),
    Trouble(0.15, _lasting("microphone unplugged", 1, 600), 0.8),
    Trouble(0.15, _lasting("encoder slow", 2, 120), 0.9),
    Trouble(0.1, lambda c: f"receiver {c.choice(('lost', 'stuck', 'jumps', 'lies'))} for {_span(c, 5, 7_200)}", 0.6),
    Trouble(0.1, lambda c: f"battery {c.choice((2, 10, 14, 60))} %", 0.5),
    Trouble(0.08, _lasting("charger off", 600, 28_800), 0.3),
    Trouble(0.03, _lasting("gauge silent", 5, 3_600), 0.4),
    Trouble(0.03, _lasting("certificate expires", 3_600, 172_800), 0.3),
    Trouble(0.1, lambda c: f"order {c.choice(('start', 'stop', 'mark', 'locate', 'purge', 'upload'))}", 0.6),
    Trouble(0.05, lambda c: f"{c.choice(('old order stop again', 'stranger orders stop', 'stranger orders purge'))}", 0.6),
    Trouble(0.2, _lasting("server off", 2, 14_400), 0.5, world=True),
    Trouble(0.25, _lasting("server killed before a commit", 2, 120), 0.8, world=True),
    Trouble(0.25, _lasting("server killed behind a commit", 2, 120), 0.8, world=True),
    Trouble(0.03, _lasting("server off", 86_400, 604_800), 0.1, world=True),
    Trouble(0.2, _lasting("broker off", 2, 7_200), 0.5, world=True),
    Trouble(0.1, _fixed("broker on and empty"), 0.5, world=True),
    Trouble(0.2, lambda c: f"broker doubles {c.choice((5, 50))} % for {_span(c, 60, 14_400)}", 0.5, world=True),
    Trouble(0.2, lambda c: f"broker loses {c.choice((5, 30))} % for {_span(c, 60, 14_400)}", 0.5, world=True),
    Trouble(0.2, lambda c: f"broker late {c.choice((500, 5_000, 60_000))} ms for {_span(c, 60, 14_400)}", 0.5, world=True),
    Trouble(0.04, lambda c: f"strangers answer {c.choice((10, 50))} % for {_span(c, 60, 3_600)}", 0.5, world=True),
)
LYING = (
    Trouble(0.5, _lasting("card lies", 60, 43_200), 0.7),
    Trouble(0.6, _lasting("power cut", 3, 600), 0.8, powers_off=True),
)


def write(seed: int, plan: Plan) -> Story:
    """The story of a seed."""
    chance = stream(seed, "chronicle")
    making = Making(keep_days=chance.choice((0, 1, 3, 7)), resume=chance.random() < 0.3)
    length_us = int(plan.days * DAY_US)
    steps: list[Step] = []
    for number in range(1, plan.devices + 1):
        one = stream(seed, "chronicle", number)
        moments = _recordings(one, number, length_us, steps)
        rows = [row for row in TROUBLES if not row.world] + list(LYING if plan.lying else ())
        _troubles(one, rows, number, length_us, moments, steps)
    _troubles(
        chance, [row for row in TROUBLES if row.world], 1, length_us, [step.at_us for step in steps if step.do.startswith("record")], steps
    )
    steps.sort(key=lambda step: step.at_us)
    shared = stream(seed, "chronicle", "line").choice(SHARED_BYTES_S)
    return Story(f"seed {seed}", tuple(steps), Setting(seed, plan.devices, making, shared_bytes_s=shared))


def _often(chance: random.Random, a_day: float, length_us: int) -> int:
    """How many times something happens that comes so often a day (Poisson)."""
    left, count = length_us / DAY_US * a_day, 0
    while (left := left - chance.expovariate(1.0)) > 0:
        count += 1
    return count


def _recordings(chance: random.Random, number: int, length_us: int, steps: list[Step]) -> list[int]:
    """When it records, and the marks in it."""
    moments = []
    for _ in range(_often(chance, RECORDINGS_A_DAY, length_us)):
        at_us = chance.randrange(60 * US_PER_S, length_us)
        length = _span(chance, 4, 150)
        moments.append(at_us)
        steps.append(Step(at_us, do=f"record for {length}", device=number))
        steps += _looks(at_us + span_us(length), number)
        if chance.random() < MARKED:
            steps.append(Step(at_us + 3 * US_PER_S, do="press mark", device=number))
        if chance.random() < MARKED:
            steps.append(Step(at_us + 4 * US_PER_S, do="hold mark", device=number))
    return moments


def _looks(at_us: int, number: int) -> list[Step]:
    """Somebody sees that it still records, and stops it; where it does not, a long press does nothing."""
    return [Step(at_us + later_us, do="hold record", device=number) for later_us in LOOKS_US]


def _troubles(chance: random.Random, rows: list[Trouble], number: int, length_us: int, moments: list[int], steps: list[Step]) -> None:
    """Troubles of a device, or of all; many of them while it records."""
    for row in rows:
        for _ in range(_often(chance, row.a_day, length_us)):
            at_us = chance.randrange(0, length_us)
            if moments and chance.random() < row.while_recording:
                at_us = chance.choice(moments) + int(chance.uniform(-3, 60) * US_PER_S)
            words = row.words(chance)
            steps.append(Step(max(at_us, 0), do=words, device=number))
            if words == "order start":
                steps.extend(_looks(max(at_us, 0), number))
                steps.extend(_looks(max(at_us, 0) + 3_600 * US_PER_S, number))  # it may come late, and is good for an hour
            elif row.powers_off:
                steps.extend(_looks(max(at_us, 0) + span_us(words.rpartition(" for ")[2]), number))  # it may go on by itself
