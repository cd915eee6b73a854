"""What can go wrong between a fragment and its line on the disk.

JournalError (AgentError)
├── BadLine         a line, a name or a figure can't be written; nothing was
├── OutOfOrder      a line without meaning here: a fragment of a track that never began, a second start, …
├── Storage
│   ├── DiskFull    no space left
│   └── DiskFault   the disk does not read, write or sync, or became read-only
├── Damaged         lines, ranges or checkpoints do not fit together: recovery decides
├── Lost            nothing that was signed fits what is on the disk: only journal n+1 can go on
└── Contradiction   the server's lines and ours exclude each other: both are kept, recording goes on in journal n+1

After any of them the journal is what it was before the call.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.errors import AgentError


class JournalError(AgentError):
    """Something could not be put on record; the message says which thing, expected and got."""


class BadLine(JournalError):
    """A line can't be written as it was asked for; nothing was."""


class OutOfOrder(JournalError):
    """A line would have no meaning at this place of the journal."""


class Storage(JournalError):
    """The disk refused; `errno` is the system's number."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.errno = number


class DiskFull(Storage):
    """No space is left for evidence: recording must stop, with an alarm."""


class DiskFault(Storage):
    """The disk does not read, write or sync any more, or it became read-only."""


class Damaged(JournalError):
    """What is on the disk does not fit together; recovery decides what counts."""


class Lost(JournalError):
    """No signed state fits what is on the disk: begin journal n+1 and keep this one."""


class Contradiction(JournalError):
    """The server's copy and ours exclude each other: keep both and go on in journal n+1."""


def storage_error(what: str, path: Path, error: OSError) -> Storage:
    """The system's error as ours: what was tried, on which file, and what to do."""
    number = error.errno or 0
    if number in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"{what} {path.name}: no space left; stop recording, and free space by proved uploads", number)
    return DiskFault(f"{what} {path.name}: {error.strerror or error}; check the card and the mount", number)


@contextmanager
def disk(what: str, path: Path) -> Iterator[None]:
    """Run disk operations; their OSError becomes ours."""
    try:
        yield
    except OSError as error:
        raise storage_error(what, path, error) from error
