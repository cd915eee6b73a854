"""Who the device is, and what is refused instead of believed."""

from __future__ import annotations

import json

import pytest

from agent.core import note
from agent.errors import AgentError, NotEnrolled
from agent.journal.signer import FileSigner
from agent.pipeline import enrolment
from agent.pipeline.evidence import succeed
from hal.drivers.linux import Files

DOMAIN = "evidence.example.gov"
DEVICE = "DSJ-0000007"


def key(name: str, algorithm: int = note.ED25519) -> str:
    return note.vkey(name, algorithm, FileSigner.from_seed(name.encode().ljust(32)[:32]).public_key())


def members(**changes) -> dict:
    keys = {"ledger": key(f"{DOMAIN}/ledger"), "witness": key(f"{DOMAIN}/witness", note.COSIGNATURE), "orders": key(f"{DOMAIN}/orders")}
    whole = {
        "device": DEVICE,
        "domain": DOMAIN,
        "n": 1,
        "origin": f"{DOMAIN}/{DEVICE}/1",
        "vkey": key(f"{DOMAIN}/{DEVICE}/1"),
        "certificate": "0" * 64,
        "keys": keys,
    }
    return {**whole, **changes}


def write(folder, content) -> None:
    (folder / enrolment.NAME).write_text(json.dumps(content))


def test_an_enrolment_is_read(tmp_path):
    write(tmp_path, members())
    found = enrolment.load(tmp_path)
    assert (found.device, found.n, found.origin) == (DEVICE, 1, f"{DOMAIN}/{DEVICE}/1")
    assert found.keys.witness.name == f"{DOMAIN}/witness"


def test_no_enrolment_is_no_error_of_the_file(tmp_path):
    with pytest.raises(NotEnrolled, match="zhilu provision device"):
        enrolment.load(tmp_path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([], "expected an object"),
        (members(n="1"), "expected an object with n"),
        (members(keys=None), "expected an object with n and keys"),
        (members(device=7), "expected device as text"),
        (members(origin=f"{DOMAIN}/{DEVICE}/2"), "expected the origin"),
        (members(device="DSJ 7"), "device id"),
        (members(vkey=key(f"{DOMAIN}/DSJ-0000008/1")), "evidence key"),
        (members(vkey="nonsense"), "not a vkey"),
        (members(keys={**members()["keys"], "witness": key(f"{DOMAIN}/witness")}), "not for that purpose"),
        (members(keys={**members()["keys"], "ledger": key("other.example/ledger")}), "is named"),
        (members(keys={"ledger": "", "witness": ""}), "vkey of orders"),
    ],
)
def test_an_enrolment_that_can_not_be_believed_is_refused(tmp_path, content, expected):
    write(tmp_path, content)
    with pytest.raises(AgentError, match=expected):
        enrolment.load(tmp_path)


def test_a_torn_file_is_refused(tmp_path):
    (tmp_path / enrolment.NAME).write_bytes(b'{"device": "DS')
    with pytest.raises(AgentError, match="provision the device anew"):
        enrolment.load(tmp_path)


def test_the_next_journal_has_the_same_key_under_the_new_name(tmp_path):
    write(tmp_path, members())
    before = enrolment.load(tmp_path)
    after = succeed(tmp_path, before, Files(), "the card was replaced")
    assert (after.n, after.origin, after.certificate) == (2, f"{DOMAIN}/{DEVICE}/2", before.certificate)
    assert after.keys.ours.key == before.keys.ours.key
    assert after.keys.ours.key_id != before.keys.ours.key_id
    assert enrolment.load(tmp_path).n == 2
    assert json.loads((tmp_path / "enrolment-1.json").read_text())["n"] == 1
