"""A recorder in virtual time: the agent's own `Recorder` fed with real pictures and real sound, and the journal that it writes to.

Rules:
- Every second of media is encoded (H.264, two groups of pictures a second, and AAC), so that a forger can decode, cut and encode it
  again. Pictures and sound of each scene differ from those of every other: what is put in its place would be seen and heard.
- Frames that "never came" are counted by the next one, as a camera's driver does: the recorder states the gap.
- `cut` leaves what a power cut leaves: a recording without its stop, and the first bytes of what was being written.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.capture.inlet import Began
from agent.capture.recorder import Recorder
from agent.capture.settings import CaptureSettings
from agent.core import ulid
from hal.contracts import AudioChunk, AudioFormat, Fix, VideoFormat, VideoPacket
from simulators.adversary.device import Device
from simulators.errors import AdversaryError
from simulators.jpeg import jpeg
from simulators.pictures import Pattern, luma
from simulators.x264 import Encoder

WIDTH, HEIGHT, RATE, KBIT_S = 160, 96, 8, 120
GROUP = 4
"""Frames from key frame to key frame: half a second, so that a fragment of a second holds two groups."""
SOUND_RATE, CHUNK = 48_000, 960
LATE_MS = 40
SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Scene:
    """What is seen and heard: the drawing in other colours, a tone of its own."""

    number: int

    def picture(self, up_us: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        """At that time."""
        picture = Pattern(WIDTH, HEIGHT).at(up_us + self.number * 370_000)
        shown = luma(picture)
        shown[: HEIGHT // 3] = 40 + self.number * 23 % 180
        return picture

    def samples(self, first: int) -> bytes:
        """The chunk from sample `first` on."""
        at = (np.arange(CHUNK) + first) / SOUND_RATE
        tone: bytes = (np.sin(2 * np.pi * (300 + 90 * self.number) * at) * 9_000).astype("<i2").tobytes()
        return tone


class _Camera:
    """Gives stills when the recorder asks; its packets come by the inlet."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def still(self) -> bytes:
        import av

        return jpeg(av.VideoFrame.from_ndarray(self._unit.scene.picture(self._unit.clock.up_us()), "yuv420p"))


class Unit(Device):
    """A device with camera, microphone and an officer's hands."""

    scene = Scene(0)

    def power(self, scene: int) -> None:
        """Switch on; the camera sees this scene."""
        self.scene = Scene(scene)
        self.on()
        settings = CaptureSettings(pre_event_s=1)
        camera = _Camera(self)
        self.recorder = Recorder(camera, camera, self.clock, settings, self.tray.put, None, self.chance.randbytes)  # type: ignore[arg-type]
        self._encoder = Encoder(WIDTH, HEIGHT, RATE, KBIT_S, "veryfast")
        self.recorder.inlet.notice(Began(VideoFormat(WIDTH, HEIGHT, RATE, self._encoder.extradata, "simulators adversary")))
        self.recorder.inlet.notice(Began(AudioFormat(SOUND_RATE, 1, "simulators adversary")))
        self._began_ms, self._frame, self._chunk, self._dropped = self.time.ms, 0, 0, 0
        self._begin_us = self.clock.up_us()
        self.turn()

    def turn(self) -> None:
        """Let the recorder and the journal do what there is."""
        while self.recorder.step():
            pass
        self.work()

    def watch(self, seconds: float, *, lose: int = 0) -> None:
        """Let time pass; of the frames that come `lose` never arrive."""
        end_ms = self.time.ms + round(seconds * 1_000)
        while (at := self._next_ms()) <= end_ms:
            self.time.ms = max(self.time.ms, at)
            lose -= self._deliver(lost=lose > 0)
            self.turn()
        self.time.ms = end_ms
        self.turn()

    def _taken_ms(self) -> tuple[int, int]:
        """When the next frame and the next chunk are there."""
        frame = self._frame * 1_000 // RATE
        chunk = (self._chunk + 1) * CHUNK * 1_000 // SOUND_RATE
        return self._began_ms + frame + LATE_MS, self._began_ms + chunk + LATE_MS

    def _next_ms(self) -> int:
        return min(self._taken_ms())

    def _deliver(self, *, lost: bool) -> int:
        """Hand over what comes next; 1 for a frame that was lost."""
        frame_ms, chunk_ms = self._taken_ms()
        if chunk_ms < frame_ms:
            taken_us = self._begin_us + self._chunk * CHUNK * SECOND_US // SOUND_RATE
            self.recorder.inlet.samples(AudioChunk(self.scene.samples(self._chunk * CHUNK), taken_us))
            self._chunk += 1
            return 0
        taken_us, key = self._begin_us + self._frame * SECOND_US // RATE, self._frame % GROUP == 0
        data = self._encoder.encode(self.scene.picture(taken_us), taken_us, key=key)
        self._frame += 1
        if lost or (self._dropped and not key):
            self._dropped += 1
            return int(lost)
        self.recorder.inlet.frame(VideoPacket(data, taken_us, taken_us, key, self._dropped))
        self._dropped = 0
        return 0

    # ----------------------------------------------------------------- an officer's hands

    def begin(self, trigger: str = "button") -> str:
        """Press."""
        name = self.recorder.start(trigger)
        self.turn()
        return name

    def end(self, trigger: str = "button") -> None:
        """Press again."""
        self.recorder.stop(trigger)
        self.watch(0.5)
        if self.recorder.state != "idle":
            raise AdversaryError(f"the recorder is {self.recorder.state} half a second after the press that ended it")

    def stand(self, number: int) -> None:
        """The officer is at this place now."""
        self.clerk.seen(Fix(self.clock.up_us(), 311_234_567 + number * 1_000, 1_214_567_890 + number * 700, 12_000, 900, 4_500, 90))

    def record(self, seconds: int, *, still: bool = False, mark: bool = False, lose: int = 0) -> str:
        """A recording of so many seconds after the press, with positions, and what else is asked for in the middle."""
        name = self.begin()
        for number in range(seconds):
            self.stand(number)
            if number == seconds // 2:
                if still:
                    self.recorder.still()
                if mark:
                    self.recorder.mark("重点")
            self.watch(1, lose=lose if number == seconds - 2 else 0)
        self.end()
        return name

    def cut(self) -> None:
        """The power goes in the middle of a recording: a fragment half written, a line half written."""
        name, scribe = self.recorder.recording, self.open.scribe
        if name is None or not ulid.is_ulid(name):
            raise AdversaryError("the power is cut while something is recorded")
        self.work()
        scribe.media.append(name, "front", "mp4", b"\0\0\1\xb4moof" + self.chance.randbytes(500))
        journal = scribe.journal
        segment = max(journal.folder.glob("segment-*.jsonl"))
        self.files.append(segment, b'{"at":' + str(self.clock.wall_ms()).encode())
        self.pull()
