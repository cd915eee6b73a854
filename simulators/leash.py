"""Starts a program that ends when its parent does: `python -m simulators.leash PARENT PROGRAM …`.

A demonstration that is killed outright must not leave recorders running. The kernel ends the child when the thread that
started it ends (prctl PR_SET_PDEATHSIG, kept over execve), so: started from the parent's main thread. Linux only; elsewhere
the program simply runs. PARENT is the parent's process id: one that ended before the leash was on is found out by it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Become the program; what is wrong with it, the caller hears from the system."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != int(arguments[0]):
            sys.exit(1)  # the parent ended in between: nobody would end us any more
    os.execvp(arguments[1], arguments[1:])  # noqa: S606 — this is what it is for


if __name__ == "__main__":
    main(sys.argv[1:])
