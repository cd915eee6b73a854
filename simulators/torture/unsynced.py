"""The outspoken agent with a kernel that forgets every sync: `python -m simulators.torture.unsynced FILE run --settings FILE`.

The guard on real cuts: with this agent they must lose what was promised, or the disk is not really cut.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from agent.__main__ import main
from simulators.torture.outspoken import Outside, listen


def forget(fd: object) -> None:
    """Say that `fd` was synced."""


if __name__ == "__main__":
    for name in ("fsync", "fdatasync"):
        setattr(os, name, forget)
    listen(Outside(Path(sys.argv[1])))
    sys.exit(main(sys.argv[2:]))
