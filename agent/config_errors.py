"""Says what is wrong with a settings file so that it can be put right: file, line, key, expected, got.

`tomllib` keeps no line numbers, so the line of a key is looked for in the text: the nearest table heading, then the key.
A key inside a string over several lines could fool it; the key itself is named all the same.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

HEADING = re.compile(r"^\s*\[\[?\s*([A-Za-z0-9_.\-\"' ]+?)\s*\]\]?\s*(#.*)?$")
KEY = re.compile(r"^\s*([A-Za-z0-9_.\-\"' ]+?)\s*=")
UNITS = ("_s", "_ms", "_bytes", "_days", "_percent", "_per_s")
MAX_SHOWN = 60
"""Characters of a wrong value that are shown."""

EXPECTED = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "string_type": "text in quotes",
    "bool_type": "true or false",
    "list_type": "a list in square brackets",
    "model_type": "a table",
    "dict_type": "a table",
    "too_long": "a shorter list",
}


def describe(error: ValidationError, text: str, path: Path, model: type[BaseModel]) -> str:
    """One line for each mistake, in the order of the file."""
    lines: dict[tuple[str, ...], int] = {}
    for key, line in places(text):
        lines.setdefault(key, line)
    found = [(line_of(lines, one["loc"]), sentence(one, model)) for one in error.errors(include_url=False)]
    found.sort(key=lambda one: one[0] or 0)
    return "\n".join(f"{path}{f', line {line}' if line else ''}, {what}" for line, what in found)


def places(text: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """Each dotted key and heading of the text with its line, counted from 1."""
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if heading := HEADING.match(line):
            table = parts(heading[1])
            yield from ((table[:depth], number) for depth in range(len(table), 0, -1))
        elif key := KEY.match(line):
            yield (*table, *parts(key[1])), number


def parts(dotted: str) -> tuple[str, ...]:
    """A dotted key's parts, without their quotes."""
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


def line_of(lines: dict[tuple[str, ...], int], location: Sequence[int | str]) -> int | None:
    """The line of the key, else of the table that should hold it."""
    key = tuple(str(part) for part in location)
    while key:
        if key in lines:
            return lines[key]
        key = key[:-1]
    return None


def sentence(one: ErrorDetails, model: type[BaseModel]) -> str:
    """What is wrong with one key: expected, got, and the nearest known key where there is none of that name."""
    key = ".".join(str(part) for part in one["loc"])
    if one["type"] == "missing":
        return f"{key}: expected a value, got none; add it"
    if one["type"] == "extra_forbidden":
        return f"{key}: there is no such setting{meant(one['loc'], model)}"
    return f"{key}: expected {expected(one)}, got {shown(one['input'])}"


def expected(one: ErrorDetails) -> str:
    """The rule that was broken, in words."""
    context: dict[str, Any] = one.get("ctx", {})
    match one["type"]:
        case "greater_than_equal":
            return f"at least {context['ge']}"
        case "less_than_equal":
            return f"at most {context['le']}"
        case "string_pattern_mismatch":
            return f"text like {context['pattern']}"
        case "string_too_short":
            return f"at least {context['min_length']} character"
        case "string_too_long":
            return f"at most {context['max_length']} characters"
        case "literal_error":
            return str(context["expected"])
        case kind:
            return EXPECTED.get(kind, one["msg"])


def shown(value: object) -> str:
    """A wrong value as the file has it, cut to a line."""
    try:
        text = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
    except (ValueError, RecursionError):  # thousands of digits, or nested deeper than the stack
        return f"{type(value).__name__} beyond all measure"
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def meant(location: Sequence[int | str], model: type[BaseModel]) -> str:
    """The nearest key of the same table; one that differs in its unit only comes first."""
    known = keys_of(model, location[:-1])
    wrong = str(location[-1])
    same = [name for name in known if stem(name) == stem(wrong)]
    near = same or difflib.get_close_matches(wrong, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else f"; known here: {', '.join(known)}"


def stem(name: str) -> str:
    """A key without its unit."""
    for unit in sorted(UNITS, key=len, reverse=True):
        if name.endswith(unit):
            return name[: -len(unit)]
    return name


def keys_of(model: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """The known keys of the table at a location."""
    for part in location:
        inner = model.model_fields[str(part)].annotation if str(part) in model.model_fields else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return [name for name, field in model.model_fields.items() if not field.exclude]
