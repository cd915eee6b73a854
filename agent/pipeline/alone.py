"""One agent at a time on a state folder: two would write two pasts into one journal, and the server would call that a contradiction.

The lock is the kernel's (flock): it ends with the process, however that ends. Who holds a *copy* of the folder is found by the
server (evidence-format, section 5), not here.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.errors import AgentError, Occupied

NAME = "agent.lock"


@contextmanager
def on(state: Path) -> Iterator[None]:
    """Hold the state folder; Occupied while another agent does, AgentError where nothing can be written there."""
    try:
        held = (state / NAME).open("ab")
    except OSError as error:
        raise AgentError(f"state folder {state}: nothing can be written there: {error.strerror}") from error
    with held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Occupied(f"state folder {state}: another agent runs on it; end that one first") from error
        yield
