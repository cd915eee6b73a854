"""Child processes of the simulators: started, heard until they are ready, ended in order, never left behind.

Rules:
- A child runs on a leash (simulators.leash), in a session of its own: Ctrl-C at the terminal reaches the parent only, which
  ends its children in the right order.
- A child says that it is ready by one JSON line on standard output; whatever else it says goes to its log.
- Ending is SIGTERM, patience, SIGKILL; it reports which it took.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from simulators.errors import ProcessError

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parent.parent
"""Our packages have generic names: a child is always started where they lie."""

MAX_LINE_BYTES = 65_536
MAX_LOG_BYTES = 16_777_216
READY_WITHIN_S = 90.0
STOP_WITHIN_S = 60.0
"""Generous: two cores, and a recorder that ends a recording syncs its disk."""


class Child:
    """One running program."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name, self.log = name, log
        self._process = process

    @classmethod
    async def start(cls, name: str, arguments: Sequence[str], log: Path, *, ready: bool = False) -> tuple[Self, dict[str, Any]]:
        """Start `python -m <arguments>`; with `ready`, wait for its JSON line and give it back. ProcessError when it ends before."""
        with _opened(log) as said:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "simulators.leash", str(os.getpid()), sys.executable, "-m", *arguments,
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE if ready else said, stderr=said,
                cwd=ROOT, start_new_session=True, limit=MAX_LINE_BYTES,
            )  # fmt: skip
        child = cls(name, process, log)
        if not ready:
            return child, {}
        try:
            return child, await asyncio.wait_for(child._hear(), READY_WITHIN_S)
        except BaseException:
            await child.kill()
            raise

    @property
    def pid(self) -> int:
        """The program's process (the leash has become it)."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """How it ended (negative: by that signal); None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Until it ends; how it ended."""
        return await self._process.wait()

    async def stop(self, within_s: float = STOP_WITHIN_S) -> int:
        """Ask it to end, wait, and end it; how it ended. Twice does no harm."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
            try:
                return await asyncio.wait_for(self._process.wait(), within_s)
            except TimeoutError:
                return await self.kill()
        return self._process.returncode

    async def kill(self) -> int:
        """End it at once, as a power cut does."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        return await self._process.wait()

    def last_words(self, lines: int = 5) -> str:
        """The end of its log, for an error message."""
        try:
            return " / ".join(self.log.read_text("utf-8", "replace").strip().splitlines()[-lines:])
        except OSError:
            return ""

    async def _hear(self) -> dict[str, Any]:
        """Its ready line; lines that are not JSON objects are passed to the log."""
        output = self._process.stdout
        assert output is not None
        while line := await output.readline():
            with contextlib.suppress(ValueError):
                said = json.loads(line)
                if isinstance(said, dict):
                    self._drain = asyncio.create_task(self._rest(output))
                    return said
            with self.log.open("ab") as log:
                log.write(line)
        status = await self._process.wait()
        raise ProcessError(f"{self.name} ended with status {status} before it was ready; its log {self.log}: {self.last_words()}")

    async def _rest(self, output: asyncio.StreamReader) -> None:
        """What it says later goes to the log too, or its pipe would fill and stop it."""
        while piece := await output.read(MAX_LINE_BYTES):
            with self.log.open("ab") as log:
                log.write(piece)


def _opened(log: Path) -> BinaryIO:
    """The log to append to; one that has grown too large is put aside once."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > MAX_LOG_BYTES:
            log.replace(log.with_suffix(".old"))
    return log.open("ab")
