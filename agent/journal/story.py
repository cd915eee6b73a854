"""What the lines of a journal say so far: open recordings, governing lines, counters; a fold over lines, nothing else.

Rules (docs/evidence-format.md, sections 2, 6 and 8):
- A recording is open from its `start` to its `stop`; its `n` count without a gap; `gap` and `purge` after `stop` have none.
- Governing are the newest `boot`, `clock`, `beacon`, `assign` and `signon` lines; `signoff` ends a `signon`.
- The numbers of orders and of desired states rise; the last ones survive trimming, because the state is carried on.

The story of a prefix and the lines behind it give the story of the whole: that is how a start reads one segment only. Lines
are read by the interpreter's own reader here, twenty times faster than the core's: these are lines that our key signed.
What comes from anywhere else goes through `agent.core.kinds.meaning` first.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field, fields, replace
from operator import attrgetter
from typing import Any

from agent.core import kinds, merkle
from agent.journal.errors import Damaged

GOVERNING = ("boot", "clock", "beacon", "assign", "signon")
SHUTDOWN = "shutdown"
"""Event of the `power` line that a start must find as the last line to call the end before it clean."""
MAX_PURGED = 64
"""Purged recordings that are remembered, so that a deletion which a power cut interrupted is finished."""


@dataclass(slots=True)
class Track:
    """A track of an open recording: totals for its `stop` line, and where its media end."""

    media: str
    fragments: int = 0
    bytes: int = 0
    duration: int = 0
    next_seq: int = 0
    end: int = 0
    pts_end: int = 0
    known_to: int = 0
    """Media time up to which there are media, or a gap says why not."""
    last: tuple[int, int, int, int] | None = None
    """Offset, bytes, pts and duration of the newest fragment that has a duration."""
    closed: bool = False
    """Whether the loss at a power cut is on record."""


@dataclass(slots=True)
class Open:
    """A recording between its `start` and its `stop`."""

    start: int
    epoch: int
    up: int
    n: int = 1
    tracks: dict[str, Track] = field(default_factory=dict)
    closed: bool = False
    """Whether the loss at a power cut is on record, for a recording that had no track yet."""


@dataclass(frozen=True, slots=True)
class Known:
    """A recording that was started and not purged: indices of its `start` and `stop` lines."""

    start: int
    stop: int | None = None


@dataclass(slots=True)
class Story:
    """The state after `size` lines."""

    size: int = 0
    boots: int = 0
    clean: bool = False
    last_order: int = -1
    last_desired: int = -1
    governing: dict[str, tuple[int, str]] = field(default_factory=dict)
    open: dict[str, Open] = field(default_factory=dict)
    known: dict[str, Known] = field(default_factory=dict)
    purged: list[str] = field(default_factory=list)

    def copy(self) -> Story:
        """An independent story of the same lines."""
        story = Story(*_STORY(self))
        story.governing = dict(self.governing)
        story.open = {name: _copy_open(found) for name, found in self.open.items()}
        story.known = dict(self.known)
        story.purged = list(self.purged)
        return story

    def dump(self) -> bytes:
        """The story as JSON, for `load`."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @classmethod
    def load(cls, data: bytes, size: int) -> Story:
        """The story that `dump` wrote; Damaged when it is none, or of another size."""
        try:
            story = _load(json.loads(data))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise Damaged(f"state of {size} lines: unreadable: {error}") from error
        if story.size != size:
            raise Damaged(f"state: expected the one of {size} lines, got one of {story.size}")
        return story

    def governing_leaves(self) -> list[str]:
        """Leaf hashes of the governing lines, in order of index."""
        return [leaf for _, leaf in sorted(self.governing.values())]

    def newest_open(self) -> str | None:
        """The recording that lines `while recording` belong to."""
        return next(reversed(self.open), None)

    def add(self, index: int, line: bytes) -> None:
        """Take the line with this index; a line without meaning changes nothing but the size."""
        assert index == self.size, f"the story goes on at line {self.size}, got {index}"
        self.size = index + 1
        members = parse(line)
        if members is None:
            return
        kind = members["kind"]
        self.clean = kind == "power" and members["event"] == SHUTDOWN
        self._count(members)
        if kind in GOVERNING:
            self.governing[kind] = (index, merkle.leaf_hash(line).hex())
        if (take := _TAKE.get(kind)) is not None:
            take(self, index, members)

    def _count(self, members: dict[str, Any]) -> None:
        """Go on with the `n` of the recording that the line belongs to."""
        recording = self.open.get(members.get("recording", ""))
        if recording is not None and type(members.get("n")) is int:
            recording.n = members["n"] + 1
            if members["kind"] not in ("gap", "stop") and "recovered" not in members:
                recording.up = members["up"]


def _start(story: Story, index: int, members: dict[str, Any]) -> None:
    name = members["recording"]
    story.known[name] = Known(index)
    story.open[name] = Open(index, members["epoch"], members["up"])


def _track(story: Story, _index: int, members: dict[str, Any]) -> None:
    if (recording := story.open.get(members["recording"])) is not None:
        same = [track.known_to for name, track in recording.tracks.items() if base(name) == base(members["track"])]
        recording.tracks[members["track"]] = Track(members["media"], known_to=max(same, default=0))


def base(track: str) -> str:
    """What a track and those that go on after it have in common: `front` of `front-2`."""
    return re.sub(r"-\d+$", "", track)


def _fragment(story: Story, _index: int, members: dict[str, Any]) -> None:
    recording = story.open.get(members["recording"])
    track = recording.tracks.get(members["track"]) if recording else None
    if track is None:
        return
    offset, size, pts, duration = (members[name] for name in ("offset", "bytes", "pts", "duration"))
    track.fragments += 1
    track.bytes += size
    track.duration += duration
    track.next_seq = members["seq"] + 1
    track.end = max(track.end, offset + size)
    track.pts_end = max(track.pts_end, pts + duration)
    track.known_to = max(track.known_to, track.pts_end)
    if duration:
        track.last = (offset, size, pts, duration)


def _gap(story: Story, _index: int, members: dict[str, Any]) -> None:
    recording = story.open.get(members["recording"])
    if recording is None:
        return
    power = members["reason"] == "power"
    recording.closed |= power
    track = recording.tracks.get(members["track"])
    if track is not None:
        track.known_to = max(track.known_to, members["from"] + members["lost"])
        track.closed |= power


def _stop(story: Story, index: int, members: dict[str, Any]) -> None:
    name = members["recording"]
    if story.open.pop(name, None) is not None:
        story.known[name] = replace(story.known[name], stop=index)


def _purge(story: Story, _index: int, members: dict[str, Any]) -> None:
    if members["recording"] in story.open:
        return  # a purge follows the stop; anywhere else it has no meaning
    story.known.pop(members["recording"], None)
    story.purged = [*story.purged, members["recording"]][-MAX_PURGED:]


def _boot(story: Story, _index: int, members: dict[str, Any]) -> None:
    story.boots = members["boot"]


def _signoff(story: Story, _index: int, _members: dict[str, Any]) -> None:
    story.governing.pop("signon", None)


def _order(story: Story, _index: int, members: dict[str, Any]) -> None:
    story.last_order = max(story.last_order, members["number"])


def _desired(story: Story, _index: int, members: dict[str, Any]) -> None:
    if type(members.get("number")) is int:
        story.last_desired = max(story.last_desired, members["number"])


_TAKE = {
    "start": _start,
    "track": _track,
    "fragment": _fragment,
    "gap": _gap,
    "stop": _stop,
    "purge": _purge,
    "boot": _boot,
    "signoff": _signoff,
    "order": _order,
    "config": _desired,
    "assign": _desired,
}
_COMMON = {"at": int, "up": int, "kind": str}


def parse(line: bytes) -> dict[str, Any] | None:
    """Members of a line of our own; None when it lacks what its kind needs."""
    try:
        members = json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
    if not isinstance(members, dict) or not _typed(members, _COMMON):
        return None
    scope, needed = kinds.KINDS.get(members["kind"], (kinds.DEVICE, {}))
    if type(members.get("recording", "")) is not str or ("recording" not in members and scope in (kinds.RECORDING, kinds.AFTER)):
        return None
    return members if _typed(members, needed) else None


def _typed(members: dict[str, Any], table: dict[str, Any]) -> bool:
    for name, kind in table.items():  # noqa: SIM110 - twice as fast as all(), on every line that is written
        if type(members.get(name)) is not kind:
            return False
    return True


def _copy_open(found: Open) -> Open:
    again = Open(*_OPEN(found))
    again.tracks = {name: Track(*_TRACK(track)) for name, track in found.tracks.items()}
    return again


# Values in the order of the constructor: every step copies the story, and `dataclasses.replace` takes ten times as long.
_STORY, _OPEN, _TRACK = (attrgetter(*(field.name for field in fields(kind))) for kind in (Story, Open, Track))


def _load(data: dict[str, Any]) -> Story:
    return Story(
        **{
            **data,
            "governing": {kind: (index, leaf) for kind, (index, leaf) in data["governing"].items()},
            "known": {name: Known(**known) for name, known in data["known"].items()},
            "open": {name: _load_open(found) for name, found in data["open"].items()},
            "purged": list(data["purged"]),
        }
    )


def _load_open(data: dict[str, Any]) -> Open:
    tracks = {}
    for name, track in data["tracks"].items():
        tracks[name] = Track(**{**track, "last": tuple(track["last"]) if track["last"] else None})
    return Open(**{**data, "tracks": tracks})
