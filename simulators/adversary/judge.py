"""Does one act to a copy of the genuine material, and asks the verifier or the audit what it says to it.

A row holds when the verdict is the one that the table says, the place is named, bytes were changed, and what a start said fits too.
"""

from __future__ import annotations

import hashlib
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

from server.evidence.audit import audit, fast_primitives
from server.evidence.text import as_text
from server.evidence.verdict import Report
from server.evidence.verify import verify
from simulators.adversary.card import CardForger
from simulators.adversary.genuine import Genuine
from simulators.adversary.hands import PackageForger
from simulators.adversary.table import CARD, PACKAGE, Act
from simulators.adversary.vault import VaultForger

Hands = PackageForger | CardForger | VaultForger


@dataclass(frozen=True, slots=True)
class Judged:
    """What came of an act: the verdict, the place that was named (or the whole report), and what is wrong with that."""

    act: Act
    verdict: str
    named: str
    expected: str
    problem: str


def judge(act: Act, material: Genuine, folder: Path, seed: int) -> Judged:
    """Do the act in `folder`, which is new; the seed chooses which fragment, which line, which bit."""
    chance = random.Random(f"{seed} {act.on} {act.name}")  # noqa: S311 — the same seed, the same forgery
    shutil.copytree(_genuine(act, material), folder)
    before = _digest(folder)
    hands = _hands(act, material, folder, chance)
    filled = act.forge(hands) or {}
    changed = _digest(folder) != before
    report = _report(hands, material, folder)
    first = report.first
    named = f"{first.place}: {first.message}" if first is not None else as_text(report)
    expected = act.place.format(**filled)
    said = getattr(hands, "said", "")
    problem = ""
    if not changed:
        problem = "nothing was changed"
    elif report.verdict != act.verdict:
        problem = f"expected {act.verdict}, got {report.verdict}"
    elif expected not in named:
        problem = f"expected the place {expected!r}"
    elif act.start not in said:
        problem = f"expected the start to say {act.start!r}, it said {said!r}"
    return Judged(act, report.verdict, named, expected, problem)


def _genuine(act: Act, material: Genuine) -> Path:
    """What the forger takes."""
    if act.on == PACKAGE:
        return material.package(act.of)
    return material.card(act.of) if act.on == CARD else material.store


def _hands(act: Act, material: Genuine, folder: Path, chance: random.Random) -> Hands:
    if act.on == PACKAGE:
        return PackageForger(folder, material, act.of, chance)
    return (CardForger if act.on == CARD else VaultForger)(folder, material, act.of, chance)


def _report(hands: Hands, material: Genuine, folder: Path) -> Report:
    if isinstance(hands, PackageForger):
        hands.rebag()
        return verify(str(folder), material.keys, primitives=fast_primitives())
    names = []
    for number, text in enumerate(hands.checkpoints):
        path = folder.with_name(f"{folder.name}.checkpoint-{number}")
        path.write_text(text, encoding="utf-8")
        names.append(str(path))
    return audit(str(folder), material.keys, primitives=fast_primitives(), checkpoints=names)


def _digest(folder: Path) -> str:
    """Of every file's name and bytes."""
    sha256 = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        data = path.read_bytes()
        sha256.update(f"{path.relative_to(folder)} {len(data)}\n".encode() + data)
    return sha256.hexdigest()
