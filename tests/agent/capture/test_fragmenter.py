"""The container: exact times whatever the key frames do, and readable by others."""

from __future__ import annotations

import io
import itertools
import json
import subprocess
from fractions import Fraction

import av
import numpy as np
import pytest
from av.codec.context import Flags
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.capture import boxes
from agent.capture.encoder import AacEncoder
from agent.capture.errors import CaptureError, MuxError, PictureError
from agent.capture.fragmenter import Fragmenter
from agent.capture.gaps import ms
from agent.capture.h264 import START, Stream, nals
from agent.capture.samples import Picture, Sound
from hal.contracts import AudioFormat, VideoFormat, VideoPacket

EPOCH_US = 7_000_000
SOUND = AacEncoder(AudioFormat(48_000, 1, "microphone of the test"), 64_000).format
SILENCE = bytes.fromhex("01180020")  # any bytes: nothing here decodes sound


def pictures(clip, times_us, keys):
    format_ = VideoFormat(320, 180, 30, clip.extradata, "camera of the test")
    intra, inter = clip.frames[0][0], clip.frames[1][0]
    return [Picture(VideoPacket(intra if key else inter, at, at, key), format_) for at, key in zip(times_us, keys, strict=True)]


def mux(things, first, sound, fragment_ms=1_000):
    made = Fragmenter(first, sound, EPOCH_US, fragment_ms)
    fragments = []
    for thing in things:
        fragments += made.picture(thing) if isinstance(thing, Picture) else made.sound(thing)
    return made, fragments, made.close()


def packet_times(data):
    """What another demuxer finds: per stream, (seconds, key frame)."""
    found: dict[str, list[tuple[float, bool]]] = {"video": [], "audio": []}
    with av.open(io.BytesIO(data), "r") as container:
        for packet in container.demux():
            if packet.pts is not None:
                found[packet.stream.type].append((float(packet.pts * packet.time_base), packet.is_keyframe))
    return found


def shown(fragment: bytes) -> list[float]:
    """When each sample of a picture's fragment is shown: ISO/IEC 14496-12, 8.8.8, read here anew."""

    def number(at: int, *, signed: bool = False) -> int:
        return int.from_bytes(fragment[at : at + 4], "big", signed=signed)

    tfhd, tfdt, trun = (fragment.index(kind) + 4 for kind in (b"tfhd", b"tfdt", b"trun"))
    default = tfhd + 8 + (8 if number(tfhd) & 1 else 0) + (4 if number(tfhd) & 2 else 0)
    flags, count = number(trun) & 0xFFFFFF, number(trun + 4)
    at = trun + 8 + (4 if flags & 1 else 0) + (4 if flags & 4 else 0)
    now, times = int.from_bytes(fragment[tfdt + 4 : tfdt + 12], "big"), []
    for _ in range(count):
        fields = {}
        for bit in (0x100, 0x200, 0x400, 0x800):
            if flags & bit:
                fields[bit] = number(at, signed=bit == 0x800)
                at += 4
        times.append((now + fields.get(0x800, 0)) / 90_000)
        now += fields.get(0x100, number(default))
    return times


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(20_000, 60_000), st.integers(0, 9)), min_size=3, max_size=150),
    st.integers(0, 25_000),
    st.sampled_from([500, 1_000, 2_000]),
)
def test_fragments_touch_begin_with_key_frames_and_keep_every_time(clip, steps, offset_us, fragment_ms):
    """Any frame times and key frames, sound beside: nothing is lost, nothing moves, nothing overlaps."""
    times = list(itertools.accumulate((step for step, _ in steps), initial=EPOCH_US))
    frames = pictures(clip, times, [True, *(chance == 0 for _, chance in steps)])
    sounds = [Sound(SILENCE, at, SOUND) for at in range(EPOCH_US + offset_us, times[-1], 21_333)]
    things = sorted([*frames, *sounds], key=lambda thing: thing.up_us if isinstance(thing, Sound) else thing.packet.dts_us)
    made, early, rest = mux(things, frames[0], SOUND, fragment_ms)
    fragments = early + rest
    assert all(one.pts_ms + one.duration_ms == two.pts_ms for one, two in itertools.pairwise(fragments))
    assert fragments[0].pts_ms == 0
    assert fragments[-1].pts_ms + fragments[-1].duration_ms == ms(times[-1] + frames[0].period_us - EPOCH_US)
    found = packet_times(made.init + b"".join(fragment.data for fragment in fragments))
    assert [at for at, _ in found["video"]] == pytest.approx([(at - EPOCH_US) / 1e6 for at in times], abs=0.000_02)
    assert [at for at, _ in found["audio"]] == pytest.approx([(sound.up_us - EPOCH_US) / 1e6 for sound in sounds], abs=0.000_1)
    assert [key for _, key in found["video"]] == [frame.packet.key for frame in frames]
    keys = {ms(frame.packet.pts_us - EPOCH_US) for frame in frames if frame.packet.key}
    assert {fragment.pts_ms for fragment in fragments} <= keys
    assert all(fragment.duration_ms >= fragment_ms * 0.7 for fragment in fragments[:-1])


def test_a_fragment_leaves_with_the_first_sound_after_its_end(clip):
    frames = pictures(clip, [EPOCH_US + number * 33_333 for number in range(40)], [number % 30 == 0 for number in range(40)])
    made = Fragmenter(frames[0], SOUND, EPOCH_US, 1_000)
    sounds = iter([Sound(SILENCE, EPOCH_US + number * 21_333, SOUND) for number in range(100)])
    sound = next(sounds)
    done_us = None
    for frame in frames:
        while sound.up_us < frame.packet.dts_us:
            if made.sound(sound) and done_us is None:
                done_us = sound.up_us
            sound = next(sounds)
        if made.picture(frame) and done_us is None:
            done_us = frame.packet.dts_us
    assert done_us is not None
    assert done_us - (EPOCH_US + 999_990) <= 66_666  # two frames


def test_frames_out_of_order_keep_their_times(clip):
    """B frames, by the standard: FFmpeg's own demuxer reads negative composition offsets without an edit list one frame late."""
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = 320, 180, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 1_000_000), Fraction(30)
    context.flags |= Flags.global_header
    context.options = {"x264-params": "keyint=30:min-keyint=30:scenecut=0:open-gop=0:bframes=2:b-adapt=0:threads=1"}
    context.open()
    packets = []
    for number in [*range(90), None]:
        frame = None
        if number is not None:
            picture = np.full((270, 320), number % 200, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
            frame.pts, frame.time_base = EPOCH_US + number * 1_000_000 // 30, context.time_base
        packets += context.encode(frame)
    format_ = VideoFormat(320, 180, 30, bytes(context.extradata or b""), "camera of the test")
    frames = [Picture(VideoPacket(bytes(packet), packet.pts or 0, packet.dts or 0, packet.is_keyframe), format_) for packet in packets]
    assert any(frame.packet.dts_us < frame.packet.pts_us for frame in frames)
    _, early, rest = mux(frames, frames[0], None)
    assert frames[0].packet.dts_us < EPOCH_US
    truth = [(frame.packet.pts_us - EPOCH_US) / 1e6 for frame in frames]
    assert [at for fragment in early + rest for at in shown(fragment.data)] == pytest.approx(truth, abs=0.000_02)
    assert [(fragment.pts_ms, fragment.duration_ms) for fragment in early + rest] == [(0, 1_000), (1_000, 1_000), (2_000, 1_000)]


def test_a_camera_that_writes_lengths_gives_the_same_file(clip):
    """An avcC camera (a stream copied out of MP4) and an Annex B camera."""
    times, keys = [EPOCH_US + number * 33_333 for number in range(30)], [number == 0 for number in range(30)]
    plain = pictures(clip, times, keys)
    sps, pps, *_ = nals(clip.extradata)
    avcc = bytes([1]) + sps[1:4] + b"\xff\xe1" + len(sps).to_bytes(2, "big") + sps + b"\1" + len(pps).to_bytes(2, "big") + pps
    format_ = VideoFormat(320, 180, 30, avcc, "camera of the test")
    lengths = []
    for picture in plain:
        data = b"".join(len(nal).to_bytes(4, "big") + nal for nal in nals(picture.packet.data))
        lengths.append(Picture(VideoPacket(data, picture.packet.pts_us, picture.packet.dts_us, picture.packet.key), format_))
    files = []
    for frames in (plain, lengths):
        made, early, rest = mux(frames, frames[0], None)
        files.append(packet_times(made.init + b"".join(fragment.data for fragment in early + rest)))
        assert made.codecs == "avc1.42c00d"
    assert files[0] == files[1]
    assert Stream(avcc).parameters == Stream(clip.extradata).parameters


def test_ffprobe_finds_both_tracks_and_no_edit_list(clip, tmp_path):
    frames = pictures(clip, [EPOCH_US + number * 33_333 for number in range(60)], [number % 30 == 0 for number in range(60)])
    sounds = [Sound(SILENCE, EPOCH_US + 8_000 + number * 21_333, SOUND) for number in range(90)]
    things = sorted([*frames, *sounds], key=lambda thing: thing.up_us if isinstance(thing, Sound) else thing.packet.dts_us)
    made, early, rest = mux(things, frames[0], SOUND)
    path = tmp_path / "front.mp4"
    path.write_bytes(made.init + b"".join(fragment.data for fragment in early + rest))
    command = ["ffprobe", "-v", "error", "-show_streams", "-show_packets", "-of", "json", str(path)]
    answer = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert [(stream["codec_name"], stream["start_time"]) for stream in answer["streams"]] == [("h264", "0.000000"), ("aac", "0.008000")]
    assert len(answer["packets"]) == 150
    assert b"elst" not in made.init
    assert b"mfra" not in rest[-1].data


def test_every_piece_is_whole_boxes_of_its_kind(clip):
    frames = pictures(clip, [EPOCH_US + number * 33_333 for number in range(60)], [number % 30 == 0 for number in range(60)])
    made, early, rest = mux(frames, frames[0], None)
    assert [kind for kind, _, _ in boxes.children(made.init)] == ["ftyp", "moov"]
    for fragment in early + rest:
        assert [kind for kind, _, _ in boxes.children(fragment.data)] == ["moof", "mdat"]
        assert boxes.samples(fragment.data) == {1: 30}


@pytest.mark.parametrize(
    ("extradata", "says"),
    [
        (b"", "NAL types []"),
        (START + b"\x67\x42\xc0\x0d", "NAL types [7]"),
        (START + b"\x67\x42" + START + b"\x68\xce", "SPS of at least 4 bytes, got 2"),
        (b"\1\x42\xc0\x0d\xff\xe1\0\x10\x67", "avcC is torn"),
        (b"\1\x42", "avcC of at least 7 bytes, got 2"),
    ],
)
def test_a_stream_without_its_parameters_is_refused(extradata, says):
    with pytest.raises(PictureError, match=says.replace("[", r"\[").replace("]", r"\]")):
        Stream(extradata)


@given(st.binary(max_size=80))
def test_parameters_of_any_bytes_are_read_or_refused(data):
    for extradata in (data, b"\1" + data):
        try:
            assert Stream(extradata).codecs.startswith("avc1.")
        except PictureError:
            continue


def test_empty_and_torn_frames_are_refused(clip):
    with pytest.raises(PictureError, match="empty packet"):
        Stream(clip.extradata).annex_b(b"")
    sps, pps, *_ = nals(clip.extradata)
    avcc = bytes([1]) + sps[1:4] + b"\xff\xe1" + len(sps).to_bytes(2, "big") + sps + b"\1" + len(pps).to_bytes(2, "big") + pps
    with pytest.raises(PictureError, match="frame is torn: a NAL unit of 99 bytes at 4 of 5"):
        Stream(avcc).annex_b(b"\0\0\0\x63x")


def test_what_does_not_belong_into_a_file_is_refused(clip):
    (frame,) = pictures(clip, [EPOCH_US], [True])
    silent = Fragmenter(frame, None, EPOCH_US, 1_000)
    with pytest.raises(MuxError, match="expected pictures alone, got sound"):
        silent.sound(Sound(SILENCE, EPOCH_US, SOUND))
    dark = Fragmenter(None, SOUND, EPOCH_US, 1_000)
    with pytest.raises(MuxError, match="expected sound alone, got a picture"):
        dark.picture(frame)
    assert silent.close() == []
    assert dark.close() == []


@given(st.binary(max_size=200))
def test_the_cutter_takes_whole_fragments_only_whatever_is_written(data):
    cutter = boxes.Cutter()
    try:
        for at in range(0, len(data), 7):
            cutter.write(data[at : at + 7])
            cutter.fragments()
    except CaptureError:
        return
    assert cutter.rest <= len(data)
