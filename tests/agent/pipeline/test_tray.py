"""What waits for the disk together, and who is told when the disk is slower than the recording."""

from __future__ import annotations

import threading
from dataclasses import replace

from agent.capture.events import RecordingStarted
from agent.faults import FAULTS
from agent.pipeline.state import State
from agent.pipeline.tray import Entry, Tray
from agent.pipeline.wiring import slow_disk
from simulators.pace import ManualClock

RECORDING = "01HZY0000000000000000000AB"
S = 1_000_000


def test_what_capture_hands_over_at_once_is_taken_at_once(make_fragment):
    """Else somebody is told of a recording whose first seconds are still in memory."""
    tray = Tray()
    with tray.together():
        tray.put_when_room(RecordingStarted(RECORDING, "button", 0, 0))
        assert tray.take(0) == []
        tray.put_when_room(make_fragment(1))
    assert len(tray.take(0)) == 2


def test_who_waits_for_the_disk_gets_everything_at_the_end_of_it(make_fragment):
    tray = Tray()
    taken = []
    with tray.together():
        waiting = threading.Thread(target=lambda: taken.append(tray.take(60)))
        waiting.start()
        for seq in range(3):
            tray.put_when_room(make_fragment(seq))
    waiting.join(60)
    assert [len(things) for things in taken] == [3]


def test_what_has_no_room_does_not_wait_for_the_end_of_it(make_fragment):
    """Capture waits for the disk, and the disk must not wait for capture."""
    tray = Tray(room_bytes=1_500)
    with tray.together():
        tray.put_when_room(make_fragment(1))
        taken = []
        taking = threading.Thread(target=lambda: taken.append(tray.take(60)))
        taking.start()
        tray.put_when_room(make_fragment(2))
        taking.join(60)
    assert [len(things) for things in taken] == [1]
    assert len(tray.take(0)) == 1


class Disk:
    """A tray with a clock; a second is a fragment."""

    def __init__(self, make_fragment) -> None:
        self.clock, self.tray = ManualClock(), Tray()
        self.told: list[int] = []
        self.tray.watch(self.clock.up_us, self.told.append)
        self._make, self._seq = make_fragment, 0

    def second(self, count: int = 1, *, pre: bool = False) -> None:
        for _ in range(count):
            if not pre:
                self.clock.advance(1)
            self._seq += 1
            self.tray.put_when_room(replace(self._make(self._seq), pre=pre))


def test_a_disk_that_keeps_up_is_not_slow(make_fragment):
    disk = Disk(make_fragment)
    for _ in range(10):
        disk.second()
        assert len(disk.tray.take(0)) == 1
        disk.tray.done()
    assert disk.told == []


def test_a_disk_that_needs_longer_for_a_fragment_than_the_camera_is_told(make_fragment):
    disk = Disk(make_fragment)
    disk.second()
    disk.tray.take(0)
    disk.second(3)
    assert disk.told == [1 * S, 2 * S, 3 * S]
    assert len(disk.tray.take(0)) == 3
    disk.second()
    assert disk.told[3:] == [3 * S], "the oldest of the three that are being appended came three seconds ago"
    disk.tray.take(0)
    disk.second()
    assert len(disk.told) == 5
    disk.tray.take(0)
    assert disk.tray.take(0) == []  # whoever asks for more is done with the rest
    disk.second()
    assert len(disk.told) == 5


def test_the_seconds_before_the_press_come_at_once_and_are_no_delay(make_fragment):
    disk = Disk(make_fragment)
    disk.second(30, pre=True)
    disk.second()
    assert disk.told == []


def test_what_is_no_fragment_is_never_late(make_fragment):
    disk = Disk(make_fragment)
    disk.second()
    disk.clock.advance(5 * S)
    disk.tray.put(Entry(lambda _: None))
    assert disk.told == []


def test_a_slow_disk_is_an_alarm_and_a_line_a_minute(bench, make_fragment):
    """Told when it begins, and not with every fragment: the disk has enough to do."""
    bench.start()
    state = State(bench.clock.up_us)
    bench.tray.watch(bench.clock.up_us, slow_disk(state, bench.clerk))
    for seq in range(1, 5):
        bench.clock.advance(1)
        bench.emit(make_fragment(seq))
    assert list(state.alarms) == [FAULTS["disk-slow"].says]
    bench.write()
    (line,) = bench.lines("storage")
    assert (line["event"], line["waited"]) == ("slow", 1_000)
    assert f"{line['kind']} {line['event']}" == FAULTS["disk-slow"].line
    bench.tray.done()
    bench.clock.advance(61)
    bench.write(make_fragment(5))
    assert list(state.alarms) == []
    assert len(bench.lines("storage")) == 1, "the disk keeps up again"
