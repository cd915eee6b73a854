"""Every message of both tables (`to_recorder`, `to_server`) said to a deployment that runs, and what came of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulators.errors import StoryError
from simulators.hostile import verdicts
from simulators.hostile.siege import Siege
from simulators.hostile.to_recorder import TO_RECORDER, ToRecorder
from simulators.hostile.to_server import TO_SERVER, ToServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from simulators.hostile.verdicts import Verdict

ROWS: tuple[ToRecorder | ToServer, ...] = (*TO_RECORDER, *TO_SERVER)


@dataclass(frozen=True, slots=True)
class Said:
    """A row and what came of it."""

    name: str
    verdict: Verdict


def name(row: ToRecorder | ToServer) -> str:
    """To whom, the forger's plan, and what in particular."""
    return (
        f"to the recorder, {row.leaf}: {row.phrase}, {row.what}"
        if isinstance(row, ToRecorder)
        else f"to the server: {row.phrase}, {row.what}"
    )


async def judged(siege: Siege, row: ToRecorder | ToServer) -> Verdict:
    """Say one message, and look."""
    if isinstance(row, ToServer):
        return await row.judge(siege)
    return await verdicts.told_recorder(siege, row.leaf, row.forge(siege), row.reason)


async def all_said(folder: Path, seed: int) -> AsyncIterator[Said]:
    """Every row against a deployment of its own; at the end the counts, and that it still does what it is there for."""
    async with Siege(folder, seed) as siege:
        await siege.prepared()
        for row in ROWS:
            yield Said(name(row), await judged(siege, row))
        yield Said("all refusals of the recorder, counted in its health", await verdicts.counted_by_recorder(siege))
        after = verdicts.Verdict()
        try:
            await siege.goes_on()
        except StoryError as problem:
            after.changed.append(str(problem))
        yield Said("recording, storing and cosigning afterwards", after)
