"""Whether every byte is what the device signed: media files against fragment lines (docs/evidence-format.md, section 9).

Rules:
- A media file is the fragments that recording.json says it holds, in order of `seq`, and nothing else: its length is their sum, and each
  is hashed against its signed line. So each byte is hashed exactly once.
- A held fragment that no line names does not fit; a named one that is not held is missing, with a `gap` line or without.
- The `stop` line's totals and the lines agree; each track begins with its `track` line; `seq` and `offset` count on.

Files are cut into shares that are hashed side by side where there are several cores: hashlib lets go of the interpreter's lock.
"""

from __future__ import annotations

import hashlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from server.evidence.bag import PIECE, Bag, fill
from server.evidence.claims import Claims, Track
from server.evidence.manifest import media_digests
from server.evidence.text import many
from server.evidence.verdict import Check

from .journal import LINES
from .sequence import Recording

SHARE = 32 << 20
"""Bytes that one worker takes at a time: enough for the opening to vanish, small enough that the last worker ends soon."""

MAX_WORKERS = 4


@dataclass
class TrackLines:
    """What the lines say of a track: its `track` line, fragments by seq in order."""

    name: str
    begun: dict[str, Any] | None = None
    fragments: dict[int, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Piece:
    """A held fragment: where it lies in the package's file, and what it must hash to."""

    file: str
    start: int
    bytes: int
    sha256: str
    name: str


def tracks_of(check: Check, recording: Recording) -> dict[str, TrackLines]:
    """The tracks as the lines have them; what does not fit among the lines themselves is found here."""
    tracks: dict[str, TrackLines] = {}
    for line in recording.lines:
        m = line.members
        if m is None or line.kind not in ("track", "fragment"):
            continue
        place = f"{LINES} (index {line.index})"
        track = tracks.setdefault(m["track"], TrackLines(m["track"]))
        if line.kind == "track":
            if track.begun is not None or track.fragments:
                check.tampered(place, f"track {m['track']} begins a second time, or after its fragments")
            track.begun = m
        elif m["seq"] in track.fragments or min(m["seq"], m["bytes"], m["offset"], m["pts"], m["duration"]) < 0:
            check.tampered(place, f"track {m['track']}: fragment {m['seq']} stands twice, or a negative number in it")
        else:
            _check_follows(check, place, track, m)
            track.fragments[m["seq"]] = m
    return tracks


def _check_follows(check: Check, place: str, track: TrackLines, m: dict[str, Any]) -> None:
    if not track.fragments:
        return
    last = track.fragments[next(reversed(track.fragments))]
    if m["seq"] < last["seq"] or m["offset"] < last["offset"] + last["bytes"]:
        check.tampered(place, f"track {track.name}: fragment {m['seq']} does not come behind fragment {last['seq']}")


def check_fragments(check: Check, bag: Bag, claims: Claims, recording: Recording, workers: int | None = None) -> dict[str, TrackLines]:
    """Cut the files by the claims, and hash every byte."""
    tracks = tracks_of(check, recording)
    pieces: list[_Piece] = []
    ends: list[tuple[str, str]] = []
    for claimed in claims.tracks:
        pieces += _cut(check, bag, claimed, tracks.get(claimed.name), ends)
    _check_left(check, bag, claims, tracks)
    digests = media_digests(bag)
    missing = sum(len(t.fragments) for t in tracks.values()) - len(pieces)
    _hash_all(check, bag, pieces, workers or available_cores())
    for place, message in ends:  # after the fragments: the first that differs says more than the length of the file
        check.tampered(place, message)
    for piece in pieces:
        whole = piece.bytes == bag.files.get(piece.file)
        if whole and digests.get(piece.file, piece.sha256) != piece.sha256:
            check.tampered(piece.file, "the manifest and the signed fragment line give different digests")
    total = sum(p.bytes for p in pieces)
    check.figures = {"fragments": len(pieces), "bytes": total, "missing": missing, "tracks": len(tracks)}
    check.figures["recovered"] = sum(f.get("recovered") is True for t in tracks.values() for f in t.fragments.values())
    says = f"{many(len(pieces), 'fragment')} in {many(len(claims.tracks), 'track')}, {many(total, 'byte')}, each byte as it was signed"
    check.says = says + (f"; {missing} fragments that lines name are missing" if missing > 0 else "")
    return tracks


def _cut(check: Check, bag: Bag, claimed: Track, track: TrackLines | None, ends: list[tuple[str, str]]) -> list[_Piece]:
    """The pieces of a file, in order, as far as it has them; what is wrong with its end goes into `ends`."""
    place = claimed.file
    if track is None or track.begun is None:
        check.tampered("data/recording.json", f"track {claimed.name}: no line of the recording begins it")
        return []
    if track.begun["media"] != claimed.media:
        check.tampered("data/recording.json", f"track {claimed.name} is {track.begun['media']:.60}, not {claimed.media}")
    pieces, at, count = [], 0, sum(end - first for first, end in claimed.held)
    if count and claimed.file not in bag.files:
        check.incomplete(place, f"{count} fragments are said to be in it, and the file is not there")
        return []
    for seq in sorted(track.fragments):
        if claimed.holds(seq):
            m = track.fragments[seq]
            pieces.append(_Piece(claimed.file, at, m["bytes"], m["sha256"], f"{claimed.name} fragment {seq}"))
            at += m["bytes"]
    if len(pieces) != count:
        check.tampered(
            "data/recording.json", f"track {claimed.name}: {count} fragments are said to be held, lines name {len(pieces)} of them"
        )
    size = bag.files.get(claimed.file, 0)
    whole = [p for p in pieces if p.start + p.bytes <= size]
    if size != at:
        torn = f", {pieces[len(whole)].name}" if len(whole) < len(pieces) else ""
        ends.append((place + torn, f"the file has {size} bytes, its fragments have {at}"))
    return whole


def _check_left(check: Check, bag: Bag, claims: Claims, tracks: dict[str, TrackLines]) -> None:
    """Fragments that lines name and nobody holds; media files that nobody claims."""
    claimed = {t.name: t for t in claims.tracks}
    files = {t.file for t in claims.tracks if t.held}
    for name in bag.files:
        if name.startswith("data/media/") and name not in files:
            check.tampered(name, "recording.json does not claim this file")
    for track in tracks.values():
        if track.begun is None:
            check.incomplete(LINES, f"the track line of {track.name} is not there")
        held = claimed.get(track.name)
        for seq in track.fragments:
            if held is None or not held.holds(seq):
                check.incomplete(f"track {track.name} fragment {seq}", "a line names it, and its bytes are not in the package")


# --------------------------------------------------------------------------- hashing


def available_cores() -> int:
    """Cores that this process may use, up to MAX_WORKERS."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(count, MAX_WORKERS)


def _hash_all(check: Check, bag: Bag, pieces: list[_Piece], workers: int) -> None:
    """Hash all pieces; those that differ are reported in their order, whoever found them."""
    shares = _shares(bag, pieces)
    if workers <= 1 or len(shares) <= 1:
        buffer = memoryview(bytearray(PIECE))
        wrong = [w for share in shares for w in _hash_share(bag, share, buffer)]
    else:
        with ThreadPoolExecutor(workers) as pool:
            local = threading.local()
            wrong = [w for result in pool.map(lambda share: _hash_with_own_buffer(bag, share, local), shares) for w in result]
    for piece in wrong:
        check.tampered(f"{piece.file}, {piece.name}", f"bytes {piece.start} to {piece.start + piece.bytes} are not what the device signed")


def _shares(bag: Bag, pieces: list[_Piece]) -> list[list[_Piece]]:
    """Runs of pieces that lie behind each other in one file; a file that can't be read from the middle is one run."""
    shares: list[list[_Piece]] = []
    filled = 0
    for piece in pieces:
        same = bool(shares) and shares[-1][0].file == piece.file
        if same and (filled < SHARE or not bag.seekable(piece.file)):
            shares[-1].append(piece)
            filled += piece.bytes
        else:
            shares.append([piece])
            filled = piece.bytes
    return shares


def _hash_with_own_buffer(bag: Bag, share: list[_Piece], local: threading.local) -> list[_Piece]:
    if not hasattr(local, "buffer"):
        local.buffer = memoryview(bytearray(PIECE))
    return _hash_share(bag, share, local.buffer)


def _hash_share(bag: Bag, share: list[_Piece], buffer: memoryview) -> list[_Piece]:
    """The pieces of a run that do not hash to what they must."""
    wrong = []
    reader = bag.open(share[0].file)
    try:
        if share[0].start:
            reader.seek(share[0].start)
        for piece in share:
            sha256, left = hashlib.sha256(), piece.bytes
            while left:
                part = buffer[: min(left, PIECE)]
                fill(reader, part, piece.file)
                sha256.update(part)
                left -= len(part)
            if sha256.hexdigest() != piece.sha256:
                wrong.append(piece)
    finally:
        reader.close()
    return wrong
