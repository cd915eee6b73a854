"""Settings files (TOML 1.0, which Python itself only reads): text, integers, booleans, lists of them, and tables of tables."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from provisioning.errors import SettingsFileError

Table = Mapping[str, object]
"""Text, int, bool, Sequence of them, or Table under each name; `write` refuses anything else with TypeError."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def read(path: Path) -> dict[str, object]:
    """Read a file of settings; SettingsFileError where it is none. Whose settings they are judges what may stand in it."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsFileError(f"{path}: expected a settings file, got: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise SettingsFileError(f"{path}: expected TOML (toml.io), got: {error}") from error


def write(table: Table, comment: str = "") -> str:
    """Return the text of a settings file, `comment` as its first line."""
    lines = [f"# {comment}"] if comment else []
    lines += _table(table, ())
    return "\n".join(lines) + "\n"


def merge(base: Table, over: Table) -> dict[str, object]:
    """Return `base` with what `over` says otherwise, table by table."""
    merged: dict[str, object] = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(value, Mapping) and isinstance(old, Mapping) else value
    return merged


def _table(table: Table, path: tuple[str, ...]) -> Iterator[str]:
    values = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    if path and (values or not table):
        yield ""
        yield f"[{'.'.join(_key(part) for part in path)}]"
    for key, value in values.items():
        yield f"{_key(key)} = {_value(value)}"
    for key, inner in table.items():
        if isinstance(inner, Mapping):
            yield from _table(inner, (*path, key))


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _value(key)


def _value(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            # A JSON string is a TOML basic string, save that TOML also wants DEL escaped.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case int():
            return str(value)
        case list() | tuple():
            return f"[{', '.join(_value(item) for item in value)}]"
        case _:
            raise TypeError(f"settings hold text, integers, booleans and lists of them, got {type(value).__name__}")
