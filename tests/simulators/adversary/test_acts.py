"""Each row of the adversary's table: the verdict, and the place that is named. And that the table holds what the issue asks for."""

from __future__ import annotations

import pytest

from server.evidence.audit import audit, fast_primitives
from server.evidence.text import as_text
from server.evidence.verify import verify
from simulators.adversary import judge, mp4
from simulators.adversary.acts import TABLE
from simulators.adversary.bag import FRONT
from simulators.adversary.genuine import MAIN, NONSENSE, OLD, OTHER
from simulators.adversary.table import CARD, PACKAGE, STORE

PHRASES = {
    *(f"bytes flipped in {what}" for what in ("picture", "sound", "init segment", "journal", "proof", "certificates")),
    *(f"{what} {how}" for what in ("one frame", "fragment", "GOP") for how in ("dropped", "doubled", "swapped", "re-encoded")),
    "head cut off",
    "tail cut off",
    "sound replaced",
    "positions replaced",
    "frame rate changed",
    "timestamps changed",
    "the stop line removed",
    "a whole recording removed from a device's history",
    "another genuine recording of the same device put in its place",
    "a recording of another device under this name",
    "two halves spliced",
    "journal rewritten and re-signed with the device's real key after it was cosigned",
    *(f"card edited in a reader between two starts: {what}" for what in ("journal", "media", "both", "checkpoint file removed")),
    "a card rolled back to an older copy",
    "clock set back before recording",
    "cosignature from a stranger",
    "checkpoint of another size",
    *(f"certificate {what}" for what in ("expired", "revoked", "for another device")),
    "excerpt passed off as whole",
    "ledger line removed",
    "purge without receipt",
    "a custody line left out of a package",
    "duplicate JSON names",
    "floats",
    "numbers beyond 2⁵³",
}
"""The issue's list, without what is said live to a server or a device: that is for simulators.hostile."""


def test_every_phrase_of_the_list_is_in_the_table_and_nothing_else():
    assert {act.words for act in TABLE} == PHRASES


def test_no_row_stands_twice():
    assert len({(act.on, act.name) for act in TABLE}) == len(TABLE) >= 157


@pytest.mark.parametrize("act", TABLE, ids=lambda act: f"{act.on}-{act.name}".replace(" ", "-"))
def test_it_is_found_and_named(act, material, folder):
    found = judge.judge(act, material, folder / "work", seed=1)
    assert not found.problem, f"{found.problem}; {found.verdict}: {found.named}"


# --------------------------------------------------------------------------- what is genuine is called so


@pytest.mark.parametrize("name", ["whole", "earlier", "cut", "other", "late", "expired"])
def test_a_genuine_package_is_intact(material, name):
    report = verify(str(material.package(name)), material.keys)
    assert report.verdict == "intact", as_text(report)


def test_a_genuine_excerpt_is_one(material):
    report = verify(str(material.package("excerpt")), material.keys)
    assert report.verdict == "excerpt", as_text(report)


@pytest.mark.parametrize("name", list(NONSENSE))
def test_a_line_without_meaning_is_missing_and_nothing_worse(material, name):
    assert verify(str(material.package(name)), material.keys).verdict == "incomplete"


@pytest.mark.parametrize("name", [MAIN, OTHER, OLD, "older"])
def test_a_genuine_card_is_intact(material, name):
    report = audit(str(material.card(name)), material.keys, primitives=fast_primitives())
    assert report.verdict == "intact", as_text(report)


def test_a_genuine_store_is_intact(material):
    report = audit(str(material.store), material.keys, primitives=fast_primitives())
    assert report.verdict == "intact", as_text(report)


def test_the_material_has_what_there_is_to_forge(material):
    whole = verify(str(material.package("whole")), material.keys).facts
    assert (whole["gaps"], whole["marks"]) == (1, ["重点"])
    assert verify(str(material.package("cut")), material.keys).facts["gaps"] == 1
    states = {r["recording"]: r["state"] for r in audit(str(material.card()), material.keys).facts["recordings"]}
    assert states[material.recordings["earlier"]] == "purged"
    assert {act.on for act in TABLE} == {PACKAGE, CARD, STORE}


# --------------------------------------------------------------------------- a forger's work plays


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("a_frame_dropped", -1),
        ("a_frame_doubled", 1),
        ("two_frames_swapped", 0),
        ("a_frame_encoded_again", 0),
        ("a_group_dropped", -4),
        ("a_group_doubled", 4),
        ("two_groups_swapped", 0),
        ("a_group_encoded_again", 0),
        ("a_fragment_encoded_again", 0),
        ("the_file_muxed_again", 0),
        ("the_whole_file_encoded_again", 0),
        ("the_whole_sound_replaced", 0),
        ("a_second_of_silence", 0),
        ("twice_as_fast", 0),
    ],
)
def test_what_was_forged_plays(material, folder, name, more):
    act = next(act for act in TABLE if act.on == PACKAGE and act.name == name)
    judge.judge(act, material, folder / "work", seed=1)
    genuine = (material.package("whole") / FRONT).read_bytes()
    made = (folder / "work" / FRONT).read_bytes()
    assert len(mp4.pictures(made)) == len(mp4.pictures(genuine)) + more
    assert mp4.samples_of_sound(made) > 0


def test_the_editor_takes_apart_and_puts_together(material):
    whole = (material.package("whole") / FRONT).read_bytes()
    kinds = list(mp4.boxes(whole))
    init = whole[: kinds[1][2]]
    rebuilt = init
    for at in range(2, len(kinds), 2):
        rebuilt += mp4.build(mp4.parse(whole[kinds[at][1] - 8 : kinds[at + 1][2]]))
    shown = [frame.to_ndarray().tobytes() for frame in mp4.pictures(whole)]
    assert [frame.to_ndarray().tobytes() for frame in mp4.pictures(rebuilt)] == shown
    assert mp4.samples_of_sound(rebuilt) == mp4.samples_of_sound(whole)
