"""The command as people meet it: help, answers, and mistakes that end in one sentence."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ZHILU = Path(sysconfig.get_path("scripts")) / "zhilu"


def zhilu(*arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    # At most a minute on a machine that does other things; a command that waits for something hangs for ever.
    return subprocess.run([ZHILU, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


def test_a_deployment_and_a_device_in_two_commands(tmp_path):
    made = zhilu("provision", "ca", "deployment", "--domain", "evidence.example.gov", "--json", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    answer = json.loads(made.stdout)
    assert Path(answer["server_settings"]).is_file()
    assert len(Path(answer["keys"]).read_text().splitlines()) == 2
    (tmp_path / "over.toml").write_text('[overlay]\nofficer_number = "012345"\n')
    options = ("--deployment", "deployment", "--out", "recorder", "--settings", "over.toml", "--json")
    enrolled = zhilu("provision", "device", "DSJ-0012345", *options, cwd=tmp_path)
    assert enrolled.returncode == 0, enrolled.stderr
    answer = json.loads(enrolled.stdout)
    assert answer["origin"] == "evidence.example.gov/DSJ-0012345/1"
    assert 'officer_number = "012345"' in Path(answer["settings"]).read_text()
    admitted = zhilu("provision", "admit", "DSJ-0012345", "--deployment", "deployment", "--json", cwd=tmp_path)
    assert json.loads(admitted.stdout) == {"device": "DSJ-0012345", "origin": "evidence.example.gov/DSJ-0012345/2"}
    stranger = zhilu("provision", "admit", "DSJ-0099999", "--deployment", "deployment", cwd=tmp_path)
    assert stranger.stderr == "zhilu: DSJ-0099999: expected a device that was enrolled before, got none; is the id right?\n"
    revoke = ("provision", "revoke", "DSJ-0012345", "--deployment", "deployment")
    assert json.loads(zhilu(*revoke, "--json", cwd=tmp_path).stdout) == {"device": "DSJ-0012345", "revoked": 2}
    again = zhilu(*revoke, cwd=tmp_path)
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr == "zhilu: DSJ-0012345: expected certificates that are not revoked already, got none; is the id right?\n"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("provision", "ca", "new", "--domain", "two words"), 2, "zhilu: domain: not a key name: two words\n"),
        (("provision", "device", "a/b", "--deployment", "d", "--out", "o"), 1, "make one: zhilu provision ca"),
        (("provision", "ca", ".", "--domain", "a.example"), 1, "expected an empty folder, or none"),
        (("provision", "ca"), 2, "zhilu provision ca: missing argument 'folder'; see: zhilu provision ca --help\n"),
        (("provision", "ca", "new"), 2, "zhilu provision ca: missing option '--domain'; see: zhilu provision ca --help\n"),
        (("nosuch",), 2, "zhilu: no such command 'nosuch'; see: zhilu --help\n"),
        (("server", "nosuch"), 2, "zhilu server: no such command 'nosuch'; see: zhilu server --help\n"),
        (("provision", "ca", "something/new", "--domain", "a.example"), 1, "something/new: Not a directory; name another place"),
    ],
)
def test_a_mistake_ends_in_one_sentence(tmp_path, arguments, status, said):
    (tmp_path / "something").touch()
    result = zhilu(*arguments, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (status, "")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["something"]


COMMANDS = [
    (),
    ("demo",),
    ("verify",),
    ("audit",),
    ("export",),
    ("server",),
    ("server", "run"),
    ("agent",),
    ("agent", "run"),
    ("agent", "check"),
    ("sim",),
    ("sim", "recorder"),
    ("sim", "scenario"),
    ("sim", "world"),
    ("sim", "list"),
    ("provision",),
    ("provision", "ca"),
    ("provision", "device"),
    ("provision", "admit"),
    ("provision", "revoke"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(command):
    result = zhilu(*command, "--help")
    assert result.returncode == 0, result.stderr
    text = result.stdout.lower()
    assert "usage:" in text
    assert "example" in text
    # The help of a program that is also started otherwise (verify.pyz, `python -m agent`) must name the command that was typed.
    assert " ".join(("zhilu", *command)) in " ".join(text.split())


def test_the_version_is_that_of_the_installed_package():
    assert zhilu("--version").stdout == f"zhilu {importlib.metadata.version('zhilu')}\n"


def test_another_package_of_our_name_is_not_imported_silently(tmp_path):
    """`server` and `agent` are names that others use too."""
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "__init__.py").touch()
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import zhilu; zhilu.main()"
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 1
    assert result.stderr.startswith("zhilu: expected the package 'server' in ")


def test_verify_starts_without_what_the_server_needs():
    """An expert's machine, or a busy one: half a second counts."""
    script = "import sys, zhilu; import server.evidence.command; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    assert not {"fastapi", "sqlalchemy", "pydantic", "cryptography", "av", "numpy", "paho"} & set(loaded)
