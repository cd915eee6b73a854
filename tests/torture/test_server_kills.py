"""The server dies where it commits, syncs and tells; nothing that it told anybody may be missing afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulators.torture.loopdisk import LoopDisk, missing
from simulators.torture.programme.effort import QUICK, Place
from simulators.torture.programme.rows import ROWS
from simulators.torture.servers import ServerCuts


def test_whatever_was_told_is_there_after_the_death(tmp_path: Path):
    (row,) = ROWS["server"](Place(tmp_path / "memory", tmp_path), QUICK, lambda _: None)
    assert row.tried >= 4
    assert not row.red, row.examples
    assert row.figures["cosignatures_told"] > 0


def test_a_server_that_forgets_its_syncs_is_found_out(tmp_path: Path):
    probe = tmp_path / "probe"
    probe.mkdir()
    if why := missing(probe):
        pytest.skip(f"no disk can be cut here: {why}")
    with LoopDisk(tmp_path) as disk:
        cuts = ServerCuts(tmp_path, disk, 2, forget=True)
        try:
            for number in range(8):
                cuts.cut(number)
                if cuts.findings[-1][1].problems:
                    return
        finally:
            cuts.close()
    pytest.fail("eight deaths without a single sync, and nothing was missed")
