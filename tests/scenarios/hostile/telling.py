"""A story of one recorder whose devices fail: told to the end, then every plug is pulled and the books are compared."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from simulators.host import AGENT
from simulators.hostile.arena import Arena, Unit, unit
from simulators.hostile.books import balance

ONE = "DSJ-0000001"

Story = Callable[[Arena, Unit], Awaitable[None]]


def tell(
    folder: Path,
    story: Story,
    *,
    prepare: Callable[[Path], None] | None = None,
    agent: Sequence[str] = AGENT,
    but: Sequence[str] = (),
    **over: Any,
) -> None:
    """Tell a story with one recorder, then pull every plug and compare the books.

    `prepare` is given the state folder once it is provisioned and before the power is on; `but`: parts of what the books may
    say all the same, the first of which they must.
    """

    async def whole() -> None:
        async with Arena(folder, {}, agent=agent) as arena:
            one = await arena.enrol(ONE, unit(folder / "clips", **over), power=False)
            if prepare is not None:
                prepare(one.folder)
            await one.host.power_on()
            await one.ready()
            await story(arena, one)
            await arena.settled()
            await arena.frozen()
            problems = balance(arena)
            assert [one for one in problems if not any(part in one for part in but)] == [], problems
            assert all(any(part in one for one in problems) for part in but[:1]), problems

    asyncio.run(whole())


async def told(arena: Arena, one: Unit, alarm: str, after: int = 0) -> None:
    """Felt and heard, on the screen, and in the retained status; `after`: the host's event number before it happened."""
    await arena.until(f"{alarm} on the screen", lambda: any(alarm in line for line in one.host.signal["screen"]))
    for sense in ("vibration", "sound"):
        await arena.until(f"the {sense} for {alarm}", lambda sense=sense: _felt(one, sense, after))
    await arena.until(f"{alarm} in status", lambda: _in_status(arena, one, alarm))


async def over(arena: Arena, one: Unit, alarm: str) -> None:
    """Until it stands neither on the screen nor in the retained status."""
    await arena.until(f"{alarm} to leave the screen", lambda: not any(alarm in line for line in one.host.signal["screen"]))

    async def gone() -> bool:
        return not await _in_status(arena, one, alarm)

    await arena.until(f"{alarm} to leave the status", gone)


def _felt(one: Unit, sense: str, after: int) -> bool:
    return any(event["what"] == sense and event["text"] == "short-short-short" for event in one.host.events(after))


async def _in_status(arena: Arena, one: Unit, alarm: str) -> bool:
    return any(alarm in said for said in (await arena.said(one, "status")).get("alarms", []))


def events(one: Unit, kind: str) -> list[str]:
    return [line["event"] for line in one.lines(kind)]


async def refused(arena: Arena, one: Unit) -> None:
    """A press is answered by the alarm's pattern, and the lamp stays as it is."""
    after = one.host.number
    await one.host.gesture("start")
    await arena.until("a press to be refused", lambda: [event for event in one.host.events(after) if event["what"] == "vibration"])
    assert not [event for event in one.host.events(after) if event["what"] == "lamp"]


async def lamp(arena: Arena, one: Unit, shows: str) -> None:
    await arena.until(f"the lamp to say {shows}", lambda: one.host.signal["lamp"] == shows)


async def whole_recording(one: Unit) -> str:
    """The officer records again as if nothing had been."""
    name = await one.press_start()
    await one.recorded(1)
    await one.press_stop()
    return name


def of(one: Unit, recording: str) -> list[dict]:
    return [line for line in one.lines() if line.get("recording") == recording]
