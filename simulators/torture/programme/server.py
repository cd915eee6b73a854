"""The server killed wherever it changes its disk, commits or tells; cut on paper after every step; each of its syncs taken away."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, nullcontext
from pathlib import Path

from simulators.torture.loopdisk import LoopDisk, missing
from simulators.torture.papercuts import Answer, Paper
from simulators.torture.programme.effort import QUICK, Effort, Place, Say, again
from simulators.torture.scene import Found
from simulators.torture.servers import DOMAIN, Points, ServerCuts, places
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


def server(place: Place, effort: Effort, say: Say) -> Iterator[Row]:
    """The server killed at every point that a run reaches, its disk cut in the same moment."""
    folder, quick = place.disk / "server", effort.seconds == QUICK.seconds
    folder.mkdir()
    if why := missing(folder):
        say(f"server kills: only the process dies here, its disk keeps what it was given: {why}")
    found, points, sums = Found(), Points(), dict.fromkeys(("cosignatures", "receipts", "fragments held"), 0)
    with nullcontext() if why else LoopDisk(folder) as disk, closing(ServerCuts(folder / "long", disk, effort.seed)) as cuts:
        cuts.rehearse(QUICK_LOAD_S if quick else LOAD_S)
        number = 0
        while number < effort.cuts and (cuts.points.untried() or number < effort.cuts // 2):
            cuts.cut(number)
            number += 1
            if number % 20 == 0:
                say(f"server kills: {number}, {len(cuts.points.untried())} places left")
        cuts.finish()
        born = cuts.points.born
        _add(found, cuts, sums, points)
        points.counts |= cuts.points.counts
        for count, point in enumerate(places(born) if not quick else ()):
            _birth(folder / f"birth-{count}", disk, point, found, sums, points)
    deaths, never = sum(points.deaths.values()), [*points.never()]
    known = len(points.known()) + len(places(born))
    figures = {"deaths": points.deaths, "places_found": known, "places_never_died_at": never, "lives": found.tried, "let_out": sums}
    figures |= {"starts_without_catalogue": cuts.without_catalogue, "load_average": os.getloadavg()[1]}
    title = "server killed where it writes, syncs, commits, answers, publishes" + ("" if why else ", its ext4 shut down with it")
    remarks = f"{deaths} deaths at {len(points.deaths)} of {known} places; {sums['cosignatures']} cosignatures, {sums['receipts']} receipts"
    command = f"{again('server', effort)} --cuts {effort.cuts}"
    left = f"{len(never)} places that no run came to again" if never else ""
    examples = tuple(found.examples)
    yield Row(
        title,
        deaths,
        found.lost,
        found.hidden,
        str(effort.seed),
        command,
        remarks=remarks,
        figures=figures,
        examples=examples,
        not_tried=left,
    )


def _birth(folder: Path, disk: LoopDisk | None, point: str, found: Found, sums: dict[str, int], points: Points) -> None:
    """A new deployment that dies in its first start; then it goes on as if nothing had been."""
    with closing(ServerCuts(folder, disk, 1)) as cuts:
        cuts.cut(0, point)
        cuts.live(BIRTH_S)
        _add(found, cuts, sums, points)


def _add(found: Found, cuts: ServerCuts, sums: dict[str, int], points: Points) -> None:
    for where, findings in cuts.findings:
        found.add(findings, where, 0.0)
    for name, count in cuts.points.deaths.items():
        points.deaths[name] = points.deaths.get(name, 0) + count
    told = [sender.told for sender in cuts.senders]
    sums["cosignatures"] += sum(len(one.cosigned) for one in told)
    sums["receipts"] += sum(len({receipt.recording for receipt in one.receipts}) for one in told)
    sums["fragments held"] += sum(end - first for one in told for _, _, first, end in one.held)


def paper(place: Place, effort: Effort, _say: Say) -> Iterator[Row]:
    """Two taped runs, the second over a broken catalogue, cut after every step."""
    quick = effort.seconds == QUICK.seconds
    found, steps, started = Found(), 0, 0
    for one in tapes(place, effort, SHORT_TAPE_S if quick else TAPE_S):
        found.join(one.cut(effort.seed, 0 if quick else 1, QUICK_SHARE if quick else 1.0, QUICK_STARTS if quick else STARTS))
        steps, started = steps + one.steps, started + one.started
    title = "power cut at every step of the server's run, on paper"
    command, examples = again("server-paper", effort), tuple(found.examples)
    remarks = f"{steps} steps; {started} of the disks started on"
    yield Row(title, found.tried, found.lost, found.hidden, str(effort.seed), command, remarks=remarks, examples=examples)


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
