"""The server's own start on a disk that was cut on paper: its databases are recovered, its catalogue filled, its receipts sent.

The broker is a list. What the start tells on top of what was told before is judged with it, on the disk that it leaves.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from server import config
from server.errors import ServerError
from server.ingest.indexer import Indexer
from server.ingest.receipts import Receipts
from server.services import open_services
from simulators.torture.judge import Findings
from simulators.torture.kernel import Image
from simulators.torture.store import Judge, media_of
from simulators.torture.told import Told, Truth

PRIVATE = 0o600


def restarted(folder: Path, image: Image, devices: list[tuple[Truth, Told]], domain: str) -> Findings:
    """Start on this disk, let the server do all it has to do by itself, and judge."""
    _write(folder, image)

    def publish(topic: str, payload: bytes, *, retain: bool) -> bool:
        for truth, told in devices:
            if topic.split("/")[1] == truth.device:
                told.published(topic, payload.decode())
        return not retain

    try:
        with open_services(config.load(folder / "settings.toml")) as services:
            indexer = Indexer(services, Receipts(services.ledger, services.catalogue, publish, services.metrics))
            indexer.held()
            while indexer.step():
                pass
    except ServerError as error:
        findings = Findings()
        findings.hidden(f"the server does not start on this disk: {error}")
        return findings
    return Judge(folder, domain).judge(devices, media_of(folder))


def _write(folder: Path, image: Image) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in sorted(image.folders):
        (folder / name).mkdir(parents=True)
    for name, data in image.files.items():
        path = folder / name
        path.write_bytes(data)
        path.chmod(PRIVATE)
