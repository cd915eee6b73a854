"""How fast media may go, and over which networks: two rules without a clock or a socket, and one look at the kernel.

The limit is a token bucket: it fills at the allowed rate up to one second's worth, a piece is sent when the bucket is not
empty, and what was sent over its content is owed. So a piece larger than a second's worth still goes, and the mean holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

INTERFACES = Path("/sys/class/net")
US_PER_S = 1_000_000


@dataclass(slots=True)
class Bucket:
    """`bytes_per_s` 0 means no limit. `level` is bytes that may go now, negative when some are owed."""

    bytes_per_s: int
    level: int = 0
    up_us: int = 0

    def wait_us(self, now_us: int) -> int:
        """How long to wait before the next piece; 0 when it may go now."""
        if not self.bytes_per_s:
            return 0
        earned = (now_us - self.up_us) * self.bytes_per_s // US_PER_S
        if earned > 0:
            self.level = min(self.bytes_per_s, self.level + earned)
            self.up_us = now_us
        return 0 if self.level > 0 else (1 - self.level) * US_PER_S // self.bytes_per_s + 1

    def take(self, count: int) -> None:
        """`count` bytes went."""
        self.level -= count


def allowed(only_networks: Sequence[str], up: Collection[str]) -> bool:
    """Whether media may go now: any network where none is named, else one of the named must be up."""
    return not only_networks or any(name in up for name in only_networks)


def networks_up(folder: Path = INTERFACES) -> set[str]:
    """Interfaces that the kernel calls up (Documentation/ABI/testing/sysfs-class-net); `lo` and tunnels are `unknown`."""
    found = set()
    for interface in folder.iterdir() if folder.is_dir() else ():
        try:
            state = (interface / "operstate").read_text("ascii").strip()
        except OSError:
            continue
        if state in {"up", "unknown"}:
            found.add(interface.name)
    return found
