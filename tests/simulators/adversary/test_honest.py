"""No false alarm: packages of any shape that nobody touched are intact, an excerpt, or incomplete where something is missing."""

from __future__ import annotations

from simulators.adversary import __main__ as program
from simulators.adversary import honest


def test_nobody_is_called_a_forger_who_is_none(folder):
    tally = honest.run(60, 1, folder)
    assert not tally.alarms, tally.alarms[0]
    assert tally.packages == sum(tally.verdicts.values()) == 60
    assert set(tally.verdicts) == {"intact", "excerpt", "incomplete"}
    assert sum(tally.audits.values()) == 12, "six worlds, of each the card and the store"
    assert tally.audits["card intact"] == 6
    assert {"power cut", "gap", "another track", "still", "not all arrived", "no beacon", "anchored"} <= set(tally.shapes)


def test_the_same_seed_gives_the_same_shapes(folder):
    once, again = honest.run(12, 3, folder / "a"), honest.run(12, 3, folder / "b")
    assert (once.verdicts, once.shapes, once.audits) == (again.verdicts, again.shapes, again.audits)


def test_the_program_prints_what_it_tried(capsys):
    assert program.main(["--only", "a_bit_of_a_frame", "--seeds", "2"]) == 0
    out = capsys.readouterr().out
    assert "package           1 acts,      2 forgeries" in out
    assert "found and named otherwise than the table says: 0" in out
