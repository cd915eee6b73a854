"""HLS playlists over stored fragments (RFC 8216): byte ranges of the track's file, while it is being recorded too.

Rules:
- The init segment is the map (EXT-X-MAP), every other fragment a segment of its own duration; an edge between tracks of
  one camera (`front`, `front-2`) or a hole is a discontinuity.
- While bytes may still come the list ends at the first fragment that is missing: what a player has been told is never taken back.
- The list has an end once the recording is stored.

Pure: catalogue values in, text out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from server.store.catalogue import Fragment, Recording, Track

_FAMILY = re.compile(r"(.+?)(?:-([0-9]+))?")
Part = tuple[Track, Sequence[Fragment]]


def family(tracks: Sequence[Track], name: str | None = None) -> list[Track]:
    """The tracks that continue one another: those of `name`, else of the first with moving pictures, else with sound.

    Sound that began before the camera gave pictures is a track of its own; a player that began with it would show no picture after it.
    """
    playable = [one for one in tracks if one.media in ("video/mp4", "audio/mp4")]
    first = name or next((one.track for media in ("video/mp4", "audio/mp4") for one in playable if one.media == media), None)
    if first is None:
        return []
    return [one for one in playable if _family(one.track) == _family(first)]


def _family(name: str) -> str:
    found = _FAMILY.fullmatch(name)
    return found[1] if found else name


def build(recording: Recording, parts: Sequence[Part]) -> str:
    """The playlist over the parts in their order."""
    ended = recording.state == "stored"
    body: list[str] = []
    longest = 2000  # fragments of a second, give or take a frame: a player should not see this change
    for track, fragments in parts:
        rows, complete = _rows(recording, track, fragments, ended=ended)
        if rows and body:
            body.append("#EXT-X-DISCONTINUITY")
        body += rows
        longest = max([longest, *(one.duration for one in fragments)])
        if not complete:
            break
    head = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#EXT-X-TARGETDURATION:{-(-longest // 1000)}",
        f"#EXT-X-PLAYLIST-TYPE:{'VOD' if ended else 'EVENT'}",
        "#EXT-X-INDEPENDENT-SEGMENTS",
    ]
    return "\n".join([*head, *body, *(["#EXT-X-ENDLIST"] if ended else [])]) + "\n"


def _rows(recording: Recording, track: Track, fragments: Sequence[Fragment], *, ended: bool) -> tuple[list[str], bool]:
    """(rows of one track, whether it is all there)."""
    rows: list[str] = []
    uri = f"media/{track.track}"
    hole = False
    if not fragments or not fragments[0].held:
        return rows, ended
    rows.append(f'#EXT-X-MAP:URI="{uri}",BYTERANGE="{fragments[0].bytes}@{fragments[0].offset}"')
    for one in fragments[1:]:
        if not one.held:
            if not ended and not one.lost:
                return rows, False
            hole = True
            continue
        if hole or one.seq == 1:
            rows += ["#EXT-X-DISCONTINUITY"] if hole else []
            rows.append(f"#EXT-X-PROGRAM-DATE-TIME:{_moment(recording.started_at + one.pts)}")
            hole = False
        rows += [f"#EXTINF:{one.duration / 1000:.3f},", f"#EXT-X-BYTERANGE:{one.bytes}@{one.offset}", uri]
    return rows, True


def _moment(ms: int) -> str:
    """Date and time as HLS writes them; the epoch where a device's clock is beyond any calendar."""
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0, UTC).isoformat(timespec="milliseconds")
