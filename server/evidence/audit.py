"""`zhilu audit JOURNAL|STORE --key …`: is every recording that was ever started still there (docs/evidence-format.md, section 10).

JOURNAL is a device's state folder, STORE the server's data folder; both are only read. Verdicts and exit status are those of `verify`:
0 intact, 1 tampered, 2 usage, 3 incomplete (something is missing, and named), 4 untrusted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from .auditing import device, elsewhere, store
from .errors import AuditError, EvidenceError
from .keys import Keyring, Primitives, keyring
from .text import MEANS_OF_AUDIT, as_json, as_text, plain
from .verdict import USAGE, Report

EPILOG = """examples:
  zhilu audit /var/lib/zhilu/state --key keys.txt            a device's journal
  zhilu audit deployment/server --key keys.txt --json        the server's store
  zhilu audit state --key keys.txt --checkpoint PACKAGE/data/journal.proof

Take keys from the agency itself, not from what is audited.
"""


def audit(
    path: str,
    keys: Iterable[str] | Keyring,
    *,
    media: bool = True,
    primitives: Primitives | None = None,
    checkpoints: Iterable[str] = (),
) -> Report:
    """The report on a device's state folder or a server's data folder. Without `media` bytes are counted, not hashed.

    `checkpoints`: files with signed checkpoints from elsewhere, which the lines must lead to.
    """
    known = elsewhere.read(checkpoints)
    ring = keys if isinstance(keys, Keyring) else keyring(keys, primitives)
    folder = Path(path)
    try:
        if (folder / "logs.sqlite").is_file():
            report = Report(path, store.CHECKS)
            store.audit_store(report, folder, ring, known, media=media)
        elif (folder / "journal").is_dir():
            report = Report(path, device.CHECKS)
            device.audit_device(report, folder, ring, known, media=media)
        else:
            raise AuditError(f"{path}: expected a device's state folder (journal/) or a server's data folder (logs.sqlite)")
    except (OSError, ValueError) as e:
        if isinstance(e, EvidenceError):
            raise
        raise AuditError(f"{path}: {e}") from e
    return report


def fast_primitives() -> Primitives | None:
    """Signature checks by `cryptography` where it is installed: a store holds many."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        return None
    from agent.core import note

    def ed25519(key: bytes, message: bytes, signature: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True

    return {**note.PURE, note.ED25519: ed25519}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    form = argparse.RawDescriptionHelpFormatter
    description = "Check a whole journal or store: every recording is there, purged with a receipt, disposed of, or missing and named."
    made = argparse.ArgumentParser("zhilu audit", description=description, epilog=EPILOG, formatter_class=form)
    made.add_argument("folder", help="a device's state folder, or a server's data folder")
    made.add_argument("--key", action="append", default=[], metavar="VKEY|FILE", help="a key that you trust, or a file with one a line")
    what = "a signed checkpoint that you have from elsewhere: from the server, a device, a package"
    made.add_argument("--checkpoint", action="append", default=[], metavar="FILE", help=what)
    made.add_argument("--no-media", action="store_true", help="count media bytes instead of hashing them")
    made.add_argument("--json", action="store_true", help="print the report as one JSON object")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is returned."""
    options = parser().parse_args(argv)
    try:
        report = audit(
            options.folder,
            options.key,
            media=not options.no_media,
            primitives=fast_primitives(),
            checkpoints=options.checkpoint,
        )
    except EvidenceError as e:
        sys.stderr.write(f"zhilu audit: {plain(str(e))}\n")
        return USAGE
    out = as_json(report) if options.json else as_text(report, MEANS_OF_AUDIT)
    sys.stdout.buffer.write(out.encode("utf-8", "backslashreplace"))
    sys.stdout.flush()
    return report.exit_status()


if __name__ == "__main__":
    sys.exit(main())
