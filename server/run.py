"""Runs the server in this process: two uvicorn servers in one event loop, until SIGTERM or Ctrl-C.

When both listen, one line of JSON on standard output says where: {"device_port": …, "console_port": …}.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import uvicorn
import uvloop

from server import app, revocations, tls
from server.config import Settings
from server.errors import SettingsError

log = logging.getLogger(__name__)

GRACE_S = 5
"""How long requests that run are let finish."""
MAX_CONNECTIONS = 4096
KEEPALIVE = (
    ((socket.SOL_SOCKET, socket.SO_KEEPALIVE), 1),
    ((socket.IPPROTO_TCP, socket.TCP_KEEPIDLE), 60),
    ((socket.IPPROTO_TCP, socket.TCP_KEEPINTVL), 15),
    ((socket.IPPROTO_TCP, socket.TCP_KEEPCNT), 4),
)
"""Devices vanish without a word, and each leaves a connection behind: the kernel ends it after two minutes (tcp(7))."""
IDLE_S = 75
"""How long a device's connection may be idle: longer than a recorder keeps one (`agent.uplink.https`), so that it is never the server
that ends it. A request of megabytes that meets the end of its connection has gone in vain, and goes again."""


class Server(uvicorn.Server):
    """One of several in a loop: signals belong to whoever runs them all. `listening` is set once it does."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


def run(settings: Settings) -> None:
    """Run until told to stop."""
    context, revoked = tls.context(settings), revocations.Revocations(settings)
    with contextlib.ExitStack() as stack:
        sockets = {
            name: stack.enter_context(_bound(name, section.host, section.port))
            for name, section in (("devices", settings.devices), ("console", settings.console))
        }
        line = stack.enter_context(app.open_line(settings))
        line.daemons.every("revocations", revocations.TICK_S, revoked.step)
        apps = app.build(line)
        device = _config(
            apps.device,
            http=revocations.protocol(revoked),
            ssl_context_factory=lambda _config, _default: context,
            timeout_keep_alive=IDLE_S,
        )
        console = _config(apps.console, http="httptools")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve({"devices": Server(device), "console": Server(console)}, sockets))


def _config(application: Any, **more: Any) -> uvicorn.Config:
    """What both have in common, and more."""
    return uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        limit_concurrency=MAX_CONNECTIONS,
        **more,
    )


async def _serve(servers: dict[str, Server], sockets: dict[str, socket.socket]) -> None:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for server in servers.values():
            server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    tasks = [asyncio.create_task(server.serve([sockets[name]])) for name, server in servers.items()]
    listening = [asyncio.create_task(server.listening.wait()) for server in servers.values()]
    waiting: list[asyncio.Future[None]] = [asyncio.create_task(_all(listening)), *tasks]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    ports = {"device_port": sockets["devices"].getsockname()[1], "console_port": sockets["console"].getsockname()[1]}
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    gc.collect()
    gc.freeze()  # what start-up made stays: the collector need not go through it again and again
    await asyncio.gather(*tasks)


async def _all(tasks: Sequence[asyncio.Future[Any]]) -> None:
    await asyncio.wait(tasks)


@contextlib.contextmanager
def _bound(name: str, host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for option, value in KEEPALIVE:
            made.setsockopt(*option, value)
        try:
            made.bind((host, port))
        except OSError as e:
            raise SettingsError(f"{name}: can't listen on {host}:{port} ({e.strerror}); is a server running already?") from e
        yield made
