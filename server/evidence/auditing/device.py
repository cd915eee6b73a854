"""Audit a device's state folder: its journals, checkpoints, receipts and media (docs/evidence-format.md, sections 3, 4, 6).

Rules:
- The root is computed anew from the lines; every stored checkpoint must be of it and signed by the key that line 0 names. A checkpoint of
  more lines than are there says how many are gone.
- A given witness key's cosignature vouches for the lines below its size; beyond, only who holds the device does.
- A recording's media are there, or its `purge` line names a receipt, which is here and which a given ledger key signed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agent.core import merkle, note, wire
from agent.core.errors import CoreError
from server.evidence.checks.proofs import LedgerProofs
from server.evidence.errors import MisfitError
from server.evidence.keys import Keyring, signed_by, signers
from server.evidence.text import many, utc
from server.evidence.verdict import Check, Report

from . import elsewhere, succession
from .elsewhere import Known
from .fold import MISSING, PARTLY, PURGED, Recording
from .folder import Journal, claimed_origin, first_line, journal_folders, open_journal, walk
from .media import Media
from .report import rows, say_recordings

CHECKS = ("checkpoints", "journals", "cosignature", "elsewhere", "receipts", "recordings", "beacons")

MAX_RECEIPT = 1 << 20


def audit_device(report: Report, folder: Path, keys: Keyring, known: Sequence[Known], *, media: bool) -> None:
    """All checks over a device's state folder."""
    store = Media(folder / "media", holes=False, look=media)
    # Where lines are not what was signed, that is the first place: what they then seem to say follows from it.
    check, journals_check = report.check("checkpoints"), report.check("journals")
    journals = [open_journal(journals_check, path, store) for path in journal_folders(folder)]
    said = [succession.of_line(first_line(journal.folder)) for journal in journals]
    for journal in journals:
        walk(journals_check, journal, elsewhere.sizes(known, journal.origin) | succession.sizes(said, journal.origin))
    _check_succession(journals_check, journals, [one for one in said if one is not None])
    _say_journals(journals_check, journals)
    for journal in journals:
        _check_notes(check, journal, keys)
    check.figures = {"checkpoints": sum(len(j.notes) for j in journals)}
    check.says = f"{many(check.figures['checkpoints'], 'stored checkpoint')}, each of these lines and signed by the device"
    cosigned = report.check("cosignature")
    for journal in journals:
        try:
            _check_cosigned(cosigned, journal, keys)
        except (MisfitError, CoreError) as e:
            cosigned.tampered(f"journal/{journal.folder.name}/cosigned", str(e))
    comparison = elsewhere.Comparison(report.check("elsewhere"), known, keys)
    for journal in journals:
        key = _device_key(journal, keys)
        comparison.log(journal.origin, journal.fold.size, journal.fold.first, journal.roots, [key] if key is not None else [])
    comparison.close()
    recordings = [r for j in journals for r in j.fold.recordings.values()]
    _check_receipts(report.check("receipts"), folder, journals, keys)
    say_recordings(report.check("recordings"), recordings, store.unnamed())
    _check_beacons(report.check("beacons"), journals)
    report.facts = {"kind": "journal", "origins": [j.origin for j in journals], "recordings": rows(recordings)}


# --------------------------------------------------------------------------- checks


def _check_succession(check: Check, journals: list[Journal], said: list[succession.Previous]) -> None:
    """Every journal lies where it belongs, and goes on from the one before."""
    for journal in journals:
        place = f"journal/{journal.folder.name}"
        succession.check_names(check, place, journal.folder.name, journal.origin, claimed_origin(journal.folder))
    read = {j.origin: succession.Read(j.fold.size, j.fold.first, j.roots) for j in journals}
    for one in said:
        succession.check_previous(check, one, read.get(one.origin))


def _say_journals(check: Check, journals: list[Journal]) -> None:
    for number, journal in enumerate(journals, 1):
        if int(journal.folder.name) != number:
            check.incomplete(f"journal/{number}", "the device's journals count from 1, and this one is not there")
            break
    total, meaningless = sum(j.fold.size for j in journals), sum(j.fold.meaningless for j in journals)
    check.figures = {"journals": len(journals), "lines": total, "without_meaning": meaningless}
    check.says = f"{many(len(journals), 'journal')} with {many(total, 'line')}" + (
        f", {meaningless} of them without meaning" if meaningless else ""
    )


def _device_key(journal: Journal, keys: Keyring) -> note.Verifier | None:
    """The key of line 0; of a trimmed journal only a given one."""
    try:
        if journal.fold.enrol is not None:
            return keys.verifier(str(journal.fold.enrol["vkey"]))
    except CoreError:
        return None
    given = keys.named(journal.origin)
    return given[0] if given else None


def _check_notes(check: Check, journal: Journal, keys: Keyring) -> None:
    place = f"journal/{journal.folder.name}/checkpoints"
    key = _device_key(journal, keys)
    if key is None or key.name != journal.origin:
        check.incomplete(journal.fold.place(0), "no key is known that signs this journal")
        return
    last = -1
    for head, text in journal.notes:
        root = journal.roots.get(head.size)
        try:
            held = signed_by(text, place, [key])[1]
        except MisfitError as e:
            check.tampered(f"{place} size {head.size}", str(e))
            return
        if not held or head.origin != journal.origin or head.size <= last:
            check.tampered(f"{place} size {head.size}", f"not signed by {key.vkey}, of another journal, or out of order")
            return
        if root is not None and root != head.root:
            changed = f"one of the lines {max(last, 0)} to {head.size - 1} is not what it was"
            check.tampered(f"{place} size {head.size}", f"the lines do not lead to the root that the device signed: {changed}")
            return
        last = head.size
    if last > journal.fold.size:
        gone = last - journal.fold.size
        check.incomplete(f"{place} size {last}", f"the device signed {last} lines, {gone} of them are not there")
    _check_behind(check, journal, max(last, 0), place)


def _check_behind(check: Check, journal: Journal, signed: int, place: str) -> None:
    """What no stored checkpoint is of: a power cut leaves one batch at most, and never takes a checkpoint that was cosigned."""
    cosigned = _cosigned_size(journal)
    if journal.fold.size >= cosigned > signed:
        what = f"{cosigned} lines were cosigned, and the device's own checkpoint of them is not here: the file was removed or cut short"
        check.tampered(f"{place} size {cosigned}", what)
    behind = journal.fold.size - max(signed, cosigned)
    if behind > wire.MAX_BATCH_LINES:
        what = f"{behind} lines that the device never signed; a power cut leaves {wire.MAX_BATCH_LINES} at most"
        check.tampered(journal.fold.place(max(signed, cosigned)), what)
    elif behind > 0:
        check.note(f"{journal.origin}: {many(behind, 'line')} behind the newest checkpoint: a start of the device takes them in")


def _cosigned_size(journal: Journal) -> int:
    return note.parse_checkpoint(note.split(journal.cosigned)[0]).size if journal.cosigned is not None else 0


def _check_cosigned(check: Check, journal: Journal, keys: Keyring) -> None:
    place = f"journal/{journal.folder.name}/cosigned"
    key = _device_key(journal, keys)
    vouched = key is not None and key.vkey in [v.vkey for v in keys.named(journal.origin)]
    if journal.cosigned is None:
        if not vouched:
            check.untrusted(place, "nothing of this journal is cosigned, and no given key is the device's")
        check.incomplete(place, "nothing of this journal is cosigned: only who holds the device vouches for it")
        return
    body, held = signed_by(journal.cosigned, place, keys.witnesses())
    head = note.parse_checkpoint(body)
    root = journal.roots.get(head.size)
    if head.origin != journal.origin or (key is not None and not signed_by(journal.cosigned, place, [key])[1]):
        check.tampered(place, f"a checkpoint of {head.origin}, or not signed by its key")
    elif root is None:
        check.incomplete(place, f"{head.size} lines were cosigned, {journal.fold.size} are there")
    elif root != head.root:
        check.tampered(place, f"the lines do not lead to the cosigned root at size {head.size}")
    elif not held:
        say = check.incomplete if vouched else check.untrusted
        say(place, f"no given witness key cosigned it; it is signed by {signers(journal.cosigned)}")
    else:
        seconds = min(s.seconds or 0 for s in held)
        behind = journal.fold.size - head.size
        check.figures[journal.origin] = {"cosigned": head.size, "seconds": seconds, "behind": behind}
        check.says = "; ".join(
            filter(None, [check.says, f"{journal.origin}: {many(head.size, 'line')} cosigned by {utc(seconds * 1000)}, {behind} since"])
        )


def _check_receipts(check: Check, folder: Path, journals: list[Journal], keys: Keyring) -> None:
    """Receipts prove what they are for; purged recordings have one."""
    proved, receipts = 0, folder / "receipts"
    by_name = {r.name: r for j in journals for r in j.fold.recordings.values()}
    leaves: dict[str, str] = {}
    for path in sorted(receipts.glob("*.tlog-proof")) if receipts.is_dir() else []:
        recording = by_name.get(path.stem)
        if recording is None:
            check.tampered(f"receipts/{path.name}", "a receipt for a recording that no journal here has: it is missing")
            continue
        leaf = _receipt(check, path, recording, keys)
        if leaf is not None:
            leaves[recording.name] = leaf
            proved += 1
    purged = 0
    for recording in by_name.values():
        if recording.purge is not None:
            purged += _purged(check, recording, leaves.get(recording.name))
    check.figures = {"receipts": proved, "purged": purged}
    check.says = f"{many(proved, 'receipt')} of the ledger, each for this very stop; {many(purged, 'recording')} purged on such proof"


def _receipt(check: Check, path: Path, recording: Recording, keys: Keyring) -> str | None:
    """The leaf hash of the `stored` line that a receipt proves for this recording."""
    place = f"receipts/{path.name}"
    try:
        domain = recording.origin.rsplit("/", 2)[0]
        line = LedgerProofs(domain, keys).line(path.read_bytes()[:MAX_RECEIPT].decode(), place)
    except (MisfitError, UnicodeDecodeError, OSError) as e:
        check.tampered(place, str(e))
        return None
    m = line.members
    if m["kind"] != "stored" or (m["recording"], m["origin"], m["stop"]) != (recording.name, recording.origin, recording.stop_leaf):
        check.tampered(place, "is about another recording, journal or stop line")
        return None
    if not line.trusted:
        check.untrusted(place, f"signed by {line.signers}: none of the given keys")
    return merkle.leaf_hash(line.raw).hex()


def _purged(check: Check, recording: Recording, leaf: str | None) -> int:
    assert recording.purge is not None
    index, receipt = recording.purge
    place = f"{recording.origin} line {index}"
    if leaf is None:
        check.incomplete(place, f"{recording.name} was purged, and the receipt for it is not here")
        return 0
    if leaf != receipt:
        check.tampered(place, f"{recording.name} was purged on another proof than the receipt that is here")
        return 0
    if recording.state in (MISSING, PARTLY):
        recording.state = PURGED
    return 1


def _check_beacons(check: Check, journals: list[Journal]) -> None:
    """Of one size there is one ledger. Whether it is the ledger's own root, only an audit of the store can say."""
    seen: dict[tuple[str, int], tuple[bytes, str]] = {}
    count = 0
    for journal in journals:
        for beacon in journal.fold.beacons:
            count += 1
            place = journal.fold.place(beacon.index)
            root, where = seen.setdefault((beacon.head.origin, beacon.head.size), (beacon.head.root, place))
            if root != beacon.head.root:
                check.tampered(place, f"another root of {beacon.head.origin} at size {beacon.head.size} than {where}")
    check.figures = {"beacons": count}
    check.says = f"{many(count, 'beacon')}; of one size there is one root"
