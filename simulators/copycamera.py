"""A camera that encodes by itself: hands out the packets of an H.264 file as they are, in a loop, in real time.

Rules:
- Nothing is drawn or encoded, so a second of it costs milliseconds: this is the camera of load tests, and a stand-in for
  recorders whose encoder is hardware. The painter is ignored, as the contract says.
- Stamps go on where the file begins again. The file must begin with a key frame and have no B frames (media.encoded makes
  such a file); frames are counted, not timed: `rate` is the file's own.
- After a loss the next packet is a key frame: what lies between can't be decoded.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import av

from hal.contracts import VideoFormat, VideoPacket
from hal.errors import DeviceFault, DeviceMissing, SignalLost
from simulators.jpeg import jpeg
from simulators.orders import open_orders
from simulators.shutter import Shutter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hal.contracts import Clock

MAX_FILE_BYTES = 268_435_456
"""The file is held in memory: reading 300 MB again for every loop would measure the disk."""


@dataclass(kw_only=True, eq=False)
class CopyCamera:
    """Stream copy of the first video track of `path`. The fields are its settings."""

    clock: Clock
    path: str
    buffer_ms: int = 500
    world: str = ""
    script: str | Sequence[Mapping[str, Any]] = ""

    def __post_init__(self) -> None:
        """Read the file's packets."""
        self._format, self._packets, self._parameters = _load(self.path)
        self._orders = open_orders("camera", self.clock, self.world, self.script)
        self._shutter = Shutter(self.clock, self._orders, self._format.rate, self.buffer_ms)
        self._lock = threading.Lock()
        self._lost = 0
        self._cause = "camera"
        self._group: list[bytes] = []

    def start(self, painter: object) -> VideoFormat:  # noqa: ARG002 — a stream copy has no pictures to paint
        """Begin with the file's first frame."""
        self._shutter.open()
        return self._format

    def read(self, timeout_s: float) -> VideoPacket | None:
        """The next frame; after a loss the next key frame, with all that was passed over in `dropped`."""
        while (found := self._shutter.next(timeout_s)) is not None:
            number, dropped = found
            data, key = self._packets[number % len(self._packets)]
            if dropped:
                self._cause = self._shutter.cause
            self._lost += dropped
            if self._lost and not key:
                self._lost += 1
                continue
            lost, self._lost = self._lost, 0
            with self._lock:
                self._group = [data] if key else [*self._group, data]
            taken_us = self._shutter.taken_us(number)
            return VideoPacket(data, taken_us, taken_us, key, lost, self._cause)
        return None

    def still(self) -> bytes:
        """A JPEG of the newest picture, decoded from its key frame on."""
        with self._lock:
            group = list(self._group)
        decoder = av.CodecContext.create("h264", "r")
        decoder.extradata = self._parameters
        frames: list[Any] = []
        try:
            for data in group:
                frames += decoder.decode(av.Packet(data))
            frames += decoder.decode(None)
        except av.FFmpegError as problem:
            raise DeviceFault(f"camera: {self.path} can't be decoded: {problem}; name another file") from problem
        if not frames:
            raise SignalLost("camera: there is no picture yet; read one first")
        return jpeg(frames[-1])

    def close(self) -> None:
        """End; twice is fine."""
        self._orders.close()


def _load(path: str) -> tuple[VideoFormat, list[tuple[bytes, bool]], bytes]:
    """The file's format, its packets with whether each is a key frame, and its decoder configuration."""
    try:
        with av.open(path) as container:
            stream = container.streams.video[0]
            if container.size > MAX_FILE_BYTES:
                raise DeviceFault(f"camera: {path} has {container.size} bytes; a file to copy has at most {MAX_FILE_BYTES}")
            packets = [(bytes(packet), packet.is_keyframe) for packet in container.demux(stream) if packet.size]
            rate = round(stream.average_rate or 0)
            extradata = bytes(stream.codec_context.extradata or b"")
            name, width, height = stream.codec_context.name, stream.codec_context.width, stream.codec_context.height
    except (av.FFmpegError, OSError, IndexError) as problem:
        raise DeviceMissing(f"camera: {path} can't be copied: {problem}; name an H.264 file that is there") from problem
    if name != "h264" or not extradata or not packets or not packets[0][1] or rate < 1:
        raise DeviceFault(f"camera: {path} holds {name} in {len(packets)} packets; expected H.264 that begins with a key frame")
    return VideoFormat(width, height, rate, extradata, f"simulators copy {path.rsplit('/', 1)[-1]}"), packets, extradata
