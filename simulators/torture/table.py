"""The rows of the table: what was tried, what was lost or hidden, and the command that does it again."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulators.torture.scene import Found

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `missing_ms`: media that were made and are not there, at worst; None where the row has no media."""

    name: str
    tried: int
    lost: int
    hidden: int
    missing_ms: int | None
    seeds: str
    command: str
    remarks: str = ""
    figures: dict[str, Any] = field(default_factory=dict)
    examples: tuple[str, ...] = ()

    @property
    def red(self) -> bool:
        """Whether anything went wrong."""
        return bool(self.lost or self.hidden)


def row_of(name: str, found: Found, seed: int, command: str, remarks: str = "") -> Row:
    """A row about cuts on the disk in memory."""
    starts = sorted(found.starts_ms)
    figures = {
        "missing_before_press_is_told_ms": found.missing_before_ms,
        "understated_ms": found.understated_ms,
        "fragments_recovered": found.recovered,
        "start_median_ms": round(starts[len(starts) // 2], 1) if starts else None,
        "start_slowest_ms": round(starts[-1], 1) if starts else None,
    }
    return Row(name, found.tried, found.lost, found.hidden, found.missing_ms, str(seed), command, remarks, figures, tuple(found.examples))


def as_text(rows: list[Row]) -> str:
    """The table as people read it, in Markdown."""
    head = (
        "| tried | how often | lost | hidden | media missing at worst | seeds | again |\n| --- | ---: | ---: | ---: | ---: | --- | --- |\n"
    )
    body = "".join(
        f"| {row.name}{f' ({row.remarks})' if row.remarks else ''} | {row.tried:,} | {row.lost} | {row.hidden} |"
        f" {'–' if row.missing_ms is None else f'{row.missing_ms / 1000:.1f} s'} | {row.seeds} | `{row.command}` |\n"
        for row in rows
    )
    problems = "".join(f"\n{row.name}: {example}" for row in rows for example in row.examples[:SHOWN])
    return head + body + problems


def as_json(rows: list[Row], path: Path) -> None:
    """The same with every figure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    members = [{name: getattr(row, name) for name in row.__slots__} for row in rows]
    path.write_text(json.dumps(members, indent=1, ensure_ascii=False) + "\n", "utf-8")
