"""Media after a power cut: what is whole without a line, what a line names and is gone, and what an open recording lost.

Rules (docs/evidence-format.md, section 4):
- At most two whole fragments a track that have no line yet get one, with `recovered: true`; what stands behind them is torn.
- A `gap` (reason `storage`) for every fragment whose line is there and whose bytes are not.
- An unfinished recording gets a `gap` (reason `power`) in every track that was running, from the end of its last fragment.
  How long nobody can know: what is stated is the time to the recording's last sign of life, and at least one fragment's
  length, because the one that was being made is always lost.

Here it is decided from what was read; recovery reads, cuts and sets aside.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.journal import boxes
from agent.journal.journal import Journal
from agent.journal.media import MediaFiles
from agent.journal.story import Open, Story, Track, base, parse

MAX_RECOVERED = 2
NOMINAL_MS = 1_000
"""Length of a fragment where nothing says another one."""
WINDOW_LINES = 16_384
"""How far back bytes are looked for: two hours of recording. A card that lies about syncing loses minutes; `audit` looks further."""
HASHED = 16
"""Newest fragments a track of an unfinished recording that are hashed too: a card may keep the length and lose the content."""
RUNNING = ("video/mp4", "audio/mp4")


@dataclass(frozen=True, slots=True)
class Found:
    """A whole piece behind the last lined byte: where, whether it has holes, and when it was by its own clock (ms)."""

    piece: boxes.Piece
    sha256: str
    holed: bool
    time: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Gap:
    """Members of a gap line."""

    recording: str
    track: str
    from_ms: int
    lost_ms: int
    reason: str


@dataclass(slots=True)
class Salvaged:
    """What recovery found in the media: for open recordings their fragments without lines, and what is gone, by recording."""

    recovered: dict[str, list[tuple[str, list[tuple[str, Any]]]]] = field(default_factory=dict)
    missing: list[Gap] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Fragments that get a line."""
        return sum(map(len, self.recovered.values()))


# --------------------------------------------------------------------------- pure


def choose(track: Track, found: Sequence[Found], last_begin: int | None) -> list[list[tuple[str, Any]]]:
    """Members of the lines for the pieces that may have one. `last_begin`: begin of the last lined fragment by its own clock."""
    chosen: list[list[tuple[str, Any]]] = []
    seq, pts_end, offset, last = track.next_seq, track.pts_end, track.end, track.last
    for one in found[:MAX_RECOVERED]:
        if one.holed or one.piece.init != (seq == 0) or one.piece.offset != offset:
            break
        pts, duration = (0, 0) if one.piece.init else (pts_end, last[3] if last else NOMINAL_MS)
        if one.time is not None and not one.piece.init:
            begin, duration = one.time
            if last is not None and last_begin is not None:
                pts = max(last[2] + begin - last_begin, 0)
        place = [("seq", seq), ("offset", offset), ("bytes", one.piece.size), ("sha256", one.sha256)]
        chosen.append([*place, ("pts", pts), ("duration", duration)])
        seq, pts_end, offset = seq + 1, pts + duration, offset + one.piece.size
    return chosen


def power_gaps(recording: str, found: Open) -> list[Gap]:
    """What an unfinished recording lost when the power went, per running track; one without a name where it had none yet."""
    alive = found.up - found.epoch
    gaps = []
    for name in running(found.tracks):
        track = found.tracks[name]
        if not track.closed:
            least = track.last[3] if track.last else NOMINAL_MS
            gaps.append(Gap(recording, name, track.known_to, max(alive - track.known_to, least), "power"))
    if not found.tracks and not found.closed:
        gaps.append(Gap(recording, "", 0, max(alive, NOMINAL_MS), "power"))
    return gaps


def running(tracks: dict[str, Track]) -> list[str]:
    """Tracks that had not ended: of `front`, `front-2` the newest; stills are over when they are made."""
    newest: dict[str, str] = {}
    for name, track in tracks.items():
        if track.media in RUNNING:
            newest[base(name)] = name
    return list(newest.values())


# --------------------------------------------------------------------------- reading


def without_line(media: MediaFiles, recording: str, name: str, track: Track) -> list[list[tuple[str, Any]]]:
    """Members for the fragments that stand behind the last lined byte of a track."""

    def read(offset: int, length: int) -> bytes:
        return media.read(recording, name, offset, length)

    size = media.size(recording, name)
    if size <= track.end:
        return []
    if track.media not in RUNNING:
        return _still(track, read(track.end, size - track.end))
    init = next(iter(boxes.pieces(read, 0, size)), None)
    last_begin = None
    if track.last is not None and init is not None:
        offset, length = track.last[:2]
        before = next(iter(boxes.pieces(read, offset, offset + length)), None)
        time = boxes.timing(read, init, before) if before else None
        last_begin = time[0] if time else None
    found = []
    for piece, _ in zip(boxes.pieces(read, track.end, size), range(MAX_RECOVERED), strict=False):
        data = read(piece.offset, piece.size)
        time = boxes.timing(read, init, piece) if init is not None and not piece.init else None
        found.append(Found(piece, hashlib.sha256(data).hexdigest(), boxes.torn(data), time))
    return choose(track, found, last_begin)


def _still(track: Track, data: bytes) -> list[list[tuple[str, Any]]]:
    """A JPEG that is whole: from its first marker to its last."""
    if track.next_seq or not data.startswith(b"\xff\xd8") or not data.endswith(b"\xff\xd9") or boxes.torn(data):
        return []
    place = [("seq", 0), ("offset", 0), ("bytes", len(data)), ("sha256", hashlib.sha256(data).hexdigest())]
    return [[*place, ("pts", 0), ("duration", 0)]]


def missing(journal: Journal, media: MediaFiles, story: Story) -> list[Gap]:
    """A gap for each fragment of the newest lines whose bytes are gone and that is under none yet."""
    sizes: dict[tuple[str, str], int] = {}
    known: set[Gap] = set()
    gone: list[Gap] = []
    newest: dict[tuple[str, str], deque[dict[str, Any]]] = {}
    for _, line in journal.iterate(max(journal.size - WINDOW_LINES, 0)):
        members = parse(line) if b'"kind":"fragment"' in line or b'"kind":"gap"' in line else None
        if members is None or members["recording"] not in story.known:
            continue
        place = members["recording"], members["track"]
        if members["kind"] == "gap":
            known.add(Gap(*place, members["from"], members["lost"], members["reason"]))
            continue
        if place not in sizes:
            sizes[place] = media.size(*place)
        if members["offset"] + members["bytes"] > sizes[place]:
            gone.append(_storage_gap(members))
        elif members["recording"] in story.open:
            newest.setdefault(place, deque(maxlen=HASHED)).append(members)
    for fragments in newest.values():
        gone += [_storage_gap(members) for members in fragments if not held(media, members)]
    return [gap for gap in gone if gap not in known]


def held(media: MediaFiles, members: dict[str, Any]) -> bool:
    """Whether the bytes that a fragment line names are on the disk and are what it says."""
    data = media.read(members["recording"], members["track"], members["offset"], members["bytes"])
    return len(data) == members["bytes"] and bool(hashlib.sha256(data).hexdigest() == members["sha256"])


def _storage_gap(members: dict[str, Any]) -> Gap:
    return Gap(members["recording"], members["track"], members["pts"], members["duration"], "storage")
