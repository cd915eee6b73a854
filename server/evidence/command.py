"""`zhilu verify PACKAGE --key VKEY` and `python3 verify.pyz PACKAGE --key VKEY`: the same program.

Exit status: 0 intact, 1 tampered, 2 usage or no package, 3 incomplete, 4 untrusted, 5 excerpt (0 with --excerpt).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .errors import EvidenceError
from .keys import Primitives
from .text import as_json, as_text, plain
from .verdict import USAGE
from .verify import verify

EPILOG = """exit status:
  0  intact      whole, every byte as signed, cosigned and bounded in time
  1  tampered    something does not fit; the first place is named
  2  usage, or not a package
  3  incomplete  genuine as far as it goes; what is missing is named
  4  untrusted   all fits together, and no given key vouches for it
  5  excerpt     a genuine part (0 with --excerpt)

example:
  python3 verify.pyz 01JD8Z3V9M5Q7R2T4W6Y8A0C1E --key keys.txt

Take keys from the agency itself, never from the package: the keys.txt in it is information only.
"""


def parser(program: str) -> argparse.ArgumentParser:
    """The command line."""
    arguments = argparse.ArgumentParser(
        prog=program,
        description="Verify a hand-over package: that it is whole, unchanged, and from when.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    arguments.add_argument("package", help="folder or .zip")
    arguments.add_argument(
        "--key", action="append", default=[], metavar="VKEY|FILE", help="a key that you trust, or a file with one a line; may be repeated"
    )
    arguments.add_argument("--excerpt", action="store_true", help="an excerpt is what you expect: exit status 0 for it")
    arguments.add_argument("--json", action="store_true", help="print the report as one JSON object")
    arguments.add_argument("--media-digests", action="store_true", help="also compute the media files' digests in the bag's manifest")
    return arguments


def main(argv: Sequence[str] | None = None, program: str = "zhilu verify", primitives: Primitives | None = None) -> int:
    """Run the command; the exit status is returned."""
    options = parser(program).parse_args(argv)
    try:
        report = verify(options.package, options.key, media_digests=options.media_digests, primitives=primitives)
    except EvidenceError as e:
        sys.stderr.write(f"{program}: {plain(str(e))}\n")
        return USAGE
    out = as_json(report) if options.json else as_text(report)
    # A terminal that knows no Chinese still gets its verdict.
    sys.stdout.buffer.write(out.encode("utf-8", "backslashreplace"))
    sys.stdout.flush()
    return report.exit_status(excerpt=options.excerpt)
