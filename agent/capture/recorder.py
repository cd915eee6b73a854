"""The recorder: presses and orders come in, events of recordings go out in order, media flow in between.

Rules:
- What a press means is `agent.core.trigger`'s, what it may do now is `agent.core.session`'s table; nothing is decided twice.
- A start emits `RecordingStarted` at once, then the ring's fragments, then the live ones. A stop ends the recording at its own moment:
  the media of before it that are still in the encoders are waited for, `drain` at most.
- An event that could not be delivered is delivered again, before any later one; `emit` is called by one thread at a time.
- What is there at once is delivered within `together`: a start with all that was filmed before it.
- Camera and microphone fail without ending a recording.

Locks: `_lock` guards the state and is held briefly; `_delivery` is held while `emit` works, so that a slow disk delays events and nobody
who presses. `step` is one turn of the one thread that encodes; without threads (a simulated world) its caller is that thread.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from threading import Event as ThreadEvent
from threading import RLock, Thread

from agent.capture.errors import CaptureError
from agent.capture.events import Alarm, Event, Marked, RecordingStarted, RecordingStopped
from agent.capture.gaps import ms
from agent.capture.inlet import Inlet
from agent.capture.intake import MIB, Brought, Intake
from agent.capture.overlay import Overlay, OverlayText
from agent.capture.recording import Recording
from agent.capture.samples import Picture, Sound
from agent.capture.settings import CaptureSettings
from agent.capture.sources import JOIN_S, AnyReader, camera_reader, microphone_reader
from agent.capture.stills import still_events
from agent.core import ulid
from agent.core.backoff import Backoff
from agent.core.session import Session
from agent.core.trigger import Trigger, action
from hal.contracts import Camera, Clock, Microphone
from hal.errors import HalError

TURN_S = 0.05
"""How often time itself is looked at: a long press and the end of the post-recording seconds are seen this late at most."""

RETRY_US = 1_000_000
"""After an event could not be delivered."""

RECORDING_STATES = ("recording", "post")

_ENDS = {"power": "power_low", "storage": "disk_full", "shutdown": "shutdown"}
"""Triggers of a stop that ends at once, without post-recording seconds → the session's event."""

_log = logging.getLogger(__name__)


class Recorder:
    """Everything between the devices and the journal. `label` is None for a picture without overlay.

    CaptureError where there is neither camera nor microphone. `start`, `stop` and `mark` raise SessionError where the state does not
    know them; a press that can't do anything does nothing.
    """

    def __init__(
        self,
        camera: Camera | None,
        microphone: Microphone | None,
        clock: Clock,
        settings: CaptureSettings,
        emit: Callable[[Event], None],
        label: OverlayText | None,
        random: Callable[[int], bytes] = os.urandom,
        together: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        if camera is None and microphone is None:
            raise CaptureError("recorder: expected a camera or a microphone, got neither; name one in the settings' board section")
        self._camera, self._clock, self._settings, self._emit, self._random = camera, clock, settings, emit, random
        self._overlay = Overlay(label, clock) if label is not None else None
        self._together = together
        self._lock, self._delivery = RLock(), RLock()
        self._outbox: deque[Event] = deque()
        self._out: deque[Event] | list[Event] = self._outbox
        self._delivering = False
        self._retry_us = 0
        self._session = Session()
        self._triggers: dict[str, Trigger] = {}
        self._recording: Recording | None = None
        self._stop_trigger = ""
        self._next: tuple[str, str, str | None] | None = None
        self._post_until_us: int | None = None
        self._stills, self._stills_wanted = 0, 0
        self._ending = ThreadEvent()
        self._thread: Thread | None = None
        self.faults = 0
        self.inlet = Inlet(settings.queue_items, settings.queue_mib * MIB, self._why_slow)
        self._intake = Intake(settings, clock.up_us(), camera=camera is not None, microphone=microphone is not None)
        self._microphone = microphone
        self.readers: list[AnyReader] = []

    # ---------------------------------------------------------------- what others may ask

    @property
    def state(self) -> str:
        """One of `agent.core.session.STATES`."""
        return self._session.state

    @property
    def recording(self) -> str | None:
        """The ULID of the open recording."""
        recording = self._recording
        return recording.id if recording else None

    def relabel(self, label: OverlayText) -> None:
        """Another text beside the time, from the next frame on: an officer signed on."""
        if self._overlay is not None:
            self._overlay.text = label

    def press(self, button: str, edge_down: bool, up_us: int) -> None:  # noqa: FBT001 - the level is what an edge is
        """A button's edge."""
        with self._lock:
            trigger = self._triggers.get(button)
            if trigger is None:
                chosen = self._settings
                trigger = self._triggers[button] = Trigger(chosen.debounce_ms, chosen.long_ms, chosen.double_ms)
            now_ms = up_us // 1_000
            self._presses(button, [*trigger.edge(edge_down, now_ms), *trigger.tick(now_ms)], up_us)
        self._deliver()

    def start(self, trigger: str, continues: str | None = None) -> str:
        """Begin a recording; its ULID. While the last one is being closed, the next one begins right after it."""
        with self._lock:
            self._start(trigger, continues, self._clock.up_us())
            name = self._next[0] if self._next else self.recording or ""
        self._deliver()
        return name

    def stop(self, trigger: str) -> None:
        """End the recording; triggers `power`, `storage` and `shutdown` without post-recording seconds."""
        with self._lock:
            self._stop(trigger, self._clock.up_us())
        self._deliver()

    def mark(self, label: str | None = None) -> None:
        """重点标记."""
        with self._lock:
            self._do(self._session.handle("mark"), self._clock.up_us(), label=label)
        self._deliver()

    def still(self) -> None:
        """A still of this moment, taken in the caller's thread; an alarm where it fails or nothing is recorded."""
        with self._lock:
            self._do(self._session.handle("still"), self._clock.up_us())
        self._deliver()

    # ---------------------------------------------------------------- turning

    def step(self, timeout_s: float = 0.0) -> bool:
        """Take one item, look at the time, deliver; whether there was an item."""
        item = None
        if not self._outbox:
            item = self.inlet.take(timeout_s)
        elif timeout_s > 0:
            self._ending.wait(timeout_s)  # a consumer that refuses: what is read meanwhile fills the bounded inlet, not the memory
        with self._lock:
            now_us = self._clock.up_us()
            if item is not None:
                self._record(self._intake.take(item, now_us))
            if not self.inlet.waiting:
                self._record(self._intake.idle(now_us))
            self._tick(now_us)
        self._deliver()
        return item is not None

    def run_in_threads(self) -> None:
        """Read, encode and emit until `close`."""
        self._thread = Thread(target=self._run, name="capture", daemon=True)
        self._thread.start()
        self.readers = self._make_readers()
        for reader in self.readers:
            reader.begin()

    def close(self, trigger: str = "shutdown") -> None:
        """End an open recording now, with everything that was read, and join the threads. May be called twice."""
        for reader in self.readers:
            reader.end()
        self._ending.set()
        self.inlet.wake()
        if self._thread is not None:
            self._thread.join(JOIN_S)
            self._thread = None
        self._retry_us = 0
        while self.step():
            pass
        with self._lock:
            if self._session.knows("shutdown"):
                if self._recording is not None:
                    self._stop_trigger = self._stop_trigger or trigger
                self._do(self._session.handle("shutdown"), self._clock.up_us())
            self._next = None
            if self._recording is not None:
                self._finish(flush=True)
        self._retry_us = 0
        self._deliver(wait=True)
        if self._outbox:
            _log.error("capture: %d events could not be delivered before the end", len(self._outbox))

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                self.step(TURN_S)
            except Exception as error:  # noqa: BLE001 - the top of a daemon: a turn that failed costs its item, not the recording
                _log.exception("capture: a turn failed")
                self.faults += 1
                with self._lock:
                    self._outbox.append(Alarm("encoder-fault", f"capture: a turn failed: {error}"))

    # ---------------------------------------------------------------- state

    def _presses(self, button: str, presses: list[str], up_us: int) -> None:
        for press in presses:
            match action(self._settings.bindings, button, press, self.state in RECORDING_STATES):
                case "start" if self._session.knows("press_start"):
                    self._start("button", None, up_us)
                case "stop" if self._session.knows("press_stop"):
                    self._stop("button", up_us)
                case ("mark" | "still") as name if self._session.knows(name):
                    self._do(self._session.handle(name), up_us)
                case _:
                    pass

    def _start(self, trigger: str, continues: str | None, now_us: int) -> None:
        actions = self._session.handle("press_start")
        if self.state == "restarting" or "begin" in actions:
            self._next = (ulid.new(self._clock.wall_ms(), self._random(10)), trigger, continues)
        self._do(actions, now_us)

    def _stop(self, trigger: str, now_us: int) -> None:
        actions = self._session.handle(_ENDS.get(trigger, "press_stop"))
        if self.state != "idle":
            self._stop_trigger = self._stop_trigger or trigger
        if self.state != "restarting":
            self._next = None
        self._do(actions, now_us)

    def _do(self, actions: tuple[str, ...], now_us: int, label: str | None = None) -> None:
        """Carry out the session's actions. `gap` and `track` come out of the media themselves, `alarm` out of what was seen."""
        for name in actions:
            match name:
                case "begin":
                    self._begin(now_us)
                case "post":
                    self._post_until_us = now_us + self._settings.post_event_s * 1_000_000
                case "post_off":
                    self._post_until_us = None
                    self._stop_trigger = "" if self.state == "recording" else self._stop_trigger
                case "finish" if self._recording is not None:
                    self._recording.until_us = now_us
                case "mark" if self._recording is not None:
                    self._outbox.append(Marked(self._recording.id, label or self._settings.mark_label))
                case "still":
                    self._stills_wanted += 1
                case _:
                    pass
        self._tick_post(now_us)

    def _tick(self, now_us: int) -> None:
        for button, trigger in self._triggers.items():
            self._presses(button, trigger.tick(now_us // 1_000), now_us)
        self._tick_post(now_us)
        recording = self._recording
        if recording is not None and recording.until_us is not None:
            late = now_us >= recording.until_us + self._settings.drain_ms * 1_000
            if recording.complete() or late:
                self._finish(flush=False)

    def _tick_post(self, now_us: int) -> None:
        until_us = self._post_until_us
        if until_us is not None and now_us >= until_us and self._session.knows("post_over"):
            self._post_until_us = None
            self._do(self._session.handle("post_over"), until_us)

    # ---------------------------------------------------------------- the recording

    def _begin(self, now_us: int) -> None:
        assert self._next is not None
        (name, trigger, continues), self._next = self._next, None
        ring = self._intake.ring
        pictures, sounds = ring.pictures, ring.sounds
        epoch_us = min(self._epoch(pictures, sounds, now_us), now_us)
        recording = Recording(name, epoch_us, now_us, self._settings, self._tell)
        self._out = [RecordingStarted(name, trigger, epoch_us, now_us, continues), *self._intake.standing()]
        self._recording, self._stop_trigger, self._stills = recording, "", 0
        self._record(Brought([*ring.holes, *pictures, *sounds]))
        self._outbox.extend(self._out)  # at once: another thread may be delivering, and would deliver the start alone
        self._out = self._outbox

    def _tell(self, event: Event) -> None:
        self._out.append(event)

    def _epoch(self, pictures: list[Picture], sounds: list[Sound], now_us: int) -> int:
        """The oldest sample; the instant of sound before the first picture is left to the ring, so that the first track has both."""
        if pictures and sounds:
            first_us, heard_us = pictures[0].packet.pts_us, sounds[0].up_us
            return first_us if first_us - heard_us < self._settings.join_ms * 1_000 else heard_us
        return pictures[0].packet.pts_us if pictures else sounds[0].up_us if sounds else now_us

    def _record(self, brought: Brought) -> None:
        """Into the open recording, where there is one."""
        self._outbox.extend(brought.alarms)
        for alarm in brought.alarms:
            event = alarm.event.replace("-", "_")
            if event in {"camera_lost", "camera_back"} and self._session.knows(event):
                self._session.handle(event)
        recording = self._recording
        if recording is None:
            return
        recording.camera, recording.microphone = self._intake.presence()
        for thing in brought.media:
            recording.take(thing)
        recording.pump()

    def _finish(self, *, flush: bool) -> None:
        recording = self._recording
        assert recording is not None
        assert recording.until_us is not None
        self._record(self._intake.close(recording.until_us, flush=flush))
        recording.end(recording.until_us)
        self._outbox.append(RecordingStopped(recording.id, self._stop_trigger))
        self._recording = None
        self._do(self._session.handle("closed"), self._clock.up_us())

    # ---------------------------------------------------------------- out

    def _deliver(self, *, wait: bool = False) -> None:
        """Give everything to `emit`, in order; what it refuses stays first.

        Only `close` waits for another thread that delivers: that one takes our events as well, or the next turn does. So nobody
        who asks for something, the consumer itself included, can be held up by a slow disk.
        """
        self._take_stills()
        if not self._delivery.acquire(blocking=wait):
            return
        try:
            if self._delivering or not self._outbox or self._clock.up_us() < self._retry_us:
                return
            self._delivering = True
            try:
                with self._together():
                    while self._outbox:
                        self._emit(self._outbox[0])
                        self._outbox.popleft()
            except Exception:  # noqa: BLE001 - the consumer's errors are not ours to judge; nothing may be lost by them
                _log.exception("capture: an event could not be delivered; it will be again")
                self.faults += 1
                self._retry_us = self._clock.up_us() + RETRY_US
            finally:
                self._delivering = False
        finally:
            self._delivery.release()

    def _why_slow(self) -> str:
        return "storage" if self._delivering or self._outbox else "encoder"

    def _take_stills(self) -> None:
        """Outside the lock: a camera may take its time."""
        while True:
            with self._lock:
                if not self._stills_wanted:
                    return
                self._stills_wanted -= 1
                recording, at_us = self._recording, self._clock.up_us()
            try:
                self._take_still(recording, at_us)
            except (CaptureError, HalError) as error:
                with self._lock:
                    self._outbox.append(Alarm("still-failed", str(error)))

    def _take_still(self, recording: Recording | None, at_us: int) -> None:
        if recording is None or self._camera is None:
            raise CaptureError(f"still: expected {'a camera' if recording else 'an open recording'}, there is none")
        if not self._intake.camera_here:
            raise CaptureError("still: expected a picture of this moment, the camera is away; its last one may be old")
        jpeg = self._camera.still()
        with self._lock:
            if self._recording is not recording:
                raise CaptureError("still: the recording ended before the camera gave the picture")
            made = still_events(recording.id, self._stills + 1, jpeg, ms(at_us - recording.epoch_us), self._intake.source())
            self._stills += 1
            self._outbox.extend(made)

    def _make_readers(self) -> list[AnyReader]:
        first_ms, max_ms = self._settings.retry_first_ms, self._settings.retry_max_ms
        readers: list[AnyReader] = []
        if self._camera is not None:
            readers.append(camera_reader(self._camera, self._overlay, self.inlet, Backoff(first_ms, max_ms)))
        if self._microphone is not None:
            readers.append(microphone_reader(self._microphone, self.inlet, Backoff(first_ms, max_ms)))
        return readers
