"""What the inbox lets through, and by which name it refuses everything else."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.core import merkle, note
from agent.core.errors import NoteError
from agent.uplink.errors import REASONS, Refused
from agent.uplink.inbox import Inbox, Stopped
from agent.uplink.keys import ServerKeys

RECORDING = "01HZY0000000000000000000AB"
STOPPED = Stopped(b"\x05" * 32, 12, 345_678)


@pytest.fixture
def inbox(deployment) -> Inbox:
    return Inbox(deployment.origin, deployment.keys)


def refused(inbox, judge) -> str:
    before = inbox.refused.total()
    with pytest.raises(Refused) as error:
        inbox.judge(judge)
    assert inbox.refused.total() == before + 1
    assert inbox.refused[error.value.reason] >= 1
    assert error.value.reason in REASONS
    return error.value.reason


# --------------------------------------------------------------------------- witness notes


def test_a_cosigned_checkpoint_of_ours_counts(inbox, deployment, journal):
    journal.append([b'{"a":1}', b'{"a":2}'])
    news = inbox.witness(deployment.cosigned(2, journal.root_at(2), 1_800_000_123), journal.root_at)
    assert (news.size, news.seconds) == (2, 1_800_000_123)


def test_the_same_note_again_is_as_good_as_the_first(inbox, deployment, journal):
    journal.append([b'{"a":1}'])
    payload = deployment.cosigned(1, journal.root_at(1))
    assert inbox.witness(payload, journal.root_at) == inbox.witness(payload, journal.root_at)


def test_our_own_signature_alone_is_no_receipt(inbox, journal):
    journal.append([b'{"a":1}'])
    assert refused(inbox, lambda: inbox.witness(journal.checkpoint_at(1).encode(), journal.root_at)) == "no-signature"


def test_a_stranger_who_calls_himself_witness_is_refused(inbox, deployment, journal, new_key):
    journal.append([b'{"a":1}'])
    false = new_key(deployment.witness.name, note.COSIGNATURE)
    assert refused(inbox, lambda: inbox.witness(false.cosign(journal.checkpoint_at(1)).encode(), journal.root_at)) == "no-signature"


def test_another_devices_checkpoint_is_foreign(inbox, deployment, journal):
    journal.append([b'{"a":1}'])
    other = deployment.origin.replace("7/1", "8/1")
    payload = deployment.cosigned(1, journal.root_at(1), origin=other)
    assert refused(inbox, lambda: inbox.witness(payload, journal.root_at)) == "foreign"


def test_a_cosignature_without_our_own_signature_is_none(inbox, deployment, journal):
    """Whoever has the witness's key alone can't make up a state that we never signed."""
    journal.append([b'{"a":1}'])
    unsigned = deployment.ledger.note(note.checkpoint(deployment.origin, 1, journal.root_at(1)))
    assert refused(inbox, lambda: inbox.witness(deployment.witness.cosign(unsigned).encode(), journal.root_at)) == "no-signature"


def test_another_root_than_ours_is_a_fork(inbox, deployment, journal):
    journal.append([b'{"a":1}'])
    assert refused(inbox, lambda: inbox.witness(deployment.cosigned(1, b"\x01" * 32), journal.root_at)) == "other-root"


def test_a_size_beyond_ours_is_ahead(inbox, deployment, journal):
    journal.append([b'{"a":1}'])
    assert refused(inbox, lambda: inbox.witness(deployment.cosigned(2, b"\x01" * 32), journal.root_at)) == "ahead"


def test_a_late_note_of_lines_that_were_trimmed_is_old(inbox, deployment):
    assert refused(inbox, lambda: inbox.witness(deployment.cosigned(2, b"\x01" * 32), lambda _size: None, known=9)) == "older"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "malformed"),
        (b"hello", "malformed"),
        (b"\xff\xfe\n\n", "not-text"),
        (b"\n" * 100, "malformed"),
        (b"0" * 70_000, "too-long"),
        (bytes(10_000_000), "too-long"),
    ],
)
def test_what_is_no_note_is_refused_by_name(inbox, journal, payload, reason):
    assert refused(inbox, lambda: inbox.witness(payload, journal.root_at)) == reason
    assert refused(inbox, lambda: inbox.ledger(payload)) == reason
    assert refused(inbox, lambda: inbox.order(payload, 0)) == reason
    assert refused(inbox, lambda: inbox.receipt(payload, lambda _: STOPPED)) == reason


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_no_bent_byte_passes(deployment, journal, place, flip):
    if not journal.size:
        journal.append([b'{"a":1}', b'{"a":2}'])
    whole = deployment.cosigned(2, journal.root_at(2))
    payload = bytearray(whole)
    payload[place % len(payload)] ^= flip
    inbox = Inbox(deployment.origin, deployment.keys)
    with suppress(Refused):
        news = inbox.witness(bytes(payload), journal.root_at)
        assert news.note == whole.decode(), "a bent byte passed"


# --------------------------------------------------------------------------- receipts


def members(deployment, **changes):
    return {"origin": deployment.origin, "recording": RECORDING, "stop": "05" * 32, "fragments": 12, "bytes": 345_678, **changes}


def test_a_receipt_with_our_figures_counts(inbox, deployment):
    payload = deployment.receipt(members(deployment))
    stored = inbox.receipt(payload, lambda recording: STOPPED if recording == RECORDING else None)
    assert stored.recording == RECORDING
    line = note.parse_tlog_proof(payload.decode()).extra
    assert line is not None
    assert stored.digest == merkle.leaf_hash(line).hex()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"origin": "evidence.example.gov/DSJ-0000008/1"}, "foreign"),
        ({"recording": "01HZY0000000000000000000ZZ"}, "unknown"),
        ({"stop": "06" * 32}, "other-figures"),
        ({"fragments": 11}, "other-figures"),
        ({"bytes": 345_677}, "other-figures"),
        ({"bytes": "345678"}, "malformed"),
        ({"fragments": True}, "malformed"),
    ],
)
def test_each_member_of_a_receipt_is_compared(inbox, deployment, changes, reason):
    payload = deployment.receipt(members(deployment, **changes))
    assert refused(inbox, lambda: inbox.receipt(payload, lambda recording: STOPPED if recording == RECORDING else None)) == reason


@pytest.mark.parametrize(("fragments", "reason"), [(9, "other-figures"), (10, ""), (12, ""), (13, "other-figures")])
def test_what_a_card_forgot_may_be_at_the_server_all_the_same(inbox, deployment, fragments, reason):
    """Ten are here and two under a gap, of which nobody knows whether they were sent: the server has all ten at least."""
    payload = deployment.receipt(members(deployment, fragments=fragments, bytes=300_000))
    forgot = Stopped(b"\x05" * 32, 10, 250_000, 2, 95_678)
    if reason:
        assert refused(inbox, lambda: inbox.receipt(payload, lambda _: forgot)) == reason
    else:
        assert inbox.receipt(payload, lambda _: forgot).recording == RECORDING


def test_a_receipt_needs_its_line_in_the_ledgers_tree(inbox, deployment):
    text = deployment.receipt(members(deployment)).decode()
    bent = text.replace("index 3", "index 2")
    assert refused(inbox, lambda: inbox.receipt(bent.encode(), lambda _: STOPPED)) == "unproved"
    without = "\n".join(row for row in text.split("\n") if not row.startswith("extra "))
    assert refused(inbox, lambda: inbox.receipt(without.encode(), lambda _: STOPPED)) == "malformed"


def test_a_receipt_of_another_ledger_is_refused(inbox, deployment, new_key):
    deployment.ledger = new_key(deployment.ledger.name)
    payload = deployment.receipt(members(deployment))
    assert refused(inbox, lambda: inbox.receipt(payload, lambda _: STOPPED)) == "no-signature"


# --------------------------------------------------------------------------- beacons


def test_the_newest_ledger_note_is_the_beacon(inbox, deployment):
    inbox.ledger(deployment.beacon(5))
    assert inbox.ledger(deployment.beacon(9)).size == 9
    assert inbox.ledger(deployment.beacon(9)).size == 9
    assert refused(inbox, lambda: inbox.ledger(deployment.beacon(8))) == "older"
    assert refused(inbox, lambda: inbox.ledger(deployment.beacon(9, b"\x08" * 32))) == "other-root"
    assert inbox.beacon.size == 9


def test_a_checkpoint_of_something_else_is_no_beacon(inbox, deployment):
    foreign = deployment.ledger.note(note.checkpoint(deployment.origin, 3, b"\x07" * 32)).encode()
    assert refused(inbox, lambda: inbox.ledger(foreign)) == "foreign"


# --------------------------------------------------------------------------- orders

NOW = 1_800_000_000_000


def test_orders_are_taken_once_and_upward(inbox, deployment):
    order = inbox.order(deployment.order(4, {"name": "start", "expires": NOW + 1}), NOW)
    assert (order.number, order.name, order.expired) == (4, "start", False)
    again = deployment.order(4, {"name": "stop", "expires": NOW + 1})
    assert refused(inbox, lambda: inbox.order(again, NOW)) == "older"
    assert refused(inbox, lambda: inbox.order(deployment.order(3, {"name": "stop", "expires": NOW + 1}), NOW)) == "older"
    assert inbox.order(deployment.order(5, {"name": "stop", "expires": NOW}), NOW).expired


def test_a_refused_order_takes_no_number(inbox, deployment, new_key):
    other = deployment.order(9, {"name": "start", "expires": NOW + 1}, origin=deployment.origin.replace("7/1", "8/1"))
    assert refused(inbox, lambda: inbox.order(other, NOW)) == "foreign"
    assert refused(inbox, lambda: inbox.order(deployment.order(9, {"name": "start"}), NOW)) == "malformed"
    assert refused(inbox, lambda: inbox.order(deployment.order(9, {"name": "a", "expires": 1}, kind=note.DESIRED), NOW)) == "malformed"
    right, deployment.orders = deployment.orders, new_key(deployment.orders.name)
    assert refused(inbox, lambda: inbox.order(deployment.order(9, {"name": "start", "expires": NOW + 1}), NOW)) == "no-signature"
    deployment.orders = right
    assert inbox.order(deployment.order(0, {"name": "start", "expires": NOW + 1}), NOW).number == 0


def test_numbers_go_on_after_a_restart(deployment):
    inbox = Inbox(deployment.origin, deployment.keys, last_order=7)
    assert refused(inbox, lambda: inbox.order(deployment.order(7, {"name": "start", "expires": NOW + 1}), NOW)) == "older"


# --------------------------------------------------------------------------- keys


def test_each_key_is_for_its_one_purpose(deployment):
    right = {"witness": deployment.witness.vkey, "ledger": deployment.ledger.vkey, "orders": deployment.orders.vkey}
    for purpose, wrong in (("witness", right["ledger"]), ("ledger", right["orders"]), ("orders", right["witness"])):
        with pytest.raises(NoteError, match=purpose):
            ServerKeys.of(deployment.origin, deployment.device.vkey, {**right, purpose: wrong})
