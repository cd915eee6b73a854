"""Every act of the table under many seeds: how many were tried, and which came out otherwise than the table says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from simulators.adversary import genuine
from simulators.adversary.judge import Judged, judge
from simulators.adversary.table import CARD, PACKAGE, STORE, Act

KINDS = (PACKAGE, CARD, STORE)


@dataclass
class Campaign:
    """What came of the acts on one kind of material. `beyond`: where the table itself says that the verdict stays intact."""

    kind: str
    acts: int = 0
    forgeries: int = 0
    beyond: int = 0
    wrong: list[str] = field(default_factory=list)


def run(acts: Sequence[Act], seeds: Iterable[int], folder: Path) -> list[Campaign]:
    """Forge below `folder`, from material of its own; a campaign for each kind that has acts."""
    seeds = list(seeds)
    material = genuine.make(folder / "genuine", seeds[0])
    tried = {kind: Campaign(kind) for kind in KINDS}
    for number in seeds:
        for at, act in enumerate(acts):
            _note(tried[act.on], number, judge(act, material, folder / f"{number}-{at}", number))
    for campaign in tried.values():
        campaign.acts = sum(act.on == campaign.kind for act in acts)
    return list(_some(tried.values()))


def _note(campaign: Campaign, seed: int, found: Judged) -> None:
    campaign.forgeries += 1
    campaign.beyond += found.act.verdict == "intact"
    if found.problem:
        campaign.wrong.append(f"seed {seed}, {found.act.on}, {found.act.name}: {found.problem}; {found.verdict}: {found.named[:400]}")


def _some(campaigns: Iterable[Campaign]) -> Iterator[Campaign]:
    return (campaign for campaign in campaigns if campaign.acts)
