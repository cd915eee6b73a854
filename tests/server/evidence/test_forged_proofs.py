"""What a forger does to signatures, ledger proofs, custody and claims: the verdict, and the place that is named."""

from __future__ import annotations

import pytest

from agent.core import lines, merkle, note
from server.evidence.excerpt import Stretch
from tests.server.evidence.conftest import export, scene
from tests.server.evidence.forge import CLAIMS, PROOF, Forger, Table, judge
from tests.server.evidence.world import BEGIN_MS, DOMAIN, Key

STRANGER = Key(f"{DOMAIN}/witness", note.COSIGNATURE, "a stranger's")
STRANGE_LEDGER = Key(f"{DOMAIN}/ledger", note.ED25519, "a stranger's")
SIZE, LATER = 42, 43

forgery = Table()


@forgery("tampered", "the ledger enrolled")
def another_devices_enrolment(f: Forger) -> None:
    other = f.world.enrolled[f"{DOMAIN}/DSJ-0099999/1"]
    f.write("data/device.tlog-proof", f.world.ledger_proof(other, f.world.ledger_size()))


@forgery("tampered", "expected an enrol line")
def another_ledger_line_for_the_enrolment(f: Forger) -> None:
    f.write("data/device.tlog-proof", f.read("data/anchor.tlog-proof"))


# --------------------------------------------------------------------------- signatures


@forgery("incomplete", "no given witness key cosigned")
def no_cosignature(f: Forger) -> None:
    f.show_only(f.indices, SIZE, f.device.notes[SIZE])


@forgery("incomplete", "no given witness key cosigned")
def a_strangers_cosignature(f: Forger) -> None:
    f.show_only(f.indices, SIZE, STRANGER.cosign(f.device.notes[SIZE], 1_763_712_012))


@forgery("tampered", "does not hold")
def a_cosignature_with_another_time(f: Forger) -> None:
    signed = f.device.cosigned[SIZE]
    word = signed.splitlines()[-1].split(" ")[2]
    raw = bytearray(note.unbase64(word))
    raw[11] ^= 1
    f.show_only(f.indices, SIZE, signed.replace(word, note.base64(bytes(raw))))


@forgery("tampered", "does not hold")
def a_cosignature_moved_to_another_checkpoint(f: Forger) -> None:
    f.show_only(f.indices, LATER, f.device.notes[LATER] + f.device.cosigned[SIZE].splitlines(keepends=True)[-1])


@forgery("tampered", PROOF)
def a_checkpoint_of_another_size(f: Forger) -> None:
    f.replace(PROOF, f.device.cosigned[SIZE], f.device.cosigned[LATER])


@forgery("tampered", "not signed by the device's key")
def a_checkpoint_that_somebody_else_signed(f: Forger) -> None:
    stranger = Key(f.device.origin, note.ED25519, "a stranger's")
    f.show_only(f.indices, SIZE, f.world.witness.cosign(stranger.signed(f.device.body(SIZE)), 1_763_712_012))


@forgery("untrusted", "no given key vouches for the device's key")
def a_ledger_of_the_forgers_own(f: Forger) -> None:
    for name in [n for n in f.names() if n.endswith((".tlog-proof", ".note"))]:
        text = f.read(name).decode()
        at = text.index(f"{DOMAIN}/ledger")
        f.write(name, text[:at] + STRANGE_LEDGER.signed(note.split(text[at:])[0]))


# --------------------------------------------------------------------------- ledger and bounds


@forgery("tampered", "data/beacon.note")
def a_newer_beacon(f: Forger) -> None:
    f.write("data/beacon.note", f.world.ledger.notes[f.world.ledger_size()])


@forgery("tampered", "data/beacon.tlog-proof")
def a_newer_anchor_for_the_beacon(f: Forger) -> None:
    f.write("data/beacon.tlog-proof", f.world.ledger_proof(f.world.anchors[-1][0], f.world.ledger_size()))


@forgery("tampered", "data/beacon.tlog-proof")
def another_line_than_an_anchor_for_the_beacon(f: Forger) -> None:
    size = note.parse_checkpoint(note.split(f.read("data/beacon.note").decode())[0]).size
    f.write("data/beacon.tlog-proof", f.world.ledger_proof(f.world.enrolled[f.device.origin], size))


@forgery("incomplete", "data/beacon.note")
def no_beacon_note(f: Forger) -> None:
    f.remove("data/beacon.note")


@forgery("tampered", "data/anchor.proof")
def an_anchor_of_another_checkpoint(f: Forger) -> None:
    anchored = f.world.anchored_covering(f.device.origin, LATER)
    assert anchored is not None
    f.write("data/anchor.proof", anchored.proof)


@forgery("tampered", "data/anchor.proof")
def another_anchor_line(f: Forger) -> None:
    f.write("data/anchor.tlog-proof", f.world.ledger_proof(f.world.anchors[-1][0], f.world.ledger_size()))


@forgery("incomplete", "data/anchor.tlog-proof")
def half_an_anchor(f: Forger) -> None:
    f.remove("data/anchor.tlog-proof")


# --------------------------------------------------------------------------- custody


@forgery("incomplete", "c 2 to 2 are not there")
def a_custody_line_left_out(f: Forger) -> None:
    rows = f.read("data/custody.jsonl").splitlines(keepends=True)
    f.write("data/custody.jsonl", b"".join(rows[:2] + rows[3:]))
    f.remove("data/custody/2.tlog-proof")


@forgery("incomplete", "not with this package's export")
def the_last_custody_line_left_out(f: Forger) -> None:
    rows = f.read("data/custody.jsonl").splitlines(keepends=True)
    f.write("data/custody.jsonl", b"".join(rows[:3]))
    f.remove("data/custody/3.tlog-proof")


@forgery("incomplete", "data/custody.jsonl")
def no_custody_at_all(f: Forger) -> None:
    f.write("data/custody.jsonl", b"")


@forgery("tampered", "data/custody/2.tlog-proof")
def a_custody_line_rewritten(f: Forger) -> None:
    f.replace("data/custody.jsonl", '"by":"console"', '"by":"someone"')


@forgery("tampered", "data/custody.jsonl line 3")
def a_custody_line_doubled(f: Forger) -> None:
    rows = f.read("data/custody.jsonl").splitlines(keepends=True)
    f.write("data/custody.jsonl", b"".join([*rows[:2], *rows[1:]]))


@forgery("tampered", "data/custody.jsonl")
def custody_of_another_recording(f: Forger) -> None:
    f.replace("data/custody.jsonl", "01JD8Z3V9M5Q7R2T4W6Y8A0C1E", "01JD8Z3V9M5Q7R2T4W6Y8A0C1F")


@forgery("incomplete", "data/custody/1.tlog-proof")
def a_custody_proof_left_out(f: Forger) -> None:
    f.remove("data/custody/1.tlog-proof")


@forgery("untrusted", "data/custody/1.tlog-proof")
def custody_of_a_strangers_ledger_with_its_beginning_left_out(f: Forger) -> None:
    rows = [{**lines.read(row), "by": "nobody"} for row in f.read("data/custody.jsonl").splitlines()[1:]]
    told = [lines.write(list(row.items())) for row in rows]
    leaves = [merkle.leaf_hash(line) for line in told]
    signed = STRANGE_LEDGER.signed(note.checkpoint(STRANGE_LEDGER.name, len(told), merkle.root_of(leaves)))
    f.remove("data/custody/0.tlog-proof")
    f.write("data/custody.jsonl", b"".join(line + b"\n" for line in told))
    for i, (row, line) in enumerate(zip(rows, told, strict=True)):
        proof = merkle.inclusion(merkle.from_leaves(leaves), i, len(leaves))
        f.write(f"data/custody/{row['c']}.tlog-proof", note.tlog_proof(i, proof, signed, line))


@forgery("tampered", "data/custody/7.tlog-proof")
def a_custody_proof_too_many(f: Forger) -> None:
    f.write("data/custody/7.tlog-proof", f.read("data/custody/1.tlog-proof"))


# --------------------------------------------------------------------------- claims


@forgery("tampered", "the ledger exported the whole")
def the_whole_called_an_excerpt(f: Forger) -> None:
    f.claim(lambda claims: claims.update(part="excerpt"))


@forgery("tampered", CLAIMS)
def a_name_twice_in_the_claims(f: Forger) -> None:
    f.replace(CLAIMS, '"part": "whole"', '"part": "excerpt", "part": "whole"')


@forgery("tampered", CLAIMS)
def a_float_in_the_claims(f: Forger) -> None:
    f.replace(CLAIMS, "[[0, 9]]", "[[0, 9.0]]")


@forgery("tampered", CLAIMS)
def a_number_too_large_in_the_claims(f: Forger) -> None:
    f.replace(CLAIMS, "[[0, 9]]", f"[[0, {2**53}]]")


@forgery("tampered", CLAIMS)
def claims_nested_a_million_deep(f: Forger) -> None:
    f.write(CLAIMS, b"[" * 1_000_000)


@forgery("tampered", CLAIMS)
def claims_that_leave_the_folder(f: Forger) -> None:
    f.replace(CLAIMS, '"track": "front"', '"track": "../front"')


@forgery("tampered", CLAIMS)
def claims_in_latin_1(f: Forger) -> None:
    f.write(CLAIMS, f.read(CLAIMS) + b"\xe9")


@pytest.mark.parametrize(("forge", "verdict", "place"), forgery.rows, ids=forgery.names)
def test_a_forger_without_keys(forger, forge, verdict, place):
    forge(forger)
    forger.rebag()
    judge(forger, verdict, place)


def test_the_table_is_not_shorter_than_it_looks():
    assert len(set(forgery.names)) == len(forgery.rows) >= 30


def test_an_excerpt_passed_off_as_whole(tmp_path):
    world, device = scene()
    export(world, device, Stretch(2500, 4500)).write_folder(tmp_path / "package")
    forger = Forger(tmp_path / "package", world, device)
    forger.claim(lambda claims: claims.update(part="whole"))
    forger.rebag()
    judge(forger, "tampered", "the ledger exported an excerpt from 2500 to 4500 ms")


def test_cosigned_before_it_can_have_begun(tmp_path):
    world, device = scene()
    too_early_s = (BEGIN_MS + world.now_ms - 9_000_000) // 1000
    device.cosigned[SIZE] = world.witness.cosign(device.notes[SIZE], too_early_s)
    export(world, device).write_folder(tmp_path / "package")
    judge(Forger(tmp_path / "package", world, device), "tampered", "before it can have begun")
