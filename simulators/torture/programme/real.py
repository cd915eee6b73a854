"""Power cuts of the agent's process on a real file system."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

from simulators.torture.loopdisk import LoopDisk, missing
from simulators.torture.programme import memory
from simulators.torture.programme.effort import MODULE, Effort, Place, Say
from simulators.torture.real import RealCuts
from simulators.torture.scene import Found
from simulators.torture.table import Row

ARMED_MS = 3_000


def real(place: Place, effort: Effort, say: Say) -> Iterator[Row]:
    """The agent's process on a loop-mounted ext4; where there can be none, the duty once more with other seeds."""
    folder = place.disk / "real"
    folder.mkdir()
    if why := missing(folder):
        say(f"real cuts: NOT RUN HERE: {why}; the duty is cut in memory with other seeds instead")
        for seed in range(effort.seed + 1, effort.seed + 3):
            yield from memory.duty(place, replace(effort, seed=seed), say)
        return
    with LoopDisk(folder) as disk:
        cuts = RealCuts(folder, disk, effort.seed)
        for number in range(effort.cuts):
            cuts.cut(number)
            if number % 20 == 19:
                say(f"real cuts: {number + 1} of {effort.cuts}")
        cuts.last(effort.cuts)
    tried = cuts.tried
    found = Found()
    for where, findings in tried.findings:
        found.add(findings, where, 0.0)
    armed, work, lost = sorted(tried.armed_ms), sorted(tried.armed_cpu_ms), sorted(tried.missing_ms)
    figures = {
        "armed_median_ms": armed[len(armed) // 2],
        "armed_slowest_ms": armed[-1],
        "armed_within_3_s": sum(ms <= ARMED_MS for ms in armed),
        "armed_own_work_median_ms": work[len(work) // 2],
        "armed_own_work_most_ms": work[-1],
        "starts": len(armed),
        "resumed_by_itself": tried.resumed,
        "recordings_decoded": tried.decoded,
        "lines_told": tried.told,
        "cut_while_recording": len(lost),
        "missing_median_ms": lost[len(lost) // 2] if lost else None,
        "missing_beyond_its_gap_ms": max(tried.unstated_ms, default=0),
        "load_average": os.getloadavg()[1],
    }
    remarks = f"armed again after {armed[len(armed) // 2] / 1000:.1f} s, at worst {armed[-1] / 1000:.1f} s"
    command = f"{MODULE} --only real --seed {effort.seed} --cuts {effort.cuts}"
    title = "agent on a loop-mounted ext4, shut down without a flush, and killed"
    worst, examples = max(lost, default=0), tuple(found.examples)
    yield Row(
        title, found.tried, found.lost, found.hidden, str(effort.seed), command, worst, remarks=remarks, figures=figures, examples=examples
    )
