"""What officer and server had been told of a recording before a cut: it says what a loss may be called."""

from __future__ import annotations

from collections.abc import Sequence

from simulators.torture.promises import Handed, Lines, Promise, Slow
from simulators.torture.reading import members_of


def heard_of(promises: Sequence[Promise]) -> set[str]:
    """Recordings of which somebody heard while they ran: what stands before a `boot` in one telling was heard of too late."""
    found = set[str]()
    for one in promises:
        if isinstance(one, Lines):
            begun = set[str]()
            for line in one.lines:
                if b'"kind":"start"' in line:
                    begun.add(members_of(line)["recording"])
                elif b'"kind":"boot"' in line:
                    begun.clear()
            found |= begun
    return found


def in_trouble(promises: Sequence[Promise]) -> set[str]:
    """Recordings of which the officer had been told that the disk refuses them; or is slow, until a fragment is durable again."""
    slow, refused, newest = set[str](), set[str](), ""
    for one in promises:
        if isinstance(one, Handed):
            newest = one.recording
        elif isinstance(one, Slow):
            (refused if one.refused else slow).add(newest)
        elif isinstance(one, Lines) and slow:
            durable = [members_of(line) for line in one.lines if b'"kind":"fragment"' in line]
            slow -= {said["recording"] for said in durable if not said.get("recovered")}
    return slow | refused
