"""What a process that was killed wrote and never synced: the kernel shows it, and a power cut would still take it away.

Rules (docs/evidence-format.md, section 4):
- Recovery believes nothing that is not durable: lines that it adopts, fragments to which it gives a line, names of files and
  folders. So these are synced first. After a power cut that costs some empty syncs.
- A checkpoint may still vanish: the `boot` line gets one over the same lines before anything leaves the device.
- What was written by `Files.replace` was synced before it got its name; only the name is left to do.
"""

from __future__ import annotations

from pathlib import Path

from agent.journal import segments
from agent.journal.errors import disk
from hal.contracts import Files


def journal(files: Files, folder: Path) -> None:
    """The newest lines, and every name from the state folder down to them.

    The state folder holds the names of the other folders too: whoever fills them finds them there, and can't know that their
    names are not durable.
    """
    for first in segments.firsts(files, folder)[-1:]:
        files.sync(segments.path(folder, first))
    for one in (folder, folder.parent, folder.parent.parent):
        files.sync_folder(one)


def track(files: Files, path: Path) -> None:
    """A track file, longer or shorter than it durably is, and its name; its folder's was durable before the first byte was written."""
    with disk("make durable", path):
        files.sync(path)
        files.sync_folder(path.parent)
