"""Checkpoints that the auditor has from elsewhere: what is audited must lead to each of them (RFC 6962, section 2.1.2, by recomputing).

Rules:
- A history that was cut short or put back as a whole is consistent in itself: only who knows a newer signed checkpoint can see it. The
  server has the devices' (`GET /api/v1/journal/…/checkpoint`), a device the server's (`journal/<n>/cosigned`, its receipts), and every
  package holds one of its device (`journal.proof`) and some of the ledger (`.tlog-proof`, `beacon.note`).
- A file is a signed note, or a proof that ends with one. It counts when the log's own key or a given witness signed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.core import note
from agent.core.errors import CoreError
from server.evidence.errors import AuditError, MisfitError
from server.evidence.keys import MAX_PROOF, Keyring, signed_by, signers
from server.evidence.text import many
from server.evidence.verdict import Check

NAME = "elsewhere"
_RANGE_PROOF, _TLOG_PROOF = "zhilu/range-proof@", "c2sp.org/tlog-proof@"


@dataclass(frozen=True)
class Known:
    """A checkpoint from elsewhere: the file it came in, the signed note, the tree head."""

    name: str
    text: str
    head: note.Checkpoint


def read(names: Iterable[str]) -> list[Known]:
    """The checkpoints in files; AuditError names a file that holds none."""
    return [_read(name) for name in names]


def _read(name: str) -> Known:
    try:
        data = Path(name).read_bytes()
        if len(data) > MAX_PROOF:
            raise AuditError(f"--checkpoint {name[:200]}: at most {MAX_PROOF} bytes are expected, got {len(data)}")
        text = data.decode()
        if text.startswith(_RANGE_PROOF):
            text = note.parse_range_proof(text).checkpoint
        elif text.startswith(_TLOG_PROOF):
            text = note.parse_tlog_proof(text).checkpoint
        return Known(name, text, note.parse_checkpoint(note.split(text)[0]))
    except (CoreError, OSError, UnicodeDecodeError) as e:
        raise AuditError(f"--checkpoint {name[:200]}: expected a signed checkpoint, or a proof that ends with one: {e}") from e


def sizes(known: Sequence[Known], origin: str) -> set[int]:
    """At which sizes of a log the root is asked for."""
    return {one.head.size for one in known if one.head.origin == origin}


class Comparison:
    """Holds the checkpoints against the logs that are audited, one log after the other."""

    def __init__(self, check: Check, known: Sequence[Known], keys: Keyring) -> None:
        self.check, self.keys = check, keys
        self._open = list(known)
        self._fit = 0

    def log(self, origin: str, size: int, first: int, roots: dict[int, bytes], own: list[note.Verifier]) -> None:
        """A log as it was read: its lines, the first one that is not trimmed, its roots at the sizes that were asked for, its keys."""
        mine = [one for one in self._open if one.head.origin == origin]
        self._open = [one for one in self._open if one.head.origin != origin]
        for one in mine:
            if self._signed(one, own):
                self._compare(one, origin, size, first, roots)

    def _signed(self, one: Known, own: list[note.Verifier]) -> bool:
        try:
            if signed_by(one.text, one.name, [*own, *self.keys.witnesses()])[1]:
                return True
        except MisfitError as e:
            self.check.tampered(one.name, str(e))
            return False
        self.check.untrusted(one.name, f"signed by {signers(one.text)}: neither the key of {one.head.origin} nor a given witness")
        return False

    def _compare(self, one: Known, origin: str, size: int, first: int, roots: dict[int, bytes]) -> None:
        head = one.head
        if head.size > size:
            self.check.incomplete(
                f"{origin} line {size}", f"{head.size} lines were signed, says {one.name}: {head.size - size} are not here"
            )
        elif head.size < first:
            self.check.note(f"{one.name}: of {head.size} lines, which were trimmed here")
        elif roots.get(head.size) != head.root:
            what = f"the first {head.size} lines are not those of {one.name}: two histories were signed"
            self.check.tampered(f"{origin} size {head.size}", what)
        else:
            self._fit += 1

    def close(self) -> None:
        """Every checkpoint was of a log that is here; and the sentence."""
        for one in self._open:
            self.check.incomplete(one.head.origin, f"{one.head.size} of its lines were signed, says {one.name}, and this log is not here")
        self.check.figures = {"fit": self._fit}
        self.check.says = (
            f"{many(self._fit, 'checkpoint')} from elsewhere: these lines lead to each"
            if self._fit
            else "no checkpoint from elsewhere was given: a history that was put back as a whole would look whole"
        )
