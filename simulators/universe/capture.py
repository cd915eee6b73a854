"""The recorder's stand-in: the real rules of presses and of the recording over media that are noise.

Rules, those of `agent.capture.recorder`:
- What a press means is `agent.core.trigger`'s, what it may do now is `agent.core.session`'s table.
- A start emits `RecordingStarted`, the ring's seconds, then a fragment a second; a stop ends the recording at its own moment.
- A camera that goes ends its track; sound goes on in a track of its own; the gap is said every ten seconds and when it is over.
- A microphone that hears nothing is told after a while, and again at a start; an encoder that loses half a second is told once.

Only what comes out of it is like the real one's: events in order. Encoders, rings and threads are tried in tests/agent/capture.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.capture.events import Alarm, Event, FragmentMade, GapFound, Marked, RecordingStarted, RecordingStopped, TrackBegun
from agent.capture.gaps import TELL_US
from agent.capture.settings import CaptureSettings
from agent.core import ulid
from agent.core.session import Session
from agent.core.trigger import Trigger, action
from simulators.universe import film
from simulators.universe.agenda import Agenda, Entry, cancel
from simulators.universe.clock import DeviceClock

MS = 1_000
DRAIN_US = 200_000
"""What is still in the encoders at a stop comes this much later."""
ENDS = {"power": "power_low", "storage": "disk_full", "shutdown": "shutdown", "signal": "press_stop"}
TURN_US = 50_000
TELL_MS = TELL_US // MS
CALM_US = 15_000_000
"""So long after the last loss the real recorder says that it is over."""


@dataclass(slots=True)
class Lens:
    """What the recorder looks and listens through; a story changes it and calls `changed`.

    `silent`: samples come and are all the same. `slow`: the encoder loses a third.
    """

    camera: bool = True
    microphone: bool = True
    silent: bool = False
    slow: bool = False
    since_us: int = 0
    bytes_a_second: int = 1_000
    changed: Callable[[], None] = lambda: None

    @property
    def looks(self) -> tuple[bool, bool]:
        """Picture, sound."""
        return self.camera, self.microphone


@dataclass(slots=True)
class Film:
    """The open recording: where its media end, which track it is in, and what is missing since when."""

    name: str
    epoch_us: int
    end_us: int
    looks: tuple[bool, bool] = (False, False)
    track: str = ""
    seq: int = 0
    missing: dict[str, int] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    until_us: int | None = None
    stills: int = 0

    def ms(self, up_us: int) -> int:
        """Media time of a moment."""
        return (up_us - self.epoch_us) // MS


class Capture:
    """`agent.capture.recorder.Recorder` as far as the pipeline knows it."""

    def __init__(
        self,
        agenda: Agenda,
        clock: DeviceClock,
        settings: CaptureSettings,
        emit: Callable[[Event], None],
        lens: Lens,
        chance: random.Random,
    ) -> None:
        self._agenda, self._clock, self._settings, self._emit, self._lens, self._chance = agenda, clock, settings, emit, lens, chance
        self._session = Session()
        self._triggers: dict[str, Trigger] = {}
        self._film: Film | None = None
        self._next: tuple[str, str, str | None] | None = None
        self._stop_trigger = ""
        self._entries: dict[str, Entry] = {}
        self._told = lens.looks
        self._told_silent, self._lost_ms = False, 0
        lens.since_us = clock.up_us()
        lens.changed = self._look
        if lens.silent:
            self._soon("ears", settings.silent_after_s * 1_000_000, self._listen)

    # ----------------------------------------------------------------- agent.capture.recorder.Recorder

    @property
    def state(self) -> str:
        """One of `agent.core.session.STATES`."""
        return self._session.state

    @property
    def recording(self) -> str | None:
        """The open recording."""
        return self._film.name if self._film else None

    def press(self, button: str, edge_down: bool, up_us: int) -> None:  # noqa: FBT001 - the level is what an edge is
        """A button's edge."""
        chosen = self._settings
        trigger = self._triggers.setdefault(button, Trigger(chosen.debounce_ms, chosen.long_ms, chosen.double_ms))
        self._presses(button, [*trigger.edge(edge_down, up_us // MS), *trigger.tick(up_us // MS)])
        self._watch(button, trigger)

    def _watch(self, button: str, trigger: Trigger) -> None:
        cancel(self._entries.pop(button, None))
        if trigger.due_ms is not None:
            wait_us = trigger.due_ms * MS - self._clock.up_us()
            self._entries[button] = self._agenda.after(max(wait_us, 0) + TURN_US, lambda: self._held(button, trigger))

    def _held(self, button: str, trigger: Trigger) -> None:
        self._presses(button, trigger.tick(self._clock.up_us() // MS))
        self._watch(button, trigger)

    def _presses(self, button: str, presses: list[str]) -> None:
        for press in presses:
            name = action(self._settings.bindings, button, press, self.state in ("recording", "post"))
            if name == "start" and self._session.knows("press_start"):
                self.start("button")
            elif name == "stop" and self._session.knows("press_stop"):
                self.stop("button")
            elif name and self._session.knows(name):
                self._do(self._session.handle(name))

    def start(self, trigger: str, continues: str | None = None) -> str:
        """Begin a recording; its ULID."""
        actions = self._session.handle("press_start")
        if self.state == "restarting" or "begin" in actions:
            self._next = ulid.new(self._clock.wall_ms(), self._chance.randbytes(10)), trigger, continues
        self._do(actions)
        return self._next[0] if self._next else self.recording or ""

    def stop(self, trigger: str) -> None:
        """End it."""
        actions = self._session.handle(ENDS.get(trigger, "press_stop"))
        if self.state != "idle":
            self._stop_trigger = self._stop_trigger or trigger
        if self.state != "restarting":
            self._next = None
        self._do(actions)

    def mark(self, label: str | None = None) -> None:
        """重点标记."""
        self._do(self._session.handle("mark"), label)

    def still(self) -> None:
        """A still of this moment."""
        self._do(self._session.handle("still"))

    def close(self, trigger: str = "shutdown") -> None:
        """End an open recording now."""
        if self._session.knows("shutdown"):
            if self._film is not None:
                self._stop_trigger = self._stop_trigger or trigger
            self._do(self._session.handle("shutdown"))
        self._next = None
        if self._film is not None:
            self._finish()
        self.dead()

    def dead(self) -> None:
        """The power is gone: nothing comes any more."""
        for entry in self._entries.values():
            cancel(entry)
        self._lens.changed = lambda: None

    # ----------------------------------------------------------------- the session's actions

    def _do(self, actions: tuple[str, ...], label: str | None = None) -> None:
        film_ = self._film
        for name in actions:
            if name == "begin":
                self._begin()
            elif name == "post":
                self._entries["post"] = self._agenda.after(self._settings.post_event_s * 1_000_000, self._post_over)
            elif name == "post_off":
                cancel(self._entries.pop("post", None))
                self._stop_trigger = "" if self.state == "recording" else self._stop_trigger
            elif name == "finish" and film_ is not None and film_.until_us is None:
                film_.until_us = self._clock.up_us()
                self._entries["finish"] = self._agenda.after(DRAIN_US, self._finish)
            elif name == "mark" and film_ is not None:
                self._emit(Marked(film_.name, label or self._settings.mark_label))
            elif name == "still":
                self._still(film_)

    def _post_over(self) -> None:
        if self._session.knows("post_over"):
            self._do(self._session.handle("post_over"))

    def _still(self, film_: Film | None) -> None:
        if film_ is None or not self._lens.camera:
            self._emit(Alarm("still-failed", "still: expected an open recording and a camera"))
            return
        film_.stills += 1
        track = f"still-{film_.stills}"
        self._emit(TrackBegun(film_.name, track, "image/jpeg", "jpeg", 640, 360, 0, "simulated"))
        self._emit(FragmentMade(film_.name, track, 0, film.still(self._chance), film_.ms(self._clock.up_us()), 0))

    # ----------------------------------------------------------------- media

    def _begin(self) -> None:
        assert self._next is not None
        (name, trigger, continues), self._next = self._next, None
        now_us = self._clock.up_us()
        ring_us = min(self._settings.pre_event_s * 1_000_000, now_us - self._lens.since_us) if self._lens.camera else 0
        self._film = film_ = Film(name, now_us - ring_us, now_us - ring_us)
        self._stop_trigger = ""
        self._emit(RecordingStarted(name, trigger, film_.epoch_us, now_us, continues))
        if self._told_silent:
            self._emit(Alarm("microphone-silent", "microphone: it was silent before the recording began"))
        self._change(film_)
        self._make(film_, now_us, pre=True)
        self._entries["second"] = self._agenda.after(self._settings.fragment_ms * MS, self._second)

    def _second(self) -> None:
        film_ = self._film
        if film_ is None or film_.until_us is not None:
            return
        now_us = self._clock.up_us()
        self._make(film_, now_us)
        self._say_missing(film_, now_us, every_ms=self._settings.gap_report_ms)
        self._entries["second"] = self._agenda.after(self._settings.fragment_ms * MS, self._second)

    def _make(self, film_: Film, until_us: int, *, pre: bool = False) -> None:
        """Fragments up to a moment: whole ones, and a shorter one at the end."""
        whole_us = self._settings.fragment_ms * MS
        while film_.end_us + MS <= until_us:
            end_us = min(film_.end_us + whole_us, until_us)
            if film_.track:
                self._fragment(film_, end_us, pre=pre)
            film_.end_us = end_us

    def _fragment(self, film_: Film, end_us: int, *, pre: bool) -> None:
        begin_ms, length_ms = film_.ms(film_.end_us), film_.ms(end_us) - film_.ms(film_.end_us)
        lost_ms = length_ms // 3 if self._lens.slow and not pre else 0
        film_.seq += 1
        size = self._lens.bytes_a_second * (length_ms - lost_ms) // 1_000 * self._chance.randint(60, 140) // 100
        size = size if film_.looks[0] else size // 50
        data = film.fragment(self._chance, film_.seq, begin_ms, length_ms - lost_ms, size)
        self._emit(FragmentMade(film_.name, film_.track, film_.seq, data, begin_ms, length_ms - lost_ms, pre))
        if lost_ms:
            self._emit(GapFound(film_.name, film_.track, begin_ms + length_ms - lost_ms, lost_ms, "encoder"))
            told, self._lost_ms = self._lost_ms >= TELL_MS, self._lost_ms + lost_ms
            if not told and self._lost_ms >= TELL_MS:
                self._emit(Alarm("media-dropped", "camera: frames were left out, the encoder was too slow"))

    def _look(self) -> None:
        """Camera, microphone or encoder changed."""
        self._soon("ears", self._settings.silent_after_s * 1_000_000 if self._lens.silent else 0, self._listen)
        self._soon("pace", CALM_US, self._keeps_pace)
        looks, told = self._lens.looks, self._told
        self._told = looks
        for name, here, was in zip(("camera", "microphone"), looks, told, strict=True):
            if here != was:
                if name == "camera":
                    self._lens.since_us = self._clock.up_us()
                    event = f"camera_{'back' if here else 'lost'}"
                    if self._session.knows(event):
                        self._session.handle(event)
                self._emit(Alarm(f"{name}-{'back' if here else 'lost'}", f"{name} {'answers again' if here else 'gives no signal'}"))
        film_ = self._film
        if film_ is not None and film_.until_us is None and film_.looks != looks:
            self._make(film_, self._clock.up_us())
            self._change(film_)

    def _soon(self, name: str, wait_us: int, act: Callable[[], None]) -> None:
        cancel(self._entries.pop(name, None))
        self._entries[name] = self._agenda.after(wait_us, act)

    def _listen(self) -> None:
        if self._lens.silent != self._told_silent:
            self._told_silent = self._lens.silent
            said = "samples do not change: nothing is heard" if self._told_silent else "samples change again"
            self._emit(Alarm(f"microphone-{'silent' if self._told_silent else 'back'}", f"microphone: {said}"))

    def _keeps_pace(self) -> None:
        if not self._lens.slow:
            lost_ms, self._lost_ms = self._lost_ms, 0
            if lost_ms >= TELL_MS:
                self._emit(Alarm("media-back", f"nothing is lost any more; {lost_ms} ms were"))

    def _change(self, film_: Film) -> None:
        """Another track for what can be seen and heard from here on."""
        now_ms, looks = film_.ms(film_.end_us), self._lens.looks
        self._say_missing(film_, film_.end_us, over=tuple(name for name, here in zip(("camera", "microphone"), looks, strict=True) if here))
        for name, here in zip(("camera", "microphone"), looks, strict=True):
            if not here:
                film_.missing.setdefault(name, now_ms)
        film_.looks, film_.track = looks, ""
        if not any(looks):
            return
        base = self._settings.track if looks[0] else self._settings.sound_track
        number = film_.names[base] = film_.names.get(base, 0) + 1
        film_.track, film_.seq = base if number == 1 else f"{base}-{number}", 0
        shape = ("video/mp4", "avc1.64001f, mp4a.40.2", 640, 360, 25) if looks[0] else ("audio/mp4", "mp4a.40.2", 0, 0, 48_000)
        self._emit(TrackBegun(film_.name, film_.track, *shape, "simulated"))
        self._emit(FragmentMade(film_.name, film_.track, 0, film.init(self._chance), 0, 0))

    def _say_missing(self, film_: Film, now_us: int, *, every_ms: int = 0, over: tuple[str, ...] = ("camera", "microphone")) -> None:
        """A gap for what is missing: every so often while it goes on, and what is left of it when it is `over`."""
        now_ms = film_.ms(now_us)
        for name, from_ms in list(film_.missing.items()):
            if (every_ms and now_ms - from_ms >= every_ms) or (not every_ms and name in over):
                track = self._settings.track if name == "camera" or film_.looks[0] else self._settings.sound_track
                if now_ms > from_ms:
                    self._emit(GapFound(film_.name, track, from_ms, now_ms - from_ms, name))
                film_.missing[name] = now_ms
                if not every_ms:
                    del film_.missing[name]

    def _finish(self) -> None:
        film_ = self._film
        if film_ is None:
            return
        until_us = film_.until_us if film_.until_us is not None else self._clock.up_us()
        self._make(film_, until_us)
        self._say_missing(film_, until_us)
        self._emit(RecordingStopped(film_.name, self._stop_trigger))
        self._film = None
        for name in ("second", "finish"):
            cancel(self._entries.pop(name, None))
        self._do(self._session.handle("closed"))
