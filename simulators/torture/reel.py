"""Real media, small: an init segment and fragments of a second as the agent's own muxer makes them, and a still."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent.capture.fragmenter import Fragment, Fragmenter
from agent.capture.samples import Picture
from simulators import media
from simulators.copycamera import CopyCamera
from simulators.pace import ManualClock

WIDTH, HEIGHT, RATE = 320, 180, 8
KBIT_S = 200
"""Some fragments are longer than a page of 4 KiB, some shorter: both can be torn."""
FRAGMENT_MS = 1_000


@dataclass(frozen=True, slots=True)
class Reel:
    """What a camera gives in some seconds, muxed."""

    init: bytes
    fragments: tuple[Fragment, ...]
    codecs: str
    still: bytes


def reel(folder: Path, seconds: int) -> Reel:
    """The first `seconds` of the drawing; files are kept in `folder` and used again."""
    clock = ManualClock()
    path = media.encoded(None, folder, (WIDTH, HEIGHT), RATE, KBIT_S, 10)
    camera = CopyCamera(clock=clock, path=str(path))
    shape = camera.start(None)
    muxer: Fragmenter | None = None
    made: list[Fragment] = []
    while len(made) < seconds and (packet := camera.read(1.0)) is not None:
        if muxer is None:
            muxer = Fragmenter(Picture(packet, shape), None, packet.pts_us, FRAGMENT_MS)
        made += muxer.picture(Picture(packet, shape))
    assert muxer is not None, "the drawing has frames"
    still = camera.still()
    camera.close()
    muxer.close()
    return Reel(muxer.init, tuple(made[:seconds]), muxer.codecs, still)
