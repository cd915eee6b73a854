"""data/recording.json: what the package claims to be, and how its media files are cut. Claims are compared, never believed.

Rules (docs/evidence-format.md, section 9):
- Which recording, of which journal; `whole` or `excerpt`; per track the `seq` that its file holds, as ranges [first, end).
- Strict JSON: no duplicate names, no floats, no numbers beyond 2**53 - 1. Members that are not known are ignored.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

from agent.core import wire
from agent.core.errors import CoreError

from .bag import Bag
from .errors import MisfitError
from .manifest import MEDIA

FILE = "data/recording.json"
FORMAT = "zhilu/package@v1"
WHOLE, PART = "whole", "excerpt"
EXTENSIONS = {"video/mp4": "mp4", "audio/mp4": "mp4", "image/jpeg": "jpg"}

MAX_CLAIMS = 8 << 20
MAX_TRACKS = 10_000
MAX_SEQ = 1 << 31

_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


@dataclass(frozen=True)
class Track:
    """A track as claimed: its name, media type, and the held `seq` as ascending ranges [first, end)."""

    name: str
    media: str
    held: tuple[tuple[int, int], ...]

    @property
    def file(self) -> str:
        """Where its bytes are, in the package."""
        return f"data/media/{self.name}.{EXTENSIONS[self.media]}"

    def holds(self, seq: int) -> bool:
        """Whether the file is said to hold this fragment."""
        at = bisect_right(self.held, (seq, MAX_SEQ + 1)) - 1
        return at >= 0 and seq < self.held[at][1]


@dataclass(frozen=True)
class Claims:
    """What a package says that it is."""

    origin: str
    domain: str
    device: str
    recording: str
    part: bool
    tracks: tuple[Track, ...]


def write(origin: str, recording: str, tracks: list[Track], *, part: bool) -> bytes:
    """The file's bytes."""
    head = {
        "format": FORMAT,
        "origin": origin,
        "device": wire.parse_origin(origin)[1],
        "recording": recording,
        "part": PART if part else WHOLE,
    }
    rows = [json.dumps({"track": t.name, "media": t.media, "held": t.held}) for t in tracks]
    # A line for each track: people read this file too.
    return (json.dumps(head, indent=1)[:-2] + ',\n "tracks": [\n  ' + ",\n  ".join(rows) + "\n ]\n}\n").encode()


def read(bag: Bag) -> Claims:
    """The claims of a package; MisfitError names what can't be understood."""
    claims = _strict(bag.text(FILE, MAX_CLAIMS))
    if claims.get("format") != FORMAT:
        raise MisfitError(FILE, f"format: expected {FORMAT}, got {claims.get('format')!r:.60}")
    origin, recording, part = (_word(claims, name) for name in ("origin", "recording", "part"))
    try:
        domain, device, _ = wire.parse_origin(origin)
    except CoreError as e:
        raise MisfitError(FILE, f"origin: {e}") from e
    if _word(claims, "device") != device:
        raise MisfitError(FILE, f"device: expected {device}, as the origin says")
    if not _ULID.fullmatch(recording):
        raise MisfitError(FILE, f"recording: not a ULID: {recording:.60}")
    if part not in (WHOLE, PART):
        raise MisfitError(FILE, f"part: expected whole or excerpt, got {part:.60}")
    rows = claims.get("tracks")
    if not isinstance(rows, list) or len(rows) > MAX_TRACKS:
        raise MisfitError(FILE, f"tracks: expected a list of at most {MAX_TRACKS}")
    tracks = tuple(_track(row) for row in rows)
    if len({t.name.lower() for t in tracks}) != len(tracks):
        raise MisfitError(FILE, "tracks: one of them is named twice")
    return Claims(origin, domain, device, recording, part == PART, tracks)


def _track(row: Any) -> Track:
    if not isinstance(row, dict):
        raise MisfitError(FILE, "tracks: expected objects")
    name, media, held = _word(row, "track"), _word(row, "media"), row.get("held")
    if media not in EXTENSIONS or not MEDIA.fullmatch(f"data/media/{name}.{EXTENSIONS[media]}"):
        raise MisfitError(FILE, f"track {name:.60}: not a track's name, or not a media type: {media:.60}")
    if not isinstance(held, list) or not all(_is_range(r) for r in held):
        raise MisfitError(FILE, f"track {name}: held: expected ranges of two numbers")
    last = -1
    for first, end in held:
        if not last < first < end <= MAX_SEQ:
            raise MisfitError(FILE, f"track {name}: held: ranges must ascend, not touch and not be empty: got {first} to {end}")
        last = end
    return Track(name, media, tuple((first, end) for first, end in held))


def _is_range(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(v) is int for v in value)


def _word(members: dict[str, Any], name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str):
        raise MisfitError(FILE, f"{name}: expected text")
    return value


# --------------------------------------------------------------------------- strict JSON


def _strict(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_float=_no_float, parse_int=_integer, parse_constant=_no_float)
    except RecursionError as e:
        raise MisfitError(FILE, "nested too deeply") from e
    except MisfitError:
        raise
    except ValueError as e:
        raise MisfitError(FILE, f"not JSON: {e}") from e
    if not isinstance(value, dict):
        raise MisfitError(FILE, "expected an object")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MisfitError(FILE, "a name stands twice in one object")
    return members


def _no_float(text: str) -> Any:
    raise MisfitError(FILE, f"only integers are expected, got {text:.40}")


def _integer(text: str) -> int:
    if len(text) > 16 or abs(int(text)) >= 1 << 53:
        raise MisfitError(FILE, f"a number beyond 2**53 - 1: {text:.40}")
    return int(text)
