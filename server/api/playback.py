"""Watching a recording: HLS playlist and the tracks' bytes, by range. Playing is recorded in the ledger.

Rules:
- Only held fragments are given out: a hole in a file would read as zeroes, which nobody recorded.
- What type bytes have is said in our words, not in the journal's: who holds a device's key could else put a page of his own here.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Sequence
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import StreamingResponse

from server import description
from server.api import playlist
from server.api.looks import Looks
from server.problems import Problem
from server.services import Services
from server.store.catalogue import Fragment
from server.store.objects import EXTENSIONS

PIECE = 1 << 18
HEADERS = {"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"}
PLAYLIST_TYPE = "application/vnd.apple.mpegurl"
ANY_TYPE = "application/octet-stream"
_PLAYLIST = description.content("The playlist", PLAYLIST_TYPE) | description.problems("not-found", "ambiguous")
_MEDIA = (
    description.content("The whole track", *EXTENSIONS, ANY_TYPE)
    | description.content("The range", *EXTENSIONS, ANY_TYPE, status=206, headers={"Content-Range": "which, and of how many bytes"})
    | description.problems("not-found", "ambiguous", "not-held", "range")
)
_RANGE = re.compile(r"bytes=([0-9]{1,19})?-([0-9]{1,19})?")


def router(services: Services, looks: Looks) -> APIRouter:
    """The routes below /api/v1/recordings/{id}."""
    made = APIRouter(prefix="/api/v1/recordings", tags=["playback"])
    catalogue, objects = services.catalogue, services.objects

    @made.get("/{name}/playlist.m3u8", response_class=Response, responses=_PLAYLIST)
    def playlist_of(request: Request, name: str, track: str | None = None) -> Response:
        """HLS media playlist of one camera, the first where none is named."""
        found = catalogue.find(name)
        tracks = playlist.family(catalogue.tracks(found.id), track)
        if not tracks:
            raise Problem("not-found", f"the recording has no {track[:80] if track else 'playable track yet'}")
        looks.look(request, "play", found)
        text = playlist.build(found, [(one, catalogue.fragments(one.id)) for one in tracks])
        return Response(text, media_type=PLAYLIST_TYPE, headers={"Cache-Control": "no-store"})

    @made.head("/{name}/media/{track}", response_class=Response, responses=_MEDIA)
    @made.get("/{name}/media/{track}", response_class=Response, responses=_MEDIA)
    def media(request: Request, name: str, track: str, byte_range: Annotated[str | None, Header(alias="range")] = None) -> Response:
        """Bytes of a track, all or one range."""
        found = catalogue.find(name)
        one = catalogue.track(found.id, track)
        fragments = catalogue.fragments(one.id)
        size = fragments[-1].offset + fragments[-1].bytes if fragments else 0
        wanted = parse_range(byte_range, size)
        first, end = wanted or (0, size)
        if not covered(fragments, first, end):
            raise Problem("not-held", f"bytes {first} to {end} of {track[:80]} are not all here yet")
        looks.look(request, "play", found)
        headers = {"Accept-Ranges": "bytes", "Content-Length": str(end - first), **HEADERS}
        kind = one.media if one.media in EXTENSIONS else ANY_TYPE
        if wanted:
            headers["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
        if request.method == "HEAD":
            return Response(status_code=206 if wanted else 200, headers=headers, media_type=kind)
        path = objects.path(found.device, found.recording, one.track, one.media)

        def pieces() -> Iterator[bytes]:
            for at in range(first, end, PIECE):
                yield objects.read(path, at, min(PIECE, end - at))

        return StreamingResponse(pieces(), 206 if wanted else 200, headers, kind)

    return made


def parse_range(value: str | None, size: int) -> tuple[int, int] | None:
    """[first, end) of a Range header (RFC 9110, section 14); None where there is none, or one that we may ignore."""
    found = _RANGE.fullmatch(value.strip()) if value else None
    if found is None or (found[1] is None and found[2] is None):
        return None
    if found[1] is None:
        first, end = max(0, size - int(found[2])), size
    else:
        first, end = int(found[1]), min(size, int(found[2]) + 1) if found[2] else size
    if first >= end:
        raise Problem("range", f"expected a range of {size} bytes, got {value}")
    return first, end


def covered(fragments: Sequence[Fragment], first: int, end: int) -> bool:
    """Whether every byte of [first, end) belongs to a held fragment."""
    at = bisect.bisect_right(fragments, first, key=lambda one: one.offset) - 1
    while first < end and 0 <= at < len(fragments):
        one = fragments[at]
        if not one.held or not one.offset <= first < one.offset + one.bytes:
            return False
        first, at = one.offset + one.bytes, at + 1
    return first >= end
