"""Enrols a device: makes its state folder, and tells the server which key signs which journal.

    settings.toml          agent.config reads it
    enrolment.json         who this device is and whom it believes; written last: without it the folder is not enrolled
    tls/                   device.crt, device.key, ca.crt: towards broker and server
    evidence/              evidence.key (mode 600), evidence.crt: signs the journal, and nothing else

The server takes in `enrolments/<device>-<n>.json` from its data folder and writes the ledger's `enrol` line from it. That file is claimed
first: two enrolments at once get two numbers, and a number that was given is never given again, even if the device's folder was never
finished. Enrolment over the network (the device keeps its key to itself and sends PKCS#10) is left to the server's `enrol`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from agent.core import note, wire
from agent.core.errors import WireError
from provisioning import broker, files, keys, toml
from provisioning.deployment import Deployment
from provisioning.errors import BadName, EnrolmentError

MAX_ENROLMENTS = 1_000_000
"""Of one id; a search for the next number that goes beyond this has lost its way."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What was made: `folder` is the device's state folder, `certificate` the SHA-256 of the evidence certificate's DER."""

    folder: Path
    device: str
    n: int
    origin: str
    vkey: str
    certificate: str

    @property
    def settings(self) -> Path:
        """The agent's settings file."""
        return self.folder / "settings.toml"


def enrol(deployment: Deployment, device: str, folder: Path, settings: toml.Table | None = None) -> Enrolment:
    """Make a device's state folder and announce it to the server.

    `settings` go over the defaults: the board's drivers, the officer's number … BadName and EnrolmentError leave everything as it was.
    """
    _check(device)
    if (folder / "enrolment.json").exists():
        raise EnrolmentError(f"{folder}: a device is enrolled here already; a new enrolment needs a new folder")
    if folder.exists() and any(folder.iterdir()):
        raise EnrolmentError(f"{folder}: expected an empty folder, or none; a device's state is only made into a new one")
    evidence = files.folder(files.folder(folder, 0o700) / "evidence", 0o700)
    key = keys.create(evidence / "evidence.key")
    authority = deployment.authority
    n = _next(deployment, device)
    while True:
        origin = wire.origin(deployment.domain, device, n)
        certificate = authority.evidence(device, origin, key.public_key())
        enrolment = Enrolment(folder.resolve(), device, n, origin, keys.vkey(origin, key), _digest(certificate))
        try:
            files.claim(_announcement(deployment, device, n), files.text(_told_to_server(enrolment, certificate)))
        except FileExistsError:
            n += 1
            continue
        break
    files.write(evidence / "evidence.crt", certificate)
    tls = files.folder(folder / "tls", 0o700)
    issued = authority.client(device)
    files.write(tls / "device.key", issued.key, files.PRIVATE)
    files.write(tls / "device.crt", issued.certificate)
    files.write(tls / "ca.crt", authority.certificate_pem)
    write_settings(deployment, enrolment.device, folder, settings)
    files.write(folder / "enrolment.json", files.text(_told_to_device(enrolment, deployment)))
    return enrolment


def admit(deployment: Deployment, device: str) -> str:
    """Let a device go on in its next journal, under the key that it has; the new origin. EnrolmentError where it was never enrolled.

    A device whose past contradicts the server's begins that journal by itself and waits for this (docs/faults.md).
    """
    _check(device)
    n = _next(deployment, device)
    if n == 1:
        raise EnrolmentError(f"{device}: expected a device that was enrolled before, got none; is the id right?")
    said = json.loads(_announcement(deployment, device, n - 1).read_text("utf-8"))
    origin, key = wire.origin(deployment.domain, device, n), note.verifier(said["vkey"])
    said |= {"origin": origin, "vkey": note.vkey(origin, key.algorithm, key.key), "n": n}
    try:
        files.claim(_announcement(deployment, device, n), files.text(said))
    except FileExistsError:
        raise EnrolmentError(f"{device}: journal {n} was given a moment ago; look which one the device waits for") from None
    return origin


def revoke(deployment: Deployment, device: str) -> int:
    """Revoke the certificates of a device that was lost; how many. EnrolmentError where there is none: an id is soon mistyped."""
    _check(device)
    count = deployment.revoke(device)
    if not count:
        raise EnrolmentError(f"{device}: expected certificates that are not revoked already, got none; is the id right?")
    return count


def write_settings(deployment: Deployment, device: str, folder: Path, settings: toml.Table | None = None) -> None:
    """Write a device's settings file anew, for instance after the deployment moved to other ports."""
    defaults: toml.Table = {
        "server": {"url": f"https://{_bracketed(deployment.host)}:{deployment.ports.devices}"},
        "broker": {"host": deployment.host, "port": deployment.ports.broker},
        "overlay": {"device_number": device},
    }
    merged = toml.merge(defaults, settings or {})
    files.write(folder / "settings.toml", toml.write(merged, f"Settings of {device}; agent/config.py says what may stand here."))


def _check(device: str) -> None:
    try:
        wire.device_id(device)
    except WireError as error:
        raise BadName(f"device: expected 1 to {wire.MAX_DEVICE_ID} letters, digits and hyphens, got {device[:80]!r}") from error
    if device.lower().startswith(broker.RESERVED_PREFIX):
        raise BadName(f"device: names that begin with {broker.RESERVED_PREFIX!r} are the deployment's own, got {device!r}")


def _announcement(deployment: Deployment, device: str, n: int) -> Path:
    return deployment.server_folder / "enrolments" / f"{device}-{n}.json"


def _next(deployment: Deployment, device: str) -> int:
    pattern = re.compile(re.escape(device) + r"-([1-9][0-9]{0,5})\.json")
    matches = (pattern.fullmatch(path.name) for path in (deployment.server_folder / "enrolments").iterdir())
    n = max((int(match[1]) for match in matches if match), default=0) + 1
    if n >= MAX_ENROLMENTS:
        raise EnrolmentError(f"{device}: expected fewer than {MAX_ENROLMENTS} enrolments, got {n}")
    return n


def _digest(certificate: bytes) -> str:
    der = x509.load_pem_x509_certificate(certificate).public_bytes(serialization.Encoding.DER)
    return hashlib.sha256(der).hexdigest()


def _told_to_server(enrolment: Enrolment, certificate: bytes) -> Mapping[str, object]:
    return {
        "origin": enrolment.origin,
        "vkey": enrolment.vkey,
        "certificate": enrolment.certificate,
        "certificate_pem": certificate.decode(),
        "device": enrolment.device,
        "n": enrolment.n,
    }


def _told_to_device(enrolment: Enrolment, deployment: Deployment) -> Mapping[str, object]:
    return {
        "device": enrolment.device,
        "domain": deployment.domain,
        "n": enrolment.n,
        "origin": enrolment.origin,
        "vkey": enrolment.vkey,
        "certificate": enrolment.certificate,
        "keys": deployment.vkeys(),
    }


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
