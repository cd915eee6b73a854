"""Simulated cameras: real packets on a clock that waiting moves, every loss counted and seen in the strip."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest
from PIL import Image

from hal.contracts import VideoPacket
from hal.errors import DeviceMissing, HalError, SignalLost
from simulators import media, pictures, strip
from simulators.camera import CopyCamera, FileCamera, PatternCamera


def decode(form, packets):
    decoder = av.CodecContext.create("h264", "r")
    decoder.extradata = form.extradata
    frames = [frame for packet in packets for frame in decoder.decode(av.Packet(packet.data))]
    return [frame.to_ndarray(format="yuv420p") for frame in frames + decoder.decode(None)]


def numbers(form, packets):
    return [strip.read(pictures.luma(picture)) for picture in decode(form, packets)]


def read(camera, count):
    packets: list[VideoPacket] = []
    while len(packets) < count:
        packet = camera.read(1.0)
        assert packet is not None
        packets.append(packet)
    return packets


@pytest.fixture
def pattern(clock):
    camera = PatternCamera(clock=clock)
    yield camera
    camera.close()


def test_frames_come_with_the_time_they_were_taken_and_a_key_frame_each_second(pattern, clock):
    form = pattern.start(None)
    assert (form.width, form.height, form.rate, form.source) == (640, 360, 25, "simulators pattern")
    packets = read(pattern, 51)
    assert [packet.pts_us for packet in packets] == [7_000_000 + n * 40_000 for n in range(51)]
    assert [packet.pts_us for packet in packets] == [packet.dts_us for packet in packets]
    assert [n for n, packet in enumerate(packets) if packet.key] == [0, 25, 50]
    assert {packet.dropped for packet in packets} == {0}
    assert numbers(form, packets) == list(range(51))
    assert clock.up_us() == packets[-1].pts_us


def test_a_group_can_be_decoded_without_the_one_before(pattern):
    form = pattern.start(None)
    packets = read(pattern, 50)
    assert numbers(form, packets[25:]) == list(range(25, 50))


def test_a_frame_that_is_not_due_is_waited_for_no_longer_than_asked(pattern, clock):
    pattern.start(None)
    read(pattern, 1)
    assert pattern.read(0.01) is None
    assert clock.up_us() == 7_010_000


def test_a_late_reader_loses_frames_and_is_told_how_many(pattern, clock):
    form = pattern.start(None)
    packets = read(pattern, 3)
    clock.advance(2.0)
    packets += read(pattern, 3)
    assert [packet.dropped for packet in packets] == [0, 0, 0, 49, 0, 0]
    assert packets[3].key
    assert numbers(form, packets) == [0, 1, 2, 52, 53, 54]


def test_a_reader_that_is_a_little_late_loses_nothing(pattern, clock):
    pattern.start(None)
    read(pattern, 1)
    clock.advance(0.4)
    assert [packet.dropped for packet in read(pattern, 12)] == [0] * 12


def test_every_nth_frame_is_dropped_on_order(clock):
    camera = PatternCamera(clock=clock, script=[{"at": 0.1, "to": "camera", "do": "drop", "nth": 5}])
    form = camera.start(None)
    packets = read(camera, 12)
    assert numbers(form, packets) == [0, 1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13]
    assert [packet.dropped for packet in packets] == [0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]


def test_a_stall_gives_nothing_and_then_counts_what_was_lost(clock):
    camera = PatternCamera(clock=clock, script=[{"at": 0.1, "to": "camera", "do": "stall", "ms": 1000}])
    form = camera.start(None)
    packets = read(camera, 3)
    assert camera.read(0.5) is None
    packets += read(camera, 2)
    assert packets[3].dropped == 25
    assert packets[3].key
    assert numbers(form, packets)[3:] == [28, 29]


def test_an_unplugged_camera_says_so_until_it_is_plugged_in(clock):
    steps = [{"at": 0.1, "to": "camera", "do": "unplug"}, {"at": 1.0, "to": "camera", "do": "plug"}]
    camera = PatternCamera(clock=clock, script=steps)
    form = camera.start(None)
    packets = read(camera, 3)
    lost = 0
    while len(packets) < 5:
        try:
            packets += [packet for packet in (camera.read(0.2),) if packet is not None]
        except SignalLost:
            lost += 1
    assert lost >= 4
    assert packets[3].dropped > 20
    assert packets[3].key
    assert numbers(form, packets)[3] == 3 + packets[3].dropped


def test_starting_again_begins_again_at_number_0(pattern):
    pattern.start(None)
    read(pattern, 10)
    form = pattern.start(None)
    packets = read(pattern, 3)
    assert packets[0].key
    assert numbers(form, packets) == [0, 1, 2]


def test_the_painter_draws_below_the_strip_never_over_it(clock):
    camera = FileCamera(clock=clock, path=str(media.clip("bigbuckbunny")), kbit_s=3000)

    def painter(luma, up_us):
        assert luma.shape == (360, 640)
        assert up_us == clock.up_us()
        luma[:] = 235

    form = camera.start(painter)
    packets = read(camera, 2)
    picture = decode(form, packets)[-1]
    assert strip.read(pictures.luma(picture)) == 1
    assert pictures.luma(picture)[100:].mean() > 225
    camera.close()
    camera.close()


def test_a_clip_is_played_in_its_shape_and_goes_round(clock, bikes):
    camera = FileCamera(clock=clock, path=str(bikes), width=320, height=180, numbered=False, rate=5, gop_ms=2000)
    form = camera.start(None)
    packets = read(camera, 103)
    assert [n for n, packet in enumerate(packets) if packet.key] == list(range(0, 103, 10))
    seen = decode(form, packets)
    luma = [pictures.luma(picture) for picture in seen]
    assert luma[0][:18].mean() < 20  # 640x272 in 16:9 has bars
    assert luma[0][30:150].mean() > 40
    # 10 s are 50 frames at 5/s: after that the same pictures come again, and only then
    assert np.abs(luma[101][30:150].astype(int) - luma[51][30:150]).mean() < 8
    assert np.abs(luma[101][30:150].astype(int) - luma[26][30:150]).mean() > 12
    camera.close()


def test_words_are_burnt_in_where_neither_strip_nor_overlay_is(clock):
    with_text, without = (PatternCamera(clock=clock, text=text) for text in ("ZL-7f3a", ""))
    pair = []
    for camera in (with_text, without):
        camera.start(None)
        clock.advance(0.2)
        read(camera, 5)
        pair.append(np.asarray(Image.open(io.BytesIO(camera.still())).convert("L"), int))
    changed = np.abs(pair[0] - pair[1]) > 60
    rows = np.flatnonzero(changed.sum(axis=1) > 5)
    assert changed.mean() > 0.03
    assert rows.min() > 32
    assert rows.max() < 360 * 4 // 5


def test_a_still_is_the_newest_picture(pattern):
    pattern.start(None)
    with pytest.raises(SignalLost, match="no picture yet"):
        pattern.still()
    read(pattern, 6)
    still = Image.open(io.BytesIO(pattern.still()))
    assert still.format == "JPEG"
    assert still.size == (640, 360)
    luma = np.asarray(still.convert("L")).astype(float) * 219 / 255 + 16
    assert strip.read(luma.astype(np.uint8)) == 5


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"width": 641}, "expected even sides and a rate of 1 to 120"),
        ({"rate": 0}, "expected even sides and a rate of 1 to 120"),
        ({"width": 320, "height": 180}, "the strip needs a width of 576, the picture has 320; set numbered = false"),
        ({"text": "x" * 65}, "text has 65 characters; expected at most 64"),
        ({"world": "/nowhere", "script": [{}]}, "both world and script are set"),
        ({"script": [{"at": 1, "to": "camera", "do": "explode"}]}, "there is no such order; expected one of unplug, plug, stall, drop"),
        ({"script": "/nowhere/script.toml"}, "can't be read"),
    ],
)
def test_wrong_settings_are_refused_with_what_to_do(clock, options, complaint):
    with pytest.raises(HalError, match=complaint):
        PatternCamera(clock=clock, **options)


def test_a_file_that_is_not_there_or_no_video_is_missing(clock, tmp_path):
    for path in (tmp_path / "none.mp4", tmp_path / "text.mp4"):
        (tmp_path / "text.mp4").write_text("not a video")
        with pytest.raises(DeviceMissing, match=r"can't be played.*name a video file that is there"):
            FileCamera(clock=clock, path=str(path)).start(None)
        with pytest.raises(DeviceMissing, match=r"can't be copied.*name an H\.264 file that is there"):
            CopyCamera(clock=clock, path=str(path))


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    return media.encoded(None, tmp_path_factory.mktemp("media"), seconds=2)


def test_a_copy_hands_out_the_files_packets_for_ever(clock, encoded):
    camera = CopyCamera(clock=clock, path=str(encoded))
    form = camera.start(lambda _luma, _up: pytest.fail("a copy has nothing to paint"))
    assert (form.width, form.height, form.rate) == (640, 360, 25)
    packets = read(camera, 120)
    assert [packet.pts_us for packet in packets] == [7_000_000 + n * 40_000 for n in range(120)]
    assert [n for n, packet in enumerate(packets) if packet.key] == [0, 25, 50, 75, 100]
    assert packets[50].data == packets[0].data
    assert numbers(form, packets) == [n % 50 for n in range(120)]
    assert Image.open(io.BytesIO(camera.still())).size == (640, 360)
    camera.close()


def test_a_copy_goes_on_with_a_key_frame_after_a_loss(clock, encoded):
    camera = CopyCamera(clock=clock, path=str(encoded))
    form = camera.start(None)
    packets = read(camera, 5)
    clock.advance(1.2)
    packets += read(camera, 2)
    assert packets[5].key
    assert [packet.dropped for packet in packets[5:]] == [45, 0]
    assert numbers(form, packets) == [0, 1, 2, 3, 4, 0, 1]


@pytest.mark.parametrize("kind", ["pattern", "copy"])
def test_an_encoder_slower_than_real_time_loses_frames_that_are_counted_as_its_own(kind, clock, tmp_path):
    script = [{"at": 0, "to": "camera", "do": "slow", "ms": 100}, {"at": 20, "to": "camera", "do": "slow", "ms": 0}]
    clip = media.encoded(media.clip("bikes"), tmp_path, (320, 180), 25, 400, 10)
    camera: PatternCamera | CopyCamera = CopyCamera(clock=clock, path=str(clip), script=script)
    if kind == "pattern":
        camera = PatternCamera(clock=clock, script=script)
    camera.start(None)
    packets = read(camera, 400)
    lost = [packet for packet in packets if packet.dropped]
    assert {packet.cause for packet in lost} == {"encoder"}
    counted = sum(packet.dropped for packet in packets) + len(packets)
    assert packets[-1].pts_us - packets[0].pts_us == (counted - 1) * 40_000
    assert not any(packet.dropped for packet in packets[-100:])
    camera.close()


def test_a_frame_that_is_lost_while_nobody_waits_long_enough_is_counted_all_the_same(clock):
    camera = PatternCamera(clock=clock, rate=4, script=[{"at": 0, "to": "camera", "do": "drop", "nth": 2}])
    camera.start(None)
    packets = [packet for packet in (camera.read(0.1) for _ in range(200)) if packet is not None]
    assert len(packets) > 20
    assert {packet.dropped for packet in packets[1:]} == {1}
    camera.close()
