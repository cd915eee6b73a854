"""The one writer of the journal: what happens becomes a line, in the words of the format.

Rules (docs/evidence-format.md, sections 2 and 6):
- Members stand in the order of the format's table; a recording's lines count `n` from 0 without a gap; a `gap` or `purge`
  after `stop` has none. Lines of the kinds "while recording" belong to the open recording.
- One recording is open at a time: what lies between its `start` and `stop` belongs to it.
- `start` names the leaf hashes of the lines that govern it: boot, clock, beacon, assign, signon in force.
- Local media go only when a cosigned checkpoint covers the recording's `stop`, and with the receipt's digest in the line; the
  `purge` line is durable before the first byte is deleted.

When to write what (clock lines every ten minutes, beacons before a start, …) is the pipeline's business.
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal

from agent.core import ulid
from agent.journal.batch import Members, Writer
from agent.journal.errors import BadLine, OutOfOrder
from agent.journal.media import EXTENSIONS
from agent.journal.story import SHUTDOWN, Open, Track
from hal.contracts import ClockReading, Fix

FORMAT = 1
MAX_TRACKS = 40
"""`stop` names every track with its totals, in a line of at most 4,096 bytes."""
MAX_STILLS = 32
"""Fewer than MAX_TRACKS: a camera that comes back must find a place for its next track."""

EventKind = Literal["power", "storage", "tamper", "camera"]
StateKind = Literal["config", "assign", "signon", "signoff"]


class Scribe(Writer):
    """Writes lines; each call is durable when it returns, or when the `with scribe.batch():` around it ends."""

    # ------------------------------------------------------------------ the device

    def enrol(self, vkey: str, certificate: str, previous: Members | None = None) -> None:
        """Line 0: which key signs here. `previous`: origin, size and root of journal n−1."""
        if self.journal.size:
            raise OutOfOrder(f"enrol is line 0, the journal has {self.journal.size} lines")
        before = None if previous is None else dict(previous)
        self.write("enrol", [("origin", self.journal.origin), ("vkey", vkey), ("certificate", certificate), ("previous", before)])

    def boot(self, software: str, hardware: str, *, boots: int | None = None, lost: dict[str, Any] | None = None, clean: bool) -> None:
        """The agent started. `boots`: the counter when another journal has it; `lost`: what recovery found."""
        with self.batch():
            number = self.draft.boots + 1 if boots is None else boots
            head = [("format", FORMAT), ("boot", number), ("software", software), ("hardware", hardware)]
            self.write("boot", [*head, ("clean", clean), ("lost", lost or {})])

    def shutdown(self) -> None:
        """The last line before an orderly end: what the next start calls a clean one."""
        self.event("power", SHUTDOWN)

    def clock(self, reading: ClockReading) -> None:
        """How right the wall clock is."""
        self._while("clock", [("source", reading.source), ("offset", reading.offset_ms), ("error", reading.error_ms)])

    def beacon(self, checkpoint: str) -> None:
        """Body of the newest ledger checkpoint known: nothing after this line was made before it."""
        self.write("beacon", [("checkpoint", checkpoint)])

    def state(self, kind: StateKind, members: Members) -> None:
        """Settings or person changed. A desired state's `number` belongs to its `config` or `assign`."""
        self._while(kind, members)

    def event(self, kind: EventKind, event: str, **figures: int | str | bool) -> None:
        """A state that bears on the evidence changed."""
        self._while(kind, [("event", event), *figures.items()])

    def order(self, number: int, name: str, result: str) -> None:
        """An order was carried out or refused; its number is taken for ever."""
        self.write("order", [("number", number), ("name", name), ("result", result)])

    def retire(self, reason: str) -> None:
        """The journal's last line."""
        self.write("retire", [("reason", reason)])

    def trim(self, size: int) -> int:
        """Delete old segments below `size` as far as they are cosigned and not needed; the oldest index left."""
        with self.lock:
            keep = self.journal.trimmable(size)
            if keep == self.journal.oldest:
                return keep
            root = self.journal.root_at(keep)
            assert root is not None
            self.write("trim", [("size", keep), ("root", root.hex())])
            return self.journal.trim(keep)

    # ------------------------------------------------------------------ recordings

    def start(
        self,
        recording: str,
        trigger: str,
        epoch_us: int,
        *,
        officer: str = "",
        case: str = "",
        matter: str = "",
        continues: str | None = None,
    ) -> None:
        """A recording begins; `epoch_us` is the `up` of its media time 0."""
        with self.batch():
            running = self.draft.newest_open()
            if running is not None:
                raise OutOfOrder(f"{recording} can't start: {running} is not stopped")
            if not ulid.is_ulid(recording) or recording in self.draft.known or recording in self.draft.purged:
                raise OutOfOrder(f"a recording starts once under a ULID of its own, got {recording[:40]!r}")
            who = [("officer", officer), ("case", case), ("matter", matter), ("epoch", epoch_us // 1000)]
            governing = ("governing", self.draft.governing_leaves())
            head: list[tuple[str, Any]] = [("recording", recording), ("n", 0), ("trigger", trigger)]
            self.write("start", [*head, *who, governing, ("continues", continues)])

    def track(
        self,
        recording: str,
        track: str,
        media: str,
        codecs: str,
        source: str,
        *,
        width: int | None = None,
        height: int | None = None,
        rate: int | None = None,
    ) -> None:
        """A track begins; its name is new in the recording."""
        with self.batch():
            tracks = self._open(recording).tracks
            if media not in EXTENSIONS:
                raise BadLine(f"a track's media is one of {', '.join(EXTENSIONS)}, got {media[:40]!r}")
            self.media.path(recording, track, EXTENSIONS[media])
            if track in tracks:
                raise OutOfOrder(f"track {track} of {recording} began already")
            stills = sum(found.media == "image/jpeg" for found in tracks.values())
            if len(tracks) >= MAX_TRACKS or (media == "image/jpeg" and stills >= MAX_STILLS):
                raise OutOfOrder(f"{recording} has {len(tracks)} tracks, {stills} of them stills: go on in another recording")
            shape = [("width", width), ("height", height), ("rate", rate), ("source", source)]
            self.write("track", [("track", track), ("media", media), ("codecs", codecs), *shape], recording)

    def fragment(self, recording: str, track: str, seq: int, data: bytes, pts_ms: int, duration_ms: int, *, pre: bool = False) -> int:
        """A fragment of the track: its bytes and its line. Answers the offset in the track's file."""
        with self.batch():
            found = self._track(recording, track)
            if seq != found.next_seq:
                raise OutOfOrder(f"{recording}/{track}: expected fragment {found.next_seq}, got {seq}")
            if pts_ms < 0 or duration_ms < 0:
                raise BadLine(f"{recording}/{track}: a fragment's time is never negative, got {pts_ms} and {duration_ms} ms")
            digest = hashlib.sha256(data).hexdigest()
            offset = self.media.append(recording, track, EXTENSIONS[found.media], data)
            place = [("track", track), ("seq", seq), ("offset", offset), ("bytes", len(data)), ("sha256", digest)]
            self.write("fragment", [*place, ("pts", pts_ms), ("duration", duration_ms), ("pre", pre or None)], recording)
            return offset

    def recovered(self, recording: str, track: str, members: Members) -> None:
        """A fragment whose bytes recovery found without a line: `seq` … `duration`, as `fragment` has them."""
        with self.batch():
            self._track(recording, track)
            self.write("fragment", [("track", track), *members, ("recovered", True)], recording)

    def fix(self, fix: Fix) -> bool:
        """A position, unless the last line has it already; whether it was written."""
        place = [("lat", fix.lat), ("lon", fix.lon), ("alt", fix.alt), ("speed", fix.speed), ("course", fix.course), ("hdop", fix.hdop)]
        with self.batch():
            seen = (self.draft.newest_open(), *place[:5])
            if seen == self._last_fix:
                return False
            self._while("fix", [*place, ("time", fix.time_ms)])
            self._last_fix = seen
            return True

    _last_fix: tuple[Any, ...] = ()

    def sense(self, temperature: int | None, humidity: int | None) -> None:
        """Climate: m°C and ‰."""
        self._while("sense", [("temperature", temperature), ("humidity", humidity)])

    def mark(self, recording: str, label: str) -> None:
        """重点标记: the recording is important from here."""
        with self.batch():
            self._open(recording)
            self.write("mark", [("label", label)], recording)

    def pause(self, recording: str, reason: str, *, resume: bool = False) -> None:
        """An interview's break begins, or ends."""
        with self.batch():
            self._open(recording)
            self.write("resume" if resume else "pause", [("reason", reason)], recording)

    def gap(self, recording: str, track: str, from_ms: int, lost_ms: int, reason: str) -> None:
        """Media that should exist does not. After the recording's `stop` too: bytes that were found missing."""
        with self.batch():
            if recording not in self.draft.open and recording not in self.draft.known:
                raise OutOfOrder(f"a gap in {recording[:40]!r}, which this journal does not have")
            self.write("gap", [("track", track), ("from", from_ms), ("lost", lost_ms), ("reason", reason)], recording)

    def stop(self, recording: str, trigger: str) -> None:
        """The recording ends; its line sums up every track."""
        with self.batch():
            tracks = [_totals(name, track) for name, track in self._open(recording).tracks.items()]
            self.write("stop", [("trigger", trigger), ("tracks", tracks)], recording)

    def purge(self, recording: str, reason: str, receipt: str) -> int:
        """Delete a recording's local media on the proof of `receipt` (the `stored` line's leaf hash); bytes deleted."""
        with self.lock:
            known = self.journal.story.known.get(recording)
            if known is None or known.stop is None or known.stop >= self.journal.cosigned_size:
                raise OutOfOrder(f"{recording[:40]}: media go only when a cosigned checkpoint covers the stop")
            if len(receipt) != 64 or set(receipt) - set("0123456789abcdef"):
                raise BadLine(f"a purge names its receipt by 64 hex digits, got {receipt[:80]!r}")
            names = [name.rpartition(".")[0] for name in self.media.names(recording)]
            sizes = [self.media.size(recording, name) for name in names]
            tracks = [{"track": name, "bytes": size} for name, size in zip(names, sizes, strict=True)]
            self.write("purge", [("tracks", tracks), ("bytes", sum(sizes)), ("reason", reason), ("receipt", receipt)], recording)
            self.media.delete(recording)
            return sum(sizes)

    # ------------------------------------------------------------------ helpers

    def _while(self, kind: str, members: Members) -> None:
        """A line that belongs to the open recording, if there is one."""
        with self.batch():
            self.write(kind, members, self.draft.newest_open())

    def _open(self, recording: str) -> Open:
        found = self.draft.open.get(recording)
        if found is None:
            raise OutOfOrder(f"recording {recording[:40]!r} is not open; open are: {', '.join(self.draft.open) or 'none'}")
        return found

    def _track(self, recording: str, track: str) -> Track:
        tracks = self._open(recording).tracks
        found = tracks.get(track)
        if found is None:
            raise OutOfOrder(f"track {track[:40]!r} of {recording} never began; there are: {', '.join(tracks) or 'none'}")
        return found


def _totals(name: str, track: Track) -> dict[str, Any]:
    return {"track": name, "fragments": track.fragments, "bytes": track.bytes, "duration": track.duration}
