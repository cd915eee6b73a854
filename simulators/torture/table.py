"""The rows of the table: what was tried, what was lost or hidden, and the command that does it again."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SHOWN = 5

COLUMNS = ("tried", "faults", "lost", "hidden", "exposed at worst", "sent twice", "false alarms", "seeds", "again")


@dataclass(frozen=True, slots=True)
class Row:
    """One row; None where a figure has no meaning for it.

    `tried`: faults. `lost`: promises of which something is missing. `hidden`: losses and forgeries that nobody was told of.
    `exposed_ms`: the longest piece of recording that was made and not yet durable when a fault came. `twice` of `bytes_once`: bytes that
    went over the line more than once, of the bytes that had to. `false_alarms`: honest material that was called something else.
    `not_tried`: what this row leaves out, for people.
    """

    name: str
    tried: int
    lost: int
    hidden: int
    seeds: str
    command: str
    exposed_ms: int | None = None
    twice: int | None = None
    bytes_once: int | None = None
    false_alarms: int | None = None
    remarks: str = ""
    figures: dict[str, Any] = field(default_factory=dict)
    examples: tuple[str, ...] = ()
    not_tried: str = ""

    @property
    def red(self) -> bool:
        """Whether anything went wrong."""
        return bool(self.lost or self.hidden or self.false_alarms)


def as_text(rows: list[Row]) -> str:
    """The table as people read it, in Markdown; below it the first problems of each row, and what was not tried."""
    head = f"| {' | '.join(COLUMNS)} |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |\n"
    body = "".join(_line(row) for row in rows)
    problems = "".join(f"\n{row.name}: {example}" for row in rows for example in row.examples[:SHOWN])
    untried = "".join(f"\n- {row.name}: {row.not_tried}" for row in rows if row.not_tried)
    return head + body + problems + (f"\nNot tried:\n{untried}\n" if untried else "")


def _line(row: Row) -> str:
    name = f"{row.name} ({row.remarks})" if row.remarks else row.name
    exposed = "–" if row.exposed_ms is None else f"{row.exposed_ms / 1000:.1f} s"
    twice = (
        "–" if row.twice is None else f"{row.twice:,} of {row.bytes_once:,} bytes ({100 * row.twice / max(row.bytes_once or 0, 1):.2f} %)"
    )
    alarms = "–" if row.false_alarms is None else f"{row.false_alarms}"
    return f"| {name} | {row.tried:,} | {row.lost} | {row.hidden} | {exposed} | {twice} | {alarms} | {row.seeds} | `{row.command}` |\n"


def as_json(rows: list[Row], path: Path) -> None:
    """The same with every figure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    members = [{name: getattr(row, name) for name in row.__slots__} for row in rows]
    path.write_text(json.dumps(members, indent=1, ensure_ascii=False) + "\n", "utf-8")
