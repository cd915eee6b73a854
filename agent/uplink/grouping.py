"""Which fragments go in one request: contiguous whole fragments of one track, as many as fit; a rule without a disk.

Many small requests cost a round trip each; one very large one loses everything when the network goes away in the middle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.uplink.ports import Fragment

F = TypeVar("F", bound="Fragment")


def requests(fragments: Sequence[F], target_bytes: int) -> list[list[F]]:
    """Groups in the order given; each is contiguous in its track's file and, unless it is one fragment, within the target."""
    groups: list[list[F]] = []
    open_group: dict[tuple[str, str], list[F]] = {}
    held: dict[tuple[str, str], int] = {}
    for fragment in fragments:
        key = (fragment.recording, fragment.track)
        group = open_group.get(key)
        if group and _follows(group[-1], fragment) and held[key] + fragment.bytes <= target_bytes:
            group.append(fragment)
            held[key] += fragment.bytes
        else:
            open_group[key] = [fragment]
            held[key] = fragment.bytes
            groups.append(open_group[key])
    return groups


def _follows(last: Fragment, fragment: Fragment) -> bool:
    return last.offset + last.bytes == fragment.offset


def ripe(group: Sequence[F], least_bytes: int, waited_us: Callable[[F], int], gather_us: int) -> bool:
    """Whether a request is worth sending now: large enough, or its oldest fragment has waited for company long enough."""
    return sum(one.bytes for one in group) >= least_bytes or max(waited_us(one) for one in group) >= gather_us
