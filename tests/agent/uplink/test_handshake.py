"""What counts as an answer before anything is published, and what the device takes back."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from agent.core import wire
from agent.journal.journal import Journal
from agent.uplink.errors import Contradiction, NoAnswer
from agent.uplink.handshake import NO_CHECKPOINT, Agreed, Behind, Handshake
from agent.uplink.https import Https
from agent.uplink.inbox import Inbox
from hal.drivers.linux import Files

PROBLEM = "application/problem+json"


class Server:
    """Answers by path; a copy of a journal in the server's words."""

    def __init__(self, context: ssl.SSLContext, deployment) -> None:
        self.answers: dict[str, tuple[int, str, bytes]] = {}
        self.deployment = deployment
        self.base = f"/api/v1/journal/{deployment.name}/1"
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                status, kind, body = outer.answers.get(self.path, (404, PROBLEM, b'{"type": "urn:zhilu:not-found"}'))
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = False
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def says(self, body: bytes, status: int = 200, kind: str = "text/plain") -> None:
        self.answers[f"{self.base}/checkpoint"] = status, kind, body

    def holds(self, journal: Journal, first: int = 0) -> None:
        """The server has all of this journal, and gives its lines from `first` on in small batches."""
        self.says(self.cosigned(journal, journal.size))
        while first < journal.size:
            found = journal.batch(first, max_lines=7)
            assert found is not None
            batch = wire.encode_batch(first, found[0], self.cosigned(journal, first + len(found[0])).decode())
            self.answers[f"{self.base}/{first}"] = 200, "application/octet-stream", batch
            first += len(found[0])

    def cosigned(self, journal: Journal, size: int) -> bytes:
        return self.deployment.cosigned(size, journal.root_at(size))

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def server(authority, deployment) -> Iterator[Server]:
    one = Server(authority.context("zhilu-server", server=True), deployment)
    yield one
    one.close()


@pytest.fixture
def handshake(server, authority, deployment) -> Iterator[Handshake]:
    https = Https(server.url, authority.context(deployment.name), 20)
    yield Handshake(https, deployment.name, 1, Inbox(deployment.origin, deployment.keys))
    https.close()


@pytest.fixture
def copy(deployment, tmp_path) -> Journal:
    """The server's copy, which the test grows beside or beyond ours."""
    return Journal.open(tmp_path / "copy", deployment.origin, deployment.device, Files())


def grow(journal: Journal, count: int, word: str = "a") -> None:
    for number in range(count):
        journal.append([b'{"%s":%d}' % (word.encode(), journal.size + number)])


def test_a_server_that_has_nothing_yet_agrees(handshake, server, journal):
    grow(journal, 3)
    server.says(b'{"type": "%s", "status": 404}' % NO_CHECKPOINT.encode(), 404, PROBLEM)
    assert handshake.ask(journal, 0) == Agreed(0)


def test_a_server_that_has_a_part_agrees_there(handshake, server, journal):
    grow(journal, 5)
    server.says(server.cosigned(journal, 3))
    answer = handshake.ask(journal, 2)
    assert (answer.size, answer.news.size, answer.forgot) == (3, 3, 0)


def test_a_server_that_has_more_gives_our_lines_back(handshake, server, journal, copy):
    for one in (journal, copy):
        grow(one, 5)
    grow(copy, 30)
    server.holds(copy, first=5)
    answer = handshake.ask(journal, 5)
    assert isinstance(answer, Behind)
    assert (answer.first, answer.lines) == (5, copy.lines(5, 35))


def test_lines_that_part_below_our_end_are_fetched_too(handshake, server, journal, copy):
    """A card that forgot three lines and then wrote five others is longer than the server's copy, and still behind."""
    for one in (journal, copy):
        grow(one, 5)
    grow(copy, 3, "lost")
    grow(journal, 5, "new")
    server.holds(copy, first=5)
    answer = handshake.ask(journal, 5)
    assert isinstance(answer, Behind)
    assert answer.lines == copy.lines(5, 8)


def test_a_server_that_forgot_is_served_again(handshake, server, journal):
    grow(journal, 5)
    server.says(server.cosigned(journal, 3))
    assert handshake.ask(journal, 5).forgot == 2
    server.says(b'{"type": "%s"}' % NO_CHECKPOINT.encode(), 404, PROBLEM)
    assert handshake.ask(journal, 5) == Agreed(0, forgot=5)


def test_other_lines_below_what_was_cosigned_contradict(handshake, server, journal, copy):
    grow(journal, 5)
    grow(copy, 3, "other")
    server.says(server.cosigned(copy, 3))
    with pytest.raises(Contradiction):
        handshake.ask(journal, 5)


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (404, PROBLEM, b'{"type": "urn:zhilu:unknown-origin"}'),
        (404, "text/html", b"<h1>Not Found</h1>"),
        (404, PROBLEM, b'"urn:zhilu:no-checkpoint"'),
        (302, "text/html", b""),
        (401, PROBLEM, b"{}"),
        (403, PROBLEM, b"{}"),
        (500, PROBLEM, b"{}"),
        (503, PROBLEM, b"{}"),
        (200, "text/html", b"<h1>Welcome to the hotel's network</h1>"),
        (200, "text/plain", b""),
        (200, "text/plain", b"\xff\xfe"),
        (200, "text/plain", b"a" * 2_000_000),
    ],
)
def test_nothing_else_is_an_answer(handshake, server, journal, status, kind, body):
    grow(journal, 2)
    server.says(body, status, kind)
    with pytest.raises(NoAnswer):
        handshake.ask(journal, 0)


def test_a_note_that_we_or_the_witness_did_not_sign_is_no_answer(handshake, server, journal, deployment, new_key):
    grow(journal, 2)
    server.says(journal.checkpoint_at(2).encode())
    with pytest.raises(NoAnswer, match="signatures"):
        handshake.ask(journal, 0)
    deployment.device = new_key(deployment.origin)
    server.says(deployment.cosigned(2, journal.root_at(2)))
    with pytest.raises(NoAnswer, match="missing"):
        handshake.ask(journal, 0)


@pytest.mark.parametrize(
    "answer",
    [
        (404, PROBLEM, b"{}"),
        (200, "application/octet-stream", b"nothing"),
        (200, "application/octet-stream", b""),
    ],
)
def test_lines_that_do_not_come_are_no_answer(handshake, server, journal, copy, answer):
    grow(copy, 5)
    server.holds(copy)
    server.answers[f"{server.base}/0"] = answer
    with pytest.raises(NoAnswer):
        handshake.ask(journal, 0)


def test_a_batch_without_progress_is_no_answer(handshake, server, journal, copy):
    grow(copy, 5)
    server.holds(copy)
    server.answers[f"{server.base}/0"] = 200, "application/octet-stream", wire.encode_batch(0, [], copy.checkpoint_at(5))
    with pytest.raises(NoAnswer):
        handshake.ask(journal, 0)


def test_lines_that_do_not_give_the_root_are_no_answer(handshake, server, journal, copy):
    grow(copy, 5)
    server.holds(copy)
    lines = copy.lines(0, 5)
    lines[2] = b'{"bent":1}'
    server.answers[f"{server.base}/0"] = 200, "application/octet-stream", wire.encode_batch(0, lines, copy.checkpoint_at(5))
    with pytest.raises(NoAnswer, match="root"):
        handshake.ask(journal, 0)


def test_no_server_is_no_answer(deployment, authority, journal, free_port):
    https = Https(f"https://127.0.0.1:{free_port()}", authority.context(deployment.name), 5)
    with pytest.raises(NoAnswer, match="checkpoint"):
        Handshake(https, deployment.name, 1, Inbox(deployment.origin, deployment.keys)).ask(journal, 0)
    https.close()


def test_a_server_of_another_authority_is_no_answer(server, deployment, authority, journal, tmp_path):
    other = type(authority)(tmp_path)
    https = Https(server.url, other.context(deployment.name), 20)
    with pytest.raises(NoAnswer, match=r"(?i)certificate"):
        Handshake(https, deployment.name, 1, Inbox(deployment.origin, deployment.keys)).ask(journal, 0)
    https.close()
