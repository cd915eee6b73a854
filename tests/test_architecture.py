"""The shape of the tree: who may import whom, the board's dialect, and what no file may contain."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sysconfig.get_path("scripts"))
PACKAGES = ("agent", "firmware", "hal", "provisioning", "server", "simulators")
CORE = sorted((ROOT / "agent" / "core").glob("*.py"))
BOARD = [*CORE, *sorted((ROOT / "firmware").rglob("*.py"))]
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

MAX_LINES = 400
BOARD_IMPORTS = {"hashlib", "struct", "binascii", "json", "time"}
FIRMWARE_IMPORTS = BOARD_IMPORTS | {"machine", "network", "ssl", "socket", "asyncio", "os", "gc", "micropython"}
# Missing under MicroPython, or different there (facts: `hexdigest`, a dict's order, exceptions with two bases, …).
BOARD_ATTRIBUTES = {"hexdigest", "removeprefix", "removesuffix", "bit_length", "bit_count", "zfill", "ljust", "monotonic", "with_traceback"}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), name(path))


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk a module without what only a type checker sees (`if MYPY:`)."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id in {"MYPY", "TYPE_CHECKING"}:
            waiting += node.orelse
            continue
        yield node
        waiting += ast.iter_child_nodes(node)


def hints(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
        yield node.annotation
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns is not None:
        yield node.returns


def foreign(node: ast.AST, allowed: set[str]) -> str | None:
    """Say what a board (or Python 3.9, for quoted annotations) would not take in this node."""
    return _foreign_import(node, allowed) or _foreign_value(node) or _foreign_statement(node) or _foreign_call(node)


def _foreign_import(node: ast.AST, allowed: set[str]) -> str | None:
    if isinstance(node, ast.Import) and (names := {alias.name for alias in node.names} - allowed):
        return f"import of {', '.join(sorted(names))}"
    if isinstance(node, ast.ImportFrom) and node.level > 1:
        return "import from above"
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        module = node.module or ""
        return None if module in allowed or module.startswith("agent.core") else f"import from {module}"
    return None


def _foreign_value(node: ast.AST) -> str | None:
    if isinstance(node, ast.Dict) and None in node.keys:
        return "{**d}"
    made = isinstance(node, ast.Set) or (isinstance(node, ast.List | ast.Tuple) and isinstance(node.ctx, ast.Load))
    if made and any(isinstance(item, ast.Starred) for item in ast.iter_child_nodes(node)):
        return "[*a]"
    return f".{node.attr}" if isinstance(node, ast.Attribute) and node.attr in BOARD_ATTRIBUTES else None


def _foreign_statement(node: ast.AST) -> str | None:
    if isinstance(node, ast.Match):
        return "match"
    if isinstance(node, ast.arguments) and node.posonlyargs:
        return "positional-only parameters"
    if isinstance(node, ast.Raise) and node.cause is not None:
        return "raise … from"
    if isinstance(node, ast.ClassDef) and len(node.bases) > 1:
        return "a class with two bases"
    if any(isinstance(part, ast.BinOp) for annotation in hints(node) for part in ast.walk(annotation)):
        return "an annotation with | that is not quoted"
    return None


def _foreign_call(node: ast.AST) -> str | None:
    if not isinstance(node, ast.Call):
        return None
    if isinstance(node.func, ast.Attribute) and node.func.attr in {"to_bytes", "from_bytes"} and node.keywords:
        return f".{node.func.attr} with keywords"
    negative = len(node.args) == 3 and isinstance(node.args[1], ast.UnaryOp) and isinstance(node.args[1].op, ast.USub)
    if isinstance(node.func, ast.Name) and node.func.id == "pow" and negative:
        return "pow with a negative exponent"
    return None


def test_imports_go_one_way():
    result = subprocess.run([BIN / "lint-imports", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("path", BOARD, ids=name)
def test_the_board_can_read_it(path):
    allowed = FIRMWARE_IMPORTS if path.is_relative_to(ROOT / "firmware") else BOARD_IMPORTS
    found = [f"{name(path)}:{getattr(node, 'lineno', '?')}: {what}" for node in nodes(parse(path)) if (what := foreign(node, allowed))]
    assert not found, "\n".join(found)


@pytest.mark.skipif(sys.platform != "linux", reason="mpy-cross comes for Linux")
@pytest.mark.parametrize("path", BOARD, ids=name)
def test_the_boards_compiler_takes_it(path, tmp_path):
    result = subprocess.run([BIN / "mpy-cross", "-o", tmp_path / "out.mpy", path], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("import typing", "import of typing"),
        ("from dataclasses import dataclass", "import from dataclasses"),
        ("from ..journal import journal", "import from above"),
        ("a = {**b}", "{**d}"),
        ("a = [*b]", "[*a]"),
        ("def f(a, /): ...", "positional-only parameters"),
        ("raise A() from b", "raise … from"),
        ("class A(B, C): ...", "a class with two bases"),
        ("h.hexdigest()", ".hexdigest"),
        ("n.to_bytes(4, byteorder='big')", ".to_bytes with keywords"),
        ("pow(a, -1, p)", "pow with a negative exponent"),
        ("def f(a: int | None): ...", "an annotation with | that is not quoted"),
        ("match a:\n    case 1: ...", "match"),
    ],
)
def test_the_dialect_is_really_looked_at(source, what):
    assert what in [foreign(node, BOARD_IMPORTS) for node in nodes(ast.parse(source))]


def test_what_becomes_verify_pyz_needs_nothing_but_python():
    """It must run on any Python 3.9, on a machine of somebody who installs nothing of ours."""
    graph = grimp.build_graph("agent", "server", include_external_packages=True, cache_dir=None)
    reached = graph.find_upstream_modules("server.evidence.verify") | {"server.evidence.verify"}
    ours = {module for module in reached if module.partition(".")[0] in PACKAGES}
    assert all(module.startswith(("agent.core", "server.evidence")) or module in {"agent", "server"} for module in ours), sorted(ours)
    assert not (reached - ours) - sys.stdlib_module_names
    for module in ours:
        path = ROOT / module.replace(".", "/")
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        ast.parse(path.read_text(encoding="utf-8"), name(path), feature_version=(3, 9))


@pytest.mark.parametrize("path", [*MODULES, ROOT / "zhilu.py", *TESTS], ids=name)
def test_a_file_says_its_purpose_and_has_one(path):
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), f"{name(path)}: expected its purpose as first line"
    lines = text.count("\n")
    assert lines <= MAX_LINES, f"{name(path)}: {lines} lines, at most {MAX_LINES}: find the second purpose in it"


def test_generic_names_are_ours():
    """Another `agent` or `server` in the environment would be imported silently."""
    for package in PACKAGES:
        spec = next((path for path in map(Path, sys.path) if (path / package / "__init__.py").exists()), ROOT)
        assert spec.resolve() == ROOT, f"{package} comes from {spec}"


def tracked() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for entry in listing.split("\0") if entry and (path := ROOT / entry).is_file()]


def test_locks_name_no_address():
    for path in ("constraints.txt", "package-lock.json", ".npmrc", "package.json"):
        text = (ROOT / path).read_text()
        assert "://" not in text, path
        assert 'resolved"' not in text, path


def test_no_file_knows_the_machine_it_was_written_on():
    private = re.compile(
        r"/(?:work|root)/\w|/home/(?!pi\b|zhilu\b)\w|\b(?:10\.\d+|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d+\.\d+\b"
        r"|(?:pypi|npm|proxy|registry)[\w.-]*\.(?:internal|local|corp)\b",
    )
    found = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{name(path)}: {match[0]}" for match in private.finditer(text) if path.name != Path(__file__).name]
    assert not found, "\n".join(found)
