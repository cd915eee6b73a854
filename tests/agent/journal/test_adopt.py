"""The handshake: the server holds more than a card that lied about syncing, or something else altogether."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.journal import adopt
from agent.journal.adopt import next_journal, reconcile
from agent.journal.errors import Contradiction
from agent.journal.recovery import announce
from agent.journal.scribe import Scribe
from agent.journal.signer import vkey
from hal.contracts import ClockReading
from simulators.powercut import PowerCut, SimulatedFiles

STATE = Path("/state")


class Server:
    """What was sent to it: every line and the newest cosigned note."""

    def __init__(self, device) -> None:
        self.lines = device.journal.lines(0, device.journal.size)
        self.note = device.cosign()

    def answer(self, device, make, first: int) -> int:
        return adopt.adopt(device.scribe, make.key, first, self.lines[first:], self.note)


@pytest.fixture
def lied(make):
    """A device whose card lost what came after a moment: (server with everything, device after its next start)."""

    def build(before, after, *, media_too: bool = True):
        files = SimulatedFiles()
        device = make.Device(STATE, files)
        device.start()
        before(device)
        device.cosign()
        lies = lambda operation: media_too or STATE / "media" not in operation.path.parents  # noqa: E731
        files.skip = lies
        after(device)
        server = Server(device)
        later = device.on(files.after_cut())
        later.start()
        return server, later

    return build


def test_own_lines_come_back_and_unpublished_ones_follow_unchanged(lied, make, judges):
    server, device = lied(lambda d: d.record(1, stop=True), lambda d: [d.scribe.sense(number, 1) for number in range(5)])
    device.scribe.clock(ClockReading("ntp", 0, 5))
    recording = device.record(1)
    own = device.journal.lines(0, device.journal.size)
    common = len(server.lines) - 5
    assert own[:common] == server.lines[:common]
    assert server.answer(device, make, 0)
    judges.whole(device.journal)
    assert device.journal.lines(0, device.journal.size) == server.lines + own[common:]
    assert device.journal.cosigned_size == len(server.lines)
    assert device.heard[-1] == (common, server.lines[common:] + own[common:])
    device.scribe.stop(recording, "button")
    judges.whole(device.journal)
    assert device.on(device.files).start().lost == {}


def test_an_interrupted_recording_is_closed_anew_behind_what_the_server_has(lied, make, judges):
    names: list[str] = []

    def more(device):
        for seq in (2, 3, 4):
            device.fragment(names[0], "front", seq)

    server, device = lied(lambda d: names.append(d.record(1)), more)
    resumed = device.record(1)
    assert [line["n"] for line in device.of("stop")] == [5]
    assert server.answer(device, make, len(server.lines) - 3)
    judges.whole(device.journal)
    fetched_end = len(server.lines)
    gaps = [line for line in device.of("gap") if line["recording"] == names[0]]
    lost = [(gap["from"], gap["lost"], gap["reason"]) for gap in gaps]
    assert lost == [(1000, 1000, "storage"), (2000, 1000, "storage"), (3000, 1000, "storage"), (4000, 1000, "power")]
    assert [line["kind"] for line in device.lines()[fetched_end:][:6]] == ["gap"] * 4 + ["stop", "boot"]
    (stop, *_) = device.of("stop")
    assert stop["tracks"][0]["fragments"] == 5
    device.scribe.stop(resumed, "button")
    judges.whole(device.journal)


def test_media_that_are_still_there_need_no_gap(lied, make, judges):
    """The card lost lines, not media: recovery set the bytes aside, and they are put back where the fetched lines say."""
    names: list[str] = []

    def more(device):
        for seq in range(2, 8):
            device.fragment(names[0], "front", seq)

    server, device = lied(lambda d: names.append(d.record(1)), more, media_too=False)
    assert device.of("boot")[-1]["lost"]["recovered"] == 2
    assert device.of("boot")[-1]["lost"]["media"] > 0
    assert server.answer(device, make, 0)
    judges.whole(device.journal)
    assert [gap["reason"] for gap in device.of("gap")] == ["power"]
    assert device.media.size(names[0], "front") == device.of("stop")[0]["tracks"][0]["bytes"]


def test_a_whole_recording_that_the_card_forgot_comes_back(lied, make, judges):
    names = []
    server, device = lied(lambda d: None, lambda d: names.append(d.record(3, stop=True)), media_too=False)
    assert device.media.recordings() == []
    assert server.answer(device, make, 0)
    judges.whole(device.journal)
    assert device.of("gap") == []
    assert device.media.size(names[0], "front") == device.of("stop")[0]["tracks"][0]["bytes"]


def test_a_recording_that_is_stopped_gets_its_gaps_without_n(lied, make, judges):
    server, device = lied(lambda d: None, lambda d: d.record(2, stop=True))
    assert server.answer(device, make, 0)
    judges.whole(device.journal)
    assert [(gap["from"], gap["lost"], "n" in gap) for gap in device.of("gap")] == [(0, 0, False), (0, 1000, False), (1000, 1000, False)]


def test_nothing_to_adopt(device, make):
    device.record(1, stop=True)
    server = Server(device)
    device.record(1, stop=True)
    size = device.journal.size
    assert not server.answer(device, make, 0)
    assert device.journal.size == size


@pytest.mark.parametrize("seed", [None, 3])
def test_a_power_cut_while_adopting_changes_nothing_in_the_end(make, judges, seed):
    base = make.Device(STATE, SimulatedFiles())
    base.start()
    first = base.record(1)
    base.cosign()
    base.files.skip = lambda _: True
    for seq in range(2, 5):
        base.fragment(first, "front", seq)
    server = Server(base)
    start = base.files.after_cut()
    number = 0
    while True:
        files = start.after_cut()
        device = base.on(files)
        device.start()
        second = device.record(1)
        own = device.journal.lines(0, device.journal.size)
        files.cut_at = files.count + number
        try:
            server.answer(device, make, 0)
        except PowerCut:
            number += 1
        else:
            break
        after = device.on(files.after_cut(seed))
        after.start()
        judges.whole(after.journal)
        lines = after.journal.lines(0, after.journal.size)
        if lines[: len(server.lines)] != server.lines:
            assert lines[: len(own)] == own, "adopted or not, and never something else"
            server.answer(after, make, 0)
            lines = after.journal.lines(0, after.journal.size)
        assert lines[: len(server.lines)] == server.lines
        theirs = [json.loads(line) for line in lines]
        assert [one["recording"] for one in theirs if one["kind"] == "stop"] == [first, second]
        assert after.files.list(after.folder).count("splice") == 0
        judges.whole(after.journal)
    assert number > 10


def test_what_excludes_ours_is_a_contradiction_and_changes_nothing(device, make):
    device.record(1, stop=True)
    other = make.Device(device.state, SimulatedFiles(), seed=2)
    other.start()
    other.record(1, stop=True)
    server = Server(other)
    before = device.journal.lines(0, device.journal.size)
    with pytest.raises(Contradiction, match="both were signed"):
        server.answer(device, make, 0)
    with pytest.raises(Contradiction, match="do not give the root"):
        server.answer(device, make, 3)
    with pytest.raises(Contradiction, match="not one of ours"):
        adopt.adopt(device.scribe, make.key, 0, server.lines, server.note.replace(make.origin, "example.org/X/1"))
    assert device.journal.lines(0, device.journal.size) == before


def test_lines_that_were_cosigned_are_never_given_up():
    boot = b'{"at":1,"up":1,"kind":"boot","format":1,"boot":1,"software":"","hardware":"","clean":true,"lost":{},"salt":""}'
    ours, theirs = [b"a", boot, b"c"], [b"a", b"x"]
    merger = reconcile(0, ours, theirs, 1)
    assert merger is not None
    assert merger.kept == [boot, b"c"]
    with pytest.raises(Contradiction, match="cosigned as ours up to 2"):
        reconcile(0, ours, theirs, 2)


@settings(max_examples=300)
@given(data=st.data())
def test_reconciling_gives_the_fetched_lines_and_all_of_ours_that_may_follow(data):
    def line(kind: str, number: int, recording: str | None = None) -> bytes:
        members = {"at": number, "up": 1, "kind": kind, "event": "x", "label": "x", "recording": recording}
        members |= {"format": 1, "boot": number, "software": "", "hardware": "", "clean": True, "lost": {}} if kind == "boot" else {}
        return json.dumps({name: value for name, value in members.items() if value is not None}).encode()

    names = st.sampled_from(["A", "B", "C", None])
    shared = [line("power", number) for number in range(data.draw(st.integers(0, 4)))]
    fetched = [line("power", 100 + number, data.draw(names)) for number in range(data.draw(st.integers(0, 6)))]
    own = [line("power", 200 + number, data.draw(names)) for number in range(data.draw(st.integers(0, 6)))]
    if own:
        own[0] = line("boot", 7)
    merger = reconcile(10, shared + own, shared + fetched, 10)
    if not fetched:
        assert merger is None
        return
    assert merger is not None
    assert merger.at == 10 + len(shared)
    assert merger.fetched == fetched
    there = {json.loads(one).get("recording") for one in fetched} - {None}
    assert set(merger.touched) == there
    assert merger.kept == [one for one in own if json.loads(one).get("recording") not in there]


def test_the_next_journal_names_the_end_of_this_one(device, make, judges):
    recording = device.record(1, stop=True)
    end = device.journal
    for _ in range(2):  # the second time after a power cut
        recovered, previous = next_journal(device.folder, make.origin, make.key, device.files, device.media)
        scribe = Scribe(recovered.journal, device.media, device.clock, device.chance.randbytes)
        if recovered.journal.size == 0:
            scribe.enrol(vkey(recovered.journal.origin, make.key), "00" * 32, previous)
        announce(scribe, recovered, "1.0", "test")
    lines = [json.loads(line) for line in recovered.journal.lines(0, recovered.journal.size)]
    assert lines[0]["origin"] == make.origin[:-1] + "2" == recovered.journal.origin
    assert lines[0]["previous"] == {"origin": make.origin, "size": end.size, "root": judges.root(end.lines(0, end.size)).hex()}
    assert [line["kind"] for line in lines] == ["enrol", "boot", "boot"]
    assert device.media.recordings() == [recording], "the media of the journal before stay where they are"


def test_a_journal_that_is_beyond_repair_has_a_next_one(device, make):
    device.record(1, stop=True)
    newest = device.journal.size
    device.files.truncate(device.folder / "segment-000000000000.jsonl", 10)
    recovered, previous = next_journal(device.folder, make.origin, make.key, device.files, device.media)
    assert recovered.journal.size == 0
    assert dict(previous)["size"] == newest
