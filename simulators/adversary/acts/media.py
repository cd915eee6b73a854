"""What is done to picture and sound of a package. The manifests are made to fit afterwards; what was taken out or put in plays."""

from __future__ import annotations

from typing import Any

from simulators.adversary import encode, mp4
from simulators.adversary.bag import FRONT, STILL, Piece
from simulators.adversary.hands import PackageForger
from simulators.adversary.mp4 import PICTURE, SOUND, Fragment
from simulators.adversary.recorder import GROUP
from simulators.adversary.table import PACKAGE, Rows

act = Rows(PACKAGE, "whole")
THE_FRAGMENT = "data/media/front.mp4, front fragment {seq}: "
TAMPERED, INCOMPLETE = "tampered", "incomplete"


# --------------------------------------------------------------------------- bytes


def _flip_in_sample(f: PackageForger, track: int) -> dict[str, Any]:
    piece = f.any_piece()
    data = f.bytes_of(piece)
    sample = f.chance.choice(mp4.parse(data).run(track).samples)
    at = data.index(sample.data) + f.chance.randrange(len(sample.data))
    f.flip(FRONT, piece.begin + at)
    return {"seq": piece.seq}


@act("bytes flipped in picture", TAMPERED, THE_FRAGMENT)
def a_bit_of_a_frame(f: PackageForger) -> dict[str, Any]:
    """One bit somewhere in a frame."""
    return _flip_in_sample(f, PICTURE)


@act("bytes flipped in picture", TAMPERED, "data/media/still-1.jpg, still-1 fragment 0: ")
def a_bit_of_a_still(f: PackageForger) -> None:
    """One bit somewhere in a JPEG."""
    f.flip(STILL, f.chance.randrange(len(f.read(STILL))))


@act("bytes flipped in sound", TAMPERED, THE_FRAGMENT)
def a_bit_of_the_sound(f: PackageForger) -> dict[str, Any]:
    """One bit somewhere in an AAC frame."""
    return _flip_in_sample(f, SOUND)


@act("bytes flipped in init segment", TAMPERED, "data/media/front.mp4, front fragment 0: ")
def a_bit_of_the_init_segment(f: PackageForger) -> None:
    """One bit of `ftyp` or `moov`."""
    f.flip(FRONT, f.chance.randrange(f.pieces()[0].end))


# --------------------------------------------------------------------------- frames


def _frames(fragment: Fragment) -> list[mp4.Sample]:
    return list(fragment.run(PICTURE).samples)


def _with(fragment: Fragment, frames: list[mp4.Sample]) -> Fragment:
    return fragment.with_samples(PICTURE, tuple(frames))


def _full(f: PackageForger) -> Piece:
    """A fragment with enough frames to choose from."""
    return f.chance.choice([piece for piece in f.pieces()[1:] if len(_frames(mp4.parse(f.bytes_of(piece)))) > 2 * GROUP - 1])


def _other_frames(f: PackageForger, fragment: Fragment) -> tuple[int, int]:
    """Two frames of a fragment that are no key frames."""
    first, second = sorted(f.chance.sample([i for i, one in enumerate(_frames(fragment)) if not one.key], 2))
    return first, second


@act("one frame dropped", TAMPERED, THE_FRAGMENT)
def a_frame_dropped(f: PackageForger) -> dict[str, Any]:
    """A frame goes; the one before it stands longer, so that nothing jumps."""

    def change(fragment: Fragment) -> Fragment:
        frames, (at, _) = _frames(fragment), _other_frames(f, fragment)
        gone = frames.pop(at)
        before = frames[at - 1]
        frames[at - 1] = mp4.Sample(before.data, before.duration + gone.duration, before.flags)
        return _with(fragment, frames)

    return f.edit(_full(f), change)


@act("one frame doubled", TAMPERED, THE_FRAGMENT)
def a_frame_doubled(f: PackageForger) -> dict[str, Any]:
    """A frame comes twice, each time for half as long."""

    def change(fragment: Fragment) -> Fragment:
        frames, (at, _) = _frames(fragment), _other_frames(f, fragment)
        one = frames[at]
        half = mp4.Sample(one.data, one.duration // 2, one.flags)
        frames[at : at + 1] = [half, mp4.Sample(one.data, one.duration - half.duration, one.flags)]
        return _with(fragment, frames)

    return f.edit(_full(f), change)


@act("one frame swapped", TAMPERED, THE_FRAGMENT)
def two_frames_swapped(f: PackageForger) -> dict[str, Any]:
    """Two frames change places; no length changes."""

    def change(fragment: Fragment) -> Fragment:
        frames, (first, second) = _frames(fragment), _other_frames(f, fragment)
        frames[first], frames[second] = frames[second], frames[first]
        return _with(fragment, frames)

    return f.edit(_full(f), change)


@act("one frame re-encoded", TAMPERED, THE_FRAGMENT)
def a_frame_encoded_again(f: PackageForger) -> dict[str, Any]:
    """A frame is decoded, a corner painted over, and encoded again."""

    def change(fragment: Fragment) -> Fragment:
        at, _ = _other_frames(f, fragment)
        return _with(fragment, encode.again(f.init, fragment, range(at, at + 1)))

    return f.edit(_full(f), change)


# --------------------------------------------------------------------------- groups of pictures


def _grouped(f: PackageForger) -> Piece:
    """A fragment with two groups of pictures or more."""
    return f.chance.choice([piece for piece in f.pieces()[1:] if len(mp4.parse(f.bytes_of(piece)).groups) > 1])


def _regrouped(fragment: Fragment, groups: list[tuple[mp4.Sample, ...]]) -> Fragment:
    return _with(fragment, [frame for group in groups for frame in group])


@act("GOP dropped", TAMPERED, THE_FRAGMENT)
def a_group_dropped(f: PackageForger) -> dict[str, Any]:
    """Half a second of picture goes."""
    return f.edit(_grouped(f), lambda fragment: _regrouped(fragment, fragment.groups[1:]))


@act("GOP doubled", TAMPERED, THE_FRAGMENT)
def a_group_doubled(f: PackageForger) -> dict[str, Any]:
    """Half a second of picture comes twice, each time for half as long, so that the next fragment begins where it did."""

    def change(fragment: Fragment) -> Fragment:
        first, *others = fragment.groups
        half = tuple(mp4.Sample(one.data, one.duration // 2, one.flags) for one in first)
        return _regrouped(fragment, [half, half, *others])

    return f.edit(_grouped(f), change)


@act("GOP swapped", TAMPERED, THE_FRAGMENT)
def two_groups_swapped(f: PackageForger) -> dict[str, Any]:
    """What happened first comes last."""
    return f.edit(_grouped(f), lambda fragment: _regrouped(fragment, fragment.groups[::-1]))


@act("GOP re-encoded", TAMPERED, THE_FRAGMENT)
def a_group_encoded_again(f: PackageForger) -> dict[str, Any]:
    """Half a second is decoded, painted over, and encoded again."""

    def change(fragment: Fragment) -> Fragment:
        return _with(fragment, encode.again(f.init, fragment, range(len(fragment.groups[0]))))

    return f.edit(_grouped(f), change)


# --------------------------------------------------------------------------- fragments


@act("fragment dropped", INCOMPLETE, "track front fragment {seq}: a line names it, and its bytes are not in the package")
def a_fragment_taken_out_of_file_and_claims(f: PackageForger) -> dict[str, Any]:
    """A second goes, and recording.json does not claim it."""
    piece = f.any_piece()
    f.cut(FRONT, "front", [piece.seq])
    return {"seq": piece.seq}


@act("fragment dropped", TAMPERED, THE_FRAGMENT)
def a_fragment_taken_out_of_the_file(f: PackageForger) -> dict[str, Any]:
    """A second goes, and recording.json still claims it: from there on nothing is where it should be."""
    return f.put(f.any_piece(before_end=1), b"")


@act("fragment dropped", INCOMPLETE, "n {n} to {n} are not there")
def a_fragment_and_its_line_taken_out(f: PackageForger) -> dict[str, Any]:
    """A second goes with its line, and the proof is made anew: `n` counts on."""
    piece = f.any_piece()
    f.cut(FRONT, "front", [piece.seq])
    gone = f.index_of('"kind":"fragment"', '"track":"front"', f'"seq":{piece.seq},', f.recording)
    f.show_only(i for i in f.indices if i != gone)
    return {"n": piece.members["n"]}


@act("fragment doubled", TAMPERED, THE_FRAGMENT)
def a_fragment_doubled(f: PackageForger) -> dict[str, Any]:
    """A second comes twice; what comes after it has moved."""
    piece = f.any_piece(before_end=1)
    f.put(piece, f.bytes_of(piece) * 2)
    return {"seq": piece.seq + 1}


@act("fragment swapped", TAMPERED, THE_FRAGMENT)
def two_fragments_swapped(f: PackageForger) -> dict[str, Any]:
    """Two seconds that follow each other change places."""
    pieces = f.pieces()
    at = f.chance.randrange(1, len(pieces) - 1)
    first, second = pieces[at], pieces[at + 1]
    data = f.read(FRONT)
    swapped = data[second.begin : second.end] + data[first.begin : first.end]
    f.write(FRONT, data[: first.begin] + swapped + data[second.end :])
    return {"seq": first.seq}


@act("fragment re-encoded", TAMPERED, THE_FRAGMENT)
def a_fragment_encoded_again(f: PackageForger) -> dict[str, Any]:
    """A whole second is decoded, painted over, and encoded again."""

    def change(fragment: Fragment) -> Fragment:
        return _with(fragment, encode.again(f.init, fragment, range(len(_frames(fragment)))))

    return f.edit(f.any_piece(), change)


@act("fragment re-encoded", TAMPERED, "data/media/front.mp4, front fragment 0: ")
def the_whole_file_encoded_again(f: PackageForger) -> None:
    """As a video editor does: the file is read and written anew. Nothing of it is what it was."""
    f.write(FRONT, encode.whole(f.read(FRONT)))


@act("fragment re-encoded", TAMPERED, "data/media/front.mp4, front fragment 0: ")
def the_file_muxed_again(f: PackageForger) -> None:
    """As a converter does with `-c copy`: every frame is as it was, and every box another."""
    f.write(FRONT, encode.muxed(f.read(FRONT)))


# --------------------------------------------------------------------------- ends


@act("head cut off", TAMPERED, "data/media/front.mp4, front fragment 1: ")
def the_head_cut_off(f: PackageForger) -> None:
    """The first seconds go; the init segment stays, so that it plays."""
    pieces = f.pieces()
    data, last = f.read(FRONT), f.chance.randrange(1, len(pieces) - 1)
    f.write(FRONT, data[: pieces[0].end] + data[pieces[last].end :])


@act("head cut off", INCOMPLETE, "track front fragment 1: a line names it, and its bytes are not in the package")
def the_head_cut_off_and_not_claimed(f: PackageForger) -> None:
    """The first seconds go, and recording.json does not claim them."""
    f.cut(FRONT, "front", range(1, f.chance.randrange(2, len(f.pieces()))))


@act("tail cut off", TAMPERED, THE_FRAGMENT)
def the_tail_cut_off(f: PackageForger) -> dict[str, Any]:
    """The last seconds go."""
    piece = f.any_piece(beyond=1)
    f.write(FRONT, f.read(FRONT)[: piece.begin])
    return {"seq": piece.seq}


@act("tail cut off", INCOMPLETE, "track front fragment {seq}: a line names it, and its bytes are not in the package")
def the_tail_cut_off_and_not_claimed(f: PackageForger) -> dict[str, Any]:
    """The last seconds go, and recording.json does not claim them."""
    piece = f.any_piece(beyond=1)
    f.cut(FRONT, "front", [one.seq for one in f.pieces() if one.seq >= piece.seq])
    return {"seq": piece.seq}


@act("tail cut off", INCOMPLETE, "n {n} to ")
def the_tail_cut_off_with_its_lines(f: PackageForger) -> dict[str, Any]:
    """The last seconds go with every line of theirs; only the stop is kept."""
    piece = f.any_piece(beyond=1)
    f.cut(FRONT, "front", [one.seq for one in f.pieces() if one.seq >= piece.seq])
    stop = f.index_of('"kind":"stop"', f.recording)
    first = f.index_of('"kind":"fragment"', '"track":"front"', f'"seq":{piece.seq},', f.recording)
    f.show_only(i for i in f.indices if i < first or i == stop)
    f.claim_shown()
    return {"n": piece.members["n"]}


# --------------------------------------------------------------------------- sound and time


def _other_sound(f: PackageForger) -> Fragment:
    other = f.genuine("earlier")
    return mp4.parse(other.bytes_of(other.chance.choice(other.pieces()[1:4])))


@act("sound replaced", TAMPERED, THE_FRAGMENT)
def the_sound_of_another_recording(f: PackageForger) -> dict[str, Any]:
    """A second of it is heard under other pictures."""
    heard = _other_sound(f).run(SOUND).samples
    return f.edit(f.any_piece(), lambda fragment: fragment.with_samples(SOUND, heard))


@act("sound replaced", TAMPERED, "data/media/front.mp4, front fragment 1: ")
def the_whole_sound_replaced(f: PackageForger) -> None:
    """All that is heard is of another recording."""
    init, *pieces = f.pieces()
    data, heard = f.bytes_of(init), _other_sound(f).run(SOUND).samples
    for piece in pieces:
        fragment = mp4.parse(f.bytes_of(piece))
        data += mp4.build(fragment.with_samples(SOUND, heard[: len(fragment.run(SOUND).samples)]))
    f.write(FRONT, data)


@act("sound replaced", TAMPERED, THE_FRAGMENT)
def a_second_of_silence(f: PackageForger) -> dict[str, Any]:
    """What was said is not heard: silence of the same length, encoded."""

    def change(fragment: Fragment) -> Fragment:
        sounds = fragment.run(SOUND).samples
        return fragment.with_samples(SOUND, tuple(encode.silence(len(sounds), sounds[0].duration)))

    return f.edit(f.any_piece(), change)


@act("frame rate changed", TAMPERED, "data/media/front.mp4, front fragment 0: ")
def twice_as_fast(f: PackageForger) -> None:
    """The picture's time scale is doubled: everything happens in half the time. No length changes."""
    f.write(FRONT, mp4.scaled(f.init, 2, 1) + f.read(FRONT)[len(f.init) :])


@act("frame rate changed", TAMPERED, THE_FRAGMENT)
def every_other_frame(f: PackageForger) -> dict[str, Any]:
    """A second at half the frame rate."""

    def change(fragment: Fragment) -> Fragment:
        frames = _frames(fragment)
        return _with(fragment, [mp4.Sample(one.data, one.duration * 2, one.flags) for one in frames[::2]])

    return f.edit(f.any_piece(), change)


@act("timestamps changed", TAMPERED, THE_FRAGMENT)
def a_fragment_at_another_time(f: PackageForger) -> dict[str, Any]:
    """`tfdt` says that a second was later."""

    def change(fragment: Fragment) -> Fragment:
        run = fragment.run(PICTURE)
        return fragment.with_samples(PICTURE, run.samples, run.begin + 45_000)

    return f.edit(f.any_piece(), change)
