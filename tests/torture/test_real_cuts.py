"""The agent's process on a real disk that is cut; where there can be none, the reason is said and other cuts are made."""

from __future__ import annotations

import os
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
