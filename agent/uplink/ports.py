"""What the uplink needs of the stages before it: reading the journal and the media, the index of what waits, and whom it tells.

The stages never import each other; the pipeline hands these in. Everything read here is durable already: nothing leaves the
device before that (docs/evidence-format.md, section 4).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from agent.core import merkle
    from agent.uplink.inbox import Beacon, Cosigned, Order, Stopped, Stored


A = TypeVar("A")
B = TypeVar("B")


class Pool(Protocol):
    """Who does several things at once: an executor of `concurrent.futures`, or whoever acts like one."""

    def map(self, work: Callable[[A], B], things: Sequence[A], /) -> Iterator[B]:
        """Do `work` for each thing; the results in order."""
        ...

    def shutdown(self, *, wait: bool = True, cancel_futures: bool = False) -> None: ...


def threads(count: int) -> Pool:
    """So many threads for uploads."""
    return ThreadPoolExecutor(count, thread_name_prefix="upload")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Time, chance and hands: microseconds since boot, milliseconds since 1970, numbers from 0 to 1, who sends in parallel."""

    up_us: Callable[[], int]
    wall_ms: Callable[[], int]
    random01: Callable[[], float]
    pool: Callable[[int], Pool] = threads


class Log(Protocol):
    """The journal, for reading; safe while another thread appends."""

    @property
    def size(self) -> int: ...

    def batch(self, first: int, *, max_bytes: int = ...) -> tuple[list[bytes], str] | None:
        """Lines from `first` up to a stored checkpoint that fit into one batch, and that checkpoint; None when nothing does."""
        ...

    def root_at(self, size: int) -> bytes | None:
        """Our root at any size up to the journal's; None beyond it, and where it was trimmed."""
        ...

    def range_at(self, size: int) -> merkle.Range:
        """Compact range of the first `size` lines."""
        ...


class Fragment(Protocol):
    """One fragment that waits: where its bytes are, and what its cosigned line says of them."""

    @property
    def recording(self) -> str: ...
    @property
    def track(self) -> str: ...
    @property
    def seq(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def sha256(self) -> str: ...
    @property
    def pts(self) -> int: ...
    @property
    def duration(self) -> int: ...


class Waiting(Protocol):
    """The buffer: what may go now, in the order in which it should."""

    def pending(self, limit: int) -> Sequence[Fragment]: ...

    def sent(self, fragments: Sequence[Fragment]) -> None: ...

    def unsent(self, fragments: Sequence[Fragment]) -> None:
        """The server does not hold these, whatever it once said: they wait again."""
        ...

    def of(self, recording: str, *, sent: bool) -> Sequence[Fragment]:
        """A recording's fragments that were sent, or were not."""
        ...

    def unproved(self) -> Sequence[str]:
        """Recordings that were sent whole and have no receipt."""
        ...

    def uncertain(self, recording: str) -> bool:
        """Whether more of a recording may have been sent than is remembered; says so once."""
        ...


ReadMedia = Callable[[Fragment], bytes]
"""A fragment's bytes from the disk; OSError where they can't be read."""


class Told(Protocol):
    """Whom the uplink tells what came in; every method returns at once (it posts to the journal's thread)."""

    def cosigned(self, news: Cosigned) -> None: ...

    def stored(self, news: Stored) -> None: ...

    def beacon(self, news: Beacon) -> None: ...

    def order(self, news: Order, done: Callable[[], None]) -> None: ...

    def forked(self, detail: str) -> None: ...

    def damaged(self, fragment: Fragment, detail: str) -> None:
        """Our own disk does not give these bytes any more."""
        ...

    def mismatch(self, fragment: Fragment, detail: str) -> None:
        """The server says that the bytes are not the line's, ours says that they are."""
        ...

    def stopped(self, recording: str) -> Stopped | None: ...
