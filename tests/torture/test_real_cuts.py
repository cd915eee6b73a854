"""The agent's process on a real disk that is cut; where there can be none, the reason is said and other cuts are made."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from simulators.torture.loopdisk import LoopDisk, missing
from simulators.torture.programme.effort import QUICK, Place
from simulators.torture.programme.rows import ROWS
from simulators.torture.real import RealCuts


@pytest.fixture(scope="module")
def impossible(tmp_path_factory) -> str:
    return missing(tmp_path_factory.mktemp("probe"))


def test_a_recorder_that_is_cut_again_and_again_loses_and_hides_nothing(tmp_path: Path, pytestconfig: pytest.Config):
    said: list[str] = []
    rows = list(ROWS["real"](Place(tmp_path / "memory", tmp_path), QUICK, said.append))
    terminal = pytestconfig.pluginmanager.get_plugin("terminalreporter")
    assert terminal is not None
    for line in said:
        terminal.write_line(line)
    for row in rows:
        assert row.tried >= QUICK.cuts
        assert not row.red, row.examples


def test_an_agent_whose_syncs_are_forgotten_is_found_out(tmp_path: Path, impossible: str):
    if impossible:
        pytest.skip(f"no real cuts here: {impossible}")
    with LoopDisk(tmp_path) as disk:
        cuts = RealCuts(tmp_path, disk, 1, program="simulators.torture.unsynced")
        for number in range(5):
            cuts.cut(number)
            if any(findings.problems for _, findings in cuts.tried.findings):
                return
    pytest.fail("four cuts judged without a single sync, and nothing was missed: the disk is not really cut")


NOBODY = 65_534
PR_CAPBSET_DROP, CAP_SYS_ADMIN = 24, 21


def without_root() -> None:
    """From now on this process is somebody else's; does nothing where it is already."""
    if os.geteuid() == 0:
        os.seteuid(NOBODY)


def without_mounting() -> None:
    """From now on no program that this process starts may mount anything, whoever it is."""
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN, 0, 0, 0)


def in_another_process(folder: Path, become: Callable[[], None]) -> list[str]:
    """What the row of real cuts says and does there: its sentences, then its first row's name and verdict."""
    answer = folder / "answer.json"
    child = os.fork()
    if not child:
        status = 1
        try:
            become()
            said: list[str] = []
            row = next(ROWS["real"](Place(folder / "memory", folder), replace(QUICK, seconds=12), said.append))
            answer.write_text(json.dumps([*said, row.name, row.command, f"{row.tried > 50} {row.red}"]))
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    told: list[str] = json.loads(answer.read_text())
    return told


@pytest.mark.parametrize(("become", "why"), [(without_root, "it needs root"), (without_mounting, "mount -o loop")])
def test_where_no_disk_can_be_cut_it_says_so_and_cuts_in_memory(become: Callable[[], None], why: str):
    if become is without_mounting and os.geteuid() != 0:
        pytest.skip("it needs root to take the right to mount away from root")
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    try:
        said, name, command, verdict = in_another_process(folder, become)
    finally:
        shutil.rmtree(folder)
    assert said.startswith("real cuts: NOT RUN HERE: ")
    assert why in said
    assert name == "power cut at every step of a duty"
    assert "--seed 2" in command
    assert verdict == "True False"


def test_what_was_synced_is_there_and_nothing_else(tmp_path: Path, impossible: str):
    if impossible:
        pytest.skip(f"no real cuts here: {impossible}")
    with LoopDisk(tmp_path, 8) as disk:
        for name in ("synced", "not"):
            (disk.mount / name).write_text(name)
        with (disk.mount / "synced").open() as file:
            os.fsync(file.fileno())
        handle = os.open(disk.mount, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
        (disk.mount / "later").write_text("later")
        disk.cut()
        with pytest.raises(OSError, match="Input/output"):
            (disk.mount / "dead").write_text("")
        disk.power_on()
        assert (disk.mount / "synced").read_text() == "synced"
        assert not (disk.mount / "later").exists()
