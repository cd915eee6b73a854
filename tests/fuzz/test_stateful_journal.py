"""The journal against a plain list: whatever is written, cosigned, cut, torn, trimmed and taken back, in whatever order.

The model is a list of lines that were reported durable, the index below which they may be gone, and the size that was cosigned. After
every step the journal must say the same, and its newest checkpoint must hold over the whole list, by a judge that shares nothing with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.core import note, wire
from agent.journal import adopt, segments
from agent.journal.errors import Contradiction
from simulators.powercut import PowerCut, SimulatedFiles, keep
from tests.agent.journal.conftest import KEY, ORIGIN, Device, cosign, cosigned, naive_checkpoint, naive_root

STATE = Path("/state")
SHORT = 16
"""Lines of a segment, so that a short story meets several."""
WHOLE = segments.SEGMENT_LINES


class Journals(RuleBasedStateMachine):
    """One device from start to start, and the server that holds what it was sent."""

    @initialize()
    def first_start(self) -> None:
        segments.SEGMENT_LINES = SHORT
        self.device = Device(STATE, SimulatedFiles())
        self.device.start()
        self.lines: list[bytes] = []
        self.oldest = 0
        self.cosigned = 0
        self.open: list[str] = []
        self.stopped: list[str] = []
        self.heads: list[int] = []
        self._hear()

    def teardown(self) -> None:
        segments.SEGMENT_LINES = WHOLE

    # ----------------------------------------------------------------------- writing

    @rule(count=st.integers(1, 5))
    def write(self, count: int) -> None:
        with self.device.scribe.batch():
            for number in range(count):
                self.device.scribe.sense(number, None)
        self._hear()

    @precondition(lambda self: not self.open)
    @rule(seconds=st.integers(0, 2))
    def record(self, seconds: int) -> None:
        self.open.append(self.device.record(seconds))
        self._hear()

    @precondition(lambda self: self.open)
    @rule()
    def stop(self) -> None:
        name = self.open.pop()
        self.device.scribe.stop(name, "button")
        self.stopped.append(name)
        self._hear()

    # ----------------------------------------------------------------------- the server's answers

    @rule(which=st.integers(0, 10))
    def hear_a_cosignature(self, which: int) -> None:
        """The newest, or an old one that comes late or twice."""
        size = self.heads[-1 - which % len(self.heads)]
        body = note.checkpoint(ORIGIN, size, naive_root(self.lines[:size]))  # the journal may have trimmed its own by now
        text = cosigned(note.sign(body, ORIGIN, note.ED25519, KEY.public_key(), KEY.sign))
        assert self.device.journal.keep_cosigned(text) == (size > self.cosigned)
        self.cosigned = max(self.cosigned, size)

    @rule(change=st.sampled_from(["root", "origin", "beyond"]))
    def hear_of_another_journal(self, change: str) -> None:
        size, root, origin = len(self.lines), bytes(32), ORIGIN
        if change == "beyond":
            size += 1
        elif change == "origin":
            root, origin = naive_root(self.lines), ORIGIN + "1"
        body = note.checkpoint(origin, size, root)
        with pytest.raises(Contradiction):
            self.device.journal.keep_cosigned(note.sign(body, origin, note.ED25519, KEY.public_key(), KEY.sign))

    @precondition(lambda self: self.stopped and self.cosigned == len(self.lines))
    @rule()
    def purge_and_trim(self) -> None:
        for name in self.stopped:
            self.device.scribe.purge(name, "age", "00" * 32)
        self.stopped.clear()
        oldest = self.device.scribe.trim(self.cosigned)
        assert self.oldest <= oldest <= self.cosigned
        self.oldest = oldest
        self._hear()

    # ----------------------------------------------------------------------- power

    @rule(after=st.integers(0, 14), act=st.sampled_from(["write", "record", "stop"]), seed=st.integers(0, 2**16))
    def cut(self, after: int, act: str, seed: int) -> None:
        """The power goes at some operation of an act; what was not synced is kept, lost or torn by chance."""
        files = self.device.files
        assert isinstance(files, SimulatedFiles)
        files.cut_at = files.count + after
        try:
            if act == "stop" and self.open:
                self.device.scribe.stop(self.open[-1], "button")
            elif act == "record" and not self.open:
                self.device.record(1)
            else:
                self.device.scribe.sense(after, None)
        except PowerCut:
            pass
        files.cut()
        self._hear()
        self._start(files.after_cut(seed))

    @rule(again=st.booleans())
    def start_anew(self, *, again: bool) -> None:
        """The program ends and begins; sometimes the power goes while it recovers, and it begins again."""
        files = self._disk(keep)
        if again:
            files.cut_at = files.count + len(self.lines) % 7
            try:
                self.device.on(files).start()
            except PowerCut:
                files = files.after_cut(len(self.lines))
            else:
                files = files.after_cut(fate=keep)
            self._start(files, interrupted=True)
        else:
            self._start(files)

    @rule(
        name=st.sampled_from(["lines", "checkpoints"]),
        tail=st.sampled_from([b"\0" * 40, b'{"at":1', b"\xff\n", ORIGIN.encode() + b"\n7\n"]),
    )
    def tear(self, name: str, tail: bytes) -> None:
        """A tail stands behind what counts."""
        files = self._disk(keep)
        folder = self.device.folder
        files.append(folder / "checkpoints" if name == "checkpoints" else segments.path(folder, segments.firsts(files, folder)[-1]), tail)
        self._start(files.after_cut(fate=keep))
        assert self.device.recovered.lost

    @rule(acts=st.lists(st.sampled_from(["write", "record"]), min_size=1, max_size=3), handshake=st.booleans())
    def lie(self, acts: list[str], *, handshake: bool) -> None:
        """The card says that it syncs and does not; the server has everything, and gives it back."""
        files = self._disk(keep)
        self._start(files)
        files.skip = lambda _operation: True
        for act in acts:
            self.device.scribe.sense(1, None) if act == "write" else self.device.record(1, stop=True)
        theirs = [*self.lines]
        for first, lines in self.device.heard[self._heard :]:
            theirs[first:] = lines
        text = cosign(self.device.journal)
        known = self.cosigned
        self.device = self.device.on(files.after_cut())
        self.device.start()
        self._heard = 0
        assert self.device.journal.lines(self.oldest, len(self.lines)) == self.lines[self.oldest :], "what was synced before is there"
        self.open.clear()
        self._forget_heard()
        if not handshake:
            theirs = theirs[:known]
            text = ""
        if text:
            own = self.lines
            assert adopt.adopt(self.device.scribe, KEY, known, theirs[known:], text)
            heard_first, heard = self.device.heard[-1]
            self.lines = own[:heard_first] + heard
            self._heard = len(self.device.heard)
            assert self.lines[: len(theirs)] == theirs
            self.cosigned = len(theirs)
            self.heads = [size for size in self.heads if size <= heard_first] + [len(theirs), len(self.lines)]
        # What a lying card lost and nobody gave back: the story goes on from what was synced, and the server would call it a fork.

    # ----------------------------------------------------------------------- what must hold

    @invariant()
    def the_journal_says_the_same(self) -> None:
        journal = self.device.journal
        assert journal.size == len(self.lines)
        assert journal.oldest == self.oldest
        assert journal.lines(self.oldest, journal.size) == self.lines[self.oldest :]
        assert journal.checkpoint is not None
        assert naive_checkpoint(journal.checkpoint) == (len(self.lines), naive_root(self.lines))
        assert journal.cosigned_size == self.cosigned

    @invariant()
    def it_can_be_sent_from_what_is_cosigned_on(self) -> None:
        first = self.cosigned
        while first < len(self.lines):
            found = self.device.journal.batch(first)
            assert found is not None, f"nothing goes from {first} of {len(self.lines)}"
            lines, text = found
            assert lines == self.lines[first : first + len(lines)]
            assert len(wire.encode_batch(first, lines, text)) <= wire.MAX_BATCH_BYTES
            first += len(lines)
            assert naive_checkpoint(text)[0] == first

    # ----------------------------------------------------------------------- helpers

    _heard = 0

    def _hear(self) -> None:
        """Take over what was reported durable: each line once, in order, nothing left out."""
        for first, lines in self.device.heard[self._heard :]:
            assert first == len(self.lines)
            self.lines += lines
            self.heads.append(len(self.lines))
        self._heard = len(self.device.heard)

    def _forget_heard(self) -> None:
        """After a start: lines behind those that were durable are whole ones of an act that was cut off, then comes `boot`."""
        journal = self.device.journal
        found = journal.lines(self.oldest, journal.size)
        behind = [json.loads(line)["kind"] for line in found[len(self.lines) - self.oldest :]]
        announced = sum(len(lines) for _, lines in self.device.heard)
        adopted = len(behind) - announced
        assert 0 <= adopted <= wire.MAX_BATCH_LINES
        assert "boot" in behind[adopted:]
        self.lines += found[len(self.lines) - self.oldest :]
        self.heads = [size for size in self.heads if size >= self.oldest] + [len(self.lines)]
        self._heard = len(self.device.heard)

    def _disk(self, fate: Callable[[bytes], bytes]) -> SimulatedFiles:
        assert isinstance(self.device.files, SimulatedFiles)
        return self.device.files.after_cut(fate=fate)

    def _start(self, files: SimulatedFiles, *, interrupted: bool = False) -> None:
        """The next start on this disk: what was durable is there."""
        was = list(self.lines)
        self.device = self.device.on(files)
        self.device.start()
        journal = self.device.journal
        assert journal.lines(self.oldest, len(was)) == was[self.oldest :], "a durable line is gone"
        assert journal.oldest == self.oldest
        self._heard = 0
        # Whatever was open is closed by the start.
        assert not journal.story.open
        self.stopped = [name for name in journal.story.known if name in self.stopped or journal.story.known[name].stop is not None]
        self.open.clear()
        self._forget_heard() if not interrupted else self._take_all()

    def _take_all(self) -> None:
        """A start that was cut off may have written its `boot` already: two of them are no harm."""
        journal = self.device.journal
        self.lines += journal.lines(self.oldest, journal.size)[len(self.lines) - self.oldest :]
        self.heads = [size for size in self.heads if size >= self.oldest] + [len(self.lines)]
        self._heard = len(self.device.heard)


Journals.TestCase.settings = settings(max_examples=60, stateful_step_count=15, deadline=None)
TestJournals = Journals.TestCase


def test_a_tail_behind_a_segment_that_is_full_is_set_aside_and_counted(monkeypatch):
    """Found here: it was cut off without a word."""
    monkeypatch.setattr(segments, "SEGMENT_LINES", SHORT)
    device = Device(STATE, SimulatedFiles())
    device.start()
    while device.journal.size < SHORT:
        device.scribe.sense(1, None)
    device.files.append(segments.path(device.folder, 0), b"\xff\n\0")
    again = device.again()
    assert again.recovered.lost == {"journal": 3}
    (name,) = again.files.list(again.folder / "aside")
    assert again.files.read(again.folder / "aside" / name) == b"\xff\n\0"
    assert again.journal.lines(0, SHORT) == device.journal.lines(0, SHORT)


def test_an_old_cosignature_of_lines_that_were_trimmed_meanwhile_is_no_contradiction(monkeypatch):
    monkeypatch.setattr(segments, "SEGMENT_LINES", SHORT)
    device = Device(STATE, SimulatedFiles())
    device.start()
    while device.journal.size < SHORT - 2:
        device.scribe.sense(1, None)
    old = cosign(device.journal)
    while device.journal.size < SHORT + 2:
        device.scribe.sense(1, None)
    device.cosign()
    assert device.scribe.trim(device.journal.size) == SHORT
    assert not device.journal.keep_cosigned(old)
