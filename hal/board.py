"""Puts a recorder together: one driver per role, named in the settings.

Rules:
- A driver is named `package.module:Class`; its further settings are the keyword arguments of its class, checked against
  the signature before anything is opened.
- Nothing is guessed and nothing falls back: a role whose driver can't be had stays empty and its error is kept, so that
  the recorder says what is missing and records what it can. A role that the settings do not name is absent on purpose.
- A driver that has a parameter `clock` gets the board's clock, so that every sample is stamped by the same one.

Which roles a recorder can't do without is the agent's to decide.
"""

from __future__ import annotations

import importlib
import inspect
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hal.errors import DeviceFault, DeviceMissing, HalError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hal import contracts

# role → the methods that its protocol in hal.contracts asks for
ROLES: dict[str, tuple[str, ...]] = {
    "clock": ("wall_ms", "up_us", "reading"),
    "camera": ("start", "read", "still", "close"),
    "microphone": ("start", "read", "close"),
    "locator": ("start", "read", "close"),
    "climate": ("read",),
    "scanner": ("read", "close"),
    "button": ("read", "close"),
    "indicator": ("show", "close"),
    "power": ("read",),
}

DEFAULT_CLOCK = {"driver": "hal.drivers.linux:SystemClock"}

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


@dataclass(slots=True)
class Board:
    """The opened drivers; None where the settings name none or where `missing` says why there is none."""

    clock: contracts.Clock
    camera: contracts.Camera | None = None
    microphone: contracts.Microphone | None = None
    locator: contracts.Locator | None = None
    climate: contracts.Climate | None = None
    scanner: contracts.Scanner | None = None
    button: contracts.Button | None = None
    indicator: contracts.Indicator | None = None
    power: contracts.Power | None = None
    missing: dict[str, HalError] = field(default_factory=dict)

    def close(self) -> None:
        """Close every driver that can be closed."""
        for role in ROLES:
            driver = getattr(self, role)
            if driver is not None and hasattr(driver, "close"):
                driver.close()


def open_board(tables: Mapping[str, Mapping[str, Any]]) -> Board:
    """Open the drivers of `tables`: role → {"driver": "package.module:Class", option: value, …}.

    Raises HalError for a role that does not exist and for a clock that can't be had; without a table the clock is the
    machine's own. Every other role's failure is in `missing`.
    """
    unknown = sorted(set(tables) - set(ROLES))
    if unknown:
        raise HalError(f"board: no role is called {', '.join(unknown)}; the roles are {', '.join(ROLES)}")
    clock = open_driver("clock", tables.get("clock", DEFAULT_CLOCK))
    board = Board(clock)
    for role in ROLES:
        if role in tables and role != "clock":
            try:
                setattr(board, role, open_driver(role, tables[role], clock))
            except HalError as problem:
                board.missing[role] = problem
    return board


def options(dotted: str) -> set[str]:
    """The options that a driver takes; DeviceMissing where it can't be loaded."""
    return set(inspect.signature(_class("board", dotted)).parameters) - {"clock"}


def open_driver(role: str, table: Mapping[str, Any], clock: contracts.Clock | None = None) -> Any:
    """The driver of one role; HalError names the role, the dotted name and what to do."""
    dotted = table.get("driver")
    if not isinstance(dotted, str) or not _DOTTED.fullmatch(dotted):
        raise HalError(f"{role}: driver is {dotted!r}; expected 'package.module:Class', such as 'simulators.camera:FileCamera'")
    made = _class(role, dotted)
    given = {name: value for name, value in table.items() if name != "driver"}
    parameters = inspect.signature(made).parameters
    known = sorted(set(parameters) - {"clock"})
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise HalError(f"{role}: driver {dotted} has no option {', '.join(unknown)}; its options are {', '.join(known) or 'none'}")
    if "clock" in parameters and clock is not None:
        given["clock"] = clock
    absent = [name for name, parameter in parameters.items() if parameter.default is parameter.empty and name not in given]
    if absent:
        raise HalError(f"{role}: driver {dotted} needs the option {', '.join(absent)}; add it to the role's table in the settings")
    driver = made(**given)
    lacking = [method for method in ROLES[role] if not callable(getattr(driver, method, None))]
    if lacking:
        raise DeviceFault(f"{role}: driver {dotted} is not a {role}: it has no {', '.join(lacking)}; name another driver")
    return driver


def _class(role: str, dotted: str) -> Any:
    module_name, _, name = dotted.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as problem:
        raise DeviceMissing(
            f"{role}: driver {dotted} can't be loaded: {problem}; install what it needs or name another driver in the settings",
        ) from problem
    made = getattr(module, name, None)
    if not inspect.isclass(made):
        offered = ", ".join(n for n, v in vars(module).items() if inspect.isclass(v) and v.__module__ == module_name)
        raise DeviceMissing(f"{role}: driver {dotted}: {module_name} has no class {name}; it offers {offered or 'none'}")
    return made
