"""How the server listens: a connection that is accepted has what ends it when its device has vanished."""

from __future__ import annotations

import socket

from server.run import KEEPALIVE, _bound


def test_a_connection_that_is_accepted_is_asked_whether_it_still_lives():
    with _bound("devices", "127.0.0.1", 0) as listening:
        listening.listen()
        with socket.create_connection(listening.getsockname()), listening.accept()[0] as accepted:
            assert [accepted.getsockopt(*option) for option, _ in KEEPALIVE] == [value for _, value in KEEPALIVE]
