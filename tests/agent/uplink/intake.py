"""A media intake over real HTTPS with mutual TLS, tracks in memory, and an uploader whose clock the test moves."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from agent.uplink.https import Https
from agent.uplink.ports import Surroundings
from agent.uplink.upload import Uploader, UploadSettings

RECORDING = "01HZY0000000000000000000AB"


@dataclass(frozen=True)
class Piece:
    """A fragment that waits (`agent.uplink.ports.Fragment`)."""

    recording: str
    track: str
    seq: int
    offset: int
    bytes: int
    sha256: str
    pts: int = 0
    duration: int = 1_000


class Disk:
    """Tracks in memory: the fragments that wait, and their bytes."""

    def __init__(self) -> None:
        self.waiting: list[Piece] = []
        self.content: dict[Piece, bytes] = {}
        self.ends: dict[tuple[str, str], int] = {}
        self.stopped: list[str] = []
        self.earlier: set[str] = set()

    def add(self, size: int, track: str = "front", recording: str = RECORDING) -> Piece:
        data = random.Random(len(self.content)).randbytes(size)
        offset = self.ends.get((recording, track), 0)
        seq = sum(piece.track == track and piece.recording == recording for piece in self.content)
        piece = Piece(recording, track, seq, offset, size, hashlib.sha256(data).hexdigest())
        self.ends[recording, track] = offset + size
        self.waiting.append(piece)
        self.content[piece] = data
        return piece

    def pending(self, limit: int) -> list[Piece]:
        return self.waiting[:limit]

    def sent(self, fragments) -> None:
        self.waiting = [piece for piece in self.waiting if piece not in fragments]

    def unsent(self, fragments) -> None:
        self.waiting = sorted({*self.waiting, *fragments}, key=lambda piece: (piece.track, piece.seq))

    def of(self, recording: str, *, sent: bool) -> list[Piece]:
        return [piece for piece in self.content if piece.recording == recording and (piece not in self.waiting) == sent]

    def unproved(self) -> list[str]:
        return self.stopped

    def uncertain(self, recording: str) -> bool:
        found = recording in self.earlier
        self.earlier.discard(recording)
        return found

    def read(self, piece) -> bytes:
        return self.content[piece]

    def file(self, track: str = "front") -> bytes:
        return b"".join(data for piece, data in self.content.items() if piece.track == track)


class Notebook:
    """Whom the uploader tells."""

    def __init__(self) -> None:
        self.damage: list[Piece] = []
        self.mismatches: list[Piece] = []

    def damaged(self, fragment, _detail) -> None:
        self.damage.append(fragment)

    def mismatch(self, fragment, _detail) -> None:
        self.mismatches.append(fragment)


class Intake:
    """A media intake that keeps what it is given; `answers` are given first, each once."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.files: dict[str, bytearray] = {}
        self.requests: list[tuple[str, int]] = []
        self.answers: list[tuple[int, str, bytes]] = []
        self.subjects: set[str] = set()
        self.before: Callable[[], None] = lambda: None
        self.held: dict[str, list[list[int]]] = {}
        self.asked: list[str] = []
        self.about: list[tuple[int, str, bytes]] = []
        self.break_after: int | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                outer.take(self)

            def do_GET(self) -> None:
                outer.tell(self)

            def log_message(self, *_arguments) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = False
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def take(self, request: BaseHTTPRequestHandler) -> None:
        self.before()
        if self.break_after is not None:
            request.rfile.read(self.break_after)
            self.break_after, request.close_connection = None, True
            request.connection.shutdown(socket.SHUT_RDWR)
            return
        body = request.rfile.read(int(request.headers["Content-Length"]))
        self.requests.append((request.path, len(body)))
        self.subjects.add(dict(pair[0] for pair in request.connection.getpeercert()["subject"])["commonName"])
        want = base64.b64encode(hashlib.sha256(body).digest()).decode()
        assert request.headers["Content-Digest"] == f"sha-256=:{want}:"
        said = json.dumps({"track": "front", "bytes": len(body), "stored": 1}).encode()
        status, kind, answer = self.answers.pop(0) if self.answers else (201, "application/json", said)
        if status == 201:
            track, offset = request.path.rpartition("/")[0], int(request.path.rpartition("/")[2])
            file = self.files.setdefault(track, bytearray())
            file.extend(bytes(max(offset + len(body) - len(file), 0)))
            file[offset : offset + len(body)] = body
        self.answer(request, status, kind, answer)

    def tell(self, request: BaseHTTPRequestHandler) -> None:
        """What is held of a recording."""
        recording = request.path.rpartition("/")[2]
        self.asked.append(recording)
        tracks = [{"track": track, "held": ranges} for track, ranges in self.held.items()]
        said = json.dumps({"device": "x", "recording": recording, "state": "stopped", "tracks": tracks}).encode()
        self.answer(request, *(self.about.pop(0) if self.about else (200, "application/json", said)))

    def answer(self, request: BaseHTTPRequestHandler, status: int, kind: str, answer: bytes) -> None:
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(answer)))
        request.end_headers()
        request.wfile.write(answer)

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Bench:
    """An uploader with a clock that the test moves."""

    def __init__(self, url: str, context: ssl.SSLContext, name: str) -> None:
        self.now = 0
        self.disk: Any = Disk()
        self.book: Any = Notebook()
        self.https = Https(url, context, 20)
        self.networks = {"lo"}
        self.running: str | None = None
        self.name = name
        self.uploader = self.make()

    def make(self, **changes) -> Uploader:
        around = Surroundings(lambda: self.now, lambda: 0, lambda: 1.0)
        settings = UploadSettings(self.name, **changes)
        self.uploader = Uploader(
            self.https, self.disk, self.disk.read, self.book, settings, around, networks=lambda: self.networks, running=lambda: self.running
        )
        return self.uploader

    def until_idle(self) -> None:
        while self.uploader.step():
            pass
