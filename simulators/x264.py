"""H.264 as a small camera makes it: closed GOPs, no B frames, no look-ahead, a key frame when it is told to.

libx264 through PyAV, on one thread: two virtual recorders and a server share two cores in the demonstration.
Every picture in gives one packet out (tune zerolatency), in decoding order, which is the order of presentation too.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
from av.codec.context import Flags
from av.video.frame import PictureType

from hal.errors import DeviceFault

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MICROSECONDS = Fraction(1, 1_000_000)


class Encoder:
    """One stream; `kbit_s` is its upper bound over a second. `context`: a container's own, to be muxed there."""

    def __init__(self, width: int, height: int, rate: int, kbit_s: int, preset: str, *, context: Any = None) -> None:
        self._context = context if context is not None else av.CodecContext.create("libx264", "w")
        if not isinstance(self._context, av.VideoCodecContext):
            raise DeviceFault("camera: this PyAV has no libx264; install the wheel from PyPI")
        context = self._context
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base, context.framerate = MICROSECONDS, Fraction(rate)
        context.bit_rate = kbit_s * 1_000
        context.flags |= Flags.global_header
        context.options = {
            "preset": preset,
            "tune": "zerolatency",
            "forced-idr": "1",
            # key frames come when asked for; the encoder's own count is only a net below (10 s)
            "x264-params": f"keyint={rate * 10}:min-keyint=1:scenecut=0:open-gop=0:bframes=0:threads=1:"
            f"vbv-maxrate={kbit_s}:vbv-bufsize={kbit_s}",
        }
        try:
            context.open()
        except (av.FFmpegError, ValueError) as problem:
            raise DeviceFault(f"camera: libx264 refuses {width}x{height} at {rate}/s, {kbit_s} kbit/s, {preset!r}: {problem}") from problem
        self.extradata = bytes(context.extradata or b"")

    def encode(self, picture: NDArray[np.uint8], pts_us: int, *, key: bool) -> bytes:
        """The picture's packet (Annex B); DeviceFault when the encoder fails."""
        frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
        frame.pts, frame.time_base = pts_us, MICROSECONDS
        frame.pict_type = PictureType.I if key else PictureType.NONE
        try:
            packets = self._context.encode(frame)
        except av.FFmpegError as problem:
            raise DeviceFault(f"camera: libx264 failed at {pts_us} µs: {problem}") from problem
        if len(packets) != 1:
            raise DeviceFault(f"camera: libx264 gave {len(packets)} packets for one picture; expected one")
        return bytes(packets[0])
