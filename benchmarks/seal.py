"""What sealing adds to a recording: CPU against `openssl dgst -sha256` and `cp` of the same bytes, and the bytes of lines and checkpoints.

The media are real: a clip encoded at 4 Mbit/s, its packets repeated and cut into fragments by the recorder's own muxer before the
clock starts, so that demultiplexing and muxing are not in the figure. Each second has a position too, so there are two lines of it.

A durable step costs the same however much it holds: three syncs, a signature. Live there is one a second; the second figure is what
happens to fragments that wait, because the machine was slow, or because they come from a file.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import statistics
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
from benchmarks.measure import Row, command, spent, workplace
from hal.contracts import Fix, VideoFormat, VideoPacket
from hal.drivers.linux import Files, SystemClock
from simulators import media

ORIGIN = "evidence.example.gov/DSJ-0012345/1"
KBIT_S = 4_000
TOGETHER = 10
"""Fragments that wait for each other when the disk or the machine was slow: the journal's thread writes them in one step."""
CLIP_S = 20


def fragments(folder: Path, seconds: int) -> tuple[bytes, list[Fragment]]:
    """Init segment and that many seconds of fragments."""
    clip = media.encoded(media.clip("bigbuckbunny"), folder, (1280, 720), 25, KBIT_S, min(CLIP_S, seconds))
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


def _fixes(count: int) -> list[Fix]:
    """A position a second, of somebody who drives."""
    fix = Fix(0, 311_234_567, 1_214_567_890, 12_345, 8_333, 12_345, 90, None)
    return [dataclasses.replace(fix, lat=fix.lat + seq * 700, lon=fix.lon - seq * 300) for seq in range(count)]


def _record(scribe: Scribe, init: bytes, made: list[Fragment], fixes: list[Fix], together: int) -> str:
    """A recording with a position a second; `together` seconds are one durable step."""
    recording = ulid.new(1_763_712_000_000, os.urandom(10))
    scribe.start(recording, "button", 0)
    scribe.track(recording, "front", "video/mp4", "avc1.64001f", "benchmark", width=1280, height=720, rate=25)
    scribe.fragment(recording, "front", 0, init, 0, 0)
    seconds = iter(enumerate(zip(made, fixes, strict=True), 1))
    while step := list(itertools.islice(seconds, together)):
        with scribe.batch():
            for seq, (one, fix) in step:
                scribe.fragment(recording, "front", seq, one.data, one.pts_ms, one.duration_ms)
                scribe.fix(fix)
    scribe.stop(recording, "button")
    return recording


class _Bench:
    """One set of media, sealed again and again; the copy and the sealed bytes are deleted as soon as they are measured.

    So both sides write into memory that was written a moment before, on a machine that has enough of it.
    """

    def __init__(self, folder: Path, seconds: int) -> None:
        self.init, self.made = fragments(folder, seconds)
        self.fixes = _fixes(len(self.made))
        self.whole, self.copy, self.device = folder / "whole.mp4", folder / "copy.mp4", folder / "device"
        self.whole.write_bytes(self.init + b"".join(one.data for one in self.made))
        self.size = self.whole.stat().st_size
        self.scribe = _scribe(self.device)

    def seal(self, together: int) -> float:
        """Seconds of CPU."""
        with spent() as sealing:
            recording = _record(self.scribe, self.init, self.made, self.fixes, together)
        self.scribe.media.delete(recording)
        return sealing.cpu

    def digest_and_copy(self) -> float:
        """Seconds of CPU."""
        digest = command("openssl", "dgst", "-sha256", str(self.whole))
        copy = command("cp", str(self.whole), str(self.copy))
        self.copy.unlink()
        return digest.cpu + copy.cpu

    def added(self) -> int:
        """Bytes of lines and checkpoints that one recording adds."""
        before = _journal_bytes(self.device)
        self.seal(1)
        return _journal_bytes(self.device) - before


def rows(*, quick: bool) -> list[Row]:
    """CPU and bytes."""
    seconds, turns = (10, 1) if quick else (620, 5)
    with workplace() as folder:
        bench = _Bench(folder, seconds)
        added = bench.added() / seconds
        bench.digest_and_copy()  # like the recording before: not measured, because memory that was never used costs its first user
        taken = [(bench.seal(1), bench.digest_and_copy(), bench.seal(TOGETHER)) for _ in range(turns)]
        size = bench.size
    what = "seal H.264 as fragments of 1 s, CPU, of openssl dgst -sha256 + cp"
    single, theirs, several = (statistics.median(column) for column in zip(*taken, strict=True))
    behind = {"media_mb": size / 1e6, "mbit_s": size * 8 / 1e6 / seconds, "openssl_and_cp_cpu_s": theirs}
    return [
        Row(f"{what}: each a durable step", 1.3, "<=", [a / b for a, b, _ in taken], "×", behind | {"sealing_cpu_s": single}),
        Row(
            f"{what}: {TOGETHER} to a step, as they are written when they wait",
            1.3,
            "<=",
            [c / b for _, b, c in taken],
            "×",
            behind | {"sealing_cpu_s": several},
        ),
        Row(
            "bytes added by lines and checkpoints to a 4 Mbit/s recording with position",
            0.2,
            "<=",
            [100 * added / (KBIT_S * 125)],
            "%",
            {"added_bytes_per_s": added, "media_bytes_per_s": KBIT_S * 125},
        ),
    ]


def _journal_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "journal").rglob("*") if path.is_file())
