"""A scripted duty of some minutes: everything that makes the agent write, in an order that a day might have.

Media time and the clock are the player's; a second of recording is one fragment of a real stream. The same seed tells the
same story, to the byte of every file but for nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from agent.capture.events import FragmentMade, GapFound, Marked, RecordingStarted, RecordingStopped, TrackBegun
from agent.journal import segments
from agent.pipeline.tray import Entry
from agent.uplink.inbox import Cosigned, Stored
from hal.contracts import ClockReading, Fix
from simulators.torture.device import Device
from simulators.torture.promises import Acknowledged, Filmed, Handed, Kept, Sent, Trimmed
from simulators.torture.reel import HEIGHT, RATE, WIDTH
from simulators.torture.witness import SECONDS

S = 1_000_000
LATE_US = 300_000
"""A fragment is whole two or three frames after its end."""


@contextmanager
def segment_lines(lines: int) -> Iterator[None]:
    """Segments of so many lines, so that a duty of minutes meets their ends."""
    before = segments.SEGMENT_LINES
    segments.SEGMENT_LINES = lines
    try:
        yield
    finally:
        segments.SEGMENT_LINES = before


@dataclass
class Running:
    """A recording that the player is making: the next fragment of each track, and media time."""

    recording: str
    epoch_us: int
    next_seq: dict[str, int] = field(default_factory=dict)
    pts_ms: dict[str, int] = field(default_factory=dict)
    stills: int = 0


class Player:
    """Says what camera, officer and server say."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.stopped: list[str] = []
        self.places = 0
        self.orders = 0

    # ----------------------------------------------------------------- the officer

    def press(self, before_s: int = 0, *tracks: str, continues: str | None = None, slowly: bool = False) -> Running:
        """Begin a recording with the seconds before the press, in one append; `slowly` each line has its own, and there are none."""
        assert not (before_s and slowly), "a start comes with what was filmed before it (agent.pipeline.tray)"
        device = self.device
        now = device.clock.up_us()
        made = Running(device.ulid(), now - before_s * S)
        device.post(RecordingStarted(made.recording, "button", made.epoch_us, now, continues))
        for track in tracks or ("front",):
            self._begin(made, track, slowly=slowly)
            for _ in range(before_s):
                self._fragment(made, track, pre=True)
        device.work()
        return made

    def release(self, made: Running) -> None:
        """End it, with the fragment that was being made."""
        for track in list(made.next_seq):
            self._fragment(made, track)
        self.device.do(RecordingStopped(made.recording, "button"))
        self.stopped.append(made.recording)

    def mark(self, made: Running) -> None:
        """重点标记."""
        self.device.do(Marked(made.recording, "button"))

    def still(self, made: Running) -> None:
        """A picture."""
        made.stills += 1
        track, data = f"still-{made.stills}", self.device.home.reel.still
        self.device.post(TrackBegun(made.recording, track, "image/jpeg", "jpeg", WIDTH, HEIGHT, 0, "torture"))
        self._hand(FragmentMade(made.recording, track, 0, data, max(made.pts_ms.values()), 0))
        self.device.work()

    # ----------------------------------------------------------------- the camera

    def _begin(self, made: Running, track: str, *, slowly: bool = False) -> None:
        reel = self.device.home.reel
        self.device.post(TrackBegun(made.recording, track, "video/mp4", reel.codecs, WIDTH, HEIGHT, RATE, "torture"))
        if slowly:
            self.device.work()
        made.next_seq[track], made.pts_ms[track] = 1, made.pts_ms.get(track, 0)
        self._hand(FragmentMade(made.recording, track, 0, reel.init, 0, 0))

    def _fragment(self, made: Running, track: str, *, pre: bool = False) -> None:
        seq, pts = made.next_seq[track], made.pts_ms[track]
        fragment = self.device.home.reel.fragments[(seq - 1) % len(self.device.home.reel.fragments)]
        made.next_seq[track], made.pts_ms[track] = seq + 1, pts + fragment.duration_ms
        self._hand(FragmentMade(made.recording, track, seq, fragment.data, pts, fragment.duration_ms, pre))

    def _hand(self, made: FragmentMade) -> None:
        self.device.post(made)
        digest = hashlib.sha256(made.data).hexdigest()
        self.device.promise(Handed(made.recording, made.track, digest, made.pts_ms, made.pts_ms + made.duration_ms))

    def _film(self, made: Running) -> None:
        """The camera goes on while the disk works: by the end of an append the next fragment is nearly whole."""
        for track, seq in made.next_seq.items():
            following = self.device.home.reel.fragments[(seq - 1) % len(self.device.home.reel.fragments)]
            self.device.promise(Filmed(made.recording, track, made.pts_ms[track] + following.duration_ms))

    def seconds(self, made: Running, count: int, *, together: int = 1) -> None:
        """Record on; `together` fragments wait for a slow disk and share an append. A position each second."""
        for second in range(count):
            self.device.clock.advance(S)
            for track in made.next_seq:
                self._fragment(made, track)
            self._film(made)
            self.places += 1
            self.device.clerk.seen(Fix(self.device.clock.up_us(), 310_000_000 + self.places, 1_210_000_000, speed=1_000))
            if (second + 1) % together == 0:
                self.device.work()
        self.device.work()

    def camera_lost(self, made: Running, seconds: int) -> None:
        """The camera goes away and comes back: the track ends, another begins, the gap says what is missing."""
        (track,) = made.next_seq
        self.device.clock.advance(seconds * S)
        pts = made.pts_ms.pop(track)
        del made.next_seq[track]
        self.device.post(GapFound(made.recording, track, pts, seconds * 1000, "camera"))
        following = f"{track}-2"
        made.pts_ms[following] = pts + seconds * 1000
        self._begin(made, following)
        self.device.work()

    # ----------------------------------------------------------------- the server

    def cosigns(self) -> None:
        """The server cosigned everything."""
        device = self.device
        journal = device.open.scribe.journal
        text = journal.checkpoint
        assert text is not None, "there are lines"
        cosigned = device.home.witness.cosign(text, SECONDS + device.clock.up // S)
        device.news.cosigned(Cosigned(journal.size, SECONDS + device.clock.up // S, cosigned, b""))
        size = journal.size
        device.work()
        device.promise(Kept(size))

    def stores(self) -> None:
        """The server has all media of the recordings that have ended, and proves it."""
        device = self.device
        for recording in self.stopped:
            one = device.open.index.stopped(recording)
            assert one is not None, "it has ended"
            waiting = device.open.index.pending(10_000)
            device.promise(Sent(frozenset((fragment.recording, fragment.track, fragment.seq) for fragment in waiting)))
            device.open.index.sent(waiting)
            digest, receipt = device.home.witness.stored(device.home.enrolment.origin, recording, one.stop, one.fragments, one.bytes)
            device.news.stored(Stored(recording, digest, receipt))
            device.work()
        self.stopped.clear()

    def orders_something(self) -> None:
        """An order is answered on record, and only then acknowledged."""
        self.orders += 1
        number = self.orders
        entry = Entry(lambda scribe: scribe.order(number, "locate", "done"), durable=lambda: self.device.promise(Acknowledged(number)))
        self.device.do(entry)

    # ----------------------------------------------------------------- the device itself

    def trims(self) -> None:
        """Old segments go."""
        journal = self.device.open.scribe.journal
        self.device.do(Entry(lambda scribe: scribe.trim(journal.size), alone=True))
        self.device.promise(Trimmed(journal.oldest))

    def says(self) -> None:
        """What is due beside the media."""
        device, beacon = self.device, self.device.home.witness.beacon()
        device.post(Entry(lambda scribe: scribe.clock(ClockReading("ntp", 0, 5))))
        device.post(Entry(lambda scribe: scribe.event("power", "good", percent=80)))
        device.post(Entry(lambda scribe: scribe.beacon(beacon)))
        device.work()

    def restart(self, *, orderly: bool) -> None:
        """The agent ends, in order or killed, and starts again; the machine keeps its power."""
        device = self.device
        if orderly:
            device.do(Entry(lambda scribe: scribe.shutdown()))
        device.end()
        device.clock.advance(5 * S)
        device.start(keep_index=True)


def duty(device: Device, seconds: int = 180) -> None:
    """The story: about so many seconds of recording."""
    part = max(seconds // 12, 1)
    player = Player(device)
    device.start()
    player.says()
    device.do(Entry(lambda scribe: scribe.state("signon", [("officer", "012345"), ("how", "badge")])))
    first = player.press(4)
    player.seconds(first, 2 * part)
    player.mark(first)
    player.still(first)
    player.seconds(first, 3, together=3)
    player.camera_lost(first, 2)
    player.seconds(first, part)
    player.release(first)
    player.cosigns()
    player.stores()
    player.orders_something()
    second = player.press(0, "front", "rear")
    player.seconds(second, part)
    player.cosigns()
    device.purges(free=0)
    player.says()
    player.seconds(second, part)
    player.release(second)
    player.trims()
    player.restart(orderly=True)
    third = player.press(slowly=True)
    player.seconds(third, part)
    player.still(third)
    player.seconds(third, 2)
    player.restart(orderly=False)
    fourth = player.press(0, continues=third.recording)
    player.seconds(fourth, part)
    player.cosigns()
    player.stores()
    device.purges()
    player.trims()
    player.mark(fourth)
    player.seconds(fourth, 2 * part)
    player.release(fourth)
    player.cosigns()
    fifth = player.press(3)
    player.seconds(fifth, part)
