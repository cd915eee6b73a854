"""Certificates that were taken back: the authority's list, heeded towards devices over HTTPS as the broker heeds its own copy.

Rules:
- The list is the file `devices.crl`, which provisioning writes; without that setting nobody is asked for. It is read again when it
  has changed, so that locking out a thief takes no restart.
- Each *request* is looked at, not only each connection: one that was open when its certificate was revoked is no way in either.
- A list that can't be read, or that our authority did not sign, ends the start; later the old one stays in force, and the log
  says so until it is mended.

A journal's end is another thing (`server.ledger.enrolments`): a device that is enrolled anew goes on under its name, and whoever
has its old key must not read what it writes.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from cryptography import x509
from cryptography.exceptions import InternalError, UnsupportedAlgorithm

from server.config import Settings
from server.errors import SettingsError
from server.tls import SCOPE_KEY, DeviceProtocol, common_name

log = logging.getLogger(__name__)

TICK_S = 1.0


class Revocations:
    """The serial numbers that are on the list."""

    def __init__(self, settings: Settings) -> None:
        name = settings.devices.crl
        self._list = settings.path(name) if name else None
        self._authority = settings.path(settings.devices.ca)
        self._mark: tuple[int, int, int] | None = None
        self._serials: frozenset[int] = frozenset()
        self.step()

    def __contains__(self, serial: int | None) -> bool:
        """Whether a certificate with this serial number was taken back."""
        return serial in self._serials

    def step(self) -> bool:
        """Read the list where it has changed; whether it has. SettingsError where it is none of ours: the old one stays."""
        if self._list is None:
            return False
        try:
            status = self._list.stat()
            mark = (status.st_mtime_ns, status.st_size, status.st_ino)
            if mark == self._mark:
                return False
            found = x509.load_pem_x509_crl(self._list.read_bytes())
            authority = x509.load_pem_x509_certificate(self._authority.read_bytes())
            signed = found.is_signature_valid(authority.public_key())  # type: ignore[arg-type]  # an authority's key signs
            serials = frozenset(entry.serial_number for entry in found)
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm, InternalError, x509.InvalidVersion) as e:
            raise SettingsError(f"devices: expected a revocation list in {self._list}, got: {e}") from e
        if not signed:
            raise SettingsError(f"devices: {self._list} is not signed by the authority in {self._authority}")
        self._serials = serials
        self._mark = mark
        return True


def serial_number(certificate: Any) -> int | None:
    """The serial number of a certificate as `ssl` shows it."""
    text = (certificate or {}).get("serialNumber")
    return int(text, 16) if isinstance(text, str) else None


def protocol(revoked: Revocations) -> type[DeviceProtocol]:
    """HTTP from devices, in which a revoked certificate is none."""

    class Listed(DeviceProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            """Remember the certificate's number too."""
            super().connection_made(transport)
            certificate = transport.get_extra_info("peercert")
            self._serial, self._name = serial_number(certificate), common_name(certificate)

        def on_message_begin(self) -> None:
            """Take the name out of the scope of who was locked out."""
            super().on_message_begin()
            if self._serial in revoked:
                log.warning("%s: refused: its certificate %x was revoked", self._name, self._serial)
                self.scope[SCOPE_KEY] = None  # type: ignore[literal-required]

    return Listed
