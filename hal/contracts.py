"""The roles a recorder needs from the world outside, as protocols of a handful of methods and their values.

Rules:
- Times of samples are microseconds of the device's monotonic clock (`up_us`); a driver stamps a sample when it was taken,
  not when it was delivered.
- A blocking read takes a timeout in seconds and returns None when nothing came; it never waits for ever.
- A driver raises `hal.errors` only; a library's own errors become ours in the driver.
- `close()` may be called twice and from another thread than the reader's.

What a role is for and which driver plays it on a board is `hal.board`'s business; simulated devices live in `simulators`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

# --------------------------------------------------------------------------- picture and sound


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """What a camera delivers: H.264 with its decoder configuration.

    `extradata` is an avcC box's content or Annex B SPS and PPS, as the encoder gave it. `rate` is frames per second.
    """

    width: int
    height: int
    rate: int
    extradata: bytes
    source: str


@dataclass(frozen=True, slots=True)
class VideoPacket:
    """One encoded frame. `pts_us` and `dts_us` are `up` microseconds; `dropped` counts frames lost just before this one.

    `cause` is why: `camera`, or `encoder` where the driver encodes and was too slow.
    """

    data: bytes
    pts_us: int
    dts_us: int
    key: bool
    dropped: int = 0
    cause: str = "camera"


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """Interleaved signed 16-bit little-endian samples."""

    rate: int
    channels: int
    source: str


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """Samples that began at `up_us`; `lost` counts sample frames that were lost just before."""

    samples: bytes
    up_us: int
    lost: int = 0


Painter = Callable[[Any, int], None]
"""Draws the overlay into a frame's luma plane before it is encoded: (numpy uint8 array of height × width, `up_us`)."""


class Camera(Protocol):
    """Encoded pictures as they are taken, a key frame at least once per fragment."""

    def start(self, painter: Painter | None) -> VideoFormat:
        """Begin. The painter is called for each frame before encoding where the camera encodes; a stream copy ignores it."""
        ...

    def read(self, timeout_s: float) -> VideoPacket | None:
        """The next frame, in decoding order; SignalLost when the picture went away, DeviceFault when it will not come back."""
        ...

    def still(self) -> bytes:
        """A JPEG of the newest picture, with the overlay where there is one."""
        ...

    def close(self) -> None: ...


class Microphone(Protocol):
    """Samples as they are taken."""

    def start(self) -> AudioFormat: ...

    def read(self, timeout_s: float) -> AudioChunk | None: ...

    def close(self) -> None: ...


# --------------------------------------------------------------------------- position, climate, badge


@dataclass(frozen=True, slots=True)
class Fix:
    """A position in the evidence format's units; None where the receiver did not say."""

    up_us: int
    lat: int
    lon: int
    alt: int | None = None
    speed: int | None = None
    course: int | None = None
    hdop: int | None = None
    time_ms: int | None = None


class Locator(Protocol):
    """Where the device is."""

    def start(self) -> None: ...

    def read(self, timeout_s: float) -> Fix | None:
        """The next valid position; SignalLost when the receiver says that it has none."""
        ...

    def close(self) -> None: ...


class Climate(Protocol):
    """Temperature (m°C) and relative humidity (‰)."""

    def read(self) -> tuple[int, int]: ...


class Scanner(Protocol):
    """Reads an officer's badge."""

    def read(self, timeout_s: float) -> str | None: ...

    def close(self) -> None: ...


# --------------------------------------------------------------------------- the officer's hand, eye and ear


@dataclass(frozen=True, slots=True)
class Edge:
    """A button went down or up."""

    button: str
    down: bool
    up_us: int


class Button(Protocol):
    """All buttons of the device (`record`, `mark`, …) as one stream of edges."""

    def read(self, timeout_s: float) -> Edge | None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Signal:
    """What the officer sees, hears and feels.

    `lamp`: `off` `ready` `recording` `alarm` `unenrolled`; `sound` and `vibration` name a pattern, played once, or are
    empty; `screen` is what a small display shows, a line each.
    """

    lamp: str
    sound: str = ""
    vibration: str = ""
    screen: tuple[str, ...] = ()


class Indicator(Protocol):
    """Lamp, buzzer, vibration and a small display."""

    def show(self, signal: Signal) -> None: ...

    def close(self) -> None: ...


# --------------------------------------------------------------------------- power, time, keys


@dataclass(frozen=True, slots=True)
class PowerReading:
    """State of the supply; None where it can't be measured."""

    percent: int | None
    charging: bool | None


class Power(Protocol):
    """The battery."""

    def read(self) -> PowerReading: ...


@dataclass(frozen=True, slots=True)
class ClockReading:
    """How right the wall clock is: `offset_ms` is device minus reference, `error_ms` the reference's own bound."""

    source: str
    offset_ms: int
    error_ms: int


class Clock(Protocol):
    """Wall time and the monotonic clock of this boot."""

    def wall_ms(self) -> int: ...

    def up_us(self) -> int: ...

    def reading(self) -> ClockReading: ...


class Signer(Protocol):
    """The evidence key. `algorithm` is the signed-note type: 1 Ed25519, 2 ECDSA P-256."""

    @property
    def algorithm(self) -> int: ...

    def public_key(self) -> bytes:
        """32 bytes for Ed25519, SubjectPublicKeyInfo DER for P-256."""
        ...

    def sign(self, message: bytes) -> bytes: ...


# --------------------------------------------------------------------------- disk


class Files(Protocol):
    """The few disk operations that evidence depends on, so that every one can be recorded, cut and replayed.

    Paths are absolute. Errors are OSError as the system gives them: `errno` decides (ENOSPC, EIO, EROFS), and the
    journal turns them into its own. What was written is not durable before `sync`; a new, renamed or deleted name is
    not durable before `sync_folder` of its folder.
    """

    def append(self, path: Path, data: bytes) -> int:
        """Append, creating the file where it is missing; the offset at which the bytes begin. Not durable yet."""
        ...

    def sync(self, path: Path) -> None: ...

    def sync_folder(self, path: Path) -> None: ...

    def replace(self, path: Path, data: bytes) -> None:
        """Write beside, sync, rename, sync the folder: the old content or the new one, never a mixture."""
        ...

    def truncate(self, path: Path, size: int) -> None: ...

    def rename(self, source: Path, target: Path) -> None: ...

    def remove(self, path: Path) -> None: ...

    def make_folder(self, path: Path) -> None:
        """Create the folder and its parents and make their names durable; nothing where it is there already."""
        ...

    def read(self, path: Path, offset: int = 0, length: int = -1) -> bytes: ...

    def size(self, path: Path) -> int:
        """Bytes of the file; FileNotFoundError where there is none."""
        ...

    def list(self, path: Path) -> Sequence[str]:
        """Names in the folder, sorted; empty where there is no such folder."""
        ...

    def free_bytes(self, path: Path) -> int: ...


def readings(read: Callable[[float], Any], timeout_s: float) -> Iterator[Any]:
    """Each value that `read` gives until it gives None: a reader's loop in one line."""
    while (value := read(timeout_s)) is not None:
        yield value
