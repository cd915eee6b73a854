"""The table says what it was told: red where anything is wrong, a dash where a figure has no meaning, and what was not tried."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from simulators.torture.__main__ import main
from simulators.torture.programme.effort import QUICK, Place
from simulators.torture.programme.rows import ROWS
from simulators.torture.table import COLUMNS, Row, as_json, as_text

GREEN = Row("a fault", 12, 0, 0, "1", "python -m simulators.torture --only duty --seed 1")


@pytest.mark.parametrize("wrong", [{"lost": 1}, {"hidden": 1}, {"false_alarms": 1}])
def test_a_row_with_anything_wrong_is_red(wrong):
    assert not GREEN.red
    assert replace(GREEN, **wrong).red


def test_each_row_has_every_column_and_its_problems_stand_below():
    row = replace(GREEN, exposed_ms=1_960, twice=19, bytes_once=1_000, false_alarms=0, examples=("line 7 is gone",), not_tried="snow")
    text = as_text([row, GREEN])
    head, _, first, second, *rest = text.splitlines()
    assert len(head.split("|")) == len(first.split("|")) == len(second.split("|")) == len(COLUMNS) + 2
    assert "| 2.0 s | 19 of 1,000 bytes (1.90 %) | 0 |" in first
    assert "| – | – | – |" in second
    assert rest == ["", "a fault: line 7 is gone", "Not tried:", "", "- a fault: snow"]


def test_the_figures_are_written_as_they_are(tmp_path):
    as_json([GREEN], tmp_path / "build" / "torture.json")
    (read,) = json.loads((tmp_path / "build" / "torture.json").read_text("utf-8"))
    assert (read["name"], read["tried"], read["exposed_ms"]) == ("a fault", 12, None)


def test_forgers_and_honest_people_have_rows(tmp_path):
    place, effort = Place(tmp_path, tmp_path), replace(QUICK, packages=3)
    (honest,) = ROWS["honest"](place, effort, lambda _: None)
    assert honest.tried == 5, "three packages, a card, a store"
    assert not honest.red
    kinds = [row.name for row in ROWS["forged"](place, effort, lambda _: None)]
    assert kinds == ["package forged", "device folder forged", "server store forged"]


def test_a_name_that_is_no_row_is_wrong_usage(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--only", "nothing"])
    assert ended.value.code == 2
    assert "duty" in capsys.readouterr().err


def test_rows_are_in_nobodys_way_and_one_that_breaks_off_leaves_the_others_figures(tmp_path, monkeypatch):
    def takes_a_name(place, _effort, _say):
        (place.memory / "taken").mkdir()
        (place.disk / "taken").mkdir()
        yield GREEN

    def breaks_off(_place, _effort, _say):
        raise OSError("no disk")

    for name, row in (("duty", takes_a_name), ("starts", takes_a_name), ("real", breaks_off)):
        monkeypatch.setitem(ROWS, name, row)
    out = tmp_path / "torture.json"
    asked = [word for name in ("duty", "starts", "real") for word in ("--only", name)]
    with pytest.raises(OSError, match="no disk"):
        main([*asked, "--out", str(out)])
    assert len(json.loads(out.read_text("utf-8"))) == 2
