"""MQTT 5 packets: whole, byte by byte, cut off, and nonsense.

That a real broker understands them, `test_broker` shows.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.ingest import packets
from server.ingest.packets import Malformed, Packet, Reader

LIMIT = 10_000
STREAM = (
    b"\x20\x09\x00\x00\x06\x21\x00\x14\x22\x00\x0a"  # CONNACK: receive maximum 20, topic alias maximum 10
    b"\x90\x07\x00\x01\x00\x01\x01\x00\x87"  # SUBACK: granted 1, 1, 0, refused
    + packets.publish(7, "zhilu/D/journal", b"x" * 300, retain=False)
    + b"\x30\x0f\x00\x07zhilu/D\x02\x01\x01low"[:17]
    + packets.puback(7)
    + b"\xd0\x00"
)


def test_byte_by_byte_is_the_same_as_at_once():
    whole = list(Reader(LIMIT).feed(STREAM))
    reader = Reader(LIMIT)
    assert [packet for i in range(len(STREAM)) for packet in reader.feed(STREAM[i : i + 1])] == whole
    assert [packet.kind for packet in whole] == [
        packets.CONNACK,
        packets.SUBACK,
        packets.PUBLISH,
        packets.PUBLISH,
        packets.PUBACK,
        packets.PINGRESP,
    ]


def test_what_they_say():
    connack, suback, first, second, puback, _ = Reader(LIMIT).feed(STREAM)
    assert packets.parse_connack(connack) == (0, {packets.RECEIVE_MAXIMUM: 20, 0x22: 10})
    assert packets.parse_suback(suback) == [1, 1, 0, 0x87]
    assert packets.parse_publish(first) == ("zhilu/D/journal", b"x" * 300, 7)
    assert packets.parse_publish(second) == ("zhilu/D", b"low", None)
    assert puback.body == b"\x00\x07"


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152])
def test_lengths_of_one_to_four_bytes(size):
    payload = bytes(size)
    (packet,) = Reader(1 << 28).feed(packets.publish(1, "t", payload, retain=True))
    assert packets.parse_publish(packet) == ("t", payload, 1)


def test_too_large_is_refused_before_it_is_gathered():
    with pytest.raises(Malformed, match="expected at most 10000"):
        list(Reader(LIMIT).feed(b"\x30\x91\x4e"))


def test_a_length_without_end():
    with pytest.raises(Malformed, match="more than four bytes"):
        list(Reader(LIMIT).feed(b"\x30\xff\xff\xff\xff\x01"))


@given(st.sampled_from([0x20, 0x30, 0x32, 0x90]), st.binary(max_size=40))
def test_nonsense_is_malformed_and_nothing_else(head, body):
    packet = Packet(head, body)
    for parse in (packets.parse_connack, packets.parse_publish, packets.parse_suback):
        try:
            parse(packet)
        except Malformed:
            continue


@pytest.mark.parametrize("end", range(4, 11))
def test_a_connack_that_is_cut_off(end):
    with pytest.raises(Malformed):
        packets.parse_connack(Packet(0x20, STREAM[2:end]))
