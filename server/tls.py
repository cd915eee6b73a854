"""Mutual TLS towards devices, and which device a request comes from.

Uvicorn does not show the client certificate to the application. `DeviceProtocol` is its httptools protocol with one addition: the
common name of the verified certificate stands in the scope as `device`. It rests on two methods of that class
(`connection_made`, `on_message_begin`); a test with real TLS holds the installed release to it.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

from fastapi import Request
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from server.config import Settings
from server.errors import SettingsError
from server.problems import Problem

SCOPE_KEY = "device"


class DeviceProtocol(HttpToolsProtocol):
    """HTTP from devices: each request carries the name in its client's certificate."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Remember who this connection belongs to: TLS has verified the certificate before."""
        super().connection_made(transport)
        self._device = common_name(transport.get_extra_info("peercert"))

    def on_message_begin(self) -> None:
        """Put the name into each request's scope."""
        super().on_message_begin()
        self.scope[SCOPE_KEY] = self._device  # type: ignore[literal-required]


def common_name(certificate: Any) -> str | None:
    """The one common name in a certificate as `ssl` shows it; None where there is none, or more than one."""
    subject = (certificate or {}).get("subject", ())
    names = [value for part in subject for name, value in part if name == "commonName"]
    return names[0] if len(names) == 1 else None


def own_device(request: Request, device: str) -> str:
    """The device in the path, when the request comes from it; Problem otherwise."""
    caller = request.scope.get(SCOPE_KEY)
    if caller is None:
        raise Problem("no-certificate", "expected a client certificate with one common name")
    if caller != device:
        raise Problem("not-yours", f"the certificate is of {caller}, the path names {device[:80]}")
    return device


def context(settings: Settings) -> ssl.SSLContext:
    """TLS 1.2 or newer, for clients with a certificate of the deployment's authority only."""
    paths = [settings.path(name) for name in (settings.devices.ca, settings.devices.certificate, settings.devices.key)]
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.verify_mode = ssl.CERT_REQUIRED
    made.num_tickets = 0  # nobody resumes: each would carry the client's certificate back, seconds of a slow line
    try:
        made.load_verify_locations(paths[0])
        made.load_cert_chain(paths[1], paths[2])
    except OSError as e:
        raise SettingsError(f"devices: expected PEM files in {', '.join(str(path) for path in paths)}, got: {e}") from e
    return made
