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
MEMBERS = ("name", "says", "seed", "devices", "settings", "story", "ends", "broken", "fails")
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
    return parse(text, str(path))


def parse(text: str, name: str = "story") -> Story:
    """The story in a text."""
    try:
        # every scalar as it stands: YAML would read 10:30 as a number to the base of 60
        raw = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - BaseLoader makes text, lists and mappings only
    except yaml.YAMLError as error:
        raise ScriptError(f"{name}: not YAML: {error}") from error
    if not isinstance(raw, dict):
        raise ScriptError(f"{name}: expected a mapping with name and story, got {type(raw).__name__}")
    if unknown := set(raw) - set(MEMBERS):
        raise ScriptError(f"{name}: there is no {', '.join(sorted(unknown))}; expected {', '.join(MEMBERS)}")
    steps = _steps(raw.get("story"), name)
    broken, fails = str(raw.get("broken", "")), str(raw.get("fails", ""))
    if (broken and broken not in BREAKS) or (fails and fails not in INVARIANTS):
        raise ScriptError(f"{name}: broken is one of {', '.join(BREAKS)}; fails is one of {', '.join(INVARIANTS)}")
    return Story(
        str(raw.get("name", name)), steps, _setting(raw, name), str(raw.get("says", "")), raw.get("ends") != "at once", broken, fails
    )


def _setting(raw: Mapping[str, Any], name: str) -> Setting:
    given = dict(raw.get("settings") or {})
    making = Making()
    try:
        if "keep days" in given:
            making = replace(making, keep_days=int(given.pop("keep days")))
        if "resume" in given:
            making = replace(making, resume=given.pop("resume") == "yes")
        if "reserve MB" in given:
            making = replace(making, reserve_bytes=int(float(given.pop("reserve MB")) * phrases.MB))
        bound = float(str(given.pop("sent twice below")).removesuffix("%")) if "sent twice below" in given else None
        shared = int(given.pop("shared line kbit/s")) * KIB_BYTES_S if "shared line kbit/s" in given else None
        seed, devices = int(raw.get("seed", 1)), int(raw.get("devices", 1))
    except ValueError as error:
        raise ScriptError(f"{name}: settings: {error}") from error
    if given:
        raise ScriptError(
            f"{name}: there is no setting {', '.join(given)}; expected keep days, resume, reserve MB, sent twice below, shared line kbit/s"
        )
    return Setting(seed, devices, making, bound, shared)


def _steps(raw: Any, name: str) -> tuple[Step, ...]:
    if not isinstance(raw, list) or not raw:
        raise ScriptError(f"{name}: expected a story: a list of steps with at or after, and do or expect")
    steps: list[Step] = []
    for number, one in enumerate(raw, 1):
        where = f"{name}, step {number}"
        if not isinstance(one, dict) or set(one) - set(STEP) or not ({"do", "expect"} & set(one)):
            raise ScriptError(f"{where}: expected {', '.join(STEP)}, got {one!r}")
        try:
            steps += _step(one, steps[-1].at_us if steps else 0)
        except (ScriptError, ValueError) as error:
            raise ScriptError(f"{where}: {error}") from error
    return tuple(sorted(steps, key=lambda step: step.at_us))


def _step(one: Mapping[str, Any], last_us: int) -> list[Step]:
    at_us = moment_us(one["at"]) if "at" in one else last_us + span_us(one.get("after", "0 s"))
    device = None if one.get("device") == "all" else int(one.get("device", 1))
    within_us = span_us(one["within"]) if "within" in one else 0
    found = []
    if "do" in one:
        phrases.understand(one["do"])
        found.append(Step(at_us, do=one["do"], device=device))
    if "expect" in one:
        for key in one["expect"]:
            if key not in expect.QUESTIONS:
                raise ScriptError(f"there is no question {key!r}; expected one of {', '.join(expect.QUESTIONS)}")
        found.append(Step(at_us, expect=one["expect"], within_us=within_us, device=device))
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
        head["ends"] = "at once"
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
