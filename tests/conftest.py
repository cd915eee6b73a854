"""What every room's tests share: free ports, and hypothesis settings for busy machines."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings

# Two cores shared by many: a deadline would measure the neighbours. `HYPOTHESIS_PROFILE=long` looks harder.
settings.register_profile("default", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", deadline=None, max_examples=5_000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture
def free_port() -> Iterator[Callable[[], int]]:
    """Give free loopback ports.

    Each stays bound, not listening, until the test asks for the next one or ends, so that one test never gets a port twice; SO_REUSEADDR
    on both sides lets the program under test have it.
    """
    held: list[socket.socket] = []

    def take() -> int:
        holder = socket.socket()
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        held.append(holder)
        port: int = holder.getsockname()[1]
        return port

    yield take
    for holder in held:
        holder.close()
