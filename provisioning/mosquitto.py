"""Runs a deployment's own mosquitto as a child process: for the demonstration and the tests; real ones let systemd do it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from provisioning.deployment import Deployment
from provisioning.errors import BrokerFailed

START_SECONDS = 30.0
"""Mosquitto listens within a tenth of a second; a busy machine may take its time."""
STOP_SECONDS = 10.0


def program() -> str:
    """Return where mosquitto is; Debian puts it where ordinary users do not look."""
    path = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/sbin{os.pathsep}/usr/local/sbin"
    found = shutil.which("mosquitto", path=path)
    if found is None:
        raise BrokerFailed("mosquitto is not installed: sudo apt install mosquitto")
    return found


class Mosquitto:
    """A running broker; ends with the `with` block or `stop()`.

    `log` is where it writes what it has to say, `prefix` the start of a command that becomes it.
    """

    def __init__(self, deployment: Deployment, log: Path | None = None, prefix: Sequence[str] = ()) -> None:
        self.deployment = deployment
        self.log = log or deployment.broker_folder / "mosquitto.log"
        with self.log.open("ab") as output:
            command = [*prefix, program(), "-c", str(deployment.broker_folder / "mosquitto.conf")]
            # Its own session: Ctrl-C at the terminal reaches whoever started it, who stops it in the right order.
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def reload(self) -> None:
        """Let it read access list and revocation list again; running sessions stay."""
        self.process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """End it; twice does no harm."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _wait(self) -> None:
        end = time.monotonic() + START_SECONDS
        while not self._listens():
            if self.process.poll() is not None or time.monotonic() > end:
                said = self.log.read_text(errors="replace").strip().splitlines()[-3:]
                raise BrokerFailed(f"mosquitto ended before it listened on port {self.deployment.ports.broker}: {' / '.join(said)}")
            time.sleep(0.02)

    def _listens(self) -> bool:
        """Whether *this* broker answers: its certificate is of this deployment, and not of another that has the port."""
        context = ssl.create_default_context(cafile=self.deployment.broker_folder / "ca.crt")
        address = (self.deployment.listen, self.deployment.ports.broker)
        try:
            with socket.create_connection(address, 5) as plain, context.wrap_socket(plain, server_hostname="localhost"):
                return True
        except OSError:
            return False
