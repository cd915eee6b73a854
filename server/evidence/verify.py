"""Verify a package: every check of docs/evidence-format.md, section 10, in one report.

Rules:
- Nothing in the package is believed before it is proved; the only trust comes from the given keys.
- Whatever a package holds, the answer is a report. NotAPackageError, UnreadableError and TrustError are for paths, disks and keys.
- The same bytes and keys give the same report, from a folder or a .zip, here or in `verify.pyz`.

It uses `agent.core` and the standard library only, and runs on Python 3.9.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from . import claims as claims_of
from .bag import Bag
from .checks import bounds, custody, fragments, journal, sequence, timeline, trust
from .checks.proofs import LedgerProofs
from .errors import MisfitError, MissingError
from .keys import Keyring, Primitives, keyring
from .manifest import check_bag
from .opening import open_bag
from .text import many, utc
from .verdict import Check, Report

CHECKS = (
    "files",
    "claims",
    "journal",
    "device key",
    "signature",
    "cosignature",
    "sequence",
    "fragments",
    "totals",
    "gaps",
    "not before",
    "not after",
    "anchor",
    "custody",
    "clock",
    "unanchored window",
)
"""Every check, in the order of the report."""

Result = TypeVar("Result")


def verify(
    path: str,
    keys: Iterable[str] | Keyring,
    *,
    media_digests: bool = False,
    workers: int | None = None,
    primitives: Primitives | None = None,
) -> Report:
    """The report on a package (folder or .zip) under the given keys: vkeys, or files with a vkey a line.

    `media_digests` also computes the media files' digests in the manifest; `workers` bounds the threads that hash;
    `primitives` may bring faster signature checks than the core's own.
    """
    ring = keys if isinstance(keys, Keyring) else keyring(keys, primitives)
    report = Report(path, CHECKS)
    bag = open_bag(path)
    try:
        _Verification(report, bag, ring, workers).run(media_digests=media_digests)
    finally:
        bag.close()
    return report


class _Verification:
    """One run of the checks. A check that can't be made leaves those that need its result unmade: the report says so."""

    def __init__(self, report: Report, bag: Bag, keys: Keyring, workers: int | None) -> None:
        self.report = report
        self.bag = bag
        self.keys = keys
        self.workers = workers

    def make(self, name: str, function: Callable[..., Result], *args: Any, **options: Any) -> Result | None:
        """Make one check; what a file does wrong becomes its finding."""
        check = self.report.check(name)
        try:
            return function(check, *args, **options)
        except MisfitError as e:
            check.tampered(e.place, str(e))
        except MissingError as e:
            check.incomplete(e.place, str(e))
        return None

    def run(self, *, media_digests: bool) -> None:
        """All checks, as far as they can be made."""
        bag = self.bag
        self.make("files", check_bag, bag, media_too=media_digests)
        claims = self.make("claims", _claims, bag)
        if claims is None:
            return
        self.report.part = claims.part
        proved = self.make("journal", journal.check_journal, bag, claims)
        if proved is None:
            return
        proofs = LedgerProofs(claims.domain, self.keys)
        device = self.make("device key", trust.check_device, bag, claims, proved, proofs, self.keys)
        if device is not None:
            self.make("signature", trust.check_signature, proved, device)
        seconds = self.make("cosignature", trust.check_cosignature, proved, self.keys, device)
        recording = self.make("sequence", sequence.check_sequence, proved, claims)
        if recording is None:
            return
        tracks = self.make("fragments", fragments.check_fragments, bag, claims, recording, self.workers)
        if tracks is not None:
            self.make("totals", timeline.check_totals, claims, recording, tracks)
            self.make("gaps", timeline.check_gaps, claims, recording, tracks)
        not_before = self.make("not before", bounds.check_not_before, bag, recording, proofs, self.keys)
        not_after = self.make("not after", bounds.check_not_after, seconds, not_before)
        self.make("anchor", bounds.check_anchor, bag, proved, proofs)
        self.make("custody", custody.check_custody, bag, claims, proved, recording, proofs)
        self.make("clock", timeline.check_clock, recording, not_before, not_after)
        self.make("unanchored window", _unanchored, recording, not_before, not_after)
        self.report.facts = _facts(self.report, claims, recording, not_before, not_after)


def _claims(check: Check, bag: Bag) -> claims_of.Claims:
    claims = claims_of.read(bag)
    held = sum(end - first for track in claims.tracks for first, end in track.held)
    check.figures = {"recording": claims.recording, "origin": claims.origin, "tracks": len(claims.tracks), "held": held}
    check.figures["part"] = claims_of.PART if claims.part else claims_of.WHOLE
    what = "an excerpt of" if claims.part else "the whole of"
    media = f"{many(held, 'fragment')} in {many(len(claims.tracks), 'track')}"
    check.says = f"claims to be {what} recording {claims.recording} of {claims.origin}, {media}"
    return claims


def _unanchored(check: Check, recording: sequence.Recording, not_before: int | None, not_after: int | None) -> None:
    """What was protected only against those who did not hold the device, and for how long."""
    if not_after is None:
        check.says = "nothing here is cosigned: all of it is protected against everyone except who holds the device and its key"
        return
    if recording.stop is None:
        check.says = f"what came after {utc(not_after)}, until contact was lost, is not covered by a cosignature and not in this package"
        return
    check.figures = {"not_after": not_after}
    check.says = f"none after the stop line: every line from start to stop was cosigned by {utc(not_after)}"
    if not_before is not None:
        check.figures["window_ms"] = not_after - not_before
        check.says += f"; between {utc(not_before)} and then, who held the device and its key could have written them otherwise"


def _facts(
    report: Report, claims: claims_of.Claims, recording: sequence.Recording, not_before: int | None, not_after: int | None
) -> dict[str, Any]:
    figures = {check.name: check.figures for check in report.checks}
    start = recording.start.members if recording.start is not None and recording.start.members is not None else {}
    return {
        "recording": claims.recording,
        "device": claims.device,
        "origin": claims.origin,
        "part": claims_of.PART if claims.part else claims_of.WHOLE,
        **{name: start.get(name) for name in ("officer", "case", "matter", "trigger", "continues")},
        "marks": [mark["label"] for mark in recording.of("mark")],
        "lines": figures["sequence"].get("lines", 0),
        "fragments": figures["fragments"].get("fragments", 0),
        "bytes": figures["fragments"].get("bytes", 0),
        "gaps": figures.get("gaps", {}).get("gaps", 0),
        "not_before": not_before,
        "not_after": not_after,
    }
