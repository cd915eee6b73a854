"""Stills of an open recording: each a track of its own with one fragment, a whole JPEG (evidence format, kind `track`).

Rules:
- Only what is a JPEG from its first marker to its last becomes evidence (ISO/IEC 10918-1: SOI, SOF, EOI); a driver's empty or torn
  picture is an alarm.
- Its media time is the moment of the press, its duration 0.

Taking the picture is the camera's; this module judges and counts.
"""

from __future__ import annotations

from agent.capture.errors import PictureError
from agent.capture.events import Event, FragmentMade, TrackBegun

JPEG_MEDIA = "image/jpeg"
MAX_STILL_BYTES = 16 * 1_048_576
_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
_NO_SIZE_MARKERS = (0xC4, 0xC8, 0xCC)
"""DHT, JPG and DAC lie between the SOF markers and hold no size."""


def still_events(recording: str, count: int, jpeg: bytes, pts_ms: int, source: str) -> list[Event]:
    """The events of a recording's still number `count` (from 1); PictureError where it is no whole JPEG."""
    width, height = jpeg_size(jpeg)
    track = f"still-{count}"
    return [
        TrackBegun(recording, track, JPEG_MEDIA, "jpeg", width, height, 0, source),
        FragmentMade(recording, track, 0, jpeg, pts_ms, 0),
    ]


def jpeg_size(data: bytes) -> tuple[int, int]:
    """(width, height) of a JPEG; PictureError where it is none, or torn."""
    if not data.startswith(_SOI) or not data.rstrip(b"\0").endswith(_EOI) or len(data) > MAX_STILL_BYTES:
        raise PictureError(f"still: expected a whole JPEG of at most {MAX_STILL_BYTES} bytes, got {len(data)}, {data[:4].hex()!r} first")
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in _NO_SIZE_MARKERS:
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    raise PictureError(f"still: expected a JPEG with a frame header, got none in {len(data)} bytes")
