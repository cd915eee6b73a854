"""Takes in `enrolments/<device>-<n>.json`, which provisioning writes: each becomes an `enrol` line of the ledger, once.

What was refused is said once for each content of the file and looked at again when the file changes.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from pathlib import Path
from typing import Any

from agent.core import wire
from agent.core.errors import CoreError
from server.database import Writer
from server.errors import EnrolmentRefused, StorageError
from server.ledger.enrolments import Enrolments

log = logging.getLogger(__name__)

MAX_FILE = 65536
MEMBERS = ("origin", "vkey", "certificate")


class Intake:
    """Watches the folder; `step` is called at the start, at every tick, and when a device asks that nobody knows yet."""

    def __init__(self, folder: Path, domain: str, enrolments: Enrolments, writer: Writer) -> None:
        self._folder, self._domain, self._enrolments, self._writer = folder, domain, enrolments, writer
        self._seen: dict[str, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def step(self) -> int:
        """Take in what is new; how many journals the ledger now lists more."""
        count = 0
        with self._lock:
            for entry in self._files():
                status = entry.stat()
                mark = (status.st_mtime_ns, status.st_size)
                if self._seen.get(entry.name) != mark:
                    self._seen[entry.name] = mark
                    count += self._take(Path(entry.path))
        return count

    def _files(self) -> list[os.DirEntry[str]]:
        """By name. A folder that is read every second is read without making a path of every file."""
        try:
            with os.scandir(self._folder) as entries:
                return sorted((entry for entry in entries if entry.name.endswith(".json")), key=lambda entry: entry.name)
        except FileNotFoundError:
            return []

    def _take(self, path: Path) -> bool:
        try:
            device, members = read(path, self._domain)
            new = self._writer.call(lambda transaction: self._enrolments.stage_enrol(transaction, device, members))
        except (EnrolmentRefused, CoreError) as e:
            log.warning("%s: refused: %s", path.name, e)
            return False
        except StorageError:
            del self._seen[path.name]
            raise
        if new:
            log.info("%s: %s is enrolled", path.name, members["origin"])
        return new


def read(path: Path, domain: str) -> tuple[str, dict[str, str]]:
    """(device, members of the `enrol` line) in a file; EnrolmentRefused says what is wrong with it."""
    try:
        data = path.read_bytes()
        said: Any = json.loads(data) if len(data) <= MAX_FILE else None
    except (OSError, ValueError, RecursionError) as e:
        raise EnrolmentRefused(f"expected JSON: {e}") from e
    if not isinstance(said, dict) or not all(isinstance(said.get(name), str) for name in MEMBERS):
        raise EnrolmentRefused(f"expected an object with {', '.join(MEMBERS)} as text")
    members = {name: said[name] for name in MEMBERS}
    owner, device, _ = wire.parse_origin(members["origin"])
    if owner != domain:
        raise EnrolmentRefused(f"{members['origin']} belongs to {owner}, this is {domain}")
    if members["vkey"].split("+")[0] != members["origin"]:
        raise EnrolmentRefused(f"the vkey is named {members['vkey'].split('+')[0]}, expected {members['origin']}")
    digest = members["certificate"]
    if len(digest) != 64 or digest.strip("0123456789abcdef"):
        raise EnrolmentRefused(f"certificate: expected a lower-case hex SHA-256, got {digest[:80]!r}")
    return device, members
