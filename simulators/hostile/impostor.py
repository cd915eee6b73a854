"""An HTTPS server in the real one's place, with a certificate of the deployment's authority: it says yes to all and keeps nothing.

The worst that can stand behind a name: what it says is what a genuine server says. Only what is signed can't be had from it.
"""

from __future__ import annotations

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from simulators.network import Address

if TYPE_CHECKING:
    from provisioning.deployment import Deployment


class Impostor:
    """Runs until `close`. `swallowed` counts the bytes of media that it took."""

    def __init__(self, deployment: Deployment) -> None:
        self.swallowed = 0
        self.questions = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.swallowed += len(body)
                track = self.path.split("/")[-2]
                outer.say(self, 201, {"track": track, "first": 0, "end": 1, "bytes": len(body), "stored": 1})

            def do_GET(self) -> None:
                outer.questions += 1
                outer.say(self, 404, {"type": "urn:zhilu:no-checkpoint", "title": "none yet", "status": 404})

            def log_message(self, *_arguments: object) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.socket = _context(deployment).wrap_socket(self._server.socket, server_side=True)
        self.address = Address("127.0.0.1", self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def say(self, request: BaseHTTPRequestHandler, status: int, members: dict[str, object]) -> None:
        """Answer in the server's own words."""
        content = json.dumps(members).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json" if status < 400 else "application/problem+json")
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    def close(self) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()


def _context(deployment: Deployment) -> ssl.SSLContext:
    issued = deployment.authority.server("impostor", ["localhost", "127.0.0.1"])
    folder = deployment.folder / "impostor"
    folder.mkdir(exist_ok=True)
    (folder / "tls.crt").write_bytes(issued.certificate)
    (folder / "tls.key").write_bytes(issued.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_verify_locations(deployment.folder / "ca" / "ca.crt")
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    context.verify_mode = ssl.CERT_REQUIRED
    return context
