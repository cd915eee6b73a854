"""The agent that keeps nothing to itself: `python -m simulators.torture.outspoken FILE run --settings FILE`.

Each append is written into FILE, on a disk that keeps its power, in the moment in which it counts as durable and before anybody
else of the agent hears of it: as if broker and witness had it at once. Whatever stands there may have been published, and the judge
holds the recorder to all of it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from agent.__main__ import main
from agent.journal.journal import Journal
from agent.journal.story import Story
from simulators.torture.promises import Lines


class Outside:
    """The file of what was told, a JSON object a line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._told = max((one.first + len(one.lines) for one in told(path)), default=0)

    def tell(self, journal: Journal) -> None:
        """Everything up to the newest checkpoint that was not told yet, with that checkpoint."""
        size = journal.size
        first = min(max(self._told, journal.oldest), size)  # a card that forgot has fewer
        lines = [line.decode() for line in journal.lines(first, size)]
        record = json.dumps({"first": first, "lines": lines, "note": journal.checkpoint}).encode() + b"\n"
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            os.write(handle, record)  # in one piece: whoever is killed in it leaves a line that is none
        finally:
            os.close(handle)
        self._told = size


def told(path: Path) -> list[Lines]:
    """What has been told so far."""
    found = []
    for row in path.read_bytes().split(b"\n") if path.exists() else ():
        try:
            record = json.loads(row)
        except ValueError:
            continue
        found.append(Lines(record["first"], tuple(line.encode() for line in record["lines"]), record["note"]))
    return found


def listen(outside: Outside) -> None:
    """Stand behind every append of the journal."""
    append = Journal.append

    def told_at_once(journal: Journal, new: Sequence[bytes], story: Story | None = None) -> str:
        checkpoint = append(journal, new, story)
        outside.tell(journal)
        return checkpoint

    setattr(Journal, "append", told_at_once)  # noqa: B010 — of another module


if __name__ == "__main__":
    listen(Outside(Path(sys.argv[1])))
    sys.exit(main(sys.argv[2:]))
