"""Forged packages, cards and stores, and honest ones of any shape: what the verifier and the audit say."""

from __future__ import annotations

from collections.abc import Iterator

from simulators.adversary import campaign, honest
from simulators.adversary.acts import TABLE
from simulators.torture.programme.effort import Effort, Place, Say, again
from simulators.torture.table import Row

UNTRIED = {
    "package": "a forger with the witness's or the ledger's key; keys in hardware; scenes staged before the camera; what nobody signs "
    "(report.html, keys.txt and verify.pyz inside a package)",
}


def forged(place: Place, effort: Effort, say: Say) -> Iterator[Row]:
    """Every act of the adversary's table; `hidden` is whatever was not called and named as the table says."""
    seeds = range(effort.seed, effort.seed + effort.seeds)
    folder = place.memory / "forged"
    for one in campaign.run(TABLE, seeds, folder):
        for text in one.wrong:
            say(text)
        remarks = f"{one.acts} acts; in {one.beyond} of the forgeries the proof ends, and the report says so"
        yield Row(
            f"{one.kind} forged",
            one.forgeries,
            0,
            len(one.wrong),
            f"{seeds[0]}–{seeds[-1]}",
            again("forged", effort),
            remarks=remarks,
            figures={"acts": one.acts, "beyond_the_proof": one.beyond},
            examples=tuple(one.wrong),
            not_tried=UNTRIED.get(one.kind, ""),
        )


def unforged(place: Place, effort: Effort, _say: Say) -> Iterator[Row]:
    """Honest packages of random shape, and the card and the store that each handful leaves behind."""
    tally = honest.run(effort.packages, effort.seed, place.memory / "honest")
    verdicts = ", ".join(f"{many} {verdict}" for verdict, many in sorted(tally.verdicts.items()))
    yield Row(
        "honest packages, cards and stores",
        tally.packages + sum(tally.audits.values()),
        0,
        0,
        str(effort.seed),
        again("honest", effort),
        false_alarms=len(tally.alarms),
        remarks=f"packages: {verdicts}",
        figures={"packages": tally.packages, "audits": dict(tally.audits), "shapes": dict(tally.shapes)},
        examples=tuple(tally.alarms),
        not_tried="the honest packages' media are whole boxes of noise: shapes, not pictures",
    )
