"""`zhilu audit` over a device's state folder: every recording is there, purged with a receipt, or missing and named."""

from __future__ import annotations

import json
import shutil

import pytest

from agent.core import merkle, note
from agent.journal.signer import vkey
from server.evidence import audit as command
from server.evidence.audit import audit
from server.evidence.errors import AuditError
from server.evidence.text import MEANS_OF_AUDIT, as_text
from tests.agent.journal.conftest import KEY, ORIGIN, WITNESS
from tests.server.evidence.card import LEDGER, WITNESS_VKEY, Folder
from tests.server.evidence.world import DOMAIN, Key


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(tmp_path / "state")


def test_a_folder_that_is_whole(folder):
    report = folder.audit()
    assert report.verdict == "intact", as_text(report, MEANS_OF_AUDIT)
    assert report.unmade == []
    assert [(r["recording"], r["state"]) for r in report.facts["recordings"]] == [(folder.first, "there"), (folder.second, "there")]
    assert as_text(report, MEANS_OF_AUDIT).count("[ ok ]") == len(report.expected)


def test_the_devices_key_alone_lacks_the_cosignature(folder):
    folder.judge("incomplete", "no given witness key cosigned it", vkey(ORIGIN, KEY), LEDGER.vkey)


@pytest.mark.parametrize("left", [None, 5, 20])
def test_the_checkpoint_file_cut_below_what_was_cosigned(folder, left):
    """It was durable before the server saw it. `left`: so many of its rows, or no file."""
    path = folder.state / "journal/1/checkpoints"
    rows = path.read_text().splitlines(keepends=True)
    path.unlink() if left is None else path.write_text("".join(rows[:left]))
    folder.judge("tampered", "the device's own checkpoint of them is not here")


def test_more_lines_without_a_checkpoint_than_a_power_cut_leaves(folder):
    size = folder.device.journal.size
    kept = (folder.state / "journal/1/checkpoints").read_bytes()
    for _ in range(257):
        folder.device.scribe.sense(20_000, 500)
    (folder.state / "journal/1/checkpoints").write_bytes(kept)
    folder.judge("tampered", f"line {size}: 257 lines that the device never signed")


def test_what_a_start_found_is_told(folder):
    checkpoints = folder.state / "journal/1/checkpoints"
    rows = checkpoints.read_text().splitlines(keepends=True)
    folder.device.scribe.sense(20_000, 500)
    checkpoints.write_text("".join(rows))
    folder.device.start()
    folder.device.cosign()
    report = folder.audit()
    assert report.verdict == "intact", as_text(report, MEANS_OF_AUDIT)
    assert "what this start of the device found: {'adopted': {'first': 17, 'count': 1}}" in as_text(report, MEANS_OF_AUDIT)


def test_media_that_no_line_names_are_told(folder):
    path = folder.state / "media" / "01J0000000000000000000000Z" / "front.mp4"
    path.parent.mkdir()
    path.write_bytes(b"x")
    report = folder.audit()
    assert report.verdict == "intact"
    assert "1 media file that no line names, and that prove nothing: 01J0000000000000000000000Z/front.mp4" in as_text(
        report, MEANS_OF_AUDIT
    )


def test_without_keys_nothing_is_trusted(folder):
    assert audit(str(folder.state), []).verdict == "untrusted"


def test_a_whole_recording_removed_from_the_history(folder):
    """With the device's real key: cut out, and signed again. The cosignature remembers it."""
    kept = [line for line in folder.lines() if folder.second.encode() not in line]
    folder.journal.write_bytes(b"".join(line + b"\n" for line in kept))
    leaves = [merkle.leaf_hash(line) for line in kept]
    body = note.checkpoint(ORIGIN, len(kept), merkle.root_of(leaves))
    (folder.state / "journal/1/checkpoints").write_text(note.sign(body, ORIGIN, 1, KEY.public_key(), KEY.sign))
    report = folder.judge("incomplete", "lines were cosigned")
    assert "17 lines were cosigned, 10 are there" in as_text(report, MEANS_OF_AUDIT)


def test_a_line_rewritten_and_signed_again(folder):
    kept = [line.replace(b'"trigger":"button"', b'"trigger":"remote"', 1) for line in folder.lines()]
    folder.journal.write_bytes(b"".join(line + b"\n" for line in kept))
    body = note.checkpoint(ORIGIN, len(kept), merkle.root_of([merkle.leaf_hash(line) for line in kept]))
    (folder.state / "journal/1/checkpoints").write_text(note.sign(body, ORIGIN, 1, KEY.public_key(), KEY.sign))
    folder.judge("tampered", "the lines do not lead to the cosigned root")


def test_a_line_rewritten_in_a_card_reader(folder):
    folder.journal.write_bytes(folder.journal.read_bytes().replace(b'"trigger":"button"', b'"trigger":"remote"', 1))
    folder.judge("tampered", "checkpoints size 4: the lines do not lead to the root that the device signed: one of the lines 3 to 3")


def test_the_tail_cut_off(folder):
    folder.journal.write_bytes(b"".join(line + b"\n" for line in folder.lines()[:-4]))
    folder.judge("incomplete", "4 of them are not there")


def test_a_card_rolled_back_to_an_older_copy(tmp_path):
    """Consistent in itself; only who knows a newer cosignature sees it: here the receipt of a recording that is gone."""
    folder = Folder(tmp_path / "state")
    shutil.copytree(folder.state, tmp_path / "older")
    device = folder.device
    third = device.record(stop=True)
    device.cosign()
    folder.receipt(third)
    shutil.copytree(folder.state / "receipts", tmp_path / "older/receipts", dirs_exist_ok=True)
    folder.state = tmp_path / "older"
    folder.judge("tampered", f"receipts/{third}.tlog-proof")


@pytest.mark.parametrize("at", [0, 500])
def test_media_altered(folder, at):
    path = folder.state / "media" / folder.second / "front.mp4"
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    folder.judge("tampered", folder.second)


def test_media_missing(folder):
    shutil.rmtree(folder.state / "media" / folder.second)
    report = folder.judge("incomplete", f"recording {folder.second}")
    assert [r["state"] for r in report.facts["recordings"]] == ["there", "missing"]


def test_media_cut_short_without_hashing(folder):
    path = folder.state / "media" / folder.second / "front.mp4"
    path.write_bytes(path.read_bytes()[:-1])
    report = folder.audit(media=False)
    assert report.verdict == "incomplete"
    assert "front fragment 3" in as_text(report, MEANS_OF_AUDIT)


def test_a_link_in_place_of_media(folder, tmp_path):
    path = folder.state / "media" / folder.second / "front.mp4"
    shutil.move(path, tmp_path / "elsewhere.mp4")
    path.symlink_to(tmp_path / "elsewhere.mp4")
    folder.judge("incomplete", f"recording {folder.second}")


def test_purged_on_the_ledgers_receipt(folder):
    leaf = merkle.leaf_hash(folder.world.ledger.lines[-1]).hex()
    folder.device.scribe.purge(folder.first, "space", leaf)
    folder.device.cosign()
    report = folder.audit()
    assert report.verdict == "intact", as_text(report, MEANS_OF_AUDIT)
    assert [r["state"] for r in report.facts["recordings"]] == ["purged", "there"]


def test_purged_without_a_receipt(folder):
    folder.device.scribe.purge(folder.second, "space", "00" * 32)
    folder.device.cosign()
    folder.judge("incomplete", "the receipt for it is not here")


def test_purged_on_another_proof(folder):
    folder.device.scribe.purge(folder.first, "space", "00" * 32)
    folder.device.cosign()
    folder.judge("tampered", "on another proof than the receipt")


def test_a_receipt_for_another_stop(folder):
    folder.receipt(folder.second, stop="00" * 32)
    folder.judge("tampered", f"receipts/{folder.second}.tlog-proof")


def test_a_receipt_of_another_ledger(folder):
    path = folder.state / "receipts" / f"{folder.first}.tlog-proof"
    proof = note.parse_tlog_proof(path.read_text())
    stranger = Key(f"{DOMAIN}/ledger", seed="a stranger's")
    signed = stranger.signed(note.split(proof.checkpoint)[0])
    path.write_text(note.tlog_proof(proof.index, proof.hashes, signed, proof.extra))
    folder.judge("untrusted", f"receipts/{folder.first}.tlog-proof")


def test_a_recording_that_was_not_stopped(folder):
    name = folder.device.record()
    folder.device.cosign()
    folder.judge("incomplete", f"recording {name}")


def test_what_a_power_cut_leaves_is_named_and_no_alarm(folder):
    folder.journal.write_bytes(folder.journal.read_bytes() + b'{"torn')
    checkpoints = folder.state / "journal/1/checkpoints"
    checkpoints.write_bytes(checkpoints.read_bytes() + b"evidence.exa")
    report = folder.audit()
    assert report.verdict == "intact"
    assert "bytes behind the last whole line" in as_text(report, MEANS_OF_AUDIT)
    assert "a torn note" in as_text(report, MEANS_OF_AUDIT)


def test_the_devices_own_alarm(folder):
    folder.device.scribe.event("tamper", "case-opened")
    folder.device.cosign()
    folder.judge("tampered", "case-opened")


def test_an_order_taken_twice(folder):
    for number in (4, 4):
        folder.device.scribe.order(number, "locate", "done")
    folder.device.cosign()
    folder.judge("tampered", "an old order was taken again")


def test_two_beacons_of_one_size(folder):
    folder.device.scribe.beacon(note.checkpoint(f"{DOMAIN}/ledger", 1, bytes(32)))
    folder.device.cosign()
    folder.judge("tampered", "another root of")


def test_a_line_without_meaning_is_reported(folder):
    folder.device.journal.append([b'{"at":1,"at":2}', b"\xff"])
    folder.device.cosign()
    report = folder.audit()
    assert report.verdict == "intact"
    assert report.checks[1].figures["without_meaning"] == 2
    assert "duplicate name" in as_text(report, MEANS_OF_AUDIT)


def test_cosigned_by_a_stranger(folder):
    stranger = Key(WITNESS, note.COSIGNATURE, "a stranger's")
    assert folder.device.journal.checkpoint is not None
    (folder.state / "journal/1/cosigned").write_text(stranger.cosign(folder.device.journal.checkpoint, 1_763_712_500))
    folder.judge("untrusted", "no given witness key cosigned it")


def test_a_cosignature_put_under_another_checkpoint(folder):
    """It does not hold, which is a verdict and no failure of the audit."""
    path = folder.state / "journal/1/cosigned"
    witness = path.read_text().splitlines(keepends=True)[-1]
    older = folder.device.journal.checkpoint_at(5)
    assert older is not None
    path.write_text(older + witness)
    folder.judge("tampered", "journal/1/cosigned: ")
    assert command.main([str(folder.state), "--key", LEDGER.vkey, "--key", WITNESS_VKEY]) == 1


def test_never_cosigned(folder):
    (folder.state / "journal/1/cosigned").unlink()
    folder.judge("untrusted", "nothing of this journal is cosigned")


@pytest.mark.parametrize("name", ["checkpoints", "cosigned"])
@pytest.mark.parametrize("content", [b"x\n" * 6, b"\xff" * 100, b"a\n1\nb\n\nc\n" * 2])
def test_garbage_in_place_of_notes(folder, name, content):
    (folder.state / "journal/1" / name).write_bytes(content)
    assert folder.audit().verdict in ("tampered", "untrusted")


def test_a_segment_missing_in_the_middle(folder):
    path = folder.state / "journal/1"
    shutil.copy(folder.journal, path / "segment-000000131072.jsonl")
    folder.judge("tampered", "are not there")


def test_the_first_journal_missing(folder):
    (folder.state / "journal/1").rename(folder.state / "journal/2")
    assert folder.audit().verdict in ("incomplete", "tampered")


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir(), lambda p: (p / "journal").mkdir(parents=True)])
def test_what_is_no_journal(tmp_path, make, capsys):
    make(tmp_path / "x")
    with pytest.raises(AuditError):
        audit(str(tmp_path / "x"), [])
    assert command.main([str(tmp_path / "x")]) == 2
    assert "zhilu audit:" in capsys.readouterr().err


def test_the_command(folder, capsysbinary):
    arguments = [str(folder.state), "--key", LEDGER.vkey, "--key", WITNESS_VKEY]
    assert command.main([*arguments, "--json"]) == 0
    report = json.loads(capsysbinary.readouterr().out)
    assert (report["verdict"], report["kind"], len(report["recordings"])) == ("intact", "journal", 2)
    shutil.rmtree(folder.state / "media")
    assert command.main(arguments) == 3
    out = capsysbinary.readouterr().out.decode()
    assert "incomplete 不完整 — genuine as far as it goes" in out
    assert f"recording {folder.first} of {ORIGIN}: 4 of 4 fragments are missing" in out
