"""Bad networks between real processes: whatever happens on the way, the server ends with every line and every byte, each once.

A few stories in small; `python -m simulators.hostile` tells all of them over many seeds.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from provisioning.authority import Authority
from simulators.hostile import stories
from simulators.hostile.arena import Arena, Unit, unit
from simulators.hostile.books import balance

ONE, TWO = "DSJ-0000001", "DSJ-0000002"
pytestmark = pytest.mark.timeout(600)


def tell(folder: Path, story: Callable[[Arena], Awaitable[None]], *names: str) -> None:
    """Tell a story, then pull every plug and compare the books."""

    async def whole() -> None:
        async with Arena(folder, {name: unit(folder / "clips") for name in names}) as arena:
            await story(arena)
            await arena.frozen()
            assert balance(arena) == []

    asyncio.run(whole())


def test_cut_dark_swallowed_held_and_slow_and_broker_and_server_dead_at_once(tmp_path):
    async def story(arena: Arena) -> None:
        told = await stories.weathers(arena, 3, ["cut", "half-open", "black-hole", "reorder", "trickle"])
        assert told.faults == 5
        assert (await stories.deaths(arena, 2, rounds=1)).faults == 2
        assert len(arena.units[ONE].recordings()) == 2

    tell(tmp_path, story, ONE)


def test_another_servers_answers_mixed_into_the_real_ones_change_nothing_in_the_end(tmp_path):
    async def story(arena: Arena) -> None:
        await stories.impostors(arena, 1, rounds=1)
        one = arena.units[ONE]
        assert one.lines("tamper") == []
        assert (await arena.said(one))["counts"]["refused.no-signature"] > 0

    tell(tmp_path, story, ONE)


def test_the_books_see_a_byte_a_line_and_a_receipt_that_are_not_there(tmp_path):
    """A guard on the guard: each thing that must not be lost is taken away once."""

    async def whole() -> None:
        async with Arena(tmp_path, {ONE: unit(tmp_path / "clips")}) as arena:
            one = arena.units[ONE]
            await one.ready()
            await one.press_start()
            await one.recorded(2)
            await one.press_stop()
            await arena.settled()
            await arena.frozen()
            assert balance(arena) == []
            (film,) = (arena.deployment.server_folder / "media" / ONE).rglob("*.mp4")
            data = film.read_bytes()
            film.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
            assert any("is not at byte" in problem for problem in balance(arena))
            film.write_bytes(data + b"x")
            assert any(f"{len(data) + 1} bytes, the lines name {len(data)}" in problem for problem in balance(arena))
            film.write_bytes(data)
            assert balance(arena) == []
            for receipt in (one.folder / "receipts").iterdir():
                receipt.unlink()
            assert any("no receipt" in problem for problem in balance(arena))
            with sqlite3.connect(arena.deployment.server_folder / "logs.sqlite") as database:
                database.execute("DELETE FROM batch WHERE first = (SELECT max(first) FROM batch)")
            assert any("lines here" in problem for problem in balance(arena))

    asyncio.run(whole())


# --------------------------------------------------------------------------- certificates and clocks


def replaced(arena: Arena, one: Unit, begins: timedelta) -> dict[str, bytes]:
    """Give the device a certificate that begins so much from now; the good files."""
    tls, authority = one.folder / "tls", Authority.open(arena.deployment.folder / "ca", lambda: datetime.now(UTC) + begins)
    good = {name: (tls / name).read_bytes() for name in ("device.crt", "device.key")}
    issued = authority.client(one.name)
    (tls / "device.crt").write_bytes(issued.certificate)
    (tls / "device.key").write_bytes(issued.key)
    return good


def test_a_certificate_of_another_time_costs_the_network_and_no_recording(tmp_path):
    async def story(arena: Arena) -> None:
        units = list(arena.units.values())
        good = []
        for one, begins in zip(units, (timedelta(days=-2_000), timedelta(days=30)), strict=True):  # expired, and not valid yet
            await one.ready()
            await one.host.power_off()
            good.append(replaced(arena, one, begins))
            await one.host.power_on()
        before = [one.progress.cosigned() for one in units]
        for one in units:
            await one.ready()
            await one.press_start()
        for one in units:
            await one.recorded(2)
            await one.press_stop()
            assert len(one.recordings()) == 1
            assert not one.lines("gap")
        assert [one.progress.cosigned() for one in units] == before
        for one, files in zip(units, good, strict=True):
            await one.host.power_off()
            for name, content in files.items():
                (one.folder / "tls" / name).write_bytes(content)
            await one.host.power_on()
        await arena.settled()

    tell(tmp_path, story, ONE, TWO)
