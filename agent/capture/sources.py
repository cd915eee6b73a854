"""The threads that read camera and microphone: a driver's answers become items, its errors notices, and it is tried again for ever.

Rules:
- SignalLost: the device works, so it stays open and is read again at once. Anything else: it is closed, and begun anew after a wait
  that grows with full jitter (`agent.core.backoff`), because a camera that was unplugged comes back without a person.
- A loss is noticed once, however often it is tried in between.
- Only the top of a thread catches what no driver may raise; it is logged, counted in `faults`, and treated as a fault of the device.

What is done with the items is `recorder`'s; a reader holds no lock and waits for nothing but its device.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from typing import Generic, TypeAlias, TypeVar

from agent.capture.inlet import Began, Gone, Inlet
from agent.core.backoff import Backoff
from hal.contracts import AudioChunk, AudioFormat, Camera, Microphone, Painter, VideoFormat, VideoPacket
from hal.errors import HalError, SignalLost

READ_S = 0.25
"""How long a read may wait, and so how long `close` does."""

NO_SIGNAL_S = 0.05
"""Between reads of a device that works and receives nothing: it is asked about once a frame, or a picture that is back waits."""

JOIN_S = 10.0
"""A driver that does not come back from a call within this is left to the process's end."""

_log = logging.getLogger(__name__)

F = TypeVar("F", VideoFormat, AudioFormat)
P = TypeVar("P", VideoPacket, AudioChunk)


class Reader(Generic[F, P]):
    """Reads one device into an inlet; `step` is one call of the driver and says what came of it."""

    def __init__(
        self,
        device: str,
        start: Callable[[], F],
        read: Callable[[float], P | None],
        close: Callable[[], None],
        take: Callable[[P], None],
        inlet: Inlet,
        backoff: Backoff,
    ) -> None:
        self.device = device
        self.faults = 0
        self._start: Callable[[], F] = start
        self._read: Callable[[float], P | None] = read
        self._take: Callable[[P], None] = take
        self._close = close
        self._inlet, self._backoff = inlet, backoff
        self._open = False
        self._told = False
        self._ending = Event()
        self._thread: Thread | None = None

    def step(self) -> str:
        """`began`, `read`, `nothing`, `no-signal` or `gone`."""
        try:
            if not self._open:
                format_ = self._start()
                self._open, self._told = True, False
                self._inlet.notice(Began(format_))
                return "began"
            packet = self._read(READ_S)
        except SignalLost as error:
            self._gone(str(error))
            return "no-signal"
        except HalError as error:
            self._gone(str(error))
            self._shut()
            return "gone"
        if packet is None:
            return "nothing"
        self._told = False
        self._backoff.reset()
        self._take(packet)
        return "read"

    def run(self) -> None:
        """Until `end`."""
        while not self._ending.is_set():
            try:
                done = self.step()
            except Exception as error:  # noqa: BLE001 - the top of a daemon: a driver broke its contract
                _log.exception("%s: its driver raised what is no HalError", self.device)
                self.faults += 1
                self._gone(f"{self.device}: its driver failed: {error}")
                self._shut()
                done = "gone"
            if done == "gone":
                self._ending.wait(self._backoff.next(random.random()) / 1_000)  # noqa: S311 - jitter, not a secret
            elif done == "no-signal":
                self._ending.wait(NO_SIGNAL_S)
        self._shut()

    def begin(self) -> None:
        """Read in a thread of its own."""
        self._thread = Thread(target=self.run, name=f"capture-{self.device}", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop and wait for the thread."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(JOIN_S)
            if self._thread.is_alive():
                _log.error("%s: its driver did not come back within %.0f s; left behind", self.device, JOIN_S)
            self._thread = None

    def _gone(self, detail: str) -> None:
        if not self._told:
            self._told = True
            self._inlet.notice(Gone(self.device, detail))

    def _shut(self) -> None:
        self._open = False
        with suppress(HalError):
            self._close()


def camera_reader(camera: Camera, painter: Painter | None, inlet: Inlet, backoff: Backoff) -> Reader[VideoFormat, VideoPacket]:
    """A camera's reader."""
    return Reader("camera", lambda: camera.start(painter), camera.read, camera.close, inlet.frame, inlet, backoff)


def microphone_reader(microphone: Microphone, inlet: Inlet, backoff: Backoff) -> Reader[AudioFormat, AudioChunk]:
    """A microphone's reader."""
    return Reader("microphone", microphone.start, microphone.read, microphone.close, inlet.samples, inlet, backoff)


AnyReader: TypeAlias = Reader[VideoFormat, VideoPacket] | Reader[AudioFormat, AudioChunk]
