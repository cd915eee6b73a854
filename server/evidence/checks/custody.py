"""Who had it in hands since: the ledger's lines about the recording (docs/evidence-format.md, sections 7 and 9).

Rules:
- They count from `c` 0 without a gap and end with the `export` line of this package, so none can be left out. Each has its proof,
  and stands in the ledger in this order.
- The ledger's `stored` line names the `stop` line by its leaf hash, and counts what the server held.
"""

from __future__ import annotations

from typing import Any

from agent.core import lines, merkle
from agent.core.errors import LineError
from server.evidence.bag import MAX_FILES, Bag
from server.evidence.claims import Claims
from server.evidence.errors import MisfitError, MissingError
from server.evidence.manifest import MAX_FILE
from server.evidence.text import many, utc
from server.evidence.verdict import Check

from .journal import Journal
from .proofs import LedgerLine, LedgerProofs
from .sequence import Recording
from .stretch import check_stretch

FILE = "data/custody.jsonl"


def check_custody(check: Check, bag: Bag, claims: Claims, journal: Journal, recording: Recording, proofs: LedgerProofs) -> None:
    """Prove each custody line, and count them."""
    raw = _raw(bag)
    proved: list[LedgerLine] = []
    expected, trusted = 0, True
    for row in raw:
        c = _c(row, claims)
        if c < expected:
            check.tampered(f"{FILE} line {len(proved) + 1}", f"c is {c}, expected {expected}")
            return
        if c > expected:
            check.incomplete(f"{FILE} line {len(proved) + 1}", f"c {expected} to {c - 1} are not there: a custody line was left out")
        expected = c + 1
        line = _prove(bag, proofs, row, c, proved)
        if not line.trusted and trusted:  # said once: there may be a thousand lines of a ledger that nobody vouches for
            proofs.distrust(check, _proof_name(c), line.signers)
        trusted = trusted and line.trusted
        proved.append(line)
    proofs_of_lines = {_proof_name(line.members["c"]) for line in proved}
    for name in bag.files:
        if name.startswith("data/custody/") and name not in proofs_of_lines:
            check.tampered(name, "proves a line that custody.jsonl does not hold")
    _check_last(check, proved)
    _check_export(check, claims, recording, proved)
    for line in proved:
        if line.members["kind"] == "stored" and recording.stop is not None:
            _check_stored(check, line, journal, recording)
    kinds: dict[str, int] = {}
    for line in proved:
        kinds[line.members["kind"]] = kinds.get(line.members["kind"], 0) + 1
    check.figures = {"lines": len(proved), "kinds": kinds}
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    last = proved[-1].members
    whole = "none left out" if expected == len(proved) else f"{expected - len(proved)} left out"
    check.says = f"{many(len(proved), 'custody line')} ({listed}), {whole} up to this package's export at {utc(last['at'])}"


def _raw(bag: Bag) -> list[bytes]:
    data = bag.read(FILE, MAX_FILE[FILE])
    if not data.endswith(b"\n"):
        raise MissingError(FILE, "torn, or empty: its last line has no end")
    if data.count(b"\n") > MAX_FILES:
        raise MisfitError(FILE, f"at most {MAX_FILES} lines are expected")
    return data[:-1].split(b"\n")


def _proof_name(c: int) -> str:
    return f"data/custody/{c}.tlog-proof"


def _c(row: bytes, claims: Claims) -> int:
    """The number of a custody line of this recording."""
    try:
        members = lines.read(row)
    except LineError as e:
        raise MisfitError(FILE, f"a line without meaning: {e}") from e
    about = (members.get("device"), members.get("recording"))
    if about != (claims.device, claims.recording):
        raise MisfitError(FILE, f"a line about {about[0]!r:.60}, recording {about[1]!r:.60}")
    c = members.get("c")
    if type(c) is not int or c < 0:
        raise MisfitError(FILE, "a line without its number c")
    return c


def _prove(bag: Bag, proofs: LedgerProofs, row: bytes, c: int, before: list[LedgerLine]) -> LedgerLine:
    name = _proof_name(c)
    line = proofs.read(bag, name)
    if line.raw != row:
        raise MisfitError(name, f"proves another line than custody.jsonl holds for c {c}")
    if before and line.index <= before[-1].index:
        raise MisfitError(name, f"stands in the ledger before the line of c {before[-1].members['c']}")
    return line


def _check_last(check: Check, proved: list[LedgerLine]) -> None:
    last = proved[-1].members
    if last["kind"] != "export":
        check.incomplete(FILE, f"ends with a line of kind {last['kind']}, not with this package's export")


def _check_export(check: Check, claims: Claims, recording: Recording, proved: list[LedgerLine]) -> None:
    """The export line says which part went out (`from` and `to` in ms of media time, or the whole): it must be this one."""
    last: dict[str, Any] = proved[-1].members
    if last["kind"] != "export":
        return
    part = "from" in last or "to" in last
    if part != claims.part:
        stretch = f"an excerpt from {last.get('from')!r:.20} to {last.get('to')!r:.20} ms" if part else "the whole"
        check.tampered(FILE, f"the ledger exported {stretch}, the package claims {'an excerpt' if claims.part else 'the whole'}")
    elif part and type(last.get("from")) is int and type(last.get("to")) is int:
        check_stretch(check, recording, last["from"], last["to"])


def _check_stored(check: Check, line: LedgerLine, journal: Journal, recording: Recording) -> None:
    stop = recording.stop
    m = line.members
    if stop is None or m["origin"] != journal.checkpoint.origin or m["stop"] != merkle.leaf_hash(stop.raw).hex():
        check.tampered(_proof_name(m["c"]), "the stored line is about another stop line or journal")
