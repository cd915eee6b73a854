"""Build verify.pyz: the verifier in one file that runs with any plain Python 3.9 or newer, and nothing else.

Rules:
- It holds `agent.core`, the verifying modules of `server.evidence` and a `__main__`; which modules these are is in `MODULES`, and a
  test holds the list against what they import.
- The same sources give the same bytes: sorted names, stored, one fixed time. Anyone can build it and compare.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

MODULES = (
    "server/__init__.py",
    "server/evidence/__init__.py",
    *(
        f"server/evidence/{name}.py"
        for name in ("bag", "claims", "command", "errors", "keys", "manifest", "opening", "reading", "text", "verdict", "verify", "zipbag")
    ),
)
FOLDERS = ("agent/core", "server/evidence/checks")

SHEBANG = b"#!/usr/bin/env python3\n"
MAIN = '''"""Verify a hand-over package: python3 verify.pyz PACKAGE --key VKEY."""

import sys

if sys.version_info < (3, 9):
    sys.exit("verify.pyz: expected Python 3.9 or newer, got " + sys.version.split()[0])

from server.evidence.command import main

sys.exit(main(program="verify.pyz"))
'''


def build(root: Path = ROOT) -> bytes:
    """The file's bytes."""
    names = {"agent/__init__.py", *MODULES}
    for folder in FOLDERS:
        names |= {f"{folder}/{path.name}" for path in (root / folder).glob("*.py")}
    out = io.BytesIO()
    out.write(SHEBANG)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in [("__main__.py", MAIN.encode()), *((name, (root / name).read_bytes()) for name in sorted(names))]:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, data)
    return out.getvalue()


def main(argv: Sequence[str] | None = None) -> int:
    """`python3 -m server.evidence.pyz FILE`: write verify.pyz."""
    description = "Write verify.pyz; the same sources give the same bytes."
    arguments = argparse.ArgumentParser("python3 -m server.evidence.pyz", description=description)
    arguments.add_argument("file", type=Path)
    options = arguments.parse_args(argv)
    data = build()
    options.file.write_bytes(data)
    options.file.chmod(0o755)
    sys.stdout.write(f"{options.file}: {len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
