"""What a forger does to bytes, lines and media of a genuine package: the verdict, and the place that is named.

The forger edits any file, makes the manifests fit, and proves whatever true lines of the journal he likes. Keys he has none.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent.core import note
from tests.server.evidence.conftest import EARLIER, RECORDING
from tests.server.evidence.forge import CLAIMS, FRONT, JOURNAL, PROOF, STILL, Forger, Table, judge
from tests.server.evidence.world import DOMAIN

forgery = Table()


# --------------------------------------------------------------------------- bytes


@forgery("tampered", "front.mp4, front fragment 3")
def a_bit_flipped_in_the_picture(f: Forger) -> None:
    f.flip(FRONT, 6500)


@forgery("tampered", "front.mp4, front fragment 0")
def a_bit_flipped_in_the_init_segment(f: Forger) -> None:
    f.flip(FRONT, 600)


@forgery("tampered", "still-1.jpg")
def a_bit_flipped_in_a_still(f: Forger) -> None:
    f.flip(STILL, 300)


@forgery("tampered", "front.mp4, front fragment 8")
def sound_replaced_in_the_last_second(f: Forger) -> None:
    f.write(FRONT, f.read(FRONT)[:-400] + bytes(400))


@forgery("tampered", JOURNAL)
def a_bit_flipped_in_the_journal(f: Forger) -> None:
    f.flip(JOURNAL, 1500)


@forgery("tampered", JOURNAL)
def a_position_replaced(f: Forger) -> None:
    f.replace(JOURNAL, '"lat":311234569', '"lat":391234569')


@forgery("tampered", JOURNAL)
def a_timestamp_changed(f: Forger) -> None:
    f.replace(JOURNAL, '"pts":3000', '"pts":4000')


@forgery("tampered", "do not lead to the root")
def a_hash_changed_in_the_proof(f: Forger) -> None:
    rows = f.read(PROOF).decode().split("\n")
    hashed = next(i for i, row in enumerate(rows) if len(row) == 44)
    rows[hashed] = note.base64(bytes(32))
    f.write(PROOF, "\n".join(rows))


@forgery("tampered", "a hash too many")
def a_hash_too_many_in_the_proof(f: Forger) -> None:
    f.replace(PROOF, "\n\n", f"\n{note.base64(bytes(32))}\n\n")


@forgery("tampered", JOURNAL)
def a_line_cut_off_the_journal_file(f: Forger) -> None:
    f.write(JOURNAL, b"".join(line + b"\n" for line in f.lines[:-1]))


@forgery("tampered", JOURNAL)
def a_line_without_its_end(f: Forger) -> None:
    f.write(JOURNAL, f.read(JOURNAL)[:-1])


@forgery("tampered", f"{JOURNAL} line 3")
def an_empty_line(f: Forger) -> None:
    f.write(JOURNAL, b"\n".join([*f.lines[:2], b"", *f.lines[3:], b""]))


@forgery("tampered", "data/certificates/evidence.pem")
def another_devices_certificate(f: Forger) -> None:
    f.write("data/certificates/evidence.pem", f.world.certificates(f"{DOMAIN}/DSJ-0099999/1")["evidence.pem"])


# --------------------------------------------------------------------------- media taken out, put in, moved


@forgery("tampered", FRONT)
def the_tail_cut_off_the_file(f: Forger) -> None:
    f.write(FRONT, f.read(FRONT)[:-1700])


@forgery("tampered", FRONT)
def the_head_cut_off_the_file(f: Forger) -> None:
    f.write(FRONT, f.read(FRONT)[1300:])


@forgery("incomplete", "front fragment 8")
def the_last_second_taken_out_of_file_and_claims(f: Forger) -> None:
    f.cut(FRONT, "front", [8])


@forgery("incomplete", "front fragment 4")
def a_second_in_the_middle_taken_out(f: Forger) -> None:
    f.cut(FRONT, "front", [4])


@forgery("incomplete", "front fragment 0")
def the_init_segment_taken_out(f: Forger) -> None:
    f.cut(FRONT, "front", [0])


@forgery("tampered", "front.mp4, front fragment 1")
def two_fragments_swapped(f: Forger) -> None:
    sizes = [json.loads(line)["bytes"] for line in f.lines if b'"fragment"' in line and b'"front"' in line]
    a, b, c = sizes[0], sizes[0] + sizes[1], sizes[0] + sizes[1] + sizes[2]
    data = f.read(FRONT)
    f.write(FRONT, data[:a] + data[b:c] + data[a:b] + data[c:])


@forgery("tampered", FRONT)
def a_fragment_doubled(f: Forger) -> None:
    f.write(FRONT, f.read(FRONT) + f.read(FRONT)[-1951:])


@forgery("tampered", "front.mp4, front fragment 3")
def a_fragment_encoded_again_to_the_same_length(f: Forger) -> None:
    data = f.read(FRONT)
    f.write(FRONT, data[:5600] + bytes(i % 251 for i in range(1000)) + data[6600:])


@forgery("tampered", CLAIMS)
def a_fragment_claimed_that_no_line_names(f: Forger) -> None:
    f.claim(lambda claims: claims["tracks"][0]["held"].__setitem__(0, [0, 10]))


@forgery("tampered", CLAIMS)
def a_track_that_no_line_begins(f: Forger) -> None:
    f.write("data/media/rear.mp4", f.read(FRONT))
    f.claim(lambda claims: claims["tracks"].append({"track": "rear", "media": "video/mp4", "held": [[0, 9]]}))


@forgery("tampered", "data/media/rear.mp4")
def a_media_file_that_nobody_claims(f: Forger) -> None:
    f.write("data/media/rear.mp4", f.read(FRONT))


@forgery("incomplete", FRONT)
def a_media_file_taken_out(f: Forger) -> None:
    f.remove(FRONT)


@forgery("tampered", CLAIMS)
def a_tracks_type_changed(f: Forger) -> None:
    def change(claims: dict[str, Any]) -> None:
        claims["tracks"][1]["media"] = "video/mp4"

    f.claim(change)
    f.path(STILL).rename(f.path("data/media/still-1.mp4"))


# --------------------------------------------------------------------------- lines left out, with a proof that holds


@forgery("incomplete", "stop line is not there")
def the_stop_line_left_out(f: Forger) -> None:
    stop = f.index_of('"stop"', RECORDING)
    f.show_only(i for i in f.indices if i != stop)


@forgery("incomplete", "start line of")
def the_start_line_left_out(f: Forger) -> None:
    start = f.index_of('"start"', RECORDING)
    f.show_only(i for i in f.indices if i != start)


@forgery("incomplete", "n 17 to 17 are not there")
def a_line_in_the_middle_left_out(f: Forger) -> None:
    gone = f.index_of('"n":17,')
    f.show_only(i for i in f.indices if i != gone)


@forgery("incomplete", "n 18 to 22 are not there")
def a_tail_left_out_but_the_stop(f: Forger) -> None:
    stop, late = f.index_of('"stop"', RECORDING), f.index_of('"n":18,')
    f.cut(FRONT, "front", [7, 8])
    f.show_only(i for i in f.indices if i < late or i == stop)


@forgery("incomplete", "index 0")
def the_enrolment_left_out(f: Forger) -> None:
    f.show_only(i for i in f.indices if i != 0)


@forgery("incomplete", "governing: the line with leaf hash")
def a_governing_line_left_out(f: Forger) -> None:
    clock = f.index_of('"clock"', '"gnss"')
    f.show_only(i for i in f.indices if i != clock)


@forgery("incomplete", "governing: the line with leaf hash")
def the_beacon_left_out(f: Forger) -> None:
    start = f.index_of('"start"', RECORDING)
    beacon = max(i for i in f.indices if i < start and b'"beacon"' in f.device.lines[i])
    f.show_only(i for i in f.indices if i != beacon)


@forgery("tampered", "does not belong to this recording")
def a_line_of_the_device_put_in(f: Forger) -> None:
    order = next(i for i, line in enumerate(f.device.lines) if b'"order"' in line and i not in f.indices)
    f.show_only([*f.indices, order])


# --------------------------------------------------------------------------- another recording, another device


@forgery("tampered", FRONT)
def media_of_another_recording_of_the_device(f: Forger) -> None:
    other = f.device.media[EARLIER, "front"]
    f.write(FRONT, b"".join(other[offset] for offset in sorted(other)))


@forgery("tampered", "does not belong to this recording")
def lines_of_another_recording_of_the_device(f: Forger) -> None:
    lines = [i for i, line in enumerate(f.device.lines) if EARLIER.encode() in line]
    f.show_only([*(i for i in f.indices if RECORDING.encode() not in f.device.lines[i]), *lines])


@forgery("tampered", "does not belong to this recording")
def another_recordings_name_on_it(f: Forger) -> None:
    f.claim(lambda claims: claims.update(recording=EARLIER))


@forgery("tampered", PROOF)
def another_devices_name_on_it(f: Forger) -> None:
    f.claim(lambda claims: claims.update(origin=f"{DOMAIN}/DSJ-0099999/1", device="DSJ-0099999"))


@forgery("tampered", "does not belong to this recording")
def two_halves_spliced(f: Forger) -> None:
    first = [i for i, line in enumerate(f.device.lines) if EARLIER.encode() in line]
    middle = f.index_of('"n":12,')
    f.show_only([*(i for i in f.indices if RECORDING.encode() not in f.device.lines[i] or i > middle), *first])


@pytest.mark.parametrize(("forge", "verdict", "place"), forgery.rows, ids=forgery.names)
def test_a_forger_without_keys(forger, forge, verdict, place):
    forge(forger)
    forger.rebag()
    judge(forger, verdict, place)


def test_the_table_is_not_shorter_than_it_looks():
    assert len(set(forgery.names)) == len(forgery.rows) >= 38
