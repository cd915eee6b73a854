"""What a simulated device can be told to do, and by whom: by a script, or by a host through its world.

Rules:
- ORDERS is the closed list: (role, verb) → members and their types. Whatever is not in it is refused whole.
- An order with a `slot` describes a state that lasts: a host repeats the newest of each slot to a device that starts later.
- A device asks for its orders itself (`take`), in its own reading thread: no order arrives behind its back.
- An order says when it was given (`up_us`, on the machine's clock), as an interrupt does: a thread that is late makes no glitch of a press.

A script is a list of tables `{at = 2.5, to = "button", do = "edge", button = "record", down = true}`, in a settings file
or in a TOML file of its own under `[[step]]`; `at` is in seconds since the device was opened.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from hal.errors import HalError
from simulators.errors import ScriptError
from simulators.pace import pause

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hal.contracts import Clock

Order = dict[str, Any]


class Kind(NamedTuple):
    """`slot`: the lasting state that the order sets, or empty. `members`: name → the types it may have."""

    slot: str
    members: dict[str, tuple[type, ...]]


_NONE = type(None)

ORDERS: dict[tuple[str, str], Kind] = {
    ("button", "edge"): Kind("", {"button": (str,), "down": (bool,)}),
    ("camera", "unplug"): Kind("plug", {}),
    ("camera", "plug"): Kind("plug", {}),
    ("camera", "stall"): Kind("", {"ms": (int,)}),
    ("camera", "drop"): Kind("drop", {"nth": (int,)}),
    ("camera", "slow"): Kind("slow", {"ms": (int,)}),
    ("microphone", "unplug"): Kind("plug", {}),
    ("microphone", "plug"): Kind("plug", {}),
    ("microphone", "mute"): Kind("mute", {}),
    ("microphone", "unmute"): Kind("mute", {}),
    ("locator", "lose"): Kind("sky", {}),
    ("locator", "find"): Kind("sky", {}),
    ("locator", "hang"): Kind("sky", {}),
    ("locator", "shift"): Kind("shift", {"lat": (int,), "lon": (int,)}),
    ("locator", "mistime"): Kind("mistime", {"by_ms": (int,)}),
    ("locator", "misspeed"): Kind("misspeed", {"speed": (int, _NONE)}),
    ("power", "set"): Kind("power", {"percent": (int, _NONE), "charging": (bool, _NONE)}),
    ("clock", "set"): Kind("offset", {"offset_ms": (int,)}),
    ("clock", "drift"): Kind("drift", {"ppm": (int,)}),
    ("clock", "trust"): Kind("trust", {"source": (str,), "error_ms": (int,)}),
}

MAX_AT_S = 31_536_000
"""A year: no script is longer."""

ROLES = frozenset(role for role, _ in ORDERS) | {"indicator"}


def check(order: Mapping[str, Any]) -> Kind:
    """The order's kind; ScriptError names what does not belong."""
    to, verb = order.get("to"), order.get("do")
    kind = ORDERS.get((to, verb)) if isinstance(to, str) and isinstance(verb, str) else None
    if kind is None:
        raise ScriptError(f"order to {_shown(to)} to do {_shown(verb)}: there is no such order; expected one of {_known(to)}")
    members = {name: value for name, value in order.items() if name not in ("to", "do", "at", "up_us")}
    if set(members) != set(kind.members):
        raise ScriptError(f"order {to} {verb} has the members {sorted(members)}; expected exactly {sorted(kind.members)}")
    if type(order.get("up_us", 0)) is not int:
        raise ScriptError(f"order {to} {verb}: up_us is {_shown(order['up_us'])}; expected microseconds, as an integer")
    for name, value in members.items():
        # bool is an int to isinstance; an order that means a figure does not
        if type(value) not in kind.members[name]:
            wanted = " or ".join(accepted.__name__ for accepted in kind.members[name])
            raise ScriptError(f"order {to} {verb}: {name} is {_shown(value)}; expected {wanted}")
    return kind


def _shown(value: object) -> str:
    try:
        return repr(value)[:80]
    except (ValueError, RecursionError):  # thousands of digits, or nested deeper than the stack
        return f"{type(value).__name__} beyond all measure"


def _known(role: object) -> str:
    verbs = [verb for to, verb in ORDERS if to == role]
    return ", ".join(verbs) if verbs else ", ".join(sorted({to for to, _ in ORDERS}))


class Orders(Protocol):
    """Where a device's orders come from."""

    def take(self, timeout_s: float) -> Order | None:
        """The next order for this device; None when none came in time. Raises hal.errors.DeviceFault when the source is gone."""
        ...

    def report(self, what: str, members: Mapping[str, Any]) -> None:
        """Tell the host something, where there is one."""
        ...

    def close(self) -> None:
        """End; twice is fine."""
        ...


class Script:
    """Orders by a list of steps, on the device's clock. An empty script orders nothing."""

    def __init__(self, role: str, clock: Clock, steps: Sequence[Mapping[str, Any]] = ()) -> None:
        for number, step in enumerate(steps):
            at = step.get("at")
            if isinstance(at, bool) or not isinstance(at, int | float) or not 0 <= at <= MAX_AT_S:
                raise ScriptError(f"step {number}: at is {_shown(at)}; expected seconds from the start, 0 to {MAX_AT_S}")
            check(step)
        mine = [step for step in steps if step["to"] == role]
        self._clock = clock
        self._steps = sorted(mine, key=lambda step: float(step["at"]))
        self._began_us = clock.up_us()

    def take(self, timeout_s: float) -> Order | None:
        """The next step that is due, waiting for it at most so long."""
        left_s = timeout_s
        if self._steps:
            due_us = self._began_us + round(float(self._steps[0]["at"]) * 1e6)
            due_s = (due_us - self._clock.up_us()) / 1e6
            if due_s <= timeout_s:
                if due_s > 0:
                    pause(self._clock, due_s)
                return {**{name: value for name, value in self._steps.pop(0).items() if name != "at"}, "up_us": due_us}
        if left_s > 0:
            pause(self._clock, left_s)
        return None

    def report(self, what: str, members: Mapping[str, Any]) -> None:
        """Nobody listens to a scripted device."""

    def close(self) -> None:
        """Nothing to end."""


def open_orders(role: str, clock: Clock, world: str, script: str | Sequence[Mapping[str, Any]]) -> Orders:
    """The device's orders: from the world's socket, from a script (steps, or the path of a TOML file), or none at all."""
    if world and script:
        raise HalError(f"{role}: both world and script are set; a simulated device obeys one of them: remove the other")
    if world:
        from simulators.world import Link

        return Link(role, world)
    try:
        return Script(role, clock, load_script(script) if isinstance(script, str) else script)
    except ScriptError as problem:
        raise HalError(f"{role}: {problem}") from problem


def load_script(path: str) -> list[dict[str, Any]]:
    """The steps of a script file; an empty path is an empty script."""
    if not path:
        return []
    try:
        table = tomllib.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        raise ScriptError(f"script {path} can't be read: {problem}; expected TOML with [[step]] tables") from problem
    steps = table.get("step", [])
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        raise ScriptError(f"script {path}: step is not a list of tables; write each as [[step]]")
    return steps
