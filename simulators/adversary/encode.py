"""A forger's encoder: frames decoded, painted over and encoded again with the same kind of encoder; silence; a whole file anew.

The new frames fit the old init segment: the encoder has the camera's own settings, so its parameter sets are the same.
"""

from __future__ import annotations

import io
from collections.abc import Iterable

import av
import numpy as np

from agent.capture.encoder import AacEncoder
from agent.capture.h264 import nals
from hal.contracts import AudioFormat
from simulators.adversary import mp4
from simulators.adversary.recorder import HEIGHT, KBIT_S, RATE, SOUND_RATE, WIDTH
from simulators.x264 import Encoder

AAC_FRAME = 1_024
PRIMING = 4
"""AAC frames that an encoder begins with."""


def again(init: bytes, fragment: mp4.Fragment, which: Iterable[int]) -> list[mp4.Sample]:
    """The frames of a fragment, of which these were painted over and encoded again."""
    frames = list(fragment.run(mp4.PICTURE).samples)
    shown = mp4.pictures(init + mp4.build(fragment))
    encoder = Encoder(WIDTH, HEIGHT, RATE, KBIT_S, "veryfast")
    for number, at in enumerate(which):
        picture = np.asarray(shown[at].to_ndarray(format="yuv420p"), np.uint8).copy()
        picture[HEIGHT // 2 : HEIGHT // 2 + 16, 32:96] = 200
        data = encoder.encode(picture, number * 1_000_000 // RATE, key=number == 0)
        frames[at] = mp4.sample(_prefixed(data), frames[at].duration, key=number == 0)
    return frames


def _prefixed(annex_b: bytes) -> bytes:
    """NAL units with their lengths before them, as MP4 has them."""
    return b"".join(len(nal).to_bytes(4, "big") + nal for nal in nals(annex_b))


def silence(frames: int, duration: int) -> list[mp4.Sample]:
    """So many AAC frames of nothing."""
    encoder = AacEncoder(AudioFormat(SOUND_RATE, 1, "nothing"), 64_000)
    made: list[mp4.Sample] = []
    while len(made) < frames:
        block = np.zeros((1, AAC_FRAME), np.float32)
        made += [mp4.sample(sound.data, duration, key=True) for sound in encoder.encode(block, 0)]
    return made


def whole(data: bytes) -> bytes:
    """A track file, decoded and encoded anew by a stock encoder; the sound is copied."""
    out = io.BytesIO()
    with av.open(io.BytesIO(data), "r") as old, av.open(out, "w", format="mp4", options={"movflags": "frag_keyframe+empty_moov"}) as new:
        picture = new.add_stream("libx264", RATE, options={"preset": "ultrafast"})
        picture.width, picture.height, picture.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = new.add_stream_from_template(old.streams.audio[0])
        for packet in old.demux():
            if packet.stream.type == "audio" and packet.dts is not None:
                packet.stream = sound
                new.mux(packet)
            elif packet.stream.type == "video":
                for frame in packet.decode():
                    new.mux(picture.encode(frame))  # type: ignore[arg-type]
        new.mux(picture.encode(None))
    return out.getvalue()


def muxed(data: bytes) -> bytes:
    """A track file, copied packet by packet into a new one."""
    out = io.BytesIO()
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    with av.open(io.BytesIO(data), "r") as old, av.open(out, "w", format="mp4", options=options) as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream_index]
                new.mux(packet)
    return out.getvalue()
