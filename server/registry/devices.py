"""Devices: their journals by the ledger, and what they last said of themselves on `status`, `health` and `reported`.

A state is whatever JSON object the device sent, at most 16 KiB and not deep; it proves nothing and is shown as it came. So what
could not be shown is not taken in: one device must not be able to spoil the page of all. The newest one is answered from memory
and written to the catalogue now and then; after a start the broker repeats the retained ones.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from agent.core.lines import MAX_INT

TOPICS = ("status", "health", "reported")
MAX_STATE = 16384
MAX_DEPTH = 8
"""As deep as a journal's lines."""


class Listed(Protocol):
    """A journal that the ledger lists (`server.ledger.enrolments.Enrolment`)."""

    @property
    def origin(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def revoked(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class State:
    """What a device said, and when we heard it (ms since 1970)."""

    at: int
    said: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Device:
    """One device: its journals, oldest first, and its last states by topic."""

    device: str
    origins: tuple[str, ...]
    revoked: bool
    states: Mapping[str, State] = field(default_factory=dict)

    @property
    def online(self) -> bool:
        """Whether it says, or its last will has not denied, that it is connected."""
        status = self.states.get("status")
        return status is not None and status.said.get("online") is True


class Devices:
    """All devices. `listed` gives the journals in the order of the ledger; `known` what was written down before."""

    def __init__(self, listed: Callable[[], Iterable[Listed]], known: Mapping[tuple[str, str], tuple[int, str]]) -> None:
        self._listed = listed
        self._lock = threading.Lock()
        self._said = {key: State(at, json.loads(payload)) for key, (at, payload) in known.items()}
        self._unwritten: set[tuple[str, str]] = set()

    def hear(self, device: str, topic: str, payload: bytes, at: int) -> State:
        """Take in a state; ValueError where it is not a small JSON object."""
        if len(payload) > MAX_STATE:
            raise ValueError(f"{len(payload)} bytes, at most {MAX_STATE}")
        try:
            said = json.loads(payload.decode(), parse_constant=_no_constant, parse_int=_integer)
        except RecursionError as e:
            raise ValueError("nested too deep") from e
        if not isinstance(said, dict):
            raise ValueError(f"expected a JSON object, got {type(said).__name__}")  # noqa: TRY004  a value from outside
        _check_depth(said, MAX_DEPTH)
        # ValueError, too, for half a surrogate pair and for numbers beyond every float, which JSON escapes can bring in.
        json.dumps(said, ensure_ascii=False, allow_nan=False).encode()
        state = State(at, said)
        with self._lock:
            self._said[device, topic] = state
            self._unwritten.add((device, topic))
        return state

    def unwritten(self) -> dict[tuple[str, str], tuple[int, str]]:
        """States that were not asked for since they came, as `known` has them."""
        with self._lock:
            keys, self._unwritten = self._unwritten, set()
            return {key: (self._said[key].at, json.dumps(self._said[key].said)) for key in keys}

    def all(self) -> list[Device]:
        """Every device that the ledger lists, by name."""
        origins: dict[str, list[Listed]] = {}
        for one in self._listed():
            origins.setdefault(one.device, []).append(one)
        return [self._device(name, origins[name]) for name in sorted(origins)]

    def get(self, device: str) -> Device | None:
        """One device, or None where the ledger lists none of that name."""
        return next((one for one in self.all() if one.device == device), None)

    def _device(self, name: str, mine: list[Listed]) -> Device:
        with self._lock:
            states = {topic: self._said[name, topic] for topic in TOPICS if (name, topic) in self._said}
        revoked = all(one.revoked is not None for one in mine)
        return Device(name, tuple(one.origin for one in mine), revoked, states)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > MAX_INT:
        raise ValueError(f"{digits[:40]} is beyond what JSON readers keep")
    return int(digits)


def _check_depth(value: Any, left: int) -> None:
    if isinstance(value, (dict, list)):
        if not left:
            raise ValueError(f"nested deeper than {MAX_DEPTH}")
        for one in value.values() if isinstance(value, dict) else value:
            _check_depth(one, left - 1)
