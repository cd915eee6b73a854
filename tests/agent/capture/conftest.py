"""A small world for capture: real H.264 and PCM with a flash and a beep every two seconds, on a clock that only the test moves."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from typing import Any

import av
import numpy as np
import pytest
from av.codec.context import Flags
from av.video.frame import PictureType

from agent.capture.events import Alarm, Event, FragmentMade, GapFound, TrackBegun
from agent.capture.inlet import Began
from agent.capture.recorder import Recorder
from agent.capture.settings import CaptureSettings
from hal.contracts import AudioChunk, AudioFormat, ClockReading, VideoFormat, VideoPacket

WIDTH, HEIGHT, RATE = 320, 180, 30
PERIOD_US = 1_000_000 // RATE
SOUND_RATE = 48_000
CHUNK = 960
EVERY_S, LASTS_S = 2, 0.1
CLIP_S = 4
MICROSECONDS = Fraction(1, 1_000_000)


def frame_us(number: int) -> int:
    return number * 1_000_000 // RATE


@dataclass(frozen=True)
class Clip:
    """Encoded frames that can be repeated: it begins with a key frame, and the flash with it."""

    extradata: bytes
    frames: tuple[tuple[bytes, bool], ...]

    def at(self, number: int) -> tuple[bytes, bool]:
        return self.frames[number % len(self.frames)]


def encode(count: int, is_key: Callable[[int], bool]) -> Clip:
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    context.time_base, context.framerate = MICROSECONDS, Fraction(RATE)
    context.flags |= Flags.global_header
    context.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "forced-idr": "1",
        "x264-params": "keyint=9999:scenecut=0:open-gop=0:bframes=0:threads=1",
    }
    context.open()
    frames = []
    for number in range(count):
        picture = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
        picture[:HEIGHT] = 60 + np.arange(WIDTH, dtype=np.uint8) // 4
        picture[40:80, number * 3 % 280 : number * 3 % 280 + 40] = 150
        if number / RATE % EVERY_S < LASTS_S:
            picture[:HEIGHT] = 235
        frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
        frame.pts, frame.time_base = frame_us(number), MICROSECONDS
        frame.pict_type = PictureType.I if is_key(number) else PictureType.NONE
        (packet,) = context.encode(frame)
        assert packet.is_keyframe == is_key(number)
        frames.append((bytes(packet), packet.is_keyframe))
    return Clip(bytes(context.extradata or b""), tuple(frames))


def pcm(first: int, count: int) -> bytes:
    """Samples `first` … of a sound that beeps when the clip flashes."""
    seconds = (np.arange(count) + first) / SOUND_RATE
    wave = np.where(seconds % EVERY_S < LASTS_S, 0.5 * np.sin(2 * np.pi * 1_000 * seconds), 0)
    return (wave * 32_767).astype("<i2").tobytes()


@pytest.fixture(scope="session")
def clip() -> Clip:
    return encode(CLIP_S * RATE, lambda number: number % RATE == 0)


class VirtualClock:
    """A clock that stands still until the test moves it; 2026-07-01 00:00:00 UTC at `up` 0."""

    def __init__(self) -> None:
        self.now_us = 0
        self.source, self.error_ms = "gnss", 20

    def wall_ms(self) -> int:
        return 1_782_864_000_000 + self.now_us // 1_000

    def up_us(self) -> int:
        return self.now_us

    def reading(self) -> ClockReading:
        return ClockReading(self.source, 0, self.error_ms)


class NoDevice:
    """Stands for a device that the world feeds by hand, so none of its methods is ever called."""


@dataclass
class World:
    """Camera and microphone in virtual time: each sample reaches the recorder `late_us` after it was taken."""

    clip: Clip
    settings: CaptureSettings = field(default_factory=CaptureSettings)
    camera: bool = True
    microphone: bool = True
    late_us: int = 40_000

    def __post_init__(self) -> None:
        self.clock = VirtualClock()
        self.events: list[Event] = []
        self.dropped_frames: set[int] = set()
        """Frames that never come; the next one counts them."""
        self.silent: dict[str, list[tuple[int, int]]] = {"camera": [], "microphone": []}
        """Spans of `up` in which a device delivers nothing and says nothing."""
        self.flat: list[tuple[int, int]] = []
        """Spans of `up` in which the microphone delivers zeros."""
        self.cause = "camera"
        self.skew_ppm = 0
        self.at_us = 0
        self._frame, self._chunk, self._drops = 0, 0, 0
        self.recorder = self.make()

    def make(
        self, emit: Callable[[Event], None] | None = None, together: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> Recorder:
        camera, microphone = (NoDevice() if there else None for there in (self.camera, self.microphone))
        recorder = Recorder(camera, microphone, self.clock, self.settings, emit or self.events.append, None, together=together)  # type: ignore[arg-type]
        if self.camera:
            recorder.inlet.notice(Began(self.video_format()))
        if self.microphone:
            recorder.inlet.notice(Began(AudioFormat(SOUND_RATE, 1, "microphone of the test")))
        return recorder

    def video_format(self) -> VideoFormat:
        return VideoFormat(WIDTH, HEIGHT, RATE, self.clip.extradata, "camera of the test")

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        until_us = self.at_us + round(seconds * 1_000_000)
        for at_us, deliver in self._coming(until_us):
            self.clock.now_us = max(self.clock.now_us, at_us)
            deliver()
            while self.recorder.step():
                pass
        for at_us in range(self.clock.now_us, until_us, 20_000):
            self.clock.now_us = at_us
            self.recorder.step()
        self.at_us = self.clock.now_us = until_us
        self.recorder.step()

    def _coming(self, until_us: int) -> Iterator[tuple[int, Callable[[], None]]]:
        due: list[tuple[int, Callable[[], None]]] = []
        while self.camera and frame_us(self._frame) + self.late_us < until_us:
            number, taken_us = self._frame, frame_us(self._frame)
            self._frame += 1
            if number in self.dropped_frames:
                self._drops += 1
            elif not self._is_silent("camera", taken_us):
                data, key = self.clip.at(number)
                packet = VideoPacket(data, taken_us, taken_us, key, self._drops, self.cause)
                self._drops = 0
                due.append((taken_us + self.late_us, partial(self.recorder.inlet.frame, packet)))
        while self.microphone and self._chunk_us() + self.late_us < until_us:
            taken_us = self._chunk_us()
            dead = any(first <= taken_us < end for first, end in self.flat)
            chunk = AudioChunk(bytes(2 * CHUNK) if dead else pcm(self._chunk * CHUNK, CHUNK), taken_us)
            self._chunk += 1
            if not self._is_silent("microphone", taken_us):
                due.append((taken_us + self.late_us, partial(self.recorder.inlet.samples, chunk)))
        due.sort(key=lambda item: item[0])
        last_us = self.clock.now_us
        for at_us, deliver in due:
            for turn_us in range(last_us, at_us, 20_000):  # time passes in between as well
                yield turn_us, lambda: None
            yield at_us, deliver
            last_us = at_us

    def _chunk_us(self) -> int:
        exact = self._chunk * CHUNK * 1_000_000 / SOUND_RATE
        return round(exact * (1 + self.skew_ppm / 1_000_000))

    def _is_silent(self, device: str, at_us: int) -> bool:
        return any(first <= at_us < end for first, end in self.silent[device])

    # ------------------------------------------------------------ what came out

    def fragments(self, track: str, recording: str | None = None) -> list[FragmentMade]:
        return [
            event
            for event in self.events
            if isinstance(event, FragmentMade) and event.track == track and recording in (None, event.recording)
        ]

    def file(self, track: str, recording: str | None = None) -> bytes:
        return b"".join(fragment.data for fragment in self.fragments(track, recording))

    def tracks(self) -> list[TrackBegun]:
        return [event for event in self.events if isinstance(event, TrackBegun)]

    def gaps(self) -> list[tuple[str, int, int, str]]:
        return [(event.track, event.from_ms, event.lost_ms, event.reason) for event in self.events if isinstance(event, GapFound)]

    def alarms(self) -> list[str]:
        return [event.event for event in self.events if isinstance(event, Alarm)]


@pytest.fixture
def make_world(clip: Clip) -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def make(**chosen: object) -> World:
        made.append(World(clip, **chosen))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for world in made:
        world.recorder.close()


@dataclass(frozen=True)
class Decoded:
    """What a player sees and hears: times in seconds of media time."""

    pictures: list[float]
    flashes: list[float]
    sound_s: float
    beeps: list[float]


def decode(data: bytes) -> Decoded:
    """Decode everything; a damaged frame is an error."""
    pictures: list[tuple[float, float]] = []
    waves: list[tuple[float, np.ndarray]] = []
    with av.open(io.BytesIO(data), "r") as container:
        for stream in container.streams:
            stream.codec_context.options = {"err_detect": "explode"}
        frame: Any
        for frame in container.decode():
            if isinstance(frame, av.VideoFrame):
                pictures.append((float(frame.time or 0), float(frame.to_ndarray(format="gray").mean())))
            else:
                waves.append((float(frame.time or 0), frame.to_ndarray()[0]))
    bright = [(at, mean > 200) for at, mean in pictures]
    flashes = [at for before, (at, lit) in itertools.pairwise([(0.0, False), *bright]) if lit and not before[1]]
    return Decoded([at for at, _ in pictures], flashes, sum(len(wave) for _, wave in waves) / SOUND_RATE, _beeps(waves))


def _beeps(waves: Sequence[tuple[float, np.ndarray]]) -> list[float]:
    """Where it gets loud after 50 ms of quiet."""
    found: list[float] = []
    last_loud = -1.0
    for start, wave in waves:
        for at in np.flatnonzero(np.abs(wave) > 0.1):
            now = start + at / SOUND_RATE
            if now - last_loud > 0.05:
                found.append(now)
            last_loud = now
    return found


@pytest.fixture(name="decode")
def decode_() -> Callable[[bytes], Decoded]:
    return decode


@pytest.fixture(name="encode")
def encode_() -> Callable[[int, Callable[[int], bool]], Clip]:
    return encode
