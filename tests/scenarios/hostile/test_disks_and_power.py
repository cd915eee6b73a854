"""Disks and supplies that fail under a recorder that runs: a line in the journal, a signal to the officer, one in `status`."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from simulators.hostile.arena import Arena, Unit
from tests.scenarios.hostile.telling import ONE, events, tell, told

MIB = 1 << 20
pytestmark = pytest.mark.timeout(600)


@contextmanager
def small_disk(folder: Path) -> Iterator[dict[str, int]]:
    """A real file system of 12 MiB where the recorder's state will be, and the bounds that fit it.

    Nobody but root may mount one: then it is the disk that is there, called full once 2 MiB more are on it.
    """
    if os.geteuid() != 0:
        free = shutil.disk_usage(folder.parents[1]).free
        yield {"reserve_bytes": free, "stop_below_bytes": free - 2 * MIB}
        return
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=700", "tmpfs", folder], check=True)
    try:
        yield {"reserve_bytes": 9 * MIB, "stop_below_bytes": 8 * MIB}
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_real_disk_that_fills_ends_the_recording_whole_and_says_so(tmp_path):
    async def story(arena: Arena, one: Unit) -> None:
        name = await one.press_start()
        await arena.until("the recording to end by itself", lambda: name in one.recordings())
        assert one.lines("stop")[-1]["trigger"] == "storage"
        assert "full" in events(one, "storage")
        await told(arena, one, "disk")

    with small_disk(tmp_path / "devices" / ONE) as bounds:
        tell(tmp_path, story, kbit_s=2_000, storage=bounds)


def test_a_battery_that_runs_low_and_out_ends_the_recording_properly(tmp_path):
    async def story(arena: Arena, one: Unit) -> None:
        await one.press_start()
        await one.recorded(1)
        one.host.set_battery(10, charging=False)
        await arena.until("low on record", lambda: "low" in events(one, "power"))
        await told(arena, one, "battery low")
        one.host.set_battery(2, charging=False)
        await arena.until("the end by itself", one.recordings)
        assert one.lines("stop")[-1]["trigger"] == "power"
        await told(arena, one, "battery critical")

    tell(tmp_path, story)


def test_sigterm_in_a_recording_ends_it_whole(tmp_path):
    async def story(arena: Arena, one: Unit) -> None:
        await one.press_start()
        await one.recorded(2)
        await one.host.close()
        assert one.lines("stop")[-1]["trigger"] == "signal"
        assert events(one, "power")[-1] == "shutdown"
        await one.host.start()
        await arena.until("the next start", lambda: len(one.lines("boot")) == 2)
        assert (one.lines("boot")[1]["clean"], one.lines("boot")[1]["lost"]) == (True, {})

    tell(tmp_path, story)
