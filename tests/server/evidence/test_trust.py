"""Which keys were given decides what can be said at best."""

from __future__ import annotations

import pytest

from agent.core import note
from server.evidence.errors import TrustError
from server.evidence.text import as_text
from server.evidence.verify import verify
from tests.server.evidence.conftest import export, scene
from tests.server.evidence.world import DOMAIN, Key


def test_without_a_key_nothing_is_trusted(golden):
    folder, _ = golden
    report = verify(str(folder), [])
    assert (report.verdict, report.exit_status()) == ("untrusted", 4)
    assert report.first is not None
    assert report.first.place == "data/device.tlog-proof"


def test_other_peoples_keys_vouch_for_nothing(golden):
    folder, _ = golden
    keys = [Key(f"{DOMAIN}/ledger", seed="x").vkey, Key(f"{DOMAIN}/witness", note.COSIGNATURE, "x").vkey, Key("else.gov/ledger").vkey]
    assert verify(str(folder), keys).verdict == "untrusted"


def test_the_devices_key_alone_gives_incomplete_at_best(golden_scene, golden):
    device = golden_scene[1]
    report = verify(str(golden[0]), [device.key.vkey])
    assert (report.verdict, report.exit_status()) == ("incomplete", 3), as_text(report)
    assert "no given witness key cosigned" in as_text(report)


def test_the_ledgers_key_alone_lacks_the_cosignature(golden):
    folder, keys = golden
    report = verify(str(folder), keys[:1])
    assert report.verdict == "incomplete"
    assert report.facts["not_after"] is None


def test_the_witness_alone_vouches_for_no_device(golden):
    folder, keys = golden
    assert verify(str(folder), keys[1:]).verdict == "untrusted"


def test_a_devices_key_that_is_not_the_enrolled_one_contradicts(golden_scene, golden):
    folder, keys = golden
    other = Key(golden_scene[1].origin, seed="another")
    assert verify(str(folder), [other.vkey]).verdict == "untrusted"
    report = verify(str(folder), [*keys, other.vkey])
    assert report.verdict == "tampered"
    assert "another key" in as_text(report)


def test_a_ledgers_key_does_not_sign_recordings(golden_scene, golden):
    # The ledger's key under the device's name: one key, one purpose.
    world, device, _ = golden_scene
    renamed = note.vkey(device.origin, note.ED25519, world.ledger.key.public)
    assert verify(str(golden[0]), [renamed]).verdict == "untrusted"


def test_an_outside_cosignature_dates_the_beginning(tmp_path):
    world, device = scene()
    world.now_ms += 5000
    world.anchor([world.city])
    world.now_ms += 5000
    world.anchor()
    device.governing.clear()
    device.n.clear()
    device.beacon()
    recording = "01JD900000000000000000000A"
    device.start(recording)
    device.stop(recording)
    device.cosign()
    world.custody_line("start", device.name, recording)
    export(world, device, recording=recording).write_folder(tmp_path / "package")
    ours = verify(str(tmp_path / "package"), world.trusted)
    theirs = verify(str(tmp_path / "package"), [*world.trusted, world.city.vkey])
    assert ours.verdict == theirs.verdict == "intact", as_text(ours)
    assert "by the operator's own word" in as_text(ours)
    assert "by the operator's own word" in as_text(theirs), "the newest anchor has no outside cosignature"
    assert ours.facts["not_before"] == theirs.facts["not_before"]


def test_an_outside_cosignature_inside_the_beacons_anchor(tmp_path):
    world, device = scene()
    world.now_ms += 5000
    index = world.anchor([world.city])
    device.governing.clear()
    device.beacon()
    recording = "01JD900000000000000000000A"
    device.start(recording)
    device.stop(recording)
    device.cosign()
    world.custody_line("start", device.name, recording)
    export(world, device, recording=recording).write_folder(tmp_path / "package")
    theirs = verify(str(tmp_path / "package"), [*world.trusted, world.city.vkey])
    assert theirs.verdict == "intact", as_text(theirs)
    assert "city.example.gov/witness cosigned the ledger then" in as_text(theirs)
    assert theirs.facts["not_before"] % 1000 == 0
    assert index


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("keys.txt", r"--key keys.txt: neither a vkey \(name\+id\+key\) nor a file that is there; the agency gives out its keys.txt$"),
        ("evidence.example.gov/ledger+00000000+AAAA", r"neither a vkey \(vkey .*: unknown key type 0\) nor a file"),
        ("/", "neither a vkey"),
        ("a\0b", "neither a vkey"),
    ],
)
def test_what_is_no_key_is_refused(golden, given, message):
    with pytest.raises(TrustError, match=message):
        verify(str(golden[0]), [given])


@pytest.mark.parametrize(("content", "message"), [("", "a vkey a line"), ("x\n", "line 1"), ("# y\n\nz\n", "line 3")])
def test_a_key_file_says_which_line_is_wrong(golden, tmp_path, content, message):
    (tmp_path / "keys").write_text(content)
    with pytest.raises(TrustError, match=message):
        verify(str(golden[0]), [str(tmp_path / "keys")])
