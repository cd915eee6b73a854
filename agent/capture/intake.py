"""From the readers' items to media in the ring: both feeds, and what there is to say about the devices.

Rules:
- Everything that comes goes into the ring, whether something is being recorded or not, so that what is in the ring and what an open
  recording gets are the same.
- A device's loss and return are told once each, as alarms; a loss also when a driver says nothing and nothing comes.
- So are a microphone that is there and hears nothing (`flat`), and pictures or sound that are lost faster than they may be
  (`gaps.Toll`); what a device did not give while it was gone is counted as its loss, not here.

Pure but for the encoder: items and times in, media and alarms out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from agent.capture.errors import CaptureError
from agent.capture.events import Alarm
from agent.capture.feeds import PictureFeed, SoundFeed
from agent.capture.gaps import Toll
from agent.capture.h264 import Stream
from agent.capture.inlet import Began, Frame, Gone, Item, Samples
from agent.capture.recording import Presence
from agent.capture.ring import Ring
from agent.capture.samples import Hole, Picture, Sound
from agent.capture.settings import CaptureSettings
from hal.contracts import VideoFormat

MIB = 1_048_576


@dataclass(slots=True)
class Brought:
    """What came of an item: media in the order of their coming, and alarms."""

    media: list[Picture | Sound | Hole] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)


class Intake:
    """Both media up to the moment; a medium whose device is not there at all is `None` in `camera` or `microphone`."""

    def __init__(self, settings: CaptureSettings, now_us: int, *, camera: bool, microphone: bool) -> None:
        self.ring = Ring(settings.pre_event_s * 1_000_000, settings.pre_event_mib * MIB)
        self.camera = PictureFeed(settings, now_us) if camera else None
        self.microphone = SoundFeed(settings, now_us) if microphone else None
        self._lost: set[str] = set()
        self._toll = Toll(now_us)
        self._told_short = False

    def take(self, item: Item, now_us: int) -> Brought:
        """Take one item."""
        brought = Brought()
        match item:
            case Frame() if self.camera is not None:
                self._frame(self.camera, item, now_us, brought)
            case Samples() if self.microphone is not None:
                self._samples(self.microphone, item, now_us, brought)
            case Began():
                self._began(item, now_us, brought)
            case Gone(device, detail):
                self._gone(device, detail, brought)
            case _:
                pass
        return self._kept(brought)

    def idle(self, now_us: int) -> Brought:
        """Time passed and nothing waits: silence for late sound, losses that nobody reported."""
        brought = Brought()
        if self.camera is not None:
            holes, lost = self.camera.idle(now_us)
            brought.media += holes
            if lost:
                self._gone("camera", "camera: it stopped delivering frames and says nothing about it", brought)
        if self.microphone is not None:
            holes, sounds, lost = self.microphone.idle(now_us)
            brought.media += [*holes, *sounds]
            if lost:
                self._gone("microphone", "microphone: it stopped delivering samples and says nothing about it", brought)
        lost_ms = self._toll.lost_us // 1_000
        if self._toll.over(now_us):
            brought.alarms.append(Alarm("media-back", f"nothing is lost any more; {lost_ms} ms were"))
        return self._kept(brought)

    def standing(self) -> list[Alarm]:
        """What was told before and a recording that begins now must say of itself: nobody would hear it in the film."""
        silent = self.microphone is not None and self.microphone.silent
        return [Alarm("microphone-silent", "microphone: it was silent before the recording began")] if silent else []

    def close(self, now_us: int, *, flush: bool) -> Brought:
        """What is missing up to the end of a recording; with `flush`, at the agent's end, what the encoder holds as well."""
        brought = Brought()
        if self.camera is not None:
            brought.media += self.camera.close(now_us)
        if self.microphone is not None:
            holes, sounds = self.microphone.close(now_us, flush=flush)
            brought.media += [*holes, *sounds]
        return self._kept(brought)

    def presence(self) -> tuple[Presence, Presence]:
        """What an open recording may expect of camera and microphone."""
        camera, microphone = Presence(), Presence()
        if self.camera is not None:
            period_us = 1_000_000 // max(self.camera.format.rate, 1) if self.camera.format else 0
            horizon_us = self.camera.newest_us + max(period_us - 1, 0)  # the next frame is not due before
            camera = Presence(self.camera.here, not self.camera.here and not self.camera.failed, horizon_us)
        if self.microphone is not None:
            feed = self.microphone
            microphone = Presence(feed.here, not feed.here and not feed.failed, feed.end_us, feed.format)
        return camera, microphone

    @property
    def camera_here(self) -> bool:
        """Whether pictures come."""
        return self.camera is not None and self.camera.here

    def source(self) -> str:
        """What the camera calls itself."""
        return self.camera.format.source if self.camera and self.camera.format else ""

    def _frame(self, feed: PictureFeed, item: Frame, now_us: int, brought: Brought) -> None:
        holes, picture = feed.feed(item.packet, item.skipped, item.reason)
        brought.media += holes
        missing = item.skipped + item.packet.dropped
        if picture is not None and missing and "camera" not in self._lost:
            cause = item.reason if item.skipped else item.packet.cause
            self._dropped(f"camera: {missing} frames were left out", cause, missing * picture.period_us, now_us, brought)
        if picture is not None:
            self._back("camera", picture.format.source, brought)
            brought.media.append(picture)

    def _samples(self, feed: SoundFeed, item: Samples, now_us: int, brought: Brought) -> None:
        missing = item.skipped + item.chunk.lost
        if missing and "microphone" not in self._lost and feed.format is not None:
            length_us = missing * 1_000_000 // feed.format.rate
            self._dropped(f"microphone: {missing} samples were left out", item.reason or "microphone", length_us, now_us, brought)
        try:
            holes, sounds = feed.feed(item.chunk, item.skipped, item.reason)
        except CaptureError as error:
            self._gone("microphone", str(error), brought)
            return
        brought.media += [*holes, *sounds]
        if sounds:
            self._back("microphone", sounds[0].format.source, brought)
        if feed.listen(item.chunk):
            said = "samples do not change: nothing is heard" if feed.silent else "samples change again"
            event = "microphone-silent" if feed.silent else "microphone-back"
            brought.alarms.append(Alarm(event, f"microphone: {said}"))

    def _dropped(self, what: str, cause: str, missing_us: int, now_us: int, brought: Brought) -> None:
        if self._toll.lost(missing_us, now_us):
            brought.alarms.append(Alarm("media-dropped", f"{what}, the {cause} was too slow"))

    def _began(self, item: Began, now_us: int, brought: Brought) -> None:
        device = "camera" if isinstance(item.format, VideoFormat) else "microphone"
        try:
            if isinstance(item.format, VideoFormat):
                Stream(item.format.extradata)
                if self.camera is not None:
                    self.camera.begin(item.format, now_us)
            elif self.microphone is not None:
                self.microphone.begin(item.format, now_us)
        except CaptureError as error:
            self._gone(device, str(error), brought)

    def _gone(self, device: str, detail: str, brought: Brought) -> None:
        feed = self.camera if device == "camera" else self.microphone
        if feed is not None:
            feed.lost()
        if device not in self._lost:
            self._lost.add(device)
            brought.alarms.append(Alarm(f"{device}-lost", detail))

    def _back(self, device: str, source: str, brought: Brought) -> None:
        if device in self._lost:
            self._lost.discard(device)
            brought.alarms.append(Alarm(f"{device}-back", f"{device}: {source} delivers again"))

    def _kept(self, brought: Brought) -> Brought:
        self._keep(brought.media)
        if self.ring.short and not self._told_short:
            self._told_short = True
            brought.alarms.append(Alarm("ring-short", f"the seconds before the press do not fit into {self.ring.size // MIB + 1} MiB"))
        return brought

    def _keep(self, media: Iterable[Picture | Sound | Hole]) -> None:
        for thing in media:
            match thing:
                case Picture():
                    self.ring.picture(thing)
                case Sound():
                    self.ring.sound(thing)
                case Hole():
                    self.ring.hole(thing)
