"""What a process that was killed wrote and never synced: the kernel shows it, and a power cut would still take it away.

Rules (docs/evidence-format.md, section 4):
- Recovery believes nothing that is not durable: lines that it adopts, a checkpoint that it relies on, fragments to which it
  gives a line, names of files and folders. So these are synced first. After a power cut that costs some empty syncs.
- What was written by `Files.replace` was synced before it got its name; only the name is left to do.
"""

from __future__ import annotations

from pathlib import Path

from agent.journal import segments
from agent.journal.checkpoints import NAME
from agent.journal.errors import disk
from hal.contracts import Files


def journal(files: Files, folder: Path, media: Path) -> None:
    """The newest lines, the checkpoints, and every name on the way to them and to the media."""
    present = files.list(folder)
    for name in [segments.path(folder, first).name for first in segments.firsts(files, folder)[-1:]] + [NAME]:
        if name in present:
            files.sync(folder / name)
    state = folder.parent.parent
    for one in (folder, folder.parent, state, media):
        if one == folder or files.list(one):
            files.sync_folder(one)


def track(files: Files, path: Path) -> None:
    """A track file, and the names that lead to it."""
    with disk("make durable", path):
        files.sync(path)
        files.sync_folder(path.parent)
        files.sync_folder(path.parent.parent)
