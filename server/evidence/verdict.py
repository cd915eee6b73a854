"""Verdicts: what was checked, what was found, and which word that comes to (docs/evidence-format.md, section 10).

Rules:
- Every check of a table must have been made; one that was not is itself a reason for `incomplete`. So a reader that
  gives up early can never end in `intact`.
- Of several findings the gravest decides: tampered, untrusted, incomplete, excerpt, intact; among equals the first place is named.
- A finding names a place (file, line, fragment) and says in a sentence what was expected there.

What is checked is the checks' business; how it is printed, `text`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

TAMPERED = "tampered"
UNTRUSTED = "untrusted"
INCOMPLETE = "incomplete"
EXCERPT = "excerpt"
INTACT = "intact"

GRAVEST_FIRST = (TAMPERED, UNTRUSTED, INCOMPLETE, EXCERPT, INTACT)

EXIT = {INTACT: 0, TAMPERED: 1, INCOMPLETE: 3, UNTRUSTED: 4, EXCERPT: 5}
USAGE = 2

CHINESE = {TAMPERED: "遭篡改", UNTRUSTED: "无可信依据", INCOMPLETE: "不完整", EXCERPT: "节选", INTACT: "完整"}

MAX_FINDINGS = 50
"""Kept per check: a package whose every fragment is wrong need not name a million of them. All are counted."""


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be: how grave, where, and what was expected and came."""

    verdict: str
    place: str
    message: str


@dataclass
class Check:
    """One check: its name, what it found, its figures, and a sentence for people."""

    name: str
    says: str = ""
    figures: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    count: int = 0

    def _add(self, verdict: str, place: str, message: str) -> None:
        self.count += 1
        # A graver finding must not be lost behind many lighter ones.
        if len(self.findings) < MAX_FINDINGS or all(f.verdict != verdict for f in self.findings):
            self.findings.append(Finding(verdict, place, message))

    def tampered(self, place: str, message: str) -> None:
        """A byte, line, proof, count or signature does not fit."""
        self._add(TAMPERED, place, message)

    def untrusted(self, place: str, message: str) -> None:
        """It fits, and no given key vouches for it."""
        self._add(UNTRUSTED, place, message)

    def incomplete(self, place: str, message: str) -> None:
        """Something is missing."""
        self._add(INCOMPLETE, place, message)

    def note(self, message: str) -> None:
        """Something that a reader should know and that changes no verdict."""
        if len(self.notes) < MAX_FINDINGS:
            self.notes.append(message)

    @property
    def verdict(self) -> str:
        """The gravest finding, or `intact`."""
        return gravest([f.verdict for f in self.findings])

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def first(self) -> Finding | None:
        """The first of the gravest findings."""
        return next((f for f in self.findings if f.verdict == self.verdict), None)

    def as_json(self) -> dict[str, Any]:
        """The check as plain values."""
        return {
            "name": self.name,
            "ok": self.ok,
            "verdict": self.verdict,
            "says": self.says,
            "figures": self.figures,
            "notes": self.notes,
            "findings": [{"verdict": f.verdict, "place": f.place, "message": f.message} for f in self.findings],
            "count": self.count,
        }


def gravest(verdicts: list[str]) -> str:
    """The first of tampered, untrusted, incomplete, excerpt, intact that is among them; `intact` for none."""
    return next((v for v in GRAVEST_FIRST if v in verdicts), INTACT)


class Report:
    """All checks of one package or store, in their order, the facts that they brought out, and the verdict."""

    def __init__(self, subject: str, expected: tuple[str, ...]) -> None:
        self.subject = subject
        self.expected = expected
        self.checks: list[Check] = []
        self.facts: dict[str, Any] = {}
        self.part = False

    def check(self, name: str) -> Check:
        """Begin a check; its findings count from here on."""
        check = Check(name)
        self.checks.append(check)
        return check

    @property
    def unmade(self) -> list[str]:
        """Checks that were not reached."""
        made = [c.name for c in self.checks]
        return [name for name in self.expected if name not in made]

    @property
    def verdict(self) -> str:
        """The word of section 10."""
        words = [c.verdict for c in self.checks]
        if self.unmade:
            words.append(INCOMPLETE)
        if self.part:
            words.append(EXCERPT)
        return gravest(words)

    @property
    def first(self) -> Finding | None:
        """The first place that decided the verdict; None for `intact` and `excerpt`."""
        for check in self.checks:
            if check.findings and check.verdict == self.verdict:
                return check.first
        return None

    def exit_status(self, *, excerpt: bool = False) -> int:
        """The process's exit status; an excerpt that was asked for is a success."""
        return 0 if excerpt and self.verdict == EXCERPT else EXIT[self.verdict]

    def as_json(self) -> dict[str, Any]:
        """The report as plain values; the same package and keys give the same."""
        first = self.first
        return {
            "verdict": self.verdict,
            "chinese": CHINESE[self.verdict],
            "first": None if first is None else {"verdict": first.verdict, "place": first.place, "message": first.message},
            **self.facts,
            "unmade": self.unmade,
            "checks": [c.as_json() for c in self.checks],
        }
