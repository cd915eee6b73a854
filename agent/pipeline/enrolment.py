"""Who this device is: `enrolment.json` of the state folder, and the keys that it names.

Without it there is no origin, so no journal and no recording (docs/evidence-format.md, section 2, `enrol`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.core import wire
from agent.core.errors import NoteError, WireError
from agent.errors import AgentError, NotEnrolled
from agent.uplink.keys import ServerKeys

if TYPE_CHECKING:
    from pathlib import Path

NAME = "enrolment.json"
TEXTS = ("device", "domain", "origin", "vkey", "certificate")
PURPOSES = ("ledger", "witness", "orders")


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The device's identity and whom it believes. `certificate` is the SHA-256 of the evidence certificate's DER.

    `because`: why this journal was begun beside the one before it, by the device itself; empty after an enrolment.
    """

    device: str
    domain: str
    n: int
    origin: str
    vkey: str
    certificate: str
    keys: ServerKeys
    because: str = ""


def load(state: Path) -> Enrolment:
    """The enrolment of a state folder; NotEnrolled where there is none, AgentError where it can't be believed."""
    path = state / NAME
    try:
        members = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise NotEnrolled(f"{path}: this device is not enrolled; provision it: zhilu provision device …") from None
    except (OSError, ValueError, RecursionError) as error:
        raise AgentError(f"{path}: expected an enrolment, got: {error}; provision the device anew") from error
    return judged(members, path)


def judged(members: Any, path: Path) -> Enrolment:
    """An enrolment whose parts fit together."""
    if not isinstance(members, dict) or not isinstance(members.get("keys"), dict) or type(members.get("n")) is not int:
        raise AgentError(f"{path}: expected an object with n and keys; provision the device anew")
    for name in TEXTS:
        if not isinstance(members.get(name), str):
            raise AgentError(f"{path}: expected {name} as text, got {members.get(name)!r}")
    for purpose in PURPOSES:
        if not isinstance(members["keys"].get(purpose), str):
            raise AgentError(f"{path}: expected the vkey of {purpose}, got none")
    try:
        expected = wire.origin(members["domain"], members["device"], members["n"])
        if members["origin"] != expected:
            raise AgentError(f"{path}: expected the origin {expected}, got {members['origin']}")
        keys = ServerKeys.of(members["origin"], members["vkey"], members["keys"])
    except (WireError, NoteError) as error:
        raise AgentError(f"{path}: {error}") from error
    because = members.get("because", "")
    return Enrolment(n=members["n"], keys=keys, because=str(because), **{name: members[name] for name in TEXTS})
