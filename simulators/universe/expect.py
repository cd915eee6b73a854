"""What a story may ask of its world at a moment: a table of questions, each answered by nothing or by a sentence that says what is so.

A question is a key of an `expect:` entry, its value what should be. With `within: 2 min` it is asked again until it holds.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.core.kinds import KINDS
from agent.uplink.errors import REASONS
from simulators.errors import ScriptError
from simulators.universe.ending import waits

if TYPE_CHECKING:
    from simulators.universe.device import Device
    from simulators.universe.world import World

Answer = Callable[["World", "Device", Any], str]


@dataclass(frozen=True, slots=True)
class Question:
    """One row: what its value is, what it asks; `takes` says what was expected of a value that is none."""

    value: str
    means: str
    ask: Answer
    takes: Callable[[Any], str]


def check(asked: Any) -> None:
    """ScriptError where something is no question, or its value can't be an answer."""
    if not isinstance(asked, dict) or not asked:
        raise ScriptError(f"expect takes questions with their answers, as in {{lamp: ready, recording: no}}, got {asked!r}")
    for key, value in asked.items():
        row = QUESTIONS.get(key)
        if row is None:
            near = difflib.get_close_matches(key, QUESTIONS, 1)
            raise ScriptError(
                f"there is no question {key!r}; {f'did you mean `{near[0]}`? ' if near else ''}expected {', '.join(QUESTIONS)}"
            )
        expected = row.takes(value)
        if expected:
            raise ScriptError(f"{key}: expected {expected}, got {shown(value)}")


def answer(world: World, device: Device, asked: Mapping[str, Any]) -> list[str]:
    """A sentence for each question whose answer is another than expected; `asked` was checked."""
    found = []
    for key, value in asked.items():
        said = QUESTIONS[key].ask(world, device, value)
        if said:
            found.append(f"{key}: expected {shown(value)}, {said}")
    if "felt" in asked and not found:
        device.indicator.felt.clear()  # used up
    return found


def shown(value: Any) -> str:
    """A value as a story has it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {shown(one)}" for name, one in value.items()) + "}"
    return f"[{', '.join(map(shown, value))}]" if isinstance(value, list) else str(value)


# --------------------------------------------------------------------------- what a value may be


def _one_of(*words: str) -> Callable[[Any], str]:
    return lambda value: "" if value in words else " or ".join(words)


def _text(value: Any) -> str:
    return "" if isinstance(value, str) and value else "a text"


def _count(value: Any) -> str:
    return "" if isinstance(value, str) and re.fullmatch(r"[<>]?\s*\d+", value) else "a number as in 2, >0, <5"


def _below(unit: str) -> Callable[[Any], str]:
    return lambda value: (
        "" if isinstance(value, str) and re.fullmatch(rf"<?\s*\d+(\.\d+)?\s*{unit}", value) else f"a bound as in < 2 {unit}"
    )


def _members(value: Any) -> str:
    if not isinstance(value, dict) or any(isinstance(one, list) for one in value.values()):
        return "members as in {clock: {source: ntp}}"
    for one in value.values():
        if isinstance(one, dict) and (wrong := _members(one)):
            return wrong
        if isinstance(one, str) and one.startswith((">", "<")) and not re.fullmatch(r"[<>]\s*-?\d+", one):
            return "a whole number behind > or <"
    return ""


def _counts_by_reason(value: Any) -> str:
    if isinstance(value, dict) and set(value) <= set(REASONS) and not any(map(_count, value.values())):
        return ""
    return f"counts of {', '.join(REASONS)}, as in {{no-signature: >0}}"


def _line_members(value: Any) -> str:
    """One line's members, or several lines'."""
    for one in value if isinstance(value, list) else [value]:
        if not isinstance(one, dict) or "kind" not in one or _members(one):
            return "a line by its members as in {kind: gap, reason: power}, or a list of such"
        if one["kind"] not in KINDS:
            return f"a kind of line: {', '.join(KINDS)}"
        if "count" in one and _count(one["count"]):
            return f"count to be {_count(one['count'])}"
    return ""


def _status_members(value: Any) -> str:
    if isinstance(value, dict) or value in STATES:
        return ""
    return f"a state ({', '.join(STATES)}) or members as in {{state: alarm, alarms: disk}}"


# --------------------------------------------------------------------------- words


def _same(wanted: str, got: str) -> str:
    return "" if wanted == got else f"got {got or 'nothing'}"


# --------------------------------------------------------------------------- what the officer has


def _lamp(_world: World, device: Device, value: Any) -> str:
    return _same(str(value), device.indicator.shown.lamp)


def _screen(_world: World, device: Device, value: Any) -> str:
    shown = device.indicator.shown.screen
    return "" if any(str(value) in line for line in shown) else f"got {' | '.join(shown)}"


def _felt(_world: World, device: Device, value: Any) -> str:
    """Since the last time that something was asked about feeling and found."""
    patterns = [pattern for _, pattern in device.indicator.felt]
    names = {"start": "long", "stop": "long-long", "mark": "short", "alarm": "short-short-short"}
    wanted = names.get(str(value), str(value))
    if wanted not in patterns:
        return f"got {', '.join(patterns) or 'nothing'}"
    return ""


# --------------------------------------------------------------------------- what is on record


def _lines(world: World, device: Device) -> list[dict[str, Any]]:
    """Lines of all journals of a device, as they became durable."""
    folds = [fold for origin, fold in world.judge.folds.items() if origin.split("/")[-2] == device.name]
    return [json.loads(line) for fold in folds for line in fold.lines]


def _fits(line: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    for name, value in wanted.items():
        got = line.get(name)
        if isinstance(value, dict):
            if not isinstance(got, dict) or (got and not value) or not _fits(got, value):
                return False
        elif isinstance(value, str) and value.startswith((">", "<")):
            if not isinstance(got, int) or (got <= int(value[1:]) if value[0] == ">" else got >= int(value[1:])):
                return False
        elif str(got).lower() != str(value).lower():
            return False
    return True


def _line(world: World, device: Device, value: Any) -> str:
    return "; ".join(filter(None, (_one_line(world, device, one) for one in (value if isinstance(value, list) else [value]))))


def _one_line(world: World, device: Device, value: Mapping[str, Any]) -> str:
    wanted = {name: one for name, one in value.items() if name != "count"}
    found = [line for line in _lines(world, device) if _fits(line, wanted)]
    if _counts(len(found), str(value.get("count", ">0"))):
        return ""
    near = [line for line in _lines(world, device) if line["kind"] == wanted["kind"]]
    return f"got {len(found)} such lines; of that kind: {_brief(near[-3:])}"


def _counts(number: int, wanted: str) -> bool:
    if wanted.startswith((">", "<")):
        limit = float(wanted[1:])
        return number > limit if wanted[0] == ">" else number < limit
    return number == int(wanted)


def _brief(lines: list[dict[str, Any]]) -> str:
    told = [{name: one for name, one in line.items() if name not in ("salt", "governing", "checkpoint")} for line in lines]
    return "; ".join(map(shown, told)) or "none"


def _no_line(world: World, device: Device, value: Any) -> str:
    wanted = value if isinstance(value, list) else [value]
    found = [line for line in _lines(world, device) if any(_fits(line, one) for one in wanted)]
    return f"got {_brief(found[:2])}" if found else ""


def _recording(_world: World, device: Device, value: Any) -> str:
    runs = device.pipeline is not None and device.pipeline.clerk.running is not None
    return _same(str(value), "yes" if runs else "no")


def _journal(_world: World, device: Device, value: Any) -> str:
    return _same(str(value), str(device.n))


# --------------------------------------------------------------------------- what others see


def _heard(world: World, device: Device, leaf: str) -> dict[str, Any] | None:
    """What the server last heard of the device on a topic; None while it is down."""
    if not world.server.up:
        return None
    known = world.server.services.devices.get(device.name)
    return known.states[leaf].said if known is not None and leaf in known.states else {}


def _status(world: World, device: Device, value: Any) -> str:
    """`alarms` is a part of one of its sentences, or none."""
    said = _heard(world, device, "status")
    if said is None:
        return "the server is down"
    wanted = dict(value) if isinstance(value, dict) else {"state": value}
    alarm, alarms = wanted.pop("alarms", None), said.get("alarms", [])
    if alarm is not None and (bool(alarms) if alarm == "none" else not any(alarm in sentence for sentence in alarms)):
        return f"got the alarms {shown(alarms) if alarms else 'none'}"
    return "" if _fits(said, wanted) else f"got {shown({name: said.get(name) for name in wanted})}"


def _health(world: World, device: Device, value: Any) -> str:
    said = _heard(world, device, "health")
    if said is None:
        return "the server is down"
    return "" if _fits(said, value) else f"got {shown({name: said.get(name) for name in value})}"


def _stored(world: World, device: Device, value: Any) -> str:
    number = sum(1 for name, _ in world.judge.receipts if name == device.name)
    return "" if _counts(number, str(value)) else f"got receipts for {number} recordings"


def _waiting(world: World, _device: Device, value: Any) -> str:
    left = waits(world)
    return "" if (value == "nothing") == (not left) else f"got {left or 'nothing'}"


def _purged(world: World, device: Device, value: Any) -> str:
    folds = [fold for origin, fold in world.judge.folds.items() if origin.split("/")[-2] == device.name]
    number = sum(told.purged for fold in folds for told in fold.recordings.values())
    return "" if _counts(number, str(value)) else f"got {number} deleted recordings"


def _refused(_world: World, device: Device, value: Any) -> str:
    """Messages that the device did not believe, by reason."""
    counts = device.pipeline.upward.refused if device.pipeline is not None else {}
    wrong = {reason: counts.get(reason, 0) for reason, wanted in dict(value).items() if not _counts(counts.get(reason, 0), str(wanted))}
    return f"got {shown(wrong)}" if wrong else ""


def _forks(world: World, _device: Device, value: Any) -> str:
    forks = world.server.services.logs.forks()
    return "" if _counts(len(forks), str(value)) else f"got {len(forks)}: {[fork['reason'] for fork in forks]}"


def _again(world: World, _device: Device, value: Any) -> str:
    percent = world.judge.traffic.again_percent
    limit = float(str(value).removeprefix("<").removesuffix("%"))
    return "" if percent < limit else f"got {percent:.2f} %"


def _cut_cost(world: World, _device: Device, value: Any) -> str:
    """The longest stretch of media that a power cut has cost so far, in seconds."""
    for take in world.judge.takes.known.values():
        found = world.judge.told(take.recording)
        list(world.judge.takes.judge(take, found[1] if found else None))
    seconds = world.judge.takes.worst_cut_us / 1e6
    return "" if seconds < float(str(value).removeprefix("<").removesuffix("s")) else f"got {seconds:.2f} s"


STATES = ("ready", "recording", "alarm", "off")

QUESTIONS = {
    "lamp": Question("off, ready, recording, alarm", "the officer's lamp", _lamp, _one_of("off", "ready", "recording", "alarm")),
    "screen": Question("a text", "some line of the display holds it", _screen, _text),
    "felt": Question(
        "start, stop, mark, alarm", "vibrated and sounded since it was last asked", _felt, _one_of("start", "stop", "mark", "alarm")
    ),
    "recording": Question("yes or no", "a recording is on record as begun and not stopped", _recording, _one_of("yes", "no")),
    "line": Question("members, and count; or a list of such", "such a line is durable in the journal", _line, _line_members),
    "no line": Question("members; or a list of such", "no such line is", _no_line, _line_members),
    "journal": Question("a number", "which journal the device writes", _journal, _count),
    "status": Question(
        "a state, or members", "what the server last heard of the device; alarms: a part of a sentence, or none", _status, _status_members
    ),
    "health": Question("members", "the figures that the server last heard of the device", _health, _members),
    "stored": Question("a number", "recordings of which the server gave a receipt", _stored, _count),
    "deleted": Question("a number", "recordings whose media were deleted on the device", _purged, _count),
    "waiting": Question("nothing or something", "what is not where it belongs, of all devices", _waiting, _one_of("nothing", "something")),
    "refused": Question("reason: a number", "messages that the device did not believe", _refused, _counts_by_reason),
    "forks": Question("a number", "contradictions that the server keeps", _forks, _count),
    "sent twice": Question("< 2 %", "share of the bytes that left the devices more than once", _again, _below("%")),
    "cut cost": Question("< 2 s", "media that the worst power cut cost", _cut_cost, _below("s")),
}
"""key → the question."""
