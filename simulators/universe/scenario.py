"""Stories as YAML files: written by a tester, or by a world that failed; read strictly, run, told in plain words.

    name: The network is off for an hour
    says: Recording goes on; everything arrives afterwards, once.
    devices: 1                       # optional, as are seed and settings
    story:
      - at: "00:10"                  # since the story's beginning; or `after: 30 s` since the step before
        do: record for 90 s
      - at: "00:10:30"
        do: network off for 1 h
      - after: 5 s
        expect: {lamp: recording, line: {kind: start, trigger: button}}
        within: 10 s

In the end the weather is good until everything has arrived, and all invariants are judged; `ends: at once` leaves that out.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from simulators.errors import ScriptError
from simulators.universe import expect, phrases
from simulators.universe.breaks import BREAKS
from simulators.universe.device import Making
from simulators.universe.judge import INVARIANTS
from simulators.universe.words import moment, moment_us, span_us
from simulators.universe.world import Setting

KIB_BYTES_S = 125
MOST_DEVICES = 50
ENDS = "at once"
MEMBERS = ("name", "says", "seed", "devices", "settings", "story", "ends", "broken", "fails")
SETTINGS = ("keep days", "resume", "reserve MB", "sent twice below", "shared line kbit/s")
STEP = ("at", "after", "device", "do", "expect", "within")


@dataclass(frozen=True, slots=True)
class Step:
    """One entry: at that time, on that device (None: each of them), something is done or asked."""

    at_us: int
    do: str = ""
    expect: Mapping[str, Any] = field(default_factory=dict)
    within_us: int = 0
    device: int | None = 1


@dataclass(frozen=True, slots=True)
class Story:
    """A whole file. `broken` names a rule that is broken on purpose, `fails` the invariant that must see it."""

    name: str
    steps: tuple[Step, ...]
    setting: Setting = field(default_factory=Setting)
    says: str = ""
    settles: bool = True
    broken: str = ""
    fails: str = ""

    def with_steps(self, steps: tuple[Step, ...]) -> Story:
        """The same world, another course."""
        return replace(self, steps=steps)


# --------------------------------------------------------------------------- reading


def load(path: Path) -> Story:
    """The story in a file; ScriptError says which entry is wrong and what was expected."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ScriptError(f"{path}: {error.strerror}; `zhilu sim list` shows the stories that ship") from error
    except UnicodeDecodeError as error:
        raise ScriptError(f"{path}: expected UTF-8: {error}") from error
    return parse(text, str(path))


def parse(text: str, name: str = "story") -> Story:
    """The story in a text."""
    try:
        node = yaml.compose(text, Loader=_Loader)
        # every scalar as it stands: YAML would read 10:30 as a number to the base of 60
        raw = yaml.load(text, Loader=_Loader)  # noqa: S506 - a BaseLoader makes text, lists and mappings only
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        why = "a tab; indent with spaces" if "'\\t'" in str(error.problem) else " ".join(filter(None, (error.context, error.problem)))
        raise ScriptError(f"{name}{line}: not YAML: {why}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ScriptError(f"{name}: not YAML: {error}") from error
    try:
        return _story(raw, _step_lines(node), name)
    except ScriptError as error:
        raise ScriptError(f"{name}{error}") from error


class _Loader(yaml.BaseLoader):
    """A BaseLoader that refuses a name that stands twice in one mapping: the first would go without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - as PyYAML has it
        names = [one.value for one, _ in node.value]
        twice = next((one for one, _ in node.value if names.count(one.value) > 1), None)
        if twice is not None:
            raise yaml.MarkedYAMLError(
                problem=f"{twice.value!r} stands twice; two lines are asked for as in `line: [{{kind: gap}}, {{kind: stop}}]`",
                problem_mark=twice.start_mark,
            )
        return super().construct_mapping(node, deep)


def _step_lines(node: yaml.Node | None) -> list[int]:
    """Where each step stands in the file, from 1."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == "story" and isinstance(value, yaml.SequenceNode):
                return [one.start_mark.line + 1 for one in value.value]
    return []


def _story(raw: Any, lines: list[int], name: str) -> Story:
    if not isinstance(raw, dict):
        raise ScriptError(f": expected name:, says: and story:, got {'nothing' if raw is None else type(raw).__name__}")
    _known(raw, MEMBERS, "")
    broken, fails = str(raw.get("broken", "")), str(raw.get("fails", ""))
    if bool(broken) != bool(fails) or (broken and (broken not in BREAKS or fails not in INVARIANTS)):
        raise ScriptError(f": broken: goes with fails:; broken is one of {', '.join(BREAKS)}; fails one of {', '.join(INVARIANTS)}")
    if raw.get("ends", ENDS) != ENDS:
        raise ScriptError(f": ends is {ENDS!r} or left out, got {raw['ends']!r}")
    setting = _setting(raw)
    steps = _steps(raw.get("story"), lines, setting.devices)
    return Story(str(raw.get("name", name)), steps, setting, str(raw.get("says", "")), "ends" not in raw, broken, fails)


def _known(given: Mapping[str, Any], names: tuple[str, ...], where: str) -> None:
    """ScriptError for what is none of the names."""
    for one in given:
        if one not in names:
            near = difflib.get_close_matches(str(one), names, 1)
            raise ScriptError(f"{where}: there is no {one!r}; {f'did you mean {near[0]!r}? ' if near else ''}expected {', '.join(names)}")


def _setting(raw: Mapping[str, Any]) -> Setting:
    given = raw.get("settings") or {}
    if not isinstance(given, dict):
        raise ScriptError(f": settings are as in {{keep days: 3, resume: yes}}, got {given!r}")
    _known(given, SETTINGS, ": settings")
    making, days, reserve = Making(), _number(given, "keep days", whole=True), _number(given, "reserve MB")
    if given.get("resume", "no") not in ("yes", "no"):
        raise ScriptError(f": settings: resume: expected yes or no, got {given['resume']!r}")
    making = replace(
        making,
        keep_days=making.keep_days if days is None else int(days),
        resume=given.get("resume") == "yes",
        reserve_bytes=making.reserve_bytes if reserve is None else int(reserve * phrases.MB),
    )
    bound = _number(given, "sent twice below", unit="%")
    shared = _number(given, "shared line kbit/s", whole=True)
    seed, devices = int(_number(raw, "seed", whole=True) or 1), _number(raw, "devices", whole=True)
    if devices is not None and not 1 <= devices <= MOST_DEVICES:
        raise ScriptError(f": devices: expected 1 to {MOST_DEVICES}, got {devices:g}")
    return Setting(seed, int(devices or 1), making, bound, None if shared is None else int(shared) * KIB_BYTES_S)


def _number(given: Mapping[str, Any], name: str, *, whole: bool = False, unit: str = "") -> float | None:
    """The number under a name, None where there is none."""
    if name not in given:
        return None
    found = re.fullmatch(r"([0-9]{1,12})" if whole else rf"([0-9]{{1,12}}(?:\.[0-9]{{1,12}})?)\s*{unit}", str(given[name]))
    if found is None:
        raise ScriptError(f": {name}: expected a {'whole ' * whole}number{f' as in 2{unit}' * bool(unit)}, got {given[name]!r}")
    return float(found[1])


def _steps(raw: Any, lines: list[int], devices: int) -> tuple[Step, ...]:
    if not isinstance(raw, list) or not raw:
        raise ScriptError(": expected story: and under it a list of steps, each with at or after, and do or expect")
    steps: list[Step] = []
    for number, one in enumerate(raw, 1):
        where = f", line {lines[number - 1]}, step {number}" if len(lines) == len(raw) else f", step {number}"
        if not isinstance(one, dict) or not ({"do", "expect"} & set(one)):
            raise ScriptError(f"{where}: expected {', '.join(STEP)}, with do or expect among them, got {one!r}")
        _known(one, STEP, where)
        try:
            steps += _step(one, steps[-1].at_us if steps else 0, devices)
        except ScriptError as error:
            raise ScriptError(f"{where}: {error}") from error
    return tuple(steps)


def _step(one: Mapping[str, Any], last_us: int, devices: int) -> list[Step]:
    for name in set(STEP) - {"expect"}:
        if name in one and not isinstance(one[name], str):
            raise ScriptError(f"{name}: expected a text, got {one[name]!r}; a text with a colon, comma or bracket needs quotes")
    if "at" in one and "after" in one:
        raise ScriptError("expected at or after, got both")
    if "within" in one and "expect" not in one:
        raise ScriptError("within belongs to expect: how long to go on asking")
    at_us = moment_us(one["at"]) if "at" in one else last_us + span_us(one.get("after", "0 s"))
    if at_us < last_us:
        raise ScriptError(f"at {one['at']} is before the step before, which is at {moment(last_us)}")
    number = one.get("device", "1")
    if number != "all" and not (number.isdecimal() and len(number) < 9 and 1 <= int(number) <= devices):
        raise ScriptError(f"device: expected {f'1 to {devices}' if devices > 1 else '1'} or all, got {number!r}; `devices:` says how many")
    device = None if number == "all" else int(number)
    found = []
    if "do" in one:
        phrases.understand(one["do"])
        found.append(Step(at_us, do=one["do"], device=device))
    if "expect" in one:
        expect.check(one["expect"])
        found.append(Step(at_us, expect=one["expect"], within_us=span_us(one.get("within", "0 s")), device=device))
    return found


# --------------------------------------------------------------------------- writing


def dump(story: Story) -> str:
    """The story as a file that runs again."""
    setting, making = story.setting, story.setting.making
    settings: dict[str, Any] = {
        "keep days": making.keep_days,
        "resume": "yes" if making.resume else "no",
        "reserve MB": making.reserve_bytes / phrases.MB,
    }
    if setting.bound_percent is not None:
        settings["sent twice below"] = f"{setting.bound_percent:g}%"
    if setting.shared_bytes_s is not None:
        settings["shared line kbit/s"] = setting.shared_bytes_s // KIB_BYTES_S
    head: dict[str, Any] = {"name": story.name, "says": story.says, "seed": setting.seed, "devices": setting.devices, "settings": settings}
    if not story.settles:
        head["ends"] = ENDS
    if story.broken:
        head |= {"broken": story.broken, "fails": story.fails}
    head["story"] = [_dumped(step) for step in story.steps]
    return str(yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=140, default_flow_style=None))


def _dumped(step: Step) -> dict[str, Any]:
    found: dict[str, Any] = {"at": moment(step.at_us)}
    if step.device != 1:
        found["device"] = "all" if step.device is None else step.device
    if step.do:
        found["do"] = step.do
    if step.expect:
        found["expect"] = dict(step.expect)
    if step.within_us:
        found["within"] = f"{step.within_us / 1e6:g} s"
    return found
