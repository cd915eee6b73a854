"""Kills of the server's process, and cuts of its disk, where it commits, syncs and tells."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

from simulators.torture.loopdisk import LoopDisk, missing
from simulators.torture.programme.effort import MODULE, Effort, Place, Say
from simulators.torture.scene import Found
from simulators.torture.servers import ServerCuts
from simulators.torture.table import Row


def server(place: Place, effort: Effort, say: Say) -> Iterator[Row]:
    """The server killed where it makes something durable or tells of it, its disk cut in the same moment."""
    folder = place.disk / "server"
    folder.mkdir()
    why, kills = missing(folder), max(effort.cuts // 4, 4)
    if why:
        say(f"server kills: only the process dies here, its disk keeps what it was given: {why}")
    with nullcontext() if why else LoopDisk(folder) as disk:
        cuts = ServerCuts(folder, disk, effort.seed)
        try:
            for number in range(kills):
                cuts.cut(number)
        finally:
            cuts.close()
    found = Found()
    for where, findings in cuts.findings:
        found.add(findings, where, 0.0)
    told = [sender.told for sender in cuts.senders]
    figures = {
        "deaths": cuts.deaths,
        "cosignatures_told": sum(len(one.cosigned) for one in told),
        "fragments_told_held": sum(end - first for one in told for _, first, end in set(one.held)),
        "receipts_told": sum(len(set(one.receipts)) for one in told),
    }
    title = "server killed at commits, syncs and publications" + ("" if why else ", its ext4 shut down with it")
    command = f"{MODULE} --only server --seed {effort.seed} --cuts {effort.cuts}"
    remarks = f"{figures['cosignatures_told']} cosignatures, {figures['receipts_told']} receipts let out"
    examples = tuple(found.examples)
    yield Row(title, found.tried, found.lost, found.hidden, str(effort.seed), command, remarks=remarks, figures=figures, examples=examples)
