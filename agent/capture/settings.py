"""The settings of capture, checked where they are made; the agent's TOML file is read elsewhere.

A gesture is written `<button>:<short|long|double>`, as in the settings file; an empty one asks for nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from agent.capture.errors import CaptureError

_GESTURE = re.compile(r"[a-z0-9-]+:(short|long|double)")
_TRACK = re.compile(r"[a-z0-9][a-z0-9-]{0,15}")


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """All that can be chosen; the defaults are those of the evidence format and of recorders of this kind (GA/T 947-2015)."""

    track: str = "front"
    sound_track: str = "sound"
    """Name of a track that has no picture, while the camera is away."""
    pre_event_s: int = 30
    pre_event_mib: int = 96
    """Bound of the ring's memory: 120 s at 6 Mbit/s."""
    post_event_s: int = 0
    fragment_ms: int = 1_000
    sound_bit_s: int = 64_000
    """Bits a second for each channel."""
    stall_ms: int = 200
    """A hole of this length is a gap even if no driver counted a loss: 5 frames at 25 a second, more than any jitter."""
    lost_after_ms: int = 3_000
    """Silence of this length is no stall, the device is gone: the track ends."""
    silent_after_s: int = 10
    """A microphone whose samples have not changed for so long is told as silent (`flat`); 0: never."""
    silent_spread: int = 0
    """By how many steps of 65,536 samples may differ and still count as unchanged: the noise of a converter alone."""
    join_ms: int = 1_000
    """How long a recording waits for a camera that is starting before it records sound alone."""
    drain_ms: int = 1_000
    """How long a stop waits for the media of its own moment to come through the encoders."""
    gap_report_ms: int = 10_000
    """A loss that goes on is reported this often, so that a power cut hides no more of it."""
    queue_items: int = 2_048
    queue_mib: int = 32
    """Between the readers and the encoder: 25 s of packets, so that a slow disk costs nothing at once."""
    retry_first_ms: int = 500
    retry_max_ms: int = 2_000
    """Opening a camera that is not there costs little; each second of not trying may be one of evidence."""
    start_by: str = "record:short"
    stop_by: str = "record:long"
    mark_by: str = "mark:short"
    still_by: str = "mark:long"
    mark_label: str = "button"
    debounce_ms: int = 30
    long_ms: int = 1_200
    double_ms: int = 0
    """Window of a double press; 0 because a start must not wait for a second press that nobody wants."""

    def __post_init__(self) -> None:
        """CaptureError names the first setting that can't be."""
        self._between("pre_event_s", 0, 120)
        self._between("post_event_s", 0, 60)
        self._between("fragment_ms", 500, 4_000)
        self._between("stall_ms", 50, self.lost_after_ms)
        self._between("silent_after_s", 0, 3_600)
        self._between("silent_spread", 0, 1_000)
        for name in ("pre_event_mib", "sound_bit_s", "join_ms", "drain_ms", "gap_report_ms", "queue_items", "queue_mib", "retry_first_ms"):
            self._between(name, 1, 1_000_000)
        self._between("debounce_ms", 0, self.long_ms - 1)
        self._between("double_ms", 0, 2_000)
        for name in ("track", "sound_track"):
            self._matches(name, _TRACK, "lower-case letters, digits and hyphens, at most 16")
        for name in ("start_by", "stop_by", "mark_by", "still_by"):
            if getattr(self, name):
                self._matches(name, _GESTURE, "<button>:<short|long|double>, or nothing")

    @property
    def bindings(self) -> dict[str, str]:
        """What is asked for → the gesture that asks for it, as `agent.core.trigger.action` reads it."""
        return {"start": self.start_by, "stop": self.stop_by, "mark": self.mark_by, "still": self.still_by}

    def _between(self, name: str, least: int, most: int) -> None:
        value = getattr(self, name)
        if not least <= value <= most:
            raise CaptureError(f"capture setting {name}: expected {least} to {most}, got {value}")

    def _matches(self, name: str, pattern: re.Pattern[str], expected: str) -> None:
        value = getattr(self, name)
        if not pattern.fullmatch(value):
            raise CaptureError(f"capture setting {name}: expected {expected}, got {value!r}")
