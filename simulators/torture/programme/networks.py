"""Bad networks, deaths of broker and server, mixed answers and forged messages, between real processes."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from simulators.hostile.books import Wire
from simulators.hostile.messages import ROWS, Said, all_said
from simulators.hostile.telling import STORIES, Outcome
from simulators.torture.programme.effort import QUICK, Effort, Place, Say, again
from simulators.torture.table import Row

AT_ONCE = 6
"""Stories at a time: most of what they do is waiting, and each has ports and folders of its own."""

SEEDS_AT_MOST = {"standard": 3, "trickle": 1}
"""These take minutes each, and the seed changes little in the second."""

IN_A_HURRY = ("weathers", "deaths", "impostors")
"""What `--quick` tells."""

UNTRIED = (
    "agents killed under a bad network; 5 GB or a week to catch up, in real time; "
    "packets lost or doubled, which TCP hides: loss is lateness here; bytes twice have no bound in this row"
)

WITHIN_S = 1_800


def networks(place: Place, effort: Effort, say: Say) -> Iterator[Row]:
    """Every story over its seeds; the standard scenario has a row of its own, for it has a bound."""
    names = IN_A_HURRY if effort.seconds == QUICK.seconds else tuple(STORIES)
    asked = [
        (name, seed)
        for name in names
        for seed in range(effort.seed, effort.seed + min(effort.seeds, SEEDS_AT_MOST.get(name, effort.seeds)))
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(lambda one: _told(place.disk / "networks", one[0], one[1], say), asked))
    faults = [one for one in outcomes if one.story != "standard"]
    yield _row("bad networks, broker and server dead, answers of others, a backlog on a shared line", faults, effort, UNTRIED)
    if standard := [one for one in outcomes if one.story == "standard"]:
        at_most = STORIES["standard"].at_most
        yield _row(f"the standard scenario: five minutes of two recorders, at most {at_most:g} % twice", standard, effort)


def _told(folder: Path, name: str, seed: int, say: Say) -> Outcome:
    """One story in a process of its own, by the command that tells it again."""
    data = folder / f"{name}-{seed}"
    command = [
        sys.executable,
        "-m",
        "simulators.hostile",
        "--only",
        name,
        "--seed",
        str(seed),
        "--seeds",
        "1",
        "--json",
        "--data",
        str(data),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WITHIN_S)
    shutil.rmtree(data, ignore_errors=True)
    try:
        said: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        outcome = Outcome(name, seed, 0, [f"exit status {done.returncode}: {done.stderr[-500:]}"], 0)
    else:
        outcome = Outcome(**said | {"wire": Wire(**said["wire"])})
    say(f"{name}, seed {seed}: {outcome.faults} faults, {len(outcome.problems)} wrong, {outcome.seconds} s")
    return outcome


def _row(title: str, outcomes: list[Outcome], effort: Effort, not_tried: str = "") -> Row:
    seeds: dict[str, list[int]] = {}
    for one in outcomes:
        seeds.setdefault(one.story, []).append(one.seed)
    spans = {name: f"{found[0]}–{found[-1]}" if len(found) > 1 else f"{found[0]}" for name, found in seeds.items()}
    widest = max(spans.values(), key=len)
    others = [f"{name}: {span}" for name, span in spans.items() if span != widest]
    examples = [f"{one.story}, seed {one.seed}: {problem}" for one in outcomes for problem in one.problems]
    twice, once = sum(one.wire.twice for one in outcomes), sum(one.wire.signed for one in outcomes)
    over, media = sum(one.wire.media_over for one in outcomes), sum(one.wire.media for one in outcomes)
    return Row(
        title,
        sum(one.faults for one in outcomes),
        len(examples),
        0,
        f"{widest} ({'; '.join(others)})" if others else widest,
        again("networks", effort),
        twice=twice,
        bytes_once=once,
        remarks=f"on the wire {100 * over / max(media, 1):.2f} % beyond the media, TLS and headers included",
        figures={f"{one.story} {one.seed}": _figures(one) for one in outcomes},
        examples=tuple(examples),
        not_tried=not_tried,
    )


def _figures(one: Outcome) -> dict[str, Any]:
    return {
        "faults": one.faults,
        "signed": one.wire.signed,
        "twice_percent": round(one.twice_percent, 3),
        "media_over_on_the_wire_percent": round(one.media_over_percent, 3),
        "seconds": one.seconds,
    }


# --------------------------------------------------------------------------- forged messages


def messages(place: Place, effort: Effort, say: Say) -> Iterator[Row]:
    """Both tables of messages, a deployment of its own for each seed."""
    seeds = range(effort.seed, effort.seed + effort.seeds)
    found: list[tuple[int, Said]] = []
    for seed in seeds:
        found += [(seed, one) for one in asyncio.run(_all(place.disk / "messages" / str(seed), seed))]
        say(f"messages, seed {seed}: {sum(not one.verdict.well for at, one in found if at == seed)} otherwise than the table says")
    changed = [f"seed {seed}: {one.name}: {said}" for seed, one in found for said in one.verdict.changed]
    unsaid = [f"seed {seed}: {one.name}: {said}" for seed, one in found for said in one.verdict.unsaid]
    yield Row(
        "forged messages to a running server and device",
        len(ROWS) * len(seeds),
        len(changed),
        len(unsaid),
        f"{seeds[0]}–{seeds[-1]}" if len(seeds) > 1 else f"{seeds[0]}",
        again("messages", effort),
        remarks=f"{len(ROWS)} messages; hidden: not refused, counted and said as the table wants it",
        examples=tuple(changed + unsaid),
        not_tried="a certificate taken back while its session with the broker is open (the end of its journal stops it, and is tried); "
        "duplicate names and fractions in status, health and reported, which prove nothing and are shown as they came",
    )


async def _all(folder: Path, seed: int) -> list[Said]:
    try:
        return [one async for one in all_said(folder, seed)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
