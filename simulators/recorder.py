"""`zhilu sim recorder --state DIR`: the host process of one virtual recorder.

Serves the recorder's page on loopback and runs its agent as a child; prints one JSON line with the page's address when it is
ready. SIGTERM or Ctrl-C ends the agent in order (its recording is stopped and made durable), then the host. A host that is
killed takes its agent with it (simulators.leash).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from simulators import page
from simulators.errors import SimulatorError
from simulators.host import Host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LINGER_S = 1
"""Pages that watch are told to go after so long; they come back by themselves when there is a recorder again."""


class Server(uvicorn.Server):
    """Uvicorn without signal handlers of its own: what is to be done at the end is ours."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


async def serve(host: Host, *, port: int = 0, power: bool = True) -> None:
    """Run one virtual recorder until SIGTERM or SIGINT."""
    with socket.create_server(("127.0.0.1", port)) as listening:
        server = Server(uvicorn.Config(page.build(host), log_level="warning", timeout_graceful_shutdown=LINGER_S))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, setattr, server, "should_exit", True)
        try:
            await host.start(power=power)
            address = f"http://127.0.0.1:{listening.getsockname()[1]}/"
            host.tell("page", address)
            print(json.dumps({"device": host.name, "address": address}), flush=True)  # noqa: T201 — this is its answer
            await server.serve([listening])
        finally:
            await host.close()


def run(host: Callable[[], Host], *, port: int = 0, power: bool = True) -> int:
    """Exit status 0 after an orderly end, 2 when the state folder can't be used."""

    async def main() -> None:
        await serve(host(), port=port, power=power)

    try:
        asyncio.run(main())
    except SimulatorError as problem:
        print(f"zhilu sim recorder: {problem}", file=sys.stderr)  # noqa: T201 — for whoever started it
        return 2
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m simulators.recorder`: the same, for whoever starts it as a child."""
    example = "example: zhilu sim recorder --state ./recorder --port 8090"
    parser = argparse.ArgumentParser(prog="zhilu sim recorder", description=__doc__.splitlines()[0] if __doc__ else None, epilog=example)
    parser.add_argument("--state", type=Path, required=True, help="an enrolled device's state folder")
    parser.add_argument("--port", type=int, default=0, help="the page's port on loopback; 0: a free one")
    parser.add_argument("--direct", action="store_true", help="no network switch: the agent reaches its server itself")
    parser.add_argument("--console", default="", metavar="URL", help="where the page leads to: the server's console")
    parser.add_argument("--off", action="store_true", help="begin with the power off")
    given = parser.parse_args(arguments)
    return run(lambda: Host(given.state.resolve(), direct=given.direct, console=given.console), port=given.port, power=not given.off)


if __name__ == "__main__":
    sys.exit(main())
