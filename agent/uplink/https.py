"""HTTP towards the server: mutual TLS, no redirects, a time limit on everything; httpx's errors become ours here.

Only the status that a request asked for is success. 401, 403, 5xx, a redirect or a page of some proxy in between is not.

The time limit is for each piece of the way, so that a slow line is no dead one; where it is passed, the next request has three times
as long, until one has been answered; and the kernel is handed little before the network
takes it, or the wait for an answer would begin while most of a request is still on this side of a slow line.

httpx is imported when somebody first asks for something: it takes longer than recovery, and a recorder must be armed before it
talks.
"""

from __future__ import annotations

import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any

from agent.uplink.errors import NoAnswer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import httpx

MAX_ANSWER_BYTES = 1_048_576
CONNECT_TIMES = 3
"""A connection may take so many time limits: TCP and TLS count as one piece, and take half a minute at 1 kbit/s."""

PATIENCE = 3
"""After a time limit was passed: at 1 kbit/s even a short answer comes late."""

UNSENT_BYTES = 16_384
"""What the kernel takes beyond what is on its way (tcp(7), TCP_NOTSENT_LOWAT): one TLS record."""

MAX_SHOWN = 300
"""Characters of an error answer that go into a log line."""


def tls_context(ca: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    """Mutual TLS 1.2 or newer, trusting this deployment's authority only; NoAnswer names the file that can't be used."""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(ca)
        context.load_cert_chain(certificate, key)
    except OSError as error:  # ssl.SSLError is one
        raise NoAnswer(f"tls: {ca}, {certificate} and {key} must be PEM files that belong together: {error}") from error
    return context


class Https:
    """The server at one address. May be used by several threads at once."""

    def __init__(self, url: str, tls: ssl.SSLContext, timeout_s: float) -> None:
        self._url, self._tls, self._timeout_s, self._patience = url, tls, timeout_s, 1
        self._client: httpx.Client | None = None
        self._lock = threading.Lock()

    def _connections(self) -> httpx.Client:
        """The client, made when it is first asked for."""
        import httpx

        with self._lock:
            if self._client is None:
                self._client = httpx.Client(
                    base_url=self._url,
                    transport=httpx.HTTPTransport(
                        verify=self._tls,
                        trust_env=False,
                        limits=httpx.Limits(max_connections=16, keepalive_expiry=30),
                        socket_options=[
                            (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
                            (socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES),
                        ],
                    ),
                    follow_redirects=False,
                    trust_env=False,
                )
            return self._client

    def request(self, method: str, path: str, body: Iterable[bytes] | bytes | None = None, **headers: str) -> tuple[int, str, bytes]:
        """(status, content type, body) of the answer, at most 1 MiB; NoAnswer where there is none."""
        import httpx

        names = {name.replace("_", "-"): value for name, value in headers.items()}
        limit = httpx.Timeout(self._timeout_s * self._patience, connect=self._timeout_s * CONNECT_TIMES)
        try:
            with self._connections().stream(method, path, content=body, headers=names, timeout=limit) as answer:
                content = _limited(answer)
            self._patience = 1
            return answer.status_code, answer.headers.get("content-type", ""), content
        except (httpx.ReadTimeout, httpx.WriteTimeout) as error:
            self._patience = PATIENCE
            raise NoAnswer(f"{method} {path}: {type(error).__name__}: {error}") from error
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
            raise NoAnswer(f"{method} {path}: {type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            if self._client is not None:
                self._client.close()


def _limited(answer: httpx.Response) -> bytes:
    content = bytearray()
    for piece in answer.iter_bytes():
        content += piece
        if len(content) > MAX_ANSWER_BYTES:
            raise NoAnswer(f"{answer.request.method} {answer.request.url.path}: expected at most {MAX_ANSWER_BYTES} bytes in answer")
    return bytes(content)


def shown(body: bytes) -> str:
    """The beginning of an error answer (RFC 9457 problem details, or whatever a proxy said) for a log line."""
    return body[:MAX_SHOWN].decode("utf-8", "replace")


def json_object(content_type: str, body: bytes) -> dict[str, Any] | None:
    """The JSON object of an answer, None where it is something else."""
    import json

    if content_type.partition(";")[0].strip() not in {"application/json", "application/problem+json"}:
        return None
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):  # whoever answers decides how deep it is nested
        return None
    return found if isinstance(found, dict) else None
