"""From admitted lines to the catalogue, to `stored`, to the receipt; and the same again after a crash."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace

import pytest

from agent.core import lines, merkle, note
from server.ingest.intake import Upload
from server.services import World, open_services
from tests.server.conftest import line_up
from tests.server.virtual import Device


def upload(ingest, recording, track="front", offset=0, data=None) -> int:
    found = ingest.services.catalogue.find(recording.recording)
    one = Upload(ingest.services, found, ingest.services.catalogue.track(found.id, track), offset)
    one.feed(recording.media[track] if data is None else data)
    one.finish()
    new = one.settle()
    ingest.indexer.held()
    ingest.index()
    return new


def sent(ingest, device, recording=None):
    ingest.offer(device, *device.batches(ingest.services.logs.size(device.origin)))
    ingest.index()
    return ingest.services.catalogue.find(recording.recording) if recording else None


def stored_lines(ingest):
    return ingest.services.ledger.entries(kind="stored")


def test_a_recording_as_its_lines_tell_it(ingest, device):
    recording = device.start(officer="007", case="A-1", matter="noise")
    device.track(recording)
    device.fragment(recording, b"init")
    device.fragment(recording, b"one")
    device.mark(recording, "看")
    device.commit()
    found = sent(ingest, device, recording)
    assert (found.state, found.officer, found.case_id, found.matter, found.fragments, found.bytes) == (
        "recording",
        "007",
        "A-1",
        "noise",
        2,
        7,
    )
    assert [one["label"] for one in ingest.services.catalogue.marks(found.id)] == ["看"]
    device.stop(recording)
    device.commit()
    assert sent(ingest, device, recording).state == "uploading"
    starts = ingest.services.ledger.entries(kind="start")
    assert [(one.members["recording"], one.members["c"]) for one in starts] == [(recording.recording, 0)]


def test_stored_when_the_stop_is_cosigned_and_everything_is_held(ingest, device):
    recording = device.record(fragments=3)
    sent(ingest, device)
    assert stored_lines(ingest) == []
    assert upload(ingest, recording) == 3
    found = ingest.services.catalogue.find(recording.recording)
    assert (found.state, found.held, found.held_bytes) == ("stored", 3, 3000)
    said = stored_lines(ingest)[0].members
    assert (said["origin"], said["fragments"], said["bytes"]) == (device.origin, 3, 3000)
    assert said["stop"] == merkle.leaf_hash(device.lines[-1]).hex()
    topic, receipt = ingest.sent[-1]
    assert topic == f"zhilu/{device.device}/receipt"
    proof = note.parse_tlog_proof(receipt.decode())
    assert lines.read(proof.extra or b"") == said


def test_media_may_come_before_the_stop(ingest, device):
    recording = device.start()
    device.track(recording)
    device.fragment(recording, b"init")
    device.commit()
    sent(ingest, device)
    upload(ingest, recording)
    assert stored_lines(ingest) == []
    device.stop(recording)
    device.commit()
    assert sent(ingest, device, recording).state == "stored"


def test_a_recording_without_media_is_stored_at_once(ingest, device):
    recording = device.start()
    device.stop(recording)
    device.commit()
    assert sent(ingest, device, recording).state == "stored"


def test_fragments_that_a_later_gap_names_are_not_waited_for(ingest, device):
    recording = device.record(fragments=4)
    sent(ingest, device)
    upload(ingest, recording, data=recording.media["front"][:2000])
    assert stored_lines(ingest) == []
    device.gap(recording, 1000, 2000, after=True)
    device.commit()
    found = sent(ingest, device, recording)
    assert (found.state, found.gaps, found.lost_ms) == ("stored", 1, 2000)
    assert stored_lines(ingest)[0].members["fragments"] == 2


@pytest.mark.parametrize("reason", ["microphone", "encoder", "camera", "power", "clock"])
def test_a_gap_of_media_that_never_were_excuses_no_fragment(ingest, device, reason):
    """A picture without sound is whole, and waited for: its receipt came before its bytes, and the device refused it for ever."""
    recording = device.record()
    device.gap(recording, 0, 2000, after=True, reason=reason)
    device.commit()
    found = sent(ingest, device, recording)
    assert found.state == "uploading"
    upload(ingest, recording)
    assert ingest.services.catalogue.find(recording.recording).state == "stored"


def test_a_gap_before_a_fragment_does_not_excuse_it(ingest, device):
    recording = device.start()
    device.track(recording)
    device.gap(recording, 0, 5000)
    device.fragment(recording, b"init")
    device.fragment(recording, b"one")
    device.stop(recording)
    device.commit()
    assert sent(ingest, device, recording).state == "uploading"


def test_a_gap_over_the_beginning_does_not_excuse_the_init_segment(ingest, device):
    recording = device.record(fragments=2)
    device.gap(recording, 0, 1000, after=True)
    device.commit()
    assert sent(ingest, device, recording).state == "uploading"
    device.gap(recording, 0, 0, after=True)
    device.commit()
    assert sent(ingest, device, recording).state == "stored"


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ({"seq": 5}, "bad-fragment"),
        ({"offset": 1}, "bad-fragment"),
        ({"bytes": 0}, "bad-fragment"),
        ({"bytes": 1 << 40}, "bad-fragment"),
        ({"sha256": "A" * 64}, "bad-fragment"),
        ({"pts": -1}, "bad-fragment"),
    ],
)
def test_a_fragment_that_does_not_fit_is_never_stored(ingest, device, what, why):
    recording = device.start()
    device.track(recording)
    device.fragment(recording, b"init")
    device.fragment(recording, b"one", **what)
    device.line("track", recording=recording.recording, n=9, track="../../x", media="video/mp4", codecs="", source="")
    device.stop(recording)
    device.commit()
    found = sent(ingest, device, recording)
    assert (found.irregular, found.fragments) == (2, 1)
    assert ingest.services.metrics.value("zhilu_lines_without_effect_total", why) == 1
    assert ingest.services.metrics.value("zhilu_lines_without_effect_total", "bad-track") == 1
    upload(ingest, recording, data=b"init")
    assert ingest.services.catalogue.find(recording.recording).state == "uploading"


def test_lines_that_belong_to_nothing_change_nothing(ingest, device):
    other = Device("DSJ-0000002", seed=4)
    ingest.enrol(other)
    recording = device.record()
    sent(ingest, device)
    # Another device speaks of the same recording; the same one starts it twice, and goes on after its stop.
    other.line("stop", recording=recording.recording, n=1, trigger="button", tracks=[])
    other.commit()
    sent(ingest, other)
    device.line("start", recording=recording.recording, n=0, trigger="b", officer="", case="", matter="", epoch=0, governing=[])
    device.line("mark", recording=recording.recording, n=99, label="late")
    device.line("start", recording="../../etc/passwd", n=0, trigger="b", officer="", case="", matter="", epoch=0, governing=[])
    device.commit()
    sent(ingest, device)
    metrics = ingest.services.metrics
    assert [metrics.value("zhilu_lines_without_effect_total", why) for why in ("no-start", "doubled-start", "after-stop", "bad-start")] == [
        1
    ] * 4
    assert len(ingest.services.catalogue.page(10)) == 1


def test_receipts_come_again_when_a_device_comes_online(ingest, device):
    recording = device.record()
    sent(ingest, device)
    upload(ingest, recording)
    ingest.sent.clear()
    ingest.indexer.online(device.device)
    ingest.index()
    assert [topic for topic, _ in ingest.sent] == [f"zhilu/{device.device}/receipt"]
    device.line("purge", recording=recording.recording, tracks=[], bytes=0, reason="stored", receipt="0" * 64)
    device.commit()
    assert sent(ingest, device, recording).purged_at is not None
    assert ingest.services.catalogue.unpurged(device.device, 10) == []


def catalogue_of(services):
    return [
        (one.recording, one.state, one.fragments, one.held, one.gaps, one.marks, one.started_entry, one.stored_entry)
        for one in services.catalogue.page(100)
    ]


def test_the_catalogue_is_built_again_from_journals_ledger_and_bytes(settings, clock):
    device = Device()
    with open_services(settings, World(clock)) as services:
        ingest = line_up(services)
        ingest.enrol(device)
        recordings = [device.record(fragments=count) for count in (2, 5)]
        unfinished = device.start()
        device.track(unfinished)
        device.fragment(unfinished, b"init")
        device.commit()
        sent(ingest, device)
        for recording in recordings:
            upload(ingest, recording)
        before, size = catalogue_of(services), services.logs.size(services.ledger.origin)
        assert [state for _, state, *_ in before] == ["recording", "stored", "stored"]
    for name in ("catalogue.sqlite", "catalogue.sqlite-wal", "catalogue.sqlite-shm"):
        (settings.folder / name).unlink(missing_ok=True)
    with open_services(settings, World(clock)) as services:
        line_up(services).index()
        assert catalogue_of(services) == before
        assert services.logs.size(services.ledger.origin) == size


@pytest.mark.parametrize("read", [False, True])
def test_a_rebuild_that_was_broken_off_is_begun_again(settings, clock, read):
    """The power went when the new catalogue had its tables, or its lines too, and before it was known what is held."""
    device = Device()
    with open_services(settings, World(clock)) as services:
        ingest = line_up(services)
        ingest.enrol(device)
        recording = device.record(fragments=3)
        sent(ingest, device)
        upload(ingest, recording)
        before = catalogue_of(services)
    for path in settings.folder.glob("catalogue.sqlite*"):
        path.unlink()
    with open_services(settings, World(clock)) as services:
        assert services.rebuilding
        while read and not line_up(services).indexer.has_read({device.origin: device.size}):
            line_up(replace(services, rebuilding=False)).indexer.step()
    with open_services(settings, World(clock)) as services:
        assert services.rebuilding
        line_up(services).index()
        assert catalogue_of(services) == before
    with open_services(settings, World(clock)) as services:
        assert not services.rebuilding


def no_database(path):
    path.write_bytes(b"not a database " * 300)


def page_lost(path):
    with path.open("r+b") as file:
        file.seek(3 * 4096)
        file.write(bytes(8192))


@pytest.mark.parametrize(
    ("break_it", "why"), [(no_database, r"\(file is not a database\): it now"), (page_lost, r"\([^\n]*[Pp]age [^\n]*\): it now")]
)
def test_a_broken_catalogue_is_set_aside_and_built_again(settings, clock, caplog, break_it, why):
    device = Device()
    with open_services(settings, World(clock)) as services:
        ingest = line_up(services)
        ingest.enrol(device)
        recording = device.record(fragments=3)
        sent(ingest, device)
        upload(ingest, recording)
        before = catalogue_of(services)
    path = settings.folder / "catalogue.sqlite"
    break_it(path)
    broken = path.read_bytes()
    with open_services(settings, World(clock)) as services:
        assert "it now lies in catalogue.sqlite.broken, and is built again" in caplog.text
        assert re.search(why, caplog.text)
        assert path.with_name("catalogue.sqlite.broken").read_bytes() == broken
        assert services.rebuilding
        line_up(services).index()
        assert catalogue_of(services) == before
    caplog.clear()
    with open_services(settings, World(clock)) as services:
        assert (services.rebuilding, caplog.text) == (False, "")


def test_a_damaged_file_is_found_when_the_catalogue_is_built_again(settings, clock):
    device = Device()
    with open_services(settings, World(clock)) as services:
        ingest = line_up(services)
        ingest.enrol(device)
        recording = device.record(fragments=3)
        sent(ingest, device)
        upload(ingest, recording)
        path = services.objects.path(device.device, recording.recording, "front", "video/mp4")
    with path.open("r+b") as file:
        file.seek(1500)
        file.write(b"\0\0\0\0")
    for name in ("catalogue.sqlite", "catalogue.sqlite-wal", "catalogue.sqlite-shm"):
        (settings.folder / name).unlink(missing_ok=True)
    with open_services(settings, World(clock)) as services:
        line_up(services).index()
        found = services.catalogue.find(recording.recording)
        assert (found.state, found.held) == ("uploading", 2)


def test_an_older_catalogue_catches_up_without_writing_anything_twice(settings, clock, tmp_path):
    """The power went between the ledger's commit and the catalogue's."""
    device = Device()
    with open_services(settings, World(clock)) as services:
        ingest = line_up(services)
        ingest.enrol(device)
        ingest.index()
        recording = device.record()
    shutil.copy(settings.folder / "catalogue.sqlite", tmp_path / "old.sqlite")
    with open_services(settings, World(clock)) as services:
        ingest = line_up(services)
        sent(ingest, device)
        upload(ingest, recording)
        size = services.logs.size(services.ledger.origin)
    shutil.copy(tmp_path / "old.sqlite", settings.folder / "catalogue.sqlite")
    with open_services(settings, World(clock)) as services:
        ingest = line_up(services)
        ingest.index()
        assert services.catalogue.find(recording.recording).state == "uploading"
        assert upload(ingest, recording) == 3
        assert services.catalogue.find(recording.recording).state == "stored"
        assert services.logs.size(services.ledger.origin) == size
