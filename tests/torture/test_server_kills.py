"""The server dies where it writes, commits and tells; nothing that it told anybody may be missing afterwards."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from simulators.torture.loopdisk import LoopDisk, missing
from simulators.torture.programme.effort import QUICK, Place
from simulators.torture.programme.rows import ROWS
from simulators.torture.servers import ServerCuts

pytestmark = pytest.mark.timeout(900)
"""A life of the server takes some seconds; on a busy machine a dozen of them take minutes."""


def test_whatever_was_told_is_there_after_each_death(tmp_path: Path, pytestconfig: pytest.Config):
    said: list[str] = []
    (row,) = ROWS["server"](Place(tmp_path / "memory", tmp_path), QUICK, said.append)
    terminal = pytestconfig.pluginmanager.get_plugin("terminalreporter")
    assert terminal is not None
    for line in said:
        terminal.write_line(line)
    assert not row.red, row.examples
    assert row.tried > 0
    assert row.figures["places_found"] > 100
    assert min(row.figures["let_out"].values()) > 0


@pytest.mark.parametrize(
    ("how", "point"),
    [
        # With the WAL's sync the database is there, whoever forgot it: so it dies when the first things have been told.
        ("--forget", "after publish zhilu/*/witness"),
        ("--hasty", "before commit logs: server.ingest.committer:Committer._schedule"),
    ],
)
def test_a_server_that_is_careless_is_found_out(how: str, point: str, tmp_path: Path):
    if why := missing(tmp_path):
        pytest.skip(f"no disk can be cut here: {why}")
    problems: list[str] = []
    with LoopDisk(tmp_path) as disk, closing(ServerCuts(tmp_path / "cuts", disk, 2, [how])) as cuts:
        for number in range(4):
            cuts.cut(number, point)
            problems += cuts.findings[-1][1].problems
    assert any(problem.startswith("lost") and "were cosigned and told" in problem for problem in problems), problems
