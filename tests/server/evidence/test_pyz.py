"""verify.pyz: the same verifier in one file, under any plain Python from 3.9 on, with nothing installed."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from server.evidence import pyz
from server.evidence.command import main
from server.evidence.verify import verify
from tests.server.evidence.conftest import export, scene
from tests.server.evidence.forge import FRONT

NAMES = ("python3.9", "python3.10", "python3.11", "python3.12", "python3.13", "python3.14", "pypy3")
VERSION = "import sys; print(*sys.version_info[:2])"


def interpreters() -> list[str]:
    """The running interpreter, and each other one on this machine that starts and is new enough."""
    found = {sys.executable: "this"}
    places = [shutil.which(name) for name in NAMES]
    places += [str(p) for p in Path.home().glob(".pyenv/versions/*/bin/python3")]
    for place in filter(None, places):
        probe = subprocess.run(
            [place, "-I", "-S", "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True, check=False
        )
        if probe.returncode == 0 and tuple(map(int, probe.stdout.split())) >= (3, 9):
            found[str(Path(place).resolve())] = probe.stdout
    return list(found)


@pytest.fixture(scope="module")
def tool(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pyz") / "verify.pyz"
    path.write_bytes(pyz.build())
    return path


def run(interpreter: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [interpreter, "-I", "-S", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, encoding="utf-8", cwd="/", env={})


@pytest.mark.parametrize("interpreter", interpreters())
def test_it_says_the_same_as_the_verifier(golden, tool, interpreter):
    folder, keys = golden
    result = run(interpreter, tool, folder, "--key", keys[0], "--key", keys[1], "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == verify(str(folder), keys).as_json()


@pytest.mark.parametrize("interpreter", interpreters())
def test_it_finds_what_is_wrong(forger, tool, interpreter):
    forger.flip(FRONT, 5000)
    result = run(interpreter, tool, forger.folder, *(word for key in forger.world.trusted for word in ("--key", key)))
    assert result.returncode == 1, result.stderr
    assert "tampered 遭篡改" in result.stdout
    assert "front fragment 2" in result.stdout


def test_an_ecdsa_device_needs_no_library_either(tool, tmp_path):
    from agent.core import note

    world, device = scene(note.ECDSA)
    export(world, device).write_folder(tmp_path / "package")
    result = run(sys.executable, tool, tmp_path / "package", *(word for key in world.trusted for word in ("--key", key)))
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("arguments", [[], ["/nowhere"], ["/nowhere", "--key"], ["--nonsense"]])
def test_usage_is_status_2(tool, arguments):
    result = run(sys.executable, tool, *arguments)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "verify.pyz" in result.stderr


def test_help_names_every_exit_status_and_an_example(tool):
    text = run(sys.executable, tool, "--help").stdout
    for word in ("intact", "tampered", "incomplete", "untrusted", "excerpt", "usage", "example"):
        assert word in text


def test_an_older_interpreter_is_told_so():
    assert "sys.version_info < (3, 9)" in pyz.MAIN
    ast.parse(pyz.MAIN, feature_version=(3, 4))


def test_the_same_sources_give_the_same_bytes(tool):
    assert pyz.build() == tool.read_bytes()
    assert tool.read_bytes().startswith(b"#!/usr/bin/env python3\n")


def test_it_holds_what_it_imports_and_nothing_else(tool):
    with zipfile.ZipFile(tool) as archive:
        names = set(archive.namelist())
        sources = {name: archive.read(name).decode() for name in names}
    wanted = {"__main__.py"}
    for name, source in sources.items():
        # The board's and the verifier's code is read by Python 3.9.
        for node in ast.walk(ast.parse(source, name, feature_version=(3, 9))):
            wanted |= {file for module in imported(name, node) for file in files(module, names, name)}
    assert names - {"agent/core/replica.py"} <= wanted | {n for n in names if n.startswith("agent/core/")}
    assert not any("report" in n or "package" in n or "gather" in n for n in names)


def imported(file: str, node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        parts = file.split("/")[: -node.level] if node.level else []
        base = [*parts, *(node.module or "").split(".")] if node.module else parts
        return [".".join(base), *(".".join([*base, alias.name]) for alias in node.names)]
    return []


def files(module: str, names: set[str], by: str) -> list[str]:
    """The files of a module of ours; anything else must be the standard library's."""
    parts = module.split(".")
    if parts[0] not in ("agent", "server"):
        assert parts[0] in sys.stdlib_module_names, f"{by} imports {module}"
        return []
    path = "/".join(parts)
    packages = [f"{'/'.join(parts[:i])}/__init__.py" for i in range(1, len(parts) + 1)]
    return [name for name in (f"{path}.py", *packages) if name in names]


def test_the_command_is_the_same_program(golden, capsysbinary):
    folder, keys = golden
    assert main([str(folder), "--key", keys[0], "--key", keys[1]]) == 0
    assert b"intact" in capsysbinary.readouterr().out


def test_an_excerpt_is_status_5_and_0_when_it_was_expected(tmp_path, capsysbinary):
    from server.evidence.excerpt import Stretch

    world, device = scene()
    export(world, device, Stretch(2000, 4000)).write_folder(tmp_path / "package")
    arguments = [str(tmp_path / "package"), *(word for key in world.trusted for word in ("--key", key))]
    assert main(arguments) == 5
    assert main([*arguments, "--excerpt"]) == 0
    assert b"excerpt" in capsysbinary.readouterr().out
