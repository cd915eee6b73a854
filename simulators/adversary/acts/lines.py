"""What is done to the lines of a package: changed, left out, put in, another recording's, another device's, spliced, signed anew."""

from __future__ import annotations

import json
from typing import Any

from agent.core import note
from simulators.adversary import forged
from simulators.adversary.bag import CERTIFICATE, CUSTODY, FRONT, JOURNAL, PROOF
from simulators.adversary.genuine import NONSENSE
from simulators.adversary.hands import PackageForger
from simulators.adversary.table import PACKAGE, Rows

act = Rows(PACKAGE, "whole")
TAMPERED, INCOMPLETE = "tampered", "incomplete"
NO_ROOT = "data/journal.jsonl: the {lines} lines and {hashes} hashes do not lead to the root"
STRANGE_LINE = "does not belong to this recording"


def _said(f: PackageForger) -> dict[str, int]:
    proof = note.parse_range_proof(f.read(PROOF).decode())
    return {"lines": len(f.lines), "hashes": len(proof.hashes)}


def _of(f: PackageForger, recording: str) -> list[int]:
    """Where the lines of a recording stand, up to the checkpoint."""
    return [i for i, line in enumerate(f.journal[: f.size]) if recording.encode() in line]


def _others(f: PackageForger) -> list[int]:
    """The shown lines that are not the recording's own: governing, and the enrolment."""
    return [i for i in f.indices if f.recording.encode() not in f.journal[i]]


# --------------------------------------------------------------------------- changed


@act("bytes flipped in journal", TAMPERED, "data/journal.jsonl: ")
def a_bit_of_a_line(f: PackageForger) -> None:
    """One bit somewhere in the lines."""
    f.flip(JOURNAL, f.chance.randrange(len(f.read(JOURNAL)) - 1))


@act("positions replaced", TAMPERED, NO_ROOT)
def he_was_somewhere_else(f: PackageForger) -> dict[str, Any]:
    """Every position is moved by the same distance, so that the way looks right."""
    f.write(JOURNAL, forged.moved(f.read(JOURNAL)))
    return _said(f)


@act("positions replaced", INCOMPLETE, "lines are missing before this one")
def the_positions_left_out(f: PackageForger) -> None:
    """Nobody shall know where it was: the lines go, with a proof that holds."""
    f.show_only(i for i in f.indices if b'"kind":"fix"' not in f.journal[i])


@act("timestamps changed", TAMPERED, NO_ROOT)
def another_time_in_the_lines(f: PackageForger) -> dict[str, Any]:
    """Wall time of every line: two hours earlier."""
    f.write(JOURNAL, forged.later(f.read(JOURNAL), -7_200_000))
    return _said(f)


@act("frame rate changed", TAMPERED, NO_ROOT)
def another_rate_in_the_track_line(f: PackageForger) -> dict[str, Any]:
    """The track line says twice the frame rate."""
    f.replace(JOURNAL, '"rate":8', '"rate":16')
    return _said(f)


# --------------------------------------------------------------------------- left out


@act("the stop line removed", INCOMPLETE, "data/journal.jsonl: the stop line is not there")
def the_stop_left_out(f: PackageForger) -> None:
    """The line goes, with a proof that holds."""
    stop = f.index_of('"kind":"stop"', f.recording)
    f.show_only(i for i in f.indices if i != stop)


@act("the stop line removed", TAMPERED, "data/journal.jsonl: the proof is about")
def the_stop_cut_off(f: PackageForger) -> None:
    """The line goes, and the proof stays as it is."""
    f.write(JOURNAL, b"".join(line + b"\n" for line in f.lines if b'"kind":"stop"' not in line))


@act("the stop line removed", INCOMPLETE, "data/journal.jsonl: the stop line is not there")
def the_stop_and_the_last_seconds_left_out(f: PackageForger) -> None:
    """It ends where the forger likes, and nothing says that it went on."""
    last = f.any_piece(beyond=1).seq
    f.cut(FRONT, "front", [piece.seq for piece in f.pieces() if piece.seq >= last])
    end = f.index_of('"kind":"fragment"', '"track":"front"', f'"seq":{last},', f.recording)
    f.show_only(i for i in f.indices if i < end)
    f.claim_shown()


@act("head cut off", INCOMPLETE, "data/journal.jsonl: the start line of")
def the_start_left_out(f: PackageForger) -> None:
    """Who recorded, when, with which press: the line goes, with a proof that holds."""
    start = f.index_of('"kind":"start"', f.recording)
    f.show_only(i for i in f.indices if i != start)


# --------------------------------------------------------------------------- another recording, another device


@act("another genuine recording of the same device put in its place", TAMPERED, "data/media/front.mp4, front fragment 1: ")
def another_recordings_picture(f: PackageForger) -> None:
    """The file of the earlier recording, under the lines of this one."""
    f.write(FRONT, f.genuine("earlier").read(FRONT))


@act("another genuine recording of the same device put in its place", TAMPERED, STRANGE_LINE)
def another_recordings_lines_and_picture(f: PackageForger) -> None:
    """Lines and file of the earlier recording, well proved, under this one's name."""
    other = f.material.recordings["earlier"]
    purge = {i for i in _of(f, other) if b'"kind":"purge"' in f.journal[i]}
    f.show_only([*_others(f), *(i for i in _of(f, other) if i not in purge)])
    f.write(FRONT, f.genuine("earlier").read(FRONT))
    pieces = f.genuine("earlier").pieces()
    f.claim(lambda claims: claims.update(tracks=[{"track": "front", "media": "video/mp4", "held": [[0, len(pieces)]]}]))
    f.remove("data/media/still-1.jpg")


@act("another genuine recording of the same device put in its place", TAMPERED, STRANGE_LINE, of="earlier")
def the_whole_package_under_another_name(f: PackageForger) -> None:
    """A genuine package, and recording.json says that it is the one that was asked for."""
    f.claim(lambda claims: claims.update(recording=f.material.recordings["whole"]))


@act("a recording of another device under this name", TAMPERED, "data/journal.proof: the checkpoint is of")
def another_devices_package_under_this_name(f: PackageForger) -> None:
    """A genuine package of another device, and recording.json says that it is this one's."""
    other, mine = f.genuine("other"), f.claims
    for name in f.names():
        if name not in other.names():
            f.remove(name)
    for name in other.names():
        f.write(name, other.read(name))
    f.claim(lambda claims: claims.update(recording=mine["recording"], origin=mine["origin"], device=mine["device"]))


@act("a recording of another device under this name", TAMPERED, "data/media/front.mp4, front fragment 1: ")
def another_devices_picture(f: PackageForger) -> None:
    """The file of another device, under the lines of this one."""
    f.write(FRONT, f.genuine("other").read(FRONT))


@act("a recording of another device under this name", TAMPERED, NO_ROOT)
def another_devices_lines(f: PackageForger) -> dict[str, Any]:
    """The lines of another device, with its own proof, under this device's checkpoint."""
    other = f.genuine("other")
    proof = note.parse_range_proof(other.read(PROOF).decode())
    size = note.parse_checkpoint(note.split(proof.checkpoint)[0]).size
    assert size <= f.size, "the story makes the main device's journal the longest"
    f.prove([*other.journal[:size], *f.journal[size : f.size]], other.indices, f.size, f.checkpoint)
    return _said(f)


# --------------------------------------------------------------------------- spliced


@act("two halves spliced", TAMPERED, STRANGE_LINE)
def two_recordings_lines_in_one(f: PackageForger) -> None:
    """The first half of the earlier recording and the second half of this one, each line true and proved."""
    first = [i for i in _of(f, f.material.recordings["earlier"]) if b'"kind":"purge"' not in f.journal[i]]
    mine = _of(f, f.recording)
    f.show_only([*_others(f), *first[: len(first) // 2], *mine[len(mine) // 2 :]])


@act("two halves spliced", TAMPERED, "data/media/front.mp4, front fragment 1: ")
def two_recordings_pictures_in_one(f: PackageForger) -> None:
    """The first half of the earlier recording's seconds, then this one's: it plays through."""
    other, mine = f.genuine("earlier"), f.pieces()
    half = len(mine) // 2
    first = [other.bytes_of(piece) for piece in other.pieces()[1 : half + 1]]
    f.write(FRONT, f.init + b"".join(first) + f.read(FRONT)[mine[half].end :])


# --------------------------------------------------------------------------- signed anew


ANCHOR = "data/anchor."


def _other_officer(f: PackageForger) -> list[bytes]:
    """The journal with another officer in the recording's start; the ledger's anchor is of the true checkpoint, so it goes."""
    f.forget(ANCHOR)
    return [
        line.replace(b'"officer":"110234"', b'"officer":"999999"') if b'"kind":"start"' in line else line for line in f.journal[: f.size]
    ]


FORK = "journal rewritten and re-signed with the device's real key after it was cosigned"


@act(FORK, INCOMPLETE, "data/journal.proof: no given witness key cosigned the checkpoint", key=True)
def another_history(f: PackageForger) -> None:
    """Another officer; the tree and the signature are right."""
    journal = _other_officer(f)
    f.prove(journal, f.indices, f.size, f.signed(journal))


@act(FORK, TAMPERED, "does not hold", key=True)
def another_history_with_the_old_cosignature(f: PackageForger) -> None:
    """The same, and the witness's line of the true checkpoint is put under it."""
    journal = _other_officer(f)
    witness = f.checkpoint.splitlines(keepends=True)[-1]
    f.prove(journal, f.indices, f.size, f.signed(journal) + witness)


@act(FORK, TAMPERED, "data/certificates/evidence.pem: not the certificate that was enrolled", key=True)
def another_history_with_a_key_of_his_own(f: PackageForger) -> None:
    """Signed with a new key under the device's name, with a certificate for it: the ledger enrolled another."""
    f.write(CERTIFICATE, forged.certificate(f.read(CERTIFICATE)))


# --------------------------------------------------------------------------- JSON that readers read differently


@act("duplicate JSON names", TAMPERED, NO_ROOT)
def an_officer_twice(f: PackageForger) -> dict[str, Any]:
    """Two officers in one line: some readers take the first, some the last."""
    f.replace(JOURNAL, '"officer":"110234"', '"officer":"110234","officer":"999999"')
    return _said(f)


@act("floats", TAMPERED, NO_ROOT)
def a_time_with_a_point(f: PackageForger) -> dict[str, Any]:
    """`pts` as a float of the same value: no reader sees a difference."""
    f.replace(JOURNAL, '"pts":1000,', '"pts":1000.0,')
    return _said(f)


@act("numbers beyond 2⁵³", TAMPERED, NO_ROOT)
def a_number_that_readers_round(f: PackageForger) -> dict[str, Any]:
    """Beyond 2⁵³ two readers see two numbers."""
    f.replace(JOURNAL, '"bytes":', '"bytes":9007199254740993')
    return _said(f)


NO_MEANING = "data/journal.jsonl (index {index}): n {n} to {n} are not there"


def _handed_in(f: PackageForger, name: str) -> dict[str, Any]:
    """A package whose device's owner had such a line signed and cosigned: it belongs to nobody, so its `n` is missing."""
    f.become(name)
    journal = f.genuine(name).journal
    index = next(i for i, line in enumerate(journal) if NONSENSE[name].encode() in line)
    return {"index": index + 1, "n": json.loads(journal[index + 1])["n"] - 1}


@act("duplicate JSON names", INCOMPLETE, NO_MEANING, key=True)
def a_label_twice_signed_and_cosigned(f: PackageForger) -> dict[str, Any]:
    """A mark with two labels, signed with the device's key before anybody saw it."""
    return _handed_in(f, "twice")


@act("floats", INCOMPLETE, NO_MEANING, key=True)
def a_float_signed_and_cosigned(f: PackageForger) -> dict[str, Any]:
    """A mark with a float."""
    return _handed_in(f, "float")


@act("numbers beyond 2⁵³", INCOMPLETE, NO_MEANING, key=True)
def a_large_number_signed_and_cosigned(f: PackageForger) -> dict[str, Any]:
    """A mark with a number beyond 2⁵³."""
    return _handed_in(f, "large")


@act("duplicate JSON names", TAMPERED, "data/custody.jsonl: a line without meaning")
def a_custody_line_that_says_two_things(f: PackageForger) -> None:
    """Who looked: two names in one line."""
    f.replace(CUSTODY, '"by":"console"', '"by":"console","by":"nobody"')
