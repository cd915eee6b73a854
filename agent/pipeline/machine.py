"""What a pipeline takes from the machine that it runs on: disk, chance, threads' means of waiting, recorder, connections.

Everything else that a recorder is made of is the same wherever it runs; whoever runs it in a simulated world hands in a machine
of his own (simulators.universe). Nothing is decided here.
"""

from __future__ import annotations

import os
import queue
import random
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.capture.overlay import OverlayText
from agent.capture.recorder import Recorder
from agent.pipeline.tray import Tray
from agent.uplink.https import Https, tls_context
from agent.uplink.inbox import Order
from agent.uplink.mqtt import Broker, Link
from agent.uplink.ports import Surroundings
from hal.drivers import linux

if TYPE_CHECKING:
    import ssl

    from agent.capture.settings import CaptureSettings
    from agent.config import Settings
    from agent.uplink.upload import UploadSettings
    from hal.board import Board
    from hal.contracts import Clock, Files

OrderQueue = queue.SimpleQueue[tuple[Order, Callable[[], None]]]


class Machine:
    """The real one. Its makers are called once for each pipeline, `event` whenever somebody waits for something."""

    def __init__(self) -> None:
        self.files: Files = linux.Files()
        self.random: Callable[[int], bytes] = os.urandom
        self.event: Callable[[], threading.Event] = threading.Event

    def around(self, clock: Clock) -> Surroundings:
        """Time, chance and hands for whoever talks to the server."""
        return Surroundings(clock.up_us, clock.wall_ms, random.random)

    def tray(self) -> Tray:
        """Where everything waits for the journal's thread."""
        return Tray()

    def orders(self) -> OrderQueue:
        """Where orders wait for their thread."""
        return queue.SimpleQueue()

    def background(self, name: str, work: Callable[[], None]) -> None:
        """Run something that may wait, beside everything else."""
        threading.Thread(target=work, name=name, daemon=True).start()

    def recorder(self, board: Board, settings: CaptureSettings, tray: Tray, label: OverlayText | None) -> Recorder:
        """A recorder that runs; CaptureError where there is neither camera nor microphone."""
        recorder = Recorder(board.camera, board.microphone, board.clock, settings, tray.put_when_room, label, together=tray.together)
        recorder.run_in_threads()
        return recorder

    def tls(self, settings: Settings) -> ssl.SSLContext:
        """The device's identity towards broker and server; NoAnswer names the file that can't be used."""
        tls = settings.tls
        return tls_context(settings.resolve(tls.ca), settings.resolve(tls.certificate), settings.resolve(tls.key))

    def link(self, broker: Broker, topics: list[str], will: Callable[[], tuple[str, bytes]], around: Surroundings) -> Link:
        """The connection to the broker."""
        return Link(broker, topics, will, around)

    def https(self, settings: Settings, tls: ssl.SSLContext) -> Https:
        """The way to the server."""
        return Https(settings.server.url, tls, settings.server.timeout_s)

    def uploads(self, settings: UploadSettings) -> UploadSettings:
        """How media go here."""
        return settings
