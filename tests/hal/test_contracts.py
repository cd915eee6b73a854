"""One suite over every driver: what hal.contracts promises, whoever plays the role."""

from __future__ import annotations

import errno
import io
import itertools
import os

import av
import pytest
from PIL import Image

from hal.contracts import AudioChunk, ClockReading, Edge, Fix, PowerReading, Signal
from hal.errors import HalError, SignalLost


def test_a_camera_gives_decodable_pictures_in_order_and_begins_with_a_key_frame(any_camera):
    form = any_camera.start(None)
    packets = [any_camera.read(1.0) for _ in range(30)]
    assert packets[0].key
    assert sum(packet.key for packet in packets) >= 2
    stamps = [packet.dts_us for packet in packets]
    assert stamps == sorted(set(stamps))
    decoder = av.CodecContext.create("h264", "r")
    decoder.extradata = form.extradata
    frames = [frame for packet in packets for frame in decoder.decode(av.Packet(packet.data))] + decoder.decode(None)
    assert len(frames) == 30
    assert {(frame.width, frame.height) for frame in frames} == {(form.width, form.height)}
    assert Image.open(io.BytesIO(any_camera.still())).size == (form.width, form.height)


def test_a_camera_that_has_nothing_gives_none_in_time(any_camera):
    any_camera.start(None)
    any_camera.read(1.0)
    began = any_camera.clock.up_us()
    assert any_camera.read(0.001) is None
    assert any_camera.clock.up_us() - began == 1_000


def test_a_camera_closes_twice(any_camera):
    any_camera.start(None)
    any_camera.close()
    any_camera.close()


def test_a_microphone_gives_whole_samples_without_a_hole(any_microphone):
    form = any_microphone.start()
    chunks: list[AudioChunk] = [any_microphone.read(1.0) for _ in range(100)]
    per_chunk = form.rate // 50
    assert {len(chunk.samples) for chunk in chunks} == {per_chunk * form.channels * 2}
    assert {chunk.lost for chunk in chunks} == {0}
    steps = {later.up_us - chunk.up_us for chunk, later in itertools.pairwise(chunks)}
    assert steps == {20_000}
    assert any(any(chunk.samples) for chunk in chunks)


def test_a_microphone_that_has_nothing_gives_none_in_time(any_microphone):
    any_microphone.start()
    assert any_microphone.read(0.001) is None


def test_buttons_give_edges_and_then_none(any_buttons):
    edges: list[Edge] = [any_buttons.read(1.0) for _ in range(4)]
    assert [edge.down for edge in edges] == [True, False, True, False]
    assert {edge.button for edge in edges} == {"record"}
    assert [edge.up_us for edge in edges] == sorted(edge.up_us for edge in edges)
    assert any_buttons.read(0.01) is None
    any_buttons.close()
    any_buttons.close()


def test_a_locator_gives_places_in_the_formats_units(any_locator):
    any_locator.start()
    fixes: list[Fix] = []
    while len(fixes) < 3:
        try:
            fix = any_locator.read(2.0)
        except SignalLost:
            continue
        if fix is not None:
            fixes.append(fix)
    for fix in fixes:
        assert -900_000_000 <= fix.lat <= 900_000_000
        assert -1_800_000_000 <= fix.lon <= 1_800_000_000
        assert isinstance(fix.lat, int)
        assert isinstance(fix.lon, int)
    assert [fix.up_us for fix in fixes] == sorted(fix.up_us for fix in fixes)
    any_locator.close()


def test_an_indicator_shows_every_lamp_and_refuses_what_is_none(any_indicator):
    for lamp in ("off", "ready", "recording", "alarm", "unenrolled"):
        any_indicator.show(Signal(lamp, sound="start", vibration="short", screen=("REC 00:01", "执法记录")))
    with pytest.raises(HalError, match="lamp 'purple'; expected one of off, ready"):
        any_indicator.show(Signal("purple"))
    any_indicator.close()


def test_a_battery_gives_percent_or_none(any_battery):
    reading: PowerReading = any_battery.read()
    assert reading.percent is None or 0 <= reading.percent <= 100
    assert reading.charging in (True, False, None)


def test_up_never_goes_back_and_the_reading_is_one_of_the_formats(any_clock):
    stamps = [any_clock.up_us() for _ in range(100)]
    assert stamps == sorted(stamps)
    assert any_clock.wall_ms() > 1_600_000_000_000
    reading: ClockReading = any_clock.reading()
    assert reading.source in ("gnss", "ntp", "server", "rtc", "none")
    assert reading.error_ms >= 0


# ------------------------------------------------------------------------------------------ files


def test_append_says_where_the_bytes_begin(any_files, folder):
    path = folder / "track.mp4"
    assert any_files.append(path, b"init") == 0
    assert any_files.append(path, b"one") == 4
    any_files.sync(path)
    any_files.sync_folder(folder)
    assert any_files.size(path) == 7
    assert any_files.read(path) == b"initone"
    assert any_files.read(path, 4) == b"one"
    assert any_files.read(path, 2, 3) == b"ito"
    assert any_files.read(path, 5, 99) == b"ne"
    assert any_files.read(path, 99) == b""
    assert any_files.read(path, 0, 0) == b""


def test_replace_leaves_nothing_beside(any_files, folder):
    path = folder / "cosigned"
    any_files.replace(path, b"old")
    any_files.replace(path, b"the new one")
    assert any_files.read(path) == b"the new one"
    assert list(any_files.list(folder)) == ["cosigned"]


def test_truncate_cuts_and_the_next_append_follows(any_files, folder):
    path = folder / "segment"
    any_files.append(path, b"whole line\ntorn")
    any_files.truncate(path, 11)
    assert any_files.append(path, b"next\n") == 11
    assert any_files.read(path) == b"whole line\nnext\n"


def test_rename_replaces_and_remove_removes(any_files, folder):
    for name in ("a", "b", "c"):
        any_files.append(folder / name, name.encode())
    any_files.rename(folder / "a", folder / "b")
    any_files.remove(folder / "c")
    any_files.sync_folder(folder)
    assert list(any_files.list(folder)) == ["b"]
    assert any_files.read(folder / "b") == b"a"


def test_folders_are_made_with_their_parents_and_twice_is_fine(any_files, folder):
    deep = folder / "journal" / "1" / "aside"
    any_files.make_folder(deep)
    any_files.make_folder(deep)
    any_files.append(deep / "x", b"")
    assert list(any_files.list(folder / "journal" / "1")) == ["aside"]
    assert list(any_files.list(deep)) == ["x"]
    assert list(any_files.list(folder / "nowhere")) == []


def test_names_are_sorted(any_files, folder):
    for name in ("2", "10", "1", "é", "a"):
        any_files.append(folder / name, b"")
    assert list(any_files.list(folder)) == ["1", "10", "2", "a", "é"]


@pytest.mark.parametrize("call", ["sync", "read", "size", "remove", "truncate", "rename", "sync_folder"])
def test_what_is_not_there_is_file_not_found(any_files, folder, call):
    path = folder / "none"
    arguments = {"truncate": (0,), "rename": (folder / "other",)}.get(call, ())
    with pytest.raises(FileNotFoundError):
        getattr(any_files, call)(path, *arguments)


def test_a_file_in_a_folder_that_is_not_there_is_not_made(any_files, folder):
    for call in (any_files.append, any_files.replace):
        with pytest.raises(FileNotFoundError):
            call(folder / "none" / "x", b"data")
    assert list(any_files.list(folder)) == []


def test_a_folder_in_place_of_a_file_is_an_error(any_files, folder):
    any_files.append(folder / "file", b"")
    with pytest.raises(FileExistsError):
        any_files.make_folder(folder / "file")
    with pytest.raises(OSError, match=os.strerror(errno.ENOTDIR)):
        any_files.list(folder / "file")


def test_free_bytes_is_a_figure(any_files, folder):
    assert any_files.free_bytes(folder) > 0
