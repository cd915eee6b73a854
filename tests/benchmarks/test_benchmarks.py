"""`make bench` measures what docs/benchmarks.md says, by the bounds that it says; whether they are reached depends on the machine."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.measure import ROOT, Row, command, cpu_of, spent, workplace

PAGE = (ROOT / "docs/benchmarks.md").read_text()
PATIENCE_S = 300


@pytest.fixture(scope="module")
def answer(tmp_path_factory):
    file = tmp_path_factory.mktemp("bench") / "bench.json"
    subprocess.run([sys.executable, "-m", "benchmarks", "--quick", "--json", str(file)], cwd=ROOT, check=True, timeout=PATIENCE_S)
    return json.loads(file.read_text())


def documented() -> list[tuple[str, str]]:
    return re.findall(r"(?m)^\| ([^|]+) \| ([<>]= [^|]+) \|", PAGE)


def test_every_figure_is_documented_with_its_bound_and_every_documented_one_is_measured(answer):
    cores = len(os.sched_getaffinity(0))
    said = [row for row in documented() if cores > 1 or not row[0].endswith("two cores")]
    assert said == [(row["what"], f"{row['reach']} {row['unit']}") for row in answer["rows"]]


def test_every_figure_comes_with_its_rounds_and_what_lies_behind(answer):
    assert answer["quick"] is True
    for row in answer["rows"]:
        assert row["rounds"]
        # Small sizes on a busy machine give any slope, a negative one too: what counts here is that all of it is there.
        assert all(math.isfinite(value) for value in (row["value"], *row["rounds"], *row["behind"].values()))


def test_the_machine_is_described(answer):
    assert answer["machine"]["cores"] == len(os.sched_getaffinity(0))
    assert answer["machine"]["file_system"]
    assert answer["machine"]["load"] >= 0


def test_the_bytes_that_lines_add_do_not_depend_on_the_machine(answer):
    row = next(row for row in answer["rows"] if row["unit"] == "%" and row["reach"].startswith("<="))
    assert row["reached"]


@pytest.mark.parametrize(
    ("sense", "rounds", "reached"),
    [("<=", [1.0, 9.0, 1.3], True), ("<=", [1.2, 1.4, 1.4], False), (">=", [29.0, 30.0, 99.0], True), (">=", [29.9], False)],
)
def test_the_median_of_the_rounds_decides(sense, rounds, reached):
    assert Row("what", 1.3 if sense == "<=" else 30, sense, rounds).reached is reached


def test_what_a_command_and_a_block_cost_is_counted():
    with spent() as block:
        inside = command(sys.executable, "-c", "sum(range(3_000_000))")
    assert 0 < inside.cpu <= block.cpu
    assert 0 < inside.wall <= block.wall
    assert cpu_of(os.getpid()) > 0


def test_a_command_that_fails_is_no_measurement():
    with pytest.raises(subprocess.CalledProcessError):
        command(sys.executable, "-c", "raise SystemExit(1)")


def test_the_workplace_lies_on_the_disk_of_the_tree_and_leaves_nothing():
    with workplace() as folder:
        assert Path(os.path.commonpath([folder, ROOT])) == ROOT
        (folder / "file").write_bytes(b"x")
    assert not folder.exists()
