"""`zhilu audit` over histories: more journals than one, lines that were trimmed, checkpoints that the auditor has from elsewhere."""

from __future__ import annotations

import json
import random
import shutil

import pytest

from agent.core import lines, merkle, note
from agent.journal.recovery import announce, recover
from agent.journal.scribe import Scribe
from agent.journal.signer import vkey
from server.evidence import audit as command
from server.evidence.audit import audit
from server.evidence.errors import AuditError
from server.evidence.text import MEANS_OF_AUDIT, as_text
from server.evidence.verdict import Report
from tests.agent.journal.conftest import KEY, ORIGIN, WITNESS, WITNESS_KEY, cosign
from tests.server.evidence.card import LEDGER, SECOND, WITNESS_VKEY, Folder
from tests.server.evidence.world import DOMAIN, Key


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(tmp_path / "state")


# --------------------------------------------------------------------------- more journals than one


def succeeded(folder, size: int | None = None, root: bytes | None = None, origin: str = ORIGIN) -> None:
    """Journal 2, which says where journal 1 ended."""
    assert folder.device.journal.checkpoint is not None
    head = note.parse_checkpoint(note.split(folder.device.journal.checkpoint)[0])
    end = [("origin", origin), ("size", head.size if size is None else size), ("root", (root or head.root).hex())]
    recovered = recover(folder.state / "journal/2", SECOND, KEY, folder.device.files, folder.device.media)
    scribe = Scribe(recovered.journal, folder.device.media, folder.device.clock, random.Random(2).randbytes)
    with scribe.batch():
        scribe.enrol(vkey(SECOND, KEY), "00" * 32, end)
        announce(scribe, recovered, "1.0", "test")
    recovered.journal.keep_cosigned(cosign(recovered.journal))


def test_a_second_journal_goes_on_from_the_first(folder):
    succeeded(folder)
    report = folder.audit()
    assert report.verdict == "intact", as_text(report, MEANS_OF_AUDIT)
    assert len(report.facts["origins"]) == 2


def test_lines_of_the_first_journal_that_the_second_knows_of(folder):
    succeeded(folder, size=20)
    folder.judge("incomplete", f"{ORIGIN} line 17: {SECOND} began behind 20 signed lines of it: 3 are not here")


def test_another_first_journal_than_the_second_goes_on_from(folder):
    succeeded(folder, size=9, root=bytes(32))
    folder.judge("tampered", f"{ORIGIN} size 9: these lines are not those that {SECOND} goes on from")


def test_a_second_journal_behind_one_that_is_not_here(folder):
    succeeded(folder, origin=ORIGIN.replace("12345", "99999"))
    folder.judge("incomplete", "it is not here")


def test_a_journal_in_the_folder_of_another_number(folder):
    shutil.copytree(folder.state / "journal/1", folder.state / "journal/2")
    folder.judge("tampered", f"journal/2: holds the journal {ORIGIN}, in the folder of journal 2")


def test_another_devices_journal_under_this_name(folder):
    said = {"domain": DOMAIN, "device": "DSJ-0099999", "n": 1}
    (folder.state / "enrolment.json").write_text(json.dumps(said))
    folder.judge("tampered", f"journal/1: holds the journal {ORIGIN}, in the folder of {DOMAIN}/DSJ-0099999")


# --------------------------------------------------------------------------- checkpoints from elsewhere


def elsewhere(folder, text: str, name: str = "note") -> Report:
    (folder.state.parent / name).write_text(text)
    return audit(str(folder.state), [LEDGER.vkey, WITNESS_VKEY], checkpoints=[str(folder.state.parent / name)])


def test_a_checkpoint_from_elsewhere_that_fits(folder):
    assert folder.device.journal.cosigned is not None
    report = elsewhere(folder, folder.device.journal.cosigned)
    assert report.verdict == "intact", as_text(report, MEANS_OF_AUDIT)
    assert "1 checkpoint from elsewhere: these lines lead to each" in as_text(report, MEANS_OF_AUDIT)
    older = folder.device.journal.checkpoint_at(5)
    assert older is not None
    assert elsewhere(folder, older).verdict == "intact"


def test_a_card_rolled_back_whole_and_the_servers_checkpoint(tmp_path):
    folder = Folder(tmp_path / "state")
    shutil.copytree(folder.state, tmp_path / "older")
    folder.device.record(stop=True)
    newest = folder.device.cosign()
    folder.state = tmp_path / "older"
    assert folder.audit().verdict == "intact", "it is consistent in itself"
    report = elsewhere(folder, newest)
    assert report.verdict == "incomplete"
    assert report.first is not None
    assert (report.first.place, "24 lines were signed" in report.first.message) == (f"{ORIGIN} line 17", True)


def test_another_history_and_the_servers_checkpoint(folder):
    tree = merkle.Range()
    for line in [*folder.lines()[:-1], b"{}"]:
        tree.append(merkle.leaf_hash(line))
    text = note.sign(note.checkpoint(ORIGIN, 17, tree.root()), ORIGIN, 1, KEY.public_key(), KEY.sign)
    report = elsewhere(folder, text)
    assert report.verdict == "tampered"
    assert report.first is not None
    assert report.first.place == f"{ORIGIN} size 17"


def test_a_strangers_checkpoint_says_nothing(folder):
    text = Key(ORIGIN, seed="a stranger's").signed(note.checkpoint(ORIGIN, 99, bytes(32)))
    assert elsewhere(folder, text).verdict == "untrusted"


def test_a_checkpoint_of_a_journal_that_is_not_here(folder):
    other = ORIGIN.replace("12345", "99999")
    assert elsewhere(folder, Key(other).signed(note.checkpoint(other, 9, bytes(32)))).verdict == "incomplete"


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff", b"zhilu/range-proof@v1\n", b"c2sp.org/tlog-proof@v1\nindex 0\n"])
def test_what_is_no_checkpoint_is_refused(folder, content, capsys):
    path = folder.state.parent / "note"
    path.write_bytes(content)
    with pytest.raises(AuditError, match="expected a signed checkpoint"):
        audit(str(folder.state), [], checkpoints=[str(path)])
    assert command.main([str(folder.state), "--checkpoint", str(path)]) == 2
    assert "--checkpoint" in capsys.readouterr().err


# --------------------------------------------------------------------------- trimming


def trimmed(folder, *, at=65_536, said=True):
    """Older segments are gone; the range before the first one that is left carries on."""
    kept = folder.lines()
    while len(kept) < at + 4_000:
        kept.append(lines.build("power", len(kept), 0, "A" * 22, {"event": "x"}))
    tree = merkle.Range()
    for line in kept[:at]:
        tree.append(merkle.leaf_hash(line))
    trim = {"size": at, "root": tree.root().hex()} if said else {"size": at - 1, "root": "00" * 32}
    kept.append(lines.build("trim", len(kept), 0, "A" * 22, trim))
    path = folder.state / "journal/1"
    (path / f"segment-{at:012d}.range").write_text("".join(f"{row}\n" for row in [tree.size, *map(note.base64, tree.hashes)]))
    (path / f"segment-{at:012d}.jsonl").write_bytes(b"".join(line + b"\n" for line in kept[at:]))
    folder.journal.unlink()
    for line in kept[at:]:
        tree.append(merkle.leaf_hash(line))
    signed = note.sign(note.checkpoint(ORIGIN, tree.size, tree.root()), ORIGIN, 1, KEY.public_key(), KEY.sign)
    (path / "checkpoints").write_text(signed)
    key = WITNESS_KEY.public_key().public_bytes_raw()
    (path / "cosigned").write_text(note.add(signed, note.cosign(signed, WITNESS, key, WITNESS_KEY.sign, 1_763_712_500)))
    shutil.rmtree(folder.state / "receipts")
    return path


KEYS = (LEDGER.vkey, WITNESS_VKEY, vkey(ORIGIN, KEY))


def test_a_trimmed_journal(folder):
    path = trimmed(folder)
    report = folder.audit(*KEYS)
    assert report.verdict == "intact", as_text(report, MEANS_OF_AUDIT)
    (path / "segment-000000065536.range").unlink()
    assert folder.audit(*KEYS).verdict == "tampered"


@pytest.mark.parametrize(("said", "verdict", "told"), [(True, "intact", "were left by a trim"), (False, "tampered", "are not there")])
def test_a_trim_that_was_cut_off(folder, said, verdict, told):
    """Which of the old segments a disk forgets first is its own business: an older one may be left behind a hole."""
    first = folder.journal.read_bytes()
    trimmed(folder, at=131_072, said=said)
    folder.journal.write_bytes(first)
    report = folder.audit(*KEYS)
    assert report.verdict == verdict, as_text(report, MEANS_OF_AUDIT)
    assert told in as_text(report, MEANS_OF_AUDIT)


def test_old_lines_deleted_without_a_trim_line(folder):
    """The range file is there for every segment: who deletes the one before it needs to forge nothing."""
    trimmed(folder, said=False)
    folder.judge("incomplete", "lines 0 to 65535 are not there, and no trim line says so", *KEYS)
