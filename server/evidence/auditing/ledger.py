"""Audit the server's ledger: its own log, read from the first line (docs/evidence-format.md, section 7).

Rules:
- The first line is an anchor of count 0; `at` never goes back; every kept checkpoint is of these lines and signed by a given ledger key.
- Custody lines count `c` from 0 without a gap for each recording.
- An anchor's `previous` is the ledger's own checkpoint; its root is that of the devices' checkpoints that it counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agent.core import lines as core_lines
from agent.core import merkle, note
from agent.core.errors import CoreError
from server.evidence.reading import LEDGER_KINDS, is_digest
from server.evidence.verdict import Check


@dataclass(frozen=True)
class Enrolled:
    """A journal that the ledger lists."""

    vkey: str
    certificate: str
    index: int
    revoked_at: int | None = None


@dataclass
class Anchor:
    """An anchor line: index, root, count."""

    index: int
    at: int
    root: str
    count: int


@dataclass
class About:
    """What the ledger says of a recording."""

    c: int = 0
    stored: dict[str, Any] | None = None
    stored_leaf: str = ""
    disposed: bool = False
    started: bool = False


class LedgerFold:
    """Takes the ledger's lines in order."""

    def __init__(self, check: Check, origin: str) -> None:
        self.check, self.origin = check, origin
        self.size = 0
        self.enrolled: dict[str, Enrolled] = {}
        self.anchors: list[Anchor] = []
        self.recordings: dict[tuple[str, str], About] = {}
        self.forks = 0
        self.kinds: dict[str, int] = {}
        self._at = 0
        self._previous: list[tuple[int, str]] = []

    def place(self, index: int) -> str:
        """How a line is named."""
        return f"{self.origin} line {index}"

    def add(self, raw: bytes, leaf: bytes) -> None:
        """The next line."""
        index, self.size = self.size, self.size + 1
        try:
            m = core_lines.read(raw)
        except CoreError as e:
            self.check.tampered(self.place(index), f"a ledger line without meaning: {e}")
            return
        kind, at = m.get("kind"), m.get("at")
        table = LEDGER_KINDS.get(kind, {}) if isinstance(kind, str) else {}
        if type(at) is not int or not isinstance(kind, str) or any(type(m.get(n)) is not t for n, t in table.items()):
            self.check.tampered(self.place(index), "a ledger line that lacks what its kind needs")
            return
        if at < self._at:
            self.check.tampered(self.place(index), f"its time {at} lies before the line before it ({self._at})")
        self._at = max(self._at, at)
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if index == 0 and (kind != "anchor" or m["count"] != 0):
            self.check.tampered(self.place(0), "the first line is an anchor of count 0")
        self._take(index, leaf, kind, m)

    def _take(self, index: int, leaf: bytes, kind: str, m: dict[str, Any]) -> None:
        if kind == "enrol":
            if m["origin"] in self.enrolled:
                self.check.tampered(self.place(index), f"{m['origin']:.100} is enrolled a second time")
            self.enrolled.setdefault(m["origin"], Enrolled(m["vkey"], m["certificate"], index))
        elif kind == "revoke":
            known = self.enrolled.get(str(m.get("origin")))
            if known is not None:
                self.enrolled[m["origin"]] = Enrolled(known.vkey, known.certificate, known.index, m["at"])
        elif kind == "anchor":
            self._anchor(index, m)
        elif kind == "fork":
            self.forks += 1
        if isinstance(m.get("recording"), str) and isinstance(m.get("device"), str):
            self._custody(index, leaf, kind, m)

    def _anchor(self, index: int, m: dict[str, Any]) -> None:
        if not is_digest(m["root"]):
            self.check.tampered(self.place(index), "an anchor's root is 64 hexadecimal digits")
        self.anchors.append(Anchor(index, m["at"], m["root"], m["count"]))
        if isinstance(m.get("previous"), str):
            self._previous.append((index, m["previous"]))

    def _custody(self, index: int, leaf: bytes, kind: str, m: dict[str, Any]) -> None:
        about = self.recordings.setdefault((m["device"], m["recording"]), About())
        if m.get("c") != about.c:
            self.check.tampered(
                self.place(index), f"{m['recording']:.40}: c is {m.get('c')!r:.20}, expected {about.c}: a custody line is gone"
            )
        about.c += 1
        about.started = about.started or kind == "start"
        about.disposed = about.disposed or kind == "dispose"
        if kind == "stored":
            about.stored, about.stored_leaf = m, leaf.hex()

    def close(self, roots: dict[int, bytes]) -> None:
        """Every `previous` is one of the ledger's own checkpoints."""
        for index, text in self._previous:
            try:
                head = note.parse_checkpoint(note.split(text)[0])
            except CoreError as e:
                self.check.tampered(self.place(index), f"previous: {e}")
                continue
            if head.origin != self.origin or head.size > index or roots.get(head.size) != head.root:
                self.check.tampered(self.place(index), "previous: not a checkpoint of this ledger before the line")


def anchor_root(bodies: list[str]) -> str:
    """The root of an anchor's tree over checkpoint bodies."""
    return merkle.root_of([merkle.leaf_hash(body.encode()) for body in bodies]).hex()
