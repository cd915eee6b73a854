"""What a package is made from: a narrow view of journals, ledger and stored bytes.

The server has all of it (`server_source`); a test makes it in memory. Nothing here decides anything: which checkpoint, which lines and
which proofs go into a package is `package`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Anchored:
    """A device's checkpoint that an anchor of the ledger holds: its size, the anchor's line, the text of `anchor.proof`."""

    size: int
    line: int
    proof: str


@dataclass(frozen=True)
class Custody:
    """A ledger line about a recording: its index in the ledger and its bytes."""

    index: int
    line: bytes


class Source(Protocol):
    """Reads only. Sizes and indices count lines; ranges are [first, end)."""

    # ------------------------------------------------------------------- the device's journal

    def lines(self, origin: str, first: int, end: int) -> Sequence[bytes]:
        """Lines of a journal; all of them are there below `size`."""
        ...

    def size(self, origin: str) -> int:
        """Size of the newest cosigned checkpoint."""
        ...

    def subtree(self, origin: str) -> Callable[[int, int], bytes]:
        """A subtree source for `agent.core.merkle`."""
        ...

    def cosigned_covering(self, origin: str, size: int) -> str | None:
        """The smallest cosigned checkpoint of at least `size` lines, with all its signatures."""
        ...

    def anchored_covering(self, origin: str, size: int) -> Anchored | None:
        """The smallest anchored checkpoint of at least `size` lines."""
        ...

    # ------------------------------------------------------------------- the ledger

    def ledger_size(self) -> int:
        """Size of the newest ledger checkpoint."""
        ...

    def ledger_proof(self, index: int, size: int) -> str:
        """`.tlog-proof` of a line, with the line as `extra`, under the kept checkpoint of `size` lines."""
        ...

    def ledger_note(self, body: str) -> str:
        """The signed checkpoint with exactly this body; ExportError when the ledger never published it."""
        ...

    def newest_anchor(self, size: int) -> int:
        """Index of the newest anchor among the first `size` lines."""
        ...

    def enrolment(self, origin: str) -> int:
        """Index of the `enrol` line of a journal."""
        ...

    def custody(self, device: str, recording: str) -> Sequence[Custody]:
        """All ledger lines about a recording, in order of `c`."""
        ...

    # ------------------------------------------------------------------- stored bytes and what only informs

    def media(self, device: str, recording: str, track: str, offset: int, length: int) -> Iterable[bytes] | None:
        """Bytes of a track as the device numbered them, piece by piece; None when not all of them are held."""
        ...

    def certificates(self, origin: str) -> Mapping[str, bytes]:
        """PEM files by name (`evidence.pem`: the device's evidence certificate)."""
        ...

    def vkeys(self) -> Sequence[str]:
        """The deployment's public keys, for information."""
        ...
