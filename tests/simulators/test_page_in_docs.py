"""docs/simulators.md names every driver, option, order and address that there is, and no other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from hal import board
from simulators import orders
from simulators.weather import WEATHERS

TEXT = (Path(__file__).parents[2] / "docs" / "simulators.md").read_text("utf-8")
COMMON = {"world", "script"}


def rows(heading):
    section = TEXT.split(f"## {heading}")[1].split("\n## ")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("| ")][2:]


def test_every_named_driver_takes_the_options_that_are_named():
    known: dict[str, set[str]] = {}
    for _, driver, options in rows("Devices"):
        dotted = driver.strip("`")
        named = set(re.findall(r"`([a-z_]+)`", options.split(" below")[0]))
        alike = re.search(r"as (\w+) without `path`", options)
        if alike:
            named = (named | known[alike[1]]) - {"path", "up"}
        known[dotted.partition(":")[2]] = named
        assert named <= board.options(dotted), dotted
        assert board.options(dotted) - named <= COMMON, dotted


def test_every_order_is_there_with_its_members():
    named = {}
    for to, verbs, members, _ in rows("Orders"):
        for verb in verbs.split(", "):
            named[to, verb] = set(re.findall(r"`(\w+)`", members))
    assert named == {key: set(kind.members) for key, kind in orders.ORDERS.items()}


def test_the_script_that_is_shown_is_one():
    shown = re.search(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    assert shown is not None
    for step in tomllib.loads(shown[1])["step"]:
        orders.check(step)


def test_every_weather_is_there_and_no_other():
    assert [name.strip("`") for name, _ in rows("Weather")] == list(WEATHERS)
