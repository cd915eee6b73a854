"""Audit the server's data folder: all journals, the ledger, the stored bytes (docs/evidence-format.md, sections 5 to 7 and 10).

Rules:
- logs.sqlite is opened for reading only, by the standard library. Every root is computed anew from the lines; every kept checkpoint is of
  them, signed by the enrolled key, and cosigned by a given witness key at times that never go back, and never after a revocation.
- The ledger decides which journals and recordings there must be: one that it knows and that no journal has is missing, and named.
- Every beacon is a root that the ledger had at that size; every anchor is the root of checkpoints that are here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from agent.core import merkle, note, wire
from agent.core.errors import CoreError
from server.evidence.errors import AuditError, MisfitError
from server.evidence.keys import Keyring, signed_by, signers
from server.evidence.text import many
from server.evidence.verdict import Check, Report

from . import elsewhere, succession
from .elsewhere import Known
from .fold import DISPOSED, MISSING, PARTLY, Fold, Recording
from .ledger import About, LedgerFold, anchor_root
from .media import Media
from .report import rows, say_recordings

CHECKS = ("ledger", "journals", "cosignatures", "elsewhere", "beacons", "anchors", "recordings", "receipts", "forks")

SKEW_S = 60
"""Ledger and witness are one server's, whose clock may have been set between two commits."""


@dataclass
class Log:
    """One journal of the store: its fold, and the roots at the ends of its batches."""

    ident: int
    origin: str
    fold: Fold
    roots: dict[int, bytes]


def audit_store(report: Report, folder: Path, keys: Keyring, known: Sequence[Known], *, media: bool) -> None:
    """All checks over a server's data folder."""
    store = Media(folder / "media", holes=True, look=media)
    address = f"file:{quote(str((folder / 'logs.sqlite').absolute()))}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True, isolation_level=None)) as db:
            db.execute("BEGIN")  # one state of the store, however long the audit takes beside a server that runs
            _Store(report, db, keys, store, known).run()
    except sqlite3.Error as e:
        raise AuditError(f"{folder / 'logs.sqlite'}: not a store that can be read: {e}") from e


class _Store:
    def __init__(self, report: Report, db: sqlite3.Connection, keys: Keyring, media: Media, known: Sequence[Known]) -> None:
        self.report, self.db, self.keys, self.media, self.known = report, db, keys, media, known
        self.previous: list[succession.Previous] = []

    def run(self) -> None:
        """All checks, in the order of CHECKS."""
        report = self.report
        origins = [(int(i), str(o), int(s)) for i, o, s in self.db.execute("SELECT id, origin, size FROM log ORDER BY origin")]
        ledgers = [row for row in origins if row[1].endswith("/ledger")]
        if len(ledgers) != 1:
            raise AuditError(f"expected one ledger in logs.sqlite, got {len(ledgers)}")
        ledger, ledger_roots = self._ledger(report.check("ledger"), *ledgers[0])
        journals_check, cosigned = report.check("journals"), report.check("cosignatures")
        self.previous = self._said_of_previous()
        logs = [self._journal(journals_check, cosigned, ledger, *row) for row in origins if row != ledgers[0]]
        self._say_journals(journals_check, ledger, logs)
        self._elsewhere(report.check("elsewhere"), ledger, ledger_roots, logs)
        _check_beacons(report.check("beacons"), logs, ledger.origin, ledger_roots)
        self._anchors(report.check("anchors"), ledger, {log.ident: log for log in logs})
        recordings = [r for log in logs for r in log.fold.recordings.values()]
        recordings_check = report.check("recordings")
        _compare(recordings_check, ledger, recordings)
        say_recordings(recordings_check, recordings, self.media.unnamed())
        _check_receipts(report.check("receipts"), ledger, recordings)
        self._forks(report.check("forks"), ledger)
        report.facts = {"kind": "store", "origins": [log.origin for log in logs], "recordings": rows(recordings)}
        report.facts["bytes"] = self.media.bytes

    # ------------------------------------------------------------------- logs

    def _batches(self, check: Check, ident: int, origin: str, size: int) -> Iterator[tuple[list[bytes], str]]:
        """A log's batches in order: lines, note. A hole ends it."""
        expected = 0
        sql = "SELECT first, lines, note FROM batch WHERE log = ? ORDER BY first"
        for first, joined, text in self.db.execute(sql, (ident,)):
            if first != expected or not isinstance(joined, bytes) or not isinstance(text, str):
                check.tampered(f"{origin} line {expected}", f"lines {expected} to {first} are not there")
                return
            batch = joined.split(b"\n")
            expected += len(batch)
            yield batch, text
        if expected != size:
            check.incomplete(f"{origin} line {expected}", f"the log has {size} lines by its own count, {expected} are there")

    def _ledger(self, check: Check, ident: int, origin: str, size: int) -> tuple[LedgerFold, dict[int, bytes]]:
        fold, tree, roots = LedgerFold(check, origin), merkle.Range(), {}
        wanted = elsewhere.sizes(self.known, origin)
        keys = self.keys.named(origin)
        if not keys:
            check.untrusted(origin, "no given key is this ledger's")
        for batch, text in self._batches(check, ident, origin, size):
            for line in batch:
                leaf = merkle.leaf_hash(line)
                tree.append(leaf)
                fold.add(line, leaf)
                if tree.size in wanted:
                    roots[tree.size] = tree.root()
            roots[tree.size] = tree.root()
            _check_note(check, text, origin, tree, keys, origin)
        fold.close(roots)
        check.figures = {"lines": fold.size, "checkpoints": len(roots), "kinds": fold.kinds}
        check.says = f"{many(fold.size, 'line')} under {many(len(roots), 'checkpoint')}, each of these lines and signed by {origin}"
        return fold, roots

    def _journal(self, check: Check, cosigned: Check, ledger: LedgerFold, ident: int, origin: str, size: int) -> Log:
        try:
            device = wire.parse_origin(origin)[1]
        except CoreError as e:
            check.tampered(origin, str(e))
            device = ""
        fold = Fold(check, origin, self.media, lambda name: f"{device}/{name}")
        log, tree = Log(ident, origin, fold, {}), merkle.Range()
        enrolled = ledger.enrolled.get(origin)
        key = None
        if enrolled is None:
            check.tampered(origin, "the ledger never enrolled this journal")
        else:
            key = self.keys.verifier(enrolled.vkey)
        last_s = 0
        wanted = elsewhere.sizes(self.known, origin) | succession.sizes(self.previous, origin)
        for batch, text in self._batches(check, ident, origin, size):
            for line in batch:
                leaf = merkle.leaf_hash(line)
                tree.append(leaf)
                fold.add(line, leaf)
                if tree.size in wanted:
                    log.roots[tree.size] = tree.root()
            log.roots[tree.size] = tree.root()
            _check_note(check, text, origin, tree, [key] if key is not None else [])
            revoked_s = enrolled.revoked_at // 1000 if enrolled is not None and enrolled.revoked_at is not None else None
            last_s = _check_cosigned(cosigned, text, f"{origin} size {tree.size}", self.keys, last_s, revoked_s)
        fold.close()
        own = fold.enrol
        if enrolled is not None and own is not None and (own["vkey"], own["certificate"]) != (enrolled.vkey, enrolled.certificate):
            check.tampered(fold.place(0), "the journal's own enrolment and the ledger's name different keys or certificates")
        return log

    def _say_journals(self, check: Check, ledger: LedgerFold, logs: list[Log]) -> None:
        there = {log.origin for log in logs}
        for origin, enrolled in ledger.enrolled.items():
            if origin not in there:
                check.incomplete(origin, f"enrolled by the ledger's line {enrolled.index}, and the journal is not here")
        read = {log.origin: succession.Read(log.fold.size, 0, log.roots) for log in logs}
        for said in self.previous:
            succession.check_previous(check, said, read.get(said.origin))
        total, meaningless = sum(log.fold.size for log in logs), sum(log.fold.meaningless for log in logs)
        check.figures = {"journals": len(logs), "lines": total, "without_meaning": meaningless}
        check.says = f"{many(len(logs), 'journal')} with {many(total, 'line')}, each signed by its enrolled key" + (
            f"; {meaningless} lines have no meaning" if meaningless else ""
        )
        cosigned = self.report.checks[-1]
        cosigned.figures = {"checkpoints": sum(len(log.roots) for log in logs)}
        cosigned.says = f"{many(cosigned.figures['checkpoints'], 'checkpoint')}, cosigned at times that never go back"

    def _said_of_previous(self) -> list[succession.Previous]:
        """What each journal's first line says of the one before it."""
        rows = self.db.execute("SELECT lines FROM batch WHERE first = 0")
        said = [succession.of_line(joined.split(b"\n", 1)[0]) for (joined,) in rows if isinstance(joined, bytes)]
        return [one for one in said if one is not None]

    def _elsewhere(self, check: Check, ledger: LedgerFold, ledger_roots: dict[int, bytes], logs: list[Log]) -> None:
        """Checkpoints that the auditor brought, of the ledger and of journals."""
        comparison = elsewhere.Comparison(check, self.known, self.keys)
        comparison.log(ledger.origin, ledger.size, 0, ledger_roots, self.keys.named(ledger.origin))
        for log in logs:
            enrolled = ledger.enrolled.get(log.origin)
            own = [self.keys.verifier(enrolled.vkey)] if enrolled is not None else []
            comparison.log(log.origin, log.fold.size, 0, log.roots, own)
        comparison.close()

    # ------------------------------------------------------------------- anchors and forks

    def _anchors(self, check: Check, ledger: LedgerFold, logs: dict[int, Log]) -> None:
        checked = 0
        for anchor in ledger.anchors:
            sql = "SELECT log, size FROM anchored WHERE line = ? ORDER BY position"
            bodies: list[str] = []
            for ident, size in self.db.execute(sql, (anchor.index,)):
                root = logs[ident].roots.get(size) if ident in logs else None
                if root is None:
                    name = logs[ident].origin if ident in logs else f"log {ident}"
                    check.incomplete(f"{name} size {size}", f"the ledger's line {anchor.index} anchors it, and these lines are not here")
                    break
                bodies.append(note.checkpoint(logs[ident].origin, size, root))
            else:
                checked += 1
                if (len(bodies), anchor_root(bodies)) != (anchor.count, anchor.root):
                    check.tampered(ledger.place(anchor.index), f"{anchor.count} checkpoints were anchored; what is here gives another root")
        check.figures = {"anchors": len(ledger.anchors), "checked": checked}
        check.says = f"{checked} of {len(ledger.anchors)} anchors are the roots of checkpoints that are here"

    def _forks(self, check: Check, ledger: LedgerFold) -> None:
        kept = 0
        sql = "SELECT origin, fork.size, reason, fork.note FROM fork JOIN log ON log.id = fork.log ORDER BY fork.id"
        for origin, size, reason, text in self.db.execute(sql):
            kept += 1
            place, enrolled = f"{origin} size {size}", ledger.enrolled.get(origin)
            try:
                held = enrolled is not None and bool(signed_by(text, place, [self.keys.verifier(enrolled.vkey)])[1])
            except (MisfitError, CoreError):
                held = False
            if not held:
                check.note(f"{place}: kept as a {reason}, and not signed by the journal's key")
            elif reason == "fork":
                check.tampered(place, "the journal's key has signed two histories; both are kept")
            else:
                check.incomplete(place, "the journal's key has signed lines that are not here: a suspected fork, kept")
        if kept < ledger.forks:
            check.incomplete("forks", f"the ledger tells of {ledger.forks} forks, {kept} are kept")
        check.figures = {"kept": kept, "told": ledger.forks}
        check.says = f"{many(kept, 'fork')} kept" if kept else "no key has signed two histories"


def _check_note(check: Check, text: str, origin: str, tree: merkle.Range, keys: list[note.Verifier], ledger: str = "") -> None:
    """A kept checkpoint is of these lines, and signed."""
    place = f"{origin} size {tree.size}"
    try:
        body, held = signed_by(text, place, keys)
        if body != note.checkpoint(origin, tree.size, tree.root()):
            check.tampered(place, "the lines do not lead to the checkpoint that is kept with them")
        elif keys and not held and keys[0].name == ledger:
            check.untrusted(place, f"signed by {signers(text)}: none of the given keys")
        elif keys and not held:
            check.tampered(place, f"signed by {signers(text)}, not by the enrolled key {keys[0].vkey}")
    except (MisfitError, CoreError) as e:
        check.tampered(place, str(e))


def _check_cosigned(check: Check, text: str, place: str, keys: Keyring, last_s: int, revoked_s: int | None) -> int:
    """Cosigned by a given witness, not before the last time, not after a revocation; its time."""
    try:
        held = signed_by(text, place, keys.witnesses())[1]
    except MisfitError as e:
        check.tampered(place, str(e))
        return last_s
    if not held:
        say = check.incomplete if keys.witnesses() else check.untrusted
        say(place, "no given witness key cosigned it")
        return last_s
    seconds = max(s.seconds or 0 for s in held)
    if seconds < last_s:
        check.tampered(place, f"cosigned at {seconds}, before the checkpoint before it ({last_s})")
    if revoked_s is not None and seconds > revoked_s + SKEW_S:
        check.tampered(place, "cosigned after the journal was revoked")
    return max(seconds, last_s)


def _check_beacons(check: Check, logs: list[Log], ledger: str, roots: dict[int, bytes]) -> None:
    count = 0
    for log in logs:
        for beacon in log.fold.beacons:
            count += 1
            if beacon.head.origin != ledger or roots.get(beacon.head.size) != beacon.head.root:
                check.tampered(log.fold.place(beacon.index), f"its beacon of size {beacon.head.size} is not what {ledger} was at that size")
    check.figures = {"beacons": count}
    check.says = f"{many(count, 'beacon')}, each the ledger's own root at its size"


def _compare(check: Check, ledger: LedgerFold, recordings: list[Recording]) -> None:
    """Journals and ledger know the same recordings, and what is stored is here."""
    there = {(wire.parse_origin(r.origin)[1], r.name): r for r in recordings}
    for (device, name), about in ledger.recordings.items():
        if (about.started or about.stored) and (device, name) not in there:
            check.incomplete(f"recording {name} of {device}", "the ledger knows it, and no journal here has its start")
    for key, recording in there.items():
        _judge(check, recording, ledger.recordings.get(key))


def _judge(check: Check, recording: Recording, about: About | None) -> None:
    place = f"recording {recording.name} of {recording.origin}"
    if about is None or not about.started:
        check.note(f"{place}: the ledger has no start line for it yet")
    if about is not None and about.stored is not None and about.stored["stop"] != recording.stop_leaf:
        check.tampered(place, "the ledger's stored line names another stop line")
    if about is not None and about.disposed and recording.state in (MISSING, PARTLY):
        recording.state = DISPOSED
    elif about is not None and about.stored is not None and recording.state in (MISSING, PARTLY) and not recording.gaps:
        check.incomplete(place, "the ledger says that all of it was stored, and it is not here any more")


def _check_receipts(check: Check, ledger: LedgerFold, recordings: list[Recording]) -> None:
    """A device purged only on the proof of the ledger's own `stored` line."""
    purged = 0
    for recording in recordings:
        if recording.purge is None:
            continue
        purged += 1
        index, receipt = recording.purge
        about = ledger.recordings.get((wire.parse_origin(recording.origin)[1], recording.name))
        if about is None or about.stored_leaf != receipt:
            check.tampered(f"{recording.origin} line {index}", f"{recording.name} was purged on a receipt that the ledger never gave")
    check.figures = {"purged": purged}
    check.says = f"{many(purged, 'recording')} purged by their devices, each on the ledger's own stored line"
