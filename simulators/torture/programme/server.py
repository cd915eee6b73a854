"""The server killed wherever it changes its disk, commits or tells; cut on paper after every step; each of its syncs taken away."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from simulators.torture.loopdisk import LoopDisk, missing
from simulators.torture.papercuts import Answer, Paper
from simulators.torture.programme.effort import QUICK, Effort, Place, Say, again
from simulators.torture.scene import Found
from simulators.torture.servers import DOMAIN, ServerCuts, places
from simulators.torture.table import Row

LOAD_S, QUICK_LOAD_S = 4.0, 1.5
"""How long the devices send in the rehearsal, which finds the points."""
TAPE_S = 2.0
SHORT_TAPE_S = 0.6
"""For the guard, and where there is little time."""
QUICK_SHARE = 0.1
BIRTH_S = 1.5
STARTS, QUICK_STARTS = 200, 8
"""Disks of each tape on which the server is started."""


@dataclass
class Sums:
    """What came of all deployments."""

    found: Found = field(default_factory=Found)
    deaths: dict[str, int] = field(default_factory=dict)
    let_out: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("cosignatures", "receipts", "fragments held"), 0))

    def add(self, cuts: ServerCuts) -> None:
        """One deployment more."""
        for where, findings in cuts.findings:
            self.found.add(findings, where, 0.0)
        for name, count in cuts.points.deaths.items():
            self.deaths[name] = self.deaths.get(name, 0) + count
        told = [sender.told for sender in cuts.senders]
        self.let_out["cosignatures"] += sum(len(one.cosigned) for one in told)
        self.let_out["receipts"] += sum(len({receipt.recording for receipt in one.receipts}) for one in told)
        self.let_out["fragments held"] += sum(end - first for one in told for _, _, first, end in one.held)


def server(place: Place, effort: Effort, say: Say) -> Iterator[Row]:
    """The server killed at every point that a run reaches, its disk cut in the same moment."""
    folder, quick, sums = place.disk / "server", effort.seconds == QUICK.seconds, Sums()
    folder.mkdir()
    if why := missing(folder):
        say(f"server kills: only the process dies here, its disk keeps what it was given: {why}")
    with nullcontext() if why else LoopDisk(folder) as disk:
        with closing(ServerCuts(folder / "long", disk, effort.seed)) as cuts:
            _kill(cuts, effort, QUICK_LOAD_S if quick else LOAD_S, say)
            sums.add(cuts)
        known = places({*cuts.points.counts, *cuts.points.born})
        for point in () if quick else places(cuts.points.born):
            _birth(folder / f"birth-{len(sums.deaths)}-{known.index(point)}", disk, point, sums)
    deaths, never = sum(sums.deaths.values()), [point for point in known if point not in sums.deaths]
    out = sums.let_out
    figures = {"deaths": sums.deaths, "places_found": len(known), "places_never_died_at": never, "let_out": out}
    figures |= {"lives": sums.found.tried, "starts_without_catalogue": cuts.without_catalogue, "load_average": os.getloadavg()[1]}
    title = "server killed where it writes, syncs, commits, answers, publishes" + ("" if why else ", its ext4 shut down with it")
    remarks = (
        f"at {len(sums.deaths)} of {len(known)} places; {sums.let_out['cosignatures']} cosignatures, {sums.let_out['receipts']} receipts"
    )
    row = _row(title, deaths, sums.found, effort, "server", remarks)
    left = "a broker that dies with the server; a second server"
    left += f"; {len(never)} places of death that no life came to (the JSON names them)" if never else ""
    yield replace(row, command=f"{row.command} --cuts {effort.cuts}", figures=figures, not_tried=left)


def _row(title: str, tried: int, found: Found, effort: Effort, name: str, remarks: str) -> Row:
    examples = tuple(found.examples)
    return Row(title, tried, found.lost, found.hidden, str(effort.seed), again(name, effort), remarks=remarks, examples=examples)


def _kill(cuts: ServerCuts, effort: Effort, load_s: float, say: Say) -> None:
    """Death after death, until no place is left or so many lives are over; then a good end."""
    cuts.rehearse(load_s)
    number = 0
    while number < effort.cuts and (cuts.points.untried() or number < effort.cuts // 2):
        cuts.cut(number)
        number += 1
        if number % 20 == 0:
            say(f"server kills: {number} lives, {cuts.points.summary()}")
    cuts.finish()


def _birth(folder: Path, disk: LoopDisk | None, point: str, sums: Sums) -> None:
    """A new deployment that dies in its first start; then it goes on as if nothing had been."""
    with closing(ServerCuts(folder, disk, 1)) as cuts:
        cuts.cut(0, point)
        cuts.live(BIRTH_S)
        sums.add(cuts)


def paper(place: Place, effort: Effort, _say: Say) -> Iterator[Row]:
    """Two taped runs, the second over a broken catalogue, cut after every step."""
    quick = effort.seconds == QUICK.seconds
    found, steps, started = Found(), 0, 0
    for one in tapes(place, effort, SHORT_TAPE_S if quick else TAPE_S):
        found.join(one.cut(effort.seed, 0 if quick else 1, QUICK_SHARE if quick else 1.0, QUICK_STARTS if quick else STARTS))
        steps, started = steps + one.steps, started + one.started
    title = "power cut at every step of the server's run, on paper"
    row = _row(title, found.tried, found, effort, "server-paper", f"{steps} steps; the server started on {started} of the disks")
    yield replace(row, not_tried="threads that take turns otherwise than on these tapes; a sync that fails")


def guard(place: Place, effort: Effort, say: Say) -> Iterator[Row]:
    """Each of the server's syncs taken away, and everything told too early."""
    one = next(tapes(place, effort, SHORT_TAPE_S))
    answers = [one.ask(name, thorough=effort.seconds != QUICK.seconds) for name in one.syncs()]
    early = [one.hasty(name) for name in one.tells()]
    for answer in (*answers, *early):
        say(sentence(answer))
    syncs = [answer for answer in answers if not answer.idle]
    blind = tuple(answer.what for answer in (*syncs, *early) if not answer.seen)
    figures = {answer.what: sentence(answer) for answer in (*answers, *early)}
    covered = sum(answer.covered for answer in answers)
    remarks = f"{len(syncs) - covered} syncs alone, {covered} with those that cover them, {len(early)} things told too early"
    remarks += f"; {len(answers) - len(syncs)} more of SQLite's make nothing durable"
    title, command = "guard on the guard: a sync of the server taken away", again("server-guard", effort)
    yield Row(
        title,
        len(syncs) + len(early),
        0,
        len(blind),
        str(effort.seed),
        command,
        remarks=remarks,
        figures=figures,
        examples=blind,
    )


def sentence(answer: Answer) -> str:
    """What became of a sync that was taken away, in words."""
    if answer.idle:
        return f"idle: {answer.what}: it never makes anything durable that is not"
    if not answer.seen:
        return f"NOT SEEN: {answer.what}, on {answer.tried} disks"
    how = "seen with all that cover it" if answer.covered else "seen"
    return f"{how}: {answer.what}: {answer.seen}" + (f"; {answer.relied_on_by}" if answer.relied_on_by else "")


def tapes(place: Place, effort: Effort, seconds: float) -> Iterator[Paper]:
    """The first life of a deployment, and another that finds a broken catalogue."""
    folder, memory = place.disk / "taped", place.memory / "taped"
    memory.mkdir(parents=True)
    with closing(ServerCuts(folder, None, effort.seed)) as cuts:
        yield Paper(memory, *cuts.tape(seconds), DOMAIN)
        cuts.lose_catalogue(2)
        yield Paper(memory, *cuts.tape(seconds), DOMAIN, cuts.broken)
