"""What is done to an arena: each fault by itself, and mixtures by their seed. Every story ends with nothing that waits.

Each story records while it happens, and waits only for what can be seen: that the fault bit, that recording went on under it, that
what was recorded arrived after it. What is then on the disks is for `books`.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulators.hostile.forgery import Intruder, Office, mimic
from simulators.hostile.impostor import Impostor
from simulators.weather import WEATHERS, Weather, forecast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulators.hostile.arena import Arena, Unit

FRAGMENTS = 2
"""Recorded under each fault at least: that it bites is waited for besides."""

ALL = tuple(name for name in WEATHERS if name != "clear")


@dataclass(frozen=True, slots=True)
class Told:
    """What a story did: how many faults it made."""

    faults: int


async def weathers(arena: Arena, seed: int, names: Sequence[str] = ALL) -> Told:
    """Each weather in turn over one recording, met by running connections or by new ones; after each all must arrive."""
    chance = random.Random(seed)  # noqa: S311 — a story is told again by its seed
    one = next(iter(arena.units.values()))
    await one.ready()
    await one.press_start()
    for name in chance.sample(list(names), len(names)):
        if chance.random() < 0.5 or name in {"refuse", "reorder"}:
            await one.host.network.switch(up=False)  # what runs would not notice these two at all
        before = _bites(one)
        await one.host.set_weather(name, chance.randrange(1 << 32))
        await one.host.network.switch(up=True)
        await one.recorded(FRAGMENTS)
        await arena.until(f"{name} to bite", lambda name=name, before=before: _bitten(WEATHERS[name], before, _bites(one)))
        await one.host.set_weather("clear")
        await _caught_up(arena, one, name)
    await one.press_stop()
    await arena.settled()
    return Told(len(names))


def _bites(one: Unit) -> tuple[int, int, int]:
    relays = [relay.counts for relay in one.host.network.relays.values()]
    return sum(one.cut for one in relays), sum(one.lost_up_bytes for one in relays), sum(one.accepted for one in relays)


def _bitten(weather: Weather, before: tuple[int, int, int], now: tuple[int, int, int]) -> bool:
    """Whether it has shown: cut something, swallowed something, held something; the others show in nothing but time."""
    cut, lost, accepted = (b - a for a, b in zip(before, now, strict=True))
    if weather.cut_bytes:
        return cut > 0
    if weather.swallow or weather.dark_bytes is not None:
        return lost > 0
    return accepted > 0 or not weather.hold_ms


async def _caught_up(arena: Arena, one: Unit, after: str) -> None:
    size = one.progress.durable()
    await arena.until(f"the lines of {one.name} after {after}", lambda: one.progress.cosigned() >= size)


async def deaths(arena: Arena, seed: int, rounds: int = 2) -> Told:
    """The broker is killed and comes back empty, the server is killed and comes back, by turns and together, while all record."""
    chance = random.Random(seed)  # noqa: S311
    units = list(arena.units.values())
    for one in units:
        await one.ready()
        await one.press_start()
    faults = 0
    for turn in range(rounds):
        which = ("broker", "server", "both")[(turn + seed) % 3]
        for one in units:
            await one.recorded(1 + chance.randrange(2))
        if which != "server":
            arena.broker_kill(forget=True)
        if which != "broker":
            await arena.server_kill()
        await units[0].recorded(FRAGMENTS)
        if which != "server":
            arena.broker_start()
        if which != "broker":
            await arena.server_start()
        for one in units:
            await _caught_up(arena, one, f"the death of {which}")
        faults += 2 if which == "both" else 1
    for one in units:
        await one.press_stop()
    await arena.settled()
    return Told(faults)


async def impostors(arena: Arena, seed: int, rounds: int = 2) -> Told:
    """Another server's answers are mixed into the real one's: over the broker with other keys, over HTTPS with a genuine certificate."""
    chance = random.Random(seed)  # noqa: S311
    one = next(iter(arena.units.values()))
    intruder = Intruder(arena.deployment, arena.broker_reload)
    impostor = Impostor(arena.deployment)
    relay = one.host.network.relays["server"]
    genuine = relay.upstream
    try:
        mimic(intruder, Office.of(arena.deployment).strangers())
        await one.ready()
        await one.press_start()
        await one.recorded(FRAGMENTS)
        for _ in range(rounds):
            relay.upstream = impostor.address
            await one.host.network.switch(up=False)
            await one.host.network.switch(up=True)
            taken = impostor.swallowed
            await one.recorded(FRAGMENTS)
            await arena.until("the impostor to take media", lambda taken=taken: impostor.swallowed > taken)
            relay.upstream = genuine
            await one.host.network.switch(up=False)
            await one.host.network.switch(up=True)
            await one.recorded(1 + chance.randrange(2))
        await one.press_stop()
        await arena.settled()
    finally:
        intruder.close()
        impostor.close()
    return Told(rounds + len(intruder.of(f"zhilu/{one.name}/witness")))


async def backlog(arena: Arena, seed: int, fragments: int = 12) -> Told:
    """One recorder comes back with much to send, another has just recorded; both share a narrow line, and neither waits for the other."""
    chance = random.Random(seed)  # noqa: S311
    full, fresh = list(arena.units.values())[:2]
    await asyncio.gather(full.ready(), fresh.ready())
    await full.host.set_network(up=False)
    await full.press_start()
    await full.recorded(fragments)
    await full.press_stop()
    waits = sum(line["bytes"] for line in full.lines("fragment"))
    line = Weather(bytes_per_s=max(waits // 12, 20_000), delay_ms=chance.randrange(5, 40))
    for one in (full, fresh):
        await one.host.network.become(line, seed)
    await full.host.set_network(up=True)
    await arena.until("the backlog to move", lambda: full.host.network.relays["server"].counts.up_bytes > waits // 20)
    await fresh.press_start()
    await fresh.recorded(FRAGMENTS)
    await fresh.press_stop()
    await arena.until("the fresh recording to be stored", fresh.complete)
    behind = full.complete()
    for one in (full, fresh):
        await one.host.network.become(WEATHERS["clear"])
    await arena.settled()
    if behind:
        raise AssertionError("the backlog was done before the fresh recording: the line was not narrow enough to tell")
    return Told(1)


async def trickle(arena: Arena, seed: int, fragments: int = 3) -> Told:
    """1 kbit/s and nothing else: the lines of a recording are cosigned over it, and a waiting second of media does not hinder them."""
    one = next(iter(arena.units.values()))
    await one.ready()
    await one.host.network.switch(up=False)
    await one.host.set_weather("trickle", seed)
    await one.press_start()
    await one.recorded(fragments)
    await one.press_stop()
    await one.host.network.switch(up=True)
    await _caught_up(arena, one, "1 kbit/s")
    await one.host.set_weather("clear")
    await arena.settled()
    return Told(1)


async def standard(arena: Arena, seed: int, seconds: int = 60, usual: str = "lossy") -> Told:
    """A shift: all record over a network that is `usual`, far or gone by turns; broker and server each die once."""
    chance = random.Random(seed)  # noqa: S311
    units = list(arena.units.values())
    for one in units:
        await one.host.set_weather(usual, seed)
        await one.ready()
        await one.press_start()
    faults, due = 0, {"broker": chance.uniform(0.2, 0.8) * seconds, "server": chance.uniform(0.2, 0.8) * seconds}
    left = forecast(seed, ["off", "far", "jitter"], seconds / 6)
    elapsed = 0.0
    while elapsed < seconds:
        name, lasts_s = next(left)
        faults += name != "clear"
        for one in units:
            await one.host.network.switch(up=name != "off")
            await one.host.set_weather(usual if name in {"off", "clear"} else name, chance.randrange(1 << 32))
        await asyncio.sleep(lasts_s)
        elapsed += lasts_s
        for which in [which for which, at in due.items() if at <= elapsed]:
            del due[which]
            faults += 1
            await _dies(arena, which)
    for one in units:
        await one.host.network.switch(up=True)
        await one.host.set_weather(usual)
        await one.press_stop()
    await arena.settled()
    return Told(faults)


async def _dies(arena: Arena, which: str) -> None:
    if which == "broker":
        arena.broker_kill(forget=True)
        arena.broker_start()
    else:
        await arena.server_kill()
        await arena.server_start()
