"""docs/reliability.md has a row for each row of `make torture`, with the command that makes it again, and names what is there."""

from __future__ import annotations

import re
from pathlib import Path

from simulators.torture.programme.rows import ROWS
from simulators.torture.table import COLUMNS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "reliability.md").read_text("utf-8")
TABLE = [line for line in PAGE.splitlines() if "`python -m simulators.torture --only " in line]


def test_the_table_has_the_program_s_columns():
    assert f"| {' | '.join(COLUMNS)} |" in PAGE
    assert all(len(line.split("|")) == len(COLUMNS) + 2 for line in TABLE)


def test_each_row_of_the_program_stands_in_the_table_and_is_explained():
    assert {found for line in TABLE for found in re.findall(r"--only ([a-z-]+) ", line)} == set(ROWS)
    behind = PAGE.partition("## What stands behind the rows")[2].partition("\n## ")[0]
    names = [name for line in behind.splitlines() if line.startswith("| `") for name in re.findall(r"`([a-z-]+)`", line.split("|")[1])]
    assert sorted(names) == sorted(ROWS)


def test_whatever_is_named_as_holding_a_defect_is_there():
    found = PAGE.partition("## What it has found so far")[2]
    stories = re.findall(r"`([\w-]+\.yaml)`", found)
    assert stories
    assert all((ROOT / "tests" / "scenarios" / story).is_file() for story in stories)
    assert all((ROOT / path).exists() for path in re.findall(r"`(tests/[\w/.]+)`", found))
