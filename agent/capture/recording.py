"""An open recording: puts pictures, sounds and holes in order of time and decides which track each belongs to.

Rules:
- What comes out is in order: both media are merged by time, and each waits for the other as long as that one may still come.
- The ring's packets are given first, all at once, then the live ones; the same rules turn both into tracks. So a camera that went away
  and came back before the press is told like one that did so after it.
- A track ends when its parameters change: another stream, a camera gone for `lost_after` and back, sound that went or came. While the
  camera is away sound goes on in a track of its own. A new track with pictures begins with a key frame.
- Each hole becomes one gap, cut to the recording; so does what the muxer refused. Nothing is emitted twice.

Pure but for the muxer. When a recording begins and ends is `recorder`'s decision.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from agent.capture.errors import CaptureError
from agent.capture.events import Alarm, Event, GapFound
from agent.capture.gaps import in_media_time
from agent.capture.samples import Hole, Picture, Sound, SoundFormat
from agent.capture.settings import CaptureSettings
from agent.capture.track import Track

T = TypeVar("T")


@dataclass(slots=True)
class Presence:
    """What may still come of a medium: it is `here` (until `horizon_us` it has come), or is `starting`, or neither."""

    here: bool = False
    starting: bool = False
    horizon_us: int = 0
    sound: SoundFormat | None = None


class Recording:
    """Takes media by `take`; `pump` writes what is due, `end` the rest."""

    def __init__(
        self,
        recording: str,
        epoch_us: int,
        press_us: int,
        settings: CaptureSettings,
        emit: Callable[[Event], None],
    ) -> None:
        self.id = recording
        self.epoch_us = epoch_us
        self.until_us: int | None = None
        """Media from here on belong to it no more."""
        self.camera, self.microphone = Presence(), Presence()
        self._press_us, self._settings, self._emit = press_us, settings, emit
        self._pictures: deque[Picture] = deque()
        self._sounds: deque[Sound] = deque()
        self._holes: deque[Hole] = deque()
        self._track: Track | None = None
        self._names: dict[str, int] = {}
        self._last_name = ""
        self._picture_name = ""
        self._missed: dict[str, tuple[int, str]] = {}

    # ---------------------------------------------------------------- in

    def take(self, thing: Picture | Sound | Hole) -> None:
        """Take a frame, sound or something that is missing; media of before the epoch or after the end are not ours."""
        match thing:
            case Hole():
                self._holes.append(thing)
            case Picture() if self._ours(thing.packet.pts_us):
                self._pictures.append(thing)
            case Sound() if self._ours(thing.up_us):
                self._sounds.append(thing)
            case _:
                pass

    def complete(self) -> bool:
        """Whether all media of before the end have come, as far as they come at all."""
        if self.until_us is None:
            return False
        return all(not medium.here or medium.horizon_us >= self.until_us for medium in (self.camera, self.microphone))

    # ---------------------------------------------------------------- out

    def pump(self, *, last: bool = False) -> None:
        """Write everything that is due; with `last` nothing more will come."""
        while (due := self._due(last=last)) is not None:
            if isinstance(due, Picture):
                self._pictures.popleft()
                self._tell(due.packet.dts_us)
                self._guarded(self._show, due, due.packet.pts_us)
            else:
                self._sounds.popleft()
                self._tell(due.up_us)
                self._guarded(self._hear, due, due.up_us)
        if self._track is not None:
            self._tell(None)

    def end(self, until_us: int) -> None:
        """Write the rest: the last fragment, and the gaps that were not told yet."""
        self.until_us = until_us if self.until_us is None else self.until_us
        self.pump(last=True)
        self._guarded(self._finish, None, self.until_us)
        for medium in tuple(self._missed):
            self._mend(medium, self.until_us)
        self._tell(None)

    # ---------------------------------------------------------------- order

    def _ours(self, up_us: int) -> bool:
        return up_us >= self.epoch_us and (self.until_us is None or up_us < self.until_us)

    def _due(self, *, last: bool) -> Picture | Sound | None:
        picture = self._pictures[0] if self._pictures else None
        sound = self._sounds[0] if self._sounds else None
        if picture is not None and sound is not None:
            return picture if picture.packet.dts_us <= sound.up_us else sound
        if picture is not None:
            waits = self.microphone.here and self.microphone.horizon_us < picture.packet.dts_us
            joins = self.microphone.starting and self._track is None and self._near(picture.packet.dts_us, self._pictures[-1].packet.dts_us)
            return picture if last or not (waits or joins) else None
        if sound is None or last:
            return sound
        if self.camera.here:
            return sound if self.camera.horizon_us >= sound.up_us else None
        joins = self.camera.starting and self._track is None and self._near(sound.up_us, self._sounds[-1].up_us)
        return None if joins else sound

    def _near(self, first_us: int, second_us: int) -> bool:
        return second_us - first_us < self._settings.join_ms * 1_000

    # ---------------------------------------------------------------- tracks

    def _show(self, picture: Picture) -> None:
        track = self._track
        if track is None or self._differs(track, picture):
            if not picture.packet.key:
                if track is None or track.format is not picture.format:
                    self._miss("camera", picture.packet.pts_us, "camera")  # it can't be shown without its key frame
                    return
            else:
                self._close()
                track = self._open(picture)
        if track is not None and track.format is not None:
            track.picture(picture)

    def _differs(self, track: Track, picture: Picture) -> bool:
        """Whether a picture needs another track than the open one."""
        if track.format is not picture.format or picture.packet.pts_us - track.end_us >= self._lost_us:
            return True
        return self._sound_at(picture) != track.sound

    def _sound_at(self, picture: Picture) -> SoundFormat | None:
        """The sound that goes with a picture: what comes next, or what is expected to come."""
        if self._sounds:
            return self._sounds[0].format if self._sounds[0].up_us - picture.packet.pts_us < self._lost_us else None
        return self.microphone.sound if self.microphone.here else None

    def _hear(self, sound: Sound) -> None:
        track = self._track
        if track is not None and track.format is not None:
            if sound.up_us < track.end_us or self._pictures_go_on(track):
                if track.sound == sound.format:
                    track.hear(sound)
                else:
                    self._miss("microphone", sound.up_us, "microphone")  # it came back: a track with it begins at the next key frame
                return
            self._close()
            track = None
        if track is None and (self.camera.here or self._pictures) and self._picture_near(sound):
            self._miss("microphone", sound.up_us, "camera")  # the track begins with the picture
            return
        if track is None or track.sound != sound.format:
            self._close()
            track = self._open(None, sound)
        track.hear(sound)

    def _pictures_go_on(self, track: Track) -> bool:
        """Whether the next picture, come or expected, belongs to the open track."""
        if self._pictures:
            following = self._pictures[0]
            return following.format is track.format and following.packet.pts_us - track.end_us < self._lost_us
        return self.camera.here

    def _picture_near(self, sound: Sound) -> bool:
        """Whether a picture begins a track soon after this sound."""
        keys = (picture.packet.pts_us for picture in self._pictures if picture.packet.key)
        key_us = next(keys, None)
        return self.camera.here if key_us is None else self._near(sound.up_us, key_us)

    def _open(self, first: Picture | None, sound: Sound | None = None) -> Track:
        base = self._settings.track if first else self._settings.sound_track
        count = self._names.get(base, 0) + 1
        name = base if count == 1 else f"{base}-{count}"
        format_ = self._sound_at(first) if first else sound.format if sound else None
        at_us = first.packet.pts_us if first else sound.up_us if sound else self.epoch_us
        track = Track(self.id, name, first, format_, self.epoch_us, self._press_us, self._settings.fragment_ms, self._emit)
        self._names[base] = count
        self._track, self._last_name = track, name
        if first is not None:
            self._picture_name = name
            self._mend("camera", first.packet.pts_us)
        if format_ is not None:
            self._mend("microphone", at_us)
        return track

    def _finish(self, _: None) -> None:
        self._close()

    def _close(self) -> None:
        track, self._track = self._track, None
        if track is not None:
            track.close()

    # ---------------------------------------------------------------- what is missing

    def _tell(self, before_us: int | None) -> None:
        """Emit the holes that begin before a time; all of them with None."""
        while self._holes and (before_us is None or self._holes[0].from_us < before_us):
            if before_us is not None and self._track is None:
                return  # a gap belongs to a track, and the first has not begun
            hole = self._holes.popleft()
            found = in_media_time(hole, self.epoch_us, self.until_us if self.until_us is not None else hole.until_us)
            if found is not None:
                self._emit(GapFound(self.id, self._track_of(hole), *found, hole.reason))

    def _track_of(self, hole: Hole) -> str:
        name = self._picture_name if hole.medium == "camera" else ""
        return name or self._last_name or self._settings.track

    def _guarded(self, write: Callable[[T], None], what: T, at_us: int) -> None:
        """A muxer that refuses costs its pending fragment, never the recording: a gap is told, the next key frame begins a track."""
        written_us = self._track.written_us if self._track is not None else at_us
        try:
            write(what)
        except CaptureError as error:
            self._track = None
            if ("camera", "encoder") not in {(medium, reason) for medium, (_, reason) in self._missed.items()}:
                self._emit(Alarm("encoder-fault", str(error)))
            self._miss("camera", written_us, "encoder")

    def _miss(self, medium: str, from_us: int, reason: str) -> None:
        """From here on a medium came and could not be written, until `_mend`."""
        self._missed.setdefault(medium, (from_us, reason))

    def _mend(self, medium: str, until_us: int) -> None:
        if medium in self._missed:
            from_us, reason = self._missed.pop(medium)
            self._holes.append(Hole(medium, from_us, until_us, reason))

    @property
    def _lost_us(self) -> int:
        return self._settings.lost_after_ms * 1_000
