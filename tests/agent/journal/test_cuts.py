"""The power goes at every operation of a recording, and nothing that was promised is lost, nothing that is lost is hidden."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.journal.errors import JournalError
from agent.journal.journal import Journal
from hal.contracts import ClockReading, Fix
from simulators.powercut import PowerCut, SimulatedFiles

STATE = Path("/state")


def story(device) -> None:
    """A scripted duty: two recordings, everything that happens in them, one cosignature, one deletion."""
    device.start()
    first = device.record(2)
    with device.scribe.batch():
        device.fragment(first, "front", 3)
        device.scribe.fix(Fix(0, 1, 2))
    device.scribe.mark(first, "x")
    device.scribe.stop(first, "button")
    device.cosign()
    device.scribe.purge(first, "space", "00" * 32)
    second = device.record(1)
    device.scribe.clock(ClockReading("ntp", 0, 5))
    with device.scribe.batch():
        for seq in (2, 3):
            device.fragment(second, "front", seq)
    device.scribe.stop(second, "button")
    device.record(2)


def check(device, promised: list[tuple[int, list[bytes]]], judges) -> None:
    """What must hold after a start, whatever became of the last one."""
    journal, media = device.journal, device.media
    judges.whole(journal)
    lines = journal.lines(0, journal.size)
    for first, new in promised:
        assert lines[first : first + len(new)] == new, "a line that somebody heard of is gone"
    members = [json.loads(line) for line in lines]
    purged = {one["recording"] for one in members if one["kind"] == "purge"}
    gaps = {(one["recording"], one["track"], one["from"], one["lost"]) for one in members if one["kind"] == "gap"}
    stops = {one["recording"] for one in members if one["kind"] == "stop"}
    named: dict[tuple[str, str], int] = {}
    for one in members:
        if one["kind"] != "fragment" or one["recording"] in purged:
            continue
        data = media.read(one["recording"], one["track"], one["offset"], one["bytes"])
        held = hashlib.sha256(data).hexdigest() == one["sha256"]
        assert held or (one["recording"], one["track"], one["pts"], one["duration"]) in gaps, f"{one} has no bytes and no gap"
        place = one["recording"], one["track"]
        named[place] = max(named.get(place, 0), one["offset"] + one["bytes"])
    assert not [one for one in members if one["kind"] == "tamper" or one.get("reason") == "storage"], "a cut alone is no alarm"
    for one in members:
        if one["kind"] == "start":
            assert one["recording"] in stops, "every recording is stopped after a start"
            power = [g for g in members if g["kind"] == "gap" and g["recording"] == one["recording"] and g["reason"] == "power"]
            ended = next(s for s in members if s["kind"] == "stop" and s["recording"] == one["recording"])
            assert (ended["trigger"] == "power") == bool(power)
    for recording in media.recordings():
        assert recording in stops - purged, "media that nobody knows"
        for name in media.names(recording):
            track = name.rpartition(".")[0]
            assert media.size(recording, track) == named.get((recording, track), 0), "bytes behind the last fragment"


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_every_cut_of_a_duty(make, judges, seed):
    """The power goes during each operation in turn; unsynced writes are dropped, or kept, torn and undone by chance."""
    number = 0
    while True:
        device = make.Device(STATE, SimulatedFiles(cut_at=number))
        try:
            story(device)
        except PowerCut:
            pass
        else:
            break
        after = device.on(device.files.after_cut(None if seed is None else seed * 100_000 + number))
        after.start()
        check(after, device.heard, judges)
        recording = after.record(1, stop=True)
        assert recording in after.media.recordings()
        number += 1
    assert number > 100


def test_a_cut_between_two_appends_costs_nothing_on_record(make, judges):
    device = make.Device(STATE, SimulatedFiles())
    device.start()
    device.record(2)
    idle_cut(device.on(device.files.after_cut()), device.heard, judges)


@pytest.mark.parametrize("what", ["sync", "sync_folder"])
def test_the_guard_sees_a_sync_that_is_missing(make, judges, what):
    """Without any of the syncs that an append makes, some cut breaks a promise: the test above is not blind."""
    device = make.Device(STATE, SimulatedFiles(record=True))
    device.start()
    recording = device.record(1)
    device.files.operations.clear()
    device.fragment(recording, "front", 2)
    if what == "sync_folder":
        device.scribe.stop(recording, "button")
        device.files.operations.clear()
        device.record(1)
    syncs = {role(operation.path) for operation in device.files.operations if operation.name == what}
    assert len(syncs) == (3 if what == "sync" else 1)
    for one in syncs:
        files = device.files.after_cut()
        files.skip = lambda operation, one=one: operation.name == what and role(operation.path) == one
        victim = device.on(files)
        victim.start()
        victim.record(2)
        broken = victim.on(files.after_cut())
        with pytest.raises((AssertionError, JournalError)):
            idle_cut(broken, victim.heard, judges)


def role(path: Path) -> str:
    """A file of the journal by its name; all track files are one."""
    return "media" if STATE / "media" in path.parents else path.name


def idle_cut(device, promised, judges) -> None:
    """A cut between two appends costs nothing but the fragment that was being made."""
    device.start()
    check(device, promised, judges)
    assert device.of("boot")[-1]["lost"] == {"unfinished": 1}


class Crashes(RuleBasedStateMachine):
    """Appends, batches and cuts in any order, on a disk that keeps what it likes of what was not synced."""

    judges: Any = None
    make: Any = None

    @initialize(seed=st.integers(0, 1 << 20))
    def begin(self, seed):
        self.device = self.make.Device(STATE, SimulatedFiles(), seed)
        self.device.start()
        self.recording, self.seq = None, 0
        self.promised = list(self.device.heard)
        self.published: list[str] = [self.device.journal.checkpoint]

    @precondition(lambda self: self.recording is None)
    @rule()
    def press(self):
        self.recording, self.seq = self.device.record(0), 1

    @precondition(lambda self: self.recording is not None)
    @rule(count=st.integers(1, 4), fixes=st.booleans())
    def seconds_pass(self, count, fixes):
        with self.device.scribe.batch():
            for _ in range(count):
                self.device.fragment(self.recording, "front", self.seq)
                if fixes:
                    self.device.scribe.fix(Fix(0, self.seq, 2))
                self.seq += 1

    @rule(count=st.sampled_from([1, 3, 20, 600]))
    def lines_come(self, count):
        with self.device.scribe.batch():
            for number in range(count):
                self.device.scribe.sense(number, number)

    @precondition(lambda self: self.recording is not None)
    @rule()
    def release(self):
        self.device.scribe.stop(self.recording, "button")
        self.recording = None

    @rule()
    def server_answers(self):
        self.device.cosign()

    @rule(operations=st.integers(0, 12), seed=st.none() | st.integers(0, 1 << 30), during=st.sampled_from(["recording", "start", "idle"]))
    def power_fails(self, operations, seed, during):
        """In the middle of a batch, in the middle of the start after it, or just so."""
        self._publish()
        self.device.files.cut_at = self.device.files.count + operations
        if during != "idle":
            with suppress(PowerCut):
                self.device.record(1) if self.recording is None else self.seconds_pass(2, fixes=True)
        self.promised += self.device.heard
        self.device.files.cut()
        files = self.device.files.after_cut(seed)
        if during == "start":
            files.cut_at = operations
            half = self.device.on(files)
            with suppress(PowerCut):
                half.start()
            self.promised += half.heard
            files = files.after_cut(seed)
        self.device = self.device.on(files)
        self.device.start()
        self.recording = None
        check(self.device, self.promised, self.judges)

    def _publish(self):
        self.published.append(self.device.journal.checkpoint)

    @invariant()
    def every_checkpoint_ever_published_fits(self):
        if not hasattr(self, "device"):
            return
        self._publish()
        self.published = self.published[-8:]
        lines = self.device.journal.lines(0, self.device.journal.size)
        for text in self.published:
            size, root = self.judges.checkpoint(text)
            assert self.judges.root(lines[:size]) == root

    @invariant()
    def what_is_kept_in_memory_is_what_the_disk_says(self):
        if hasattr(self, "device") and self.device.journal.size:
            fresh = Journal.open(self.device.folder, self.make.origin, self.make.key, self.device.files)
            assert fresh.story == self.device.journal.story
            assert fresh.checkpoint == self.device.journal.checkpoint


@pytest.mark.parametrize("segment", [7, 65_536])
def test_any_history_of_crashes(judges, make, small_segments, segment):
    small_segments(segment)
    machine: Any = type("Machine", (Crashes,), {"judges": judges, "make": make})
    machine.TestCase.settings = settings(max_examples=25, stateful_step_count=12, deadline=None)
    machine.TestCase().runTest()
