"""A story of one recorder whose devices fail: told to the end, then every plug is pulled and the books are compared."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from simulators.hostile.arena import Arena, Unit, unit
from simulators.hostile.books import balance

ONE = "DSJ-0000001"


def tell(folder: Path, story: Callable[[Arena, Unit], Awaitable[None]], **over: Any) -> None:
    """Tell a story with one recorder, then pull every plug and compare the books."""

    async def whole() -> None:
        async with Arena(folder, {ONE: unit(folder / "clips", **over)}) as arena:
            one = arena.units[ONE]
            await one.ready()
            await story(arena, one)
            await arena.settled()
            await arena.frozen()
            assert balance(arena) == []

    asyncio.run(whole())


async def told(arena: Arena, one: Unit, alarm: str) -> None:
    """Felt, on the screen, and in the retained status."""
    await arena.until(f"{alarm} on the screen", lambda: any(alarm in line for line in one.host.signal["screen"]))
    assert any(event["what"] == "vibration" and event["text"] == "short-short-short" for event in one.host.events())
    await arena.until(f"{alarm} in status", lambda: _in_status(arena, one, alarm))


async def _in_status(arena: Arena, one: Unit, alarm: str) -> bool:
    return any(alarm in said for said in (await arena.said(one, "status")).get("alarms", []))


def events(one: Unit, kind: str) -> list[str]:
    return [line["event"] for line in one.lines(kind)]
