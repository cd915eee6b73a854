"""What a story may ask of its world at a moment: a table of questions, each answered by nothing or by a sentence that says what is so.

A question is a key of an `expect:` entry, its value what should be. With `within: 2 min` it is asked again until it holds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulators.errors import ScriptError
from simulators.universe.ending import waits

if TYPE_CHECKING:
    from simulators.universe.device import Device
    from simulators.universe.world import World

Answer = Callable[["World", "Device", Any], str]


@dataclass(frozen=True, slots=True)
class Question:
    """One row: what its value is, what it asks."""

    value: str
    means: str
    ask: Answer


def answer(world: World, device: Device, asked: Mapping[str, Any]) -> list[str]:
    """A sentence for each question whose answer is another than expected; ScriptError for one that does not exist."""
    found = []
    for key, value in asked.items():
        row = QUESTIONS.get(key)
        if row is None:
            raise ScriptError(f"there is no question {key!r}; expected one of {', '.join(QUESTIONS)}")
        said = row.ask(world, device, value)
        if said:
            found.append(f"{key}: expected {_shown(value)}, {said}")
    return found


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _same(wanted: str, got: str) -> str:
    return "" if wanted == got else f"got {got or 'nothing'}"


# --------------------------------------------------------------------------- what the officer has


def _lamp(_world: World, device: Device, value: Any) -> str:
    return _same(str(value), device.indicator.shown.lamp)


def _screen(_world: World, device: Device, value: Any) -> str:
    shown = device.indicator.shown.screen
    return "" if any(str(value) in line for line in shown) else f"got {' | '.join(shown)}"


def _felt(_world: World, device: Device, value: Any) -> str:
    """Since the last time that something was asked about feeling; what was found is used up."""
    patterns = [pattern for _, pattern in device.indicator.felt]
    names = {"start": "long", "stop": "long-long", "mark": "short", "alarm": "short-short-short"}
    wanted = names.get(str(value), str(value))
    if wanted not in patterns:
        return f"got {', '.join(patterns) or 'nothing'}"
    device.indicator.felt.clear()
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
            if not isinstance(got, dict) or not _fits(got, value):
                return False
        elif isinstance(value, str) and value.startswith((">", "<")):
            if not isinstance(got, int) or (got <= int(value[1:]) if value[0] == ">" else got >= int(value[1:])):
                return False
        elif str(got).lower() != str(value).lower():
            return False
    return True


def _wanted(value: Any) -> tuple[dict[str, Any], str]:
    if not isinstance(value, dict):
        raise ScriptError(f"a line is asked for by its members as in {{kind: gap, reason: power}}, got {value!r}")
    wanted = dict(value)
    return wanted, str(wanted.pop("count", ">0"))


def _line(world: World, device: Device, value: Any) -> str:
    wanted, count = _wanted(value)
    found = [line for line in _lines(world, device) if _fits(line, wanted)]
    if _counts(len(found), count):
        return ""
    near = [line for line in _lines(world, device) if line["kind"] == wanted.get("kind")]
    return f"got {len(found)} such lines; of that kind: {_brief(near[-3:])}"


def _counts(number: int, wanted: str) -> bool:
    if wanted.startswith((">", "<")):
        limit = float(wanted[1:])
        return number > limit if wanted[0] == ">" else number < limit
    return number == int(wanted)


def _brief(lines: list[dict[str, Any]]) -> str:
    return (
        "; ".join(json.dumps({k: v for k, v in line.items() if k not in ("salt", "governing", "checkpoint")}) for line in lines) or "none"
    )


def _no_line(world: World, device: Device, value: Any) -> str:
    wanted, _ = _wanted(value)
    found = [line for line in _lines(world, device) if _fits(line, wanted)]
    return f"got {_brief(found[:2])}" if found else ""


def _recording(_world: World, device: Device, value: Any) -> str:
    runs = device.pipeline is not None and device.pipeline.clerk.running is not None
    return _same(str(value), "yes" if runs else "no")


def _journal(_world: World, device: Device, value: Any) -> str:
    return _same(str(value), str(device.n))


# --------------------------------------------------------------------------- what others see


def _status(world: World, device: Device, value: Any) -> str:
    """What the server last heard on `status`; `alarms` is a part of one of its sentences."""
    if not world.server.up:
        return "the server is down"
    known = world.server.services.devices.get(device.name)
    said = known.states["status"].said if known is not None and "status" in known.states else {}
    wanted = dict(value) if isinstance(value, dict) else {"state": value}
    alarm = wanted.pop("alarms", None)
    if alarm is not None and not any(str(alarm) in sentence for sentence in said.get("alarms", [])):
        return f"got the alarms {said.get('alarms')}"
    return "" if _fits(said, wanted) else f"got {json.dumps({name: said.get(name) for name in wanted})}"


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
    return f"got {wrong}" if wrong else ""


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


QUESTIONS = {
    "lamp": Question("off, ready, recording, alarm", "the officer's lamp", _lamp),
    "screen": Question("a text", "some line of the display holds it", _screen),
    "felt": Question("start, stop, mark, alarm", "vibrated or sounded since it was last asked", _felt),
    "recording": Question("yes or no", "whether a recording is on record as begun and not stopped", _recording),
    "line": Question("members, and count", "such a line is durable in the journal", _line),
    "no line": Question("members", "no such line is", _no_line),
    "journal": Question("a number", "which journal the device writes", _journal),
    "status": Question("a state, or members", "what the server last heard of the device; alarms: part of a sentence", _status),
    "stored": Question("a number, or >0", "recordings of which the server gave a receipt", _stored),
    "deleted": Question("a number, or >0", "recordings whose media were deleted here", _purged),
    "waiting": Question("nothing, or something", "whether everything of everybody is where it belongs", _waiting),
    "refused": Question("reason: count", "messages that the device did not believe", _refused),
    "forks": Question("a number", "contradictions that the server keeps", _forks),
    "sent twice": Question("< 2 %", "share of the bytes that left a device more than once", _again),
    "cut cost": Question("< 2 s", "media that the worst power cut cost", _cut_cost),
}
"""key → the question."""
