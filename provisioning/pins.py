"""Writes the pinned requirements of some roles (`agent`, `device`, `server`, `dev` …) as `pip install --require-hashes -r` takes them.

constraints.txt pins everything for every role, machine and Python at once. pip wants to see, in its hash-checking mode, exactly what it
may install, so that a role needs its own list. It is taken from the "via" comments that the lock carries: the roots are the base
dependencies and the role's extras in pyproject.toml, the rest is whatever they bring along. One lock, no second list to disagree with it.

    python3 provisioning/pins.py server > server.txt

Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def normal(name: str) -> str:
    """Return the name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _name(requirement: str) -> str:
    match = _NAME.match(requirement)
    if match is None:
        sys.exit(f"pins: pyproject.toml: expected a requirement that begins with a name, got {requirement!r}")
    return normal(match[0])


def roots(project: dict[str, object], roles: list[str]) -> set[str]:
    """Return the names that the roles ask for, extras of our own (`zhilu[agent]`) followed."""
    extras: dict[str, list[str]] = project["optional-dependencies"]  # type: ignore[assignment]
    base: list[str] = project["dependencies"]  # type: ignore[assignment]
    names = {_name(requirement) for requirement in base}
    waiting, seen = list(roles), set[str]()
    while waiting:
        role = waiting.pop()
        if role not in extras:
            sys.exit(f"pins: there is no role {role!r}; expected one of {', '.join(sorted(extras))}")
        seen.add(role)
        for requirement in extras[role]:
            own = re.fullmatch(r"zhilu\[([^]]*)\]", requirement)
            if own:
                waiting += [extra.strip() for extra in own[1].split(",") if extra.strip() not in seen]
            else:
                names.add(_name(requirement))
    return names


def blocks(lock: str) -> list[tuple[str, set[str], str]]:
    """Split the lock into (name, the names it is needed by, its text), one for each pinned version."""
    found = []
    for text in re.split(r"(?m)^(?=[A-Za-z0-9])", lock):
        if not text.strip() or text.startswith("#"):
            continue
        parents = {normal(word) for word in re.findall(r"(?m)^ +#(?: via)? +([A-Za-z0-9._-]+)$", text)}
        found.append((_name(text), parents, text))
    return found


def pins(lock: str, names: set[str]) -> str:
    """Return the part of the lock that installs these names and everything that they need."""
    parts = blocks(lock)
    wanted = set(names)
    while more := {name for name, parents, _ in parts if name not in wanted and parents & wanted}:
        wanted |= more
    return "".join(text for name, _, text in parts if name in wanted)


def main(roles: list[str]) -> None:
    """Write the roles' pins to standard output."""
    if not roles:
        sys.exit("pins: expected at least one role, as in: python3 provisioning/pins.py dev")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lock = (ROOT / "constraints.txt").read_text()
    sys.stdout.write(pins(lock, roots(project, roles)))


if __name__ == "__main__":
    main(sys.argv[1:])
