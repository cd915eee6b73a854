"""What sealing adds to a recording: CPU against `openssl dgst -sha256` and `cp` of the same bytes, and the bytes of lines and checkpoints.

The media are real: a clip encoded at 4 Mbit/s, its packets repeated and cut into fragments by the recorder's own muxer before the
clock starts, so that demultiplexing and muxing are not in the figure.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import av

from agent.capture.fragmenter import Fragment, Fragmenter
from agent.capture.samples import Picture
from agent.core import ulid
from agent.journal.journal import Journal
from agent.journal.media import MediaFiles
from agent.journal.scribe import Scribe
from agent.journal.signer import FileSigner, vkey
from benchmarks.measure import Row, command, spent
from hal.contracts import Fix, VideoFormat, VideoPacket
from hal.drivers.linux import Files, SystemClock
from simulators import media

ORIGIN = "evidence.example.gov/DSJ-0012345/1"
KBIT_S = 4_000
CLIP_S = 20


def fragments(folder: Path, seconds: int) -> tuple[bytes, list[Fragment]]:
    """Init segment and that many seconds of fragments."""
    clip = media.encoded(media.clip("bigbuckbunny"), folder, (1280, 720), 25, KBIT_S, CLIP_S)
    packets, shape = _packets(clip)
    first = next(packets)
    cut = Fragmenter(Picture(first, shape), None, first.pts_us, 1000)
    made = cut.picture(Picture(first, shape))
    for packet in packets:
        made += cut.picture(Picture(packet, shape))
        if len(made) >= seconds:
            break
    return cut.init, made[:seconds]


def _packets(clip: Path) -> tuple[Iterator[VideoPacket], VideoFormat]:
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        shape = VideoFormat(stream.width, stream.height, 25, bytes(stream.codec_context.extradata or b""), "benchmark")
        held = [(bytes(p), bool(p.is_keyframe)) for p in container.demux(stream) if p.size]

    def endless() -> Iterator[VideoPacket]:
        number = 0
        while True:
            data, key = held[number % len(held)]
            yield VideoPacket(data, number * 40_000, number * 40_000, key)
            number += 1

    return endless(), shape


def _scribe(folder: Path) -> Scribe:
    signer, files = FileSigner.from_seed(b"benchmark".ljust(32)), Files()
    journal = Journal.open(folder / "journal", ORIGIN, signer, files)
    scribe = Scribe(journal, MediaFiles(folder / "media", files), SystemClock(), os.urandom)
    scribe.enrol(vkey(ORIGIN, signer), "00" * 32)
    scribe.boot("benchmark", "benchmark", clean=True)
    return scribe


def _record(scribe: Scribe, init: bytes, made: list[Fragment], number: int) -> str:
    """A recording with a fix a second, each second one durable step."""
    recording = ulid.new(1_763_712_000_000 + number, os.urandom(10))
    scribe.start(recording, "button", 0)
    scribe.track(recording, "front", "video/mp4", "avc1.64001f", "benchmark", width=1280, height=720, rate=25)
    scribe.fragment(recording, "front", 0, init, 0, 0)
    fix = Fix(0, 311_234_567, 1_214_567_890, 12_345, 8_333, 12_345, 90, None)
    for seq, one in enumerate(made, 1):
        with scribe.batch():
            scribe.fragment(recording, "front", seq, one.data, one.pts_ms, one.duration_ms)
            scribe.fix(dataclasses.replace(fix, lat=fix.lat + seq * 700, lon=fix.lon - seq * 300))
    scribe.stop(recording, "button")
    return recording


def rows(*, quick: bool) -> list[Row]:
    """CPU and bytes."""
    seconds, turns = (60, 2) if quick else (620, 5)
    ratios, ours, theirs = [], [], []
    with tempfile.TemporaryDirectory(dir=".") as temporary:
        folder = Path(temporary)
        init, made = fragments(folder, seconds)
        whole = folder / "whole.mp4"
        whole.write_bytes(init + b"".join(one.data for one in made))
        scribe = _scribe(folder / "device")
        before = _journal_bytes(folder / "device")
        for turn in range(turns):
            with spent() as sealing:
                recording = _record(scribe, init, made, turn)
            digest = command("openssl", "dgst", "-sha256", str(whole))
            copy = command("cp", str(whole), str(folder / "copy.mp4"))
            ratios.append(sealing.cpu / (digest.cpu + copy.cpu))
            ours.append(sealing.cpu)
            theirs.append(digest.cpu + copy.cpu)
            scribe.media.delete(recording)
            (folder / "copy.mp4").unlink()
        added = (_journal_bytes(folder / "device") - before) / turns
        size = whole.stat().st_size
    behind = {
        "media_mb": size / 1e6,
        "sealing_cpu_s": statistics.median(ours),
        "openssl_and_cp_cpu_s": statistics.median(theirs),
        "mbit_s": size * 8 / 1e6 / seconds,
    }
    per_second = {"added_bytes_per_s": added / seconds, "media_bytes_per_s": KBIT_S * 125}
    return [
        Row(f"seal {size / 1e6:.0f} MB as fragments of 1 s, CPU, against openssl dgst -sha256 + cp", 1.3, "<=", ratios, "×", behind),
        Row(
            "bytes of lines and checkpoints in a 4 Mbit/s recording with position",
            0.2,
            "<=",
            [100 * added / seconds / (KBIT_S * 125)],
            "%",
            per_second,
        ),
    ]


def _journal_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "journal").rglob("*") if path.is_file())
