"""What a row of the adversary's table is: the words of the issue, what it is done to, the verdict and the place that must come of it.

Rules:
- `words` are those of the issue, one atom of its list each; many rows may try the same thing in other ways.
- `place` must stand in the first finding of the gravest verdict (place and message); where the verdict leaves no finding, in the report.
  Braces are filled with what the act answers: which fragment it was, which recording.
- `key`: the forger holds the device's real evidence key. Never the witness's, never the ledger's.
- `start`: the device is switched on afterwards, and its recovery must have said this.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

PACKAGE, CARD, STORE = "package", "device folder", "server store"


@dataclass(frozen=True, slots=True)
class Act:
    """One row. `of` says which of the genuine packages or cards the forger takes; `forge` does it and answers what `place` needs."""

    words: str
    on: str
    verdict: str
    place: str
    forge: Callable[[Any], dict[str, Any] | None]
    of: str = ""
    key: bool = False
    start: str = ""

    @property
    def name(self) -> str:
        """The act in one word: the function's."""
        return self.forge.__name__


class Rows:
    """Gathers rows of one kind: `@act(words, verdict, place)` over a function."""

    def __init__(self, on: str, of: str = "") -> None:
        self._on, self._of = on, of
        self.rows: list[Act] = []

    def __call__(
        self, words: str, verdict: str, place: str, *, of: str = "", key: bool = False, start: str = ""
    ) -> Callable[[Callable[[Any], dict[str, Any] | None]], Callable[[Any], dict[str, Any] | None]]:
        def put(forge: Callable[[Any], dict[str, Any] | None]) -> Callable[[Any], dict[str, Any] | None]:
            self.rows.append(Act(words, self._on, verdict, place, forge, of or self._of, key, start))
            return forge

        return put
