"""A real server's data folder with genuine recordings in it, put there through ingest itself."""

from __future__ import annotations

import hashlib
import json

from agent.core import merkle, note
from server.ingest.intake import Upload
from server.services import Services
from tests.server.conftest import Ingest
from tests.server.evidence.world import MEDIA, pem
from tests.server.virtual import Device, Recording


def switch_on(ingest: Ingest, device: Device) -> list[str]:
    """Enrol the device and write what stands before a recording; the governing leaf hashes."""
    services = ingest.services
    device.certificate = hashlib.sha256(b"certificate " + device.public).hexdigest()
    ingest.enrol(device)
    said = {"certificate_pem": pem(b"certificate " + device.public).decode()}
    (services.settings.path("enrolments") / f"{device.device}-{device.n}.json").write_text(json.dumps(said))
    device.line("enrol", **{name: device.enrolment[name] for name in ("origin", "vkey", "certificate")})
    leaves = [
        device.line("boot", format=1, boot=1, software="0.1.0", hardware="test", clean=True, lost={}),
        device.line("clock", source="ntp", offset=3, error=20),
        device.line("beacon", checkpoint=note.split(services.ledger.checkpoint())[0]),
    ]
    device.commit()
    return [merkle.leaf_hash(line).hex() for line in leaves]


def record(device: Device, governing: list[str], seconds: int = 4) -> Recording:
    """A recording of real media, committed."""
    made = device.start(governing=governing)
    device.track(made)
    device.fragment(made, MEDIA[0])
    for i in range(seconds):
        device.fragment(made, MEDIA[1 + i % 8])
    device.mark(made)
    device.stop(made)
    device.commit()
    return made


def send(ingest: Ingest, device: Device) -> None:
    """Replicate everything that the server does not have."""
    for payload in device.batches(ingest.services.logs.size(device.origin)):
        ingest.offer(device, payload)
    ingest.index()


def upload(ingest: Ingest, device: Device, recording: Recording, data: bytes | None = None, track: str = "front") -> None:
    """Send media as a device does, and let it be stored."""
    services: Services = ingest.services
    found = services.catalogue.find(f"{device.device}:{recording.recording}")
    one = Upload(services, found, services.catalogue.track(found.id, track), 0)
    one.feed(recording.media[track] if data is None else data)
    one.finish()
    one.settle()
    ingest.indexer.held()
    ingest.index()


def keys_of(services: Services) -> list[str]:
    """What an expert is given."""
    return [services.ledger.key.vkey, services.witness.key.vkey]


def stored(ingest: Ingest, device: Device, seconds: int = 4) -> Recording:
    """A recording that is recorded, replicated, uploaded, stored and anchored."""
    governing = switch_on(ingest, device)
    send(ingest, device)
    made = record(device, governing, seconds)
    send(ingest, device)
    upload(ingest, device, made)
    ingest.services.ledger.anchor()
    return made
