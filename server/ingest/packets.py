"""MQTT 5 packets, as many as a subscriber that also publishes needs: put together and taken apart (OASIS MQTT 5.0, sections 2 and 3).

Rules:
- Bytes in, packets out: `Reader` takes any pieces of the stream and gives whole packets; what is malformed raises.
- Properties of what comes in are skipped by their lengths, but for the few of CONNACK that bound what we may send.
- QoS 0 and 1. No wills, no topic aliases, no authentication beyond TLS.

Sockets and time are left to `broker`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

CONNACK, PUBLISH, PUBACK, SUBACK, PINGRESP, DISCONNECT = 0x20, 0x30, 0x40, 0x90, 0xD0, 0xE0
PINGREQ_PACKET = b"\xc0\x00"
DISCONNECT_PACKET = b"\xe0\x00"

RECEIVE_MAXIMUM, SERVER_KEEPALIVE, MAXIMUM_PACKET = 0x21, 0x13, 0x27
# Property → bytes of its value; text and binary (None) carry their own length, user properties are two texts.
PROPERTIES: dict[int, int | None] = {0x11: 4, 0x21: 2, 0x24: 1, 0x25: 1, 0x27: 4, 0x12: None, 0x22: 2, 0x1F: None}
PROPERTIES |= {0x28: 1, 0x29: 1, 0x2A: 1, 0x13: 2, 0x1A: None, 0x1C: None, 0x15: None, 0x16: None}
USER_PROPERTY = 0x26
FAILURE = 0x80


class Malformed(ValueError):
    """What came is not MQTT 5, or not what we have asked for."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet's first byte and the rest of it."""

    head: int
    body: bytes

    @property
    def kind(self) -> int:
        """Its type, as one of the constants above."""
        return self.head & 0xF0


class Reader:
    """Cuts a stream into packets; none is larger than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Packet]:
        """The packets that these bytes complete."""
        buffer = self._buffer
        buffer += data
        at = 0
        while True:
            found = _varint(buffer, at + 1)
            if found is None:
                break
            size, begin = found
            if size > self._limit:
                raise Malformed(f"a packet of {size} bytes, expected at most {self._limit}")
            if len(buffer) < begin + size:
                break
            head, body = buffer[at], bytes(buffer[begin : begin + size])
            at = begin + size
            yield Packet(head, body)
        del buffer[:at]


def _varint(data: bytes | bytearray, at: int) -> tuple[int, int] | None:
    """(number, where it ends), or None where it is not all here (section 1.5.5)."""
    number = 0
    for place in range(4):
        if at + place >= len(data):
            return None
        number |= (data[at + place] & 0x7F) << (7 * place)
        if data[at + place] < 0x80:
            return number, at + place + 1
    raise Malformed("a length of more than four bytes")


def _length(number: int) -> bytes:
    out = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        out.append(low | (0x80 if number else 0))
        if not number:
            return bytes(out)


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack(">H", len(data)) + data


def _packet(head: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes([head]) + _length(len(body)) + body


# --------------------------------------------------------------------------- what we send


def connect(client_id: str, keepalive_s: int, max_packet: int) -> bytes:
    """CONNECT with a clean start and a session that ends with the connection."""
    properties = struct.pack(">BHBI", RECEIVE_MAXIMUM, 0xFFFF, MAXIMUM_PACKET, max_packet)
    return _packet(0x10, _text("MQTT"), b"\x05\x02", struct.pack(">H", keepalive_s), _length(len(properties)), properties, _text(client_id))


def subscribe(mid: int, topics: list[tuple[str, int]]) -> bytes:
    """SUBSCRIBE to (filter, QoS) each."""
    return _packet(0x82, struct.pack(">H", mid), b"\0", *(_text(topic) + bytes([qos]) for topic, qos in topics))


def publish(mid: int, topic: str, payload: bytes, *, retain: bool) -> bytes:
    """PUBLISH with QoS 1."""
    return _packet(0x33 if retain else 0x32, _text(topic), struct.pack(">H", mid), b"\0", payload)


def puback(mid: int) -> bytes:
    """PUBACK: it has come."""
    return struct.pack(">BBH", PUBACK, 2, mid)


# --------------------------------------------------------------------------- what comes


def parse_publish(packet: Packet) -> tuple[str, bytes, int | None]:
    """(topic, payload, packet id or None for QoS 0) of a PUBLISH."""
    body = packet.body
    try:
        end = 2 + (body[0] << 8 | body[1])
        topic = body[2:end].decode()
        mid = None
        if packet.head & 0x06:
            mid = body[end] << 8 | body[end + 1]
            end += 2
        found = _varint(body, end)
    except (IndexError, UnicodeDecodeError) as e:
        raise Malformed(f"a PUBLISH of {len(body)} bytes that can't be read") from e
    if found is None or found[0] + found[1] > len(body):
        raise Malformed("a PUBLISH that ends within its properties")
    return topic, body[found[0] + found[1] :], mid


def parse_connack(packet: Packet) -> tuple[int, dict[int, int]]:
    """(reason code, properties with a number) of a CONNACK."""
    body = packet.body
    found = _varint(body, 2)
    if packet.kind != CONNACK or found is None:
        raise Malformed("expected a CONNACK")
    return body[1], _properties(body, found[1], found[0] + found[1])


def _properties(body: bytes, at: int, end: int) -> dict[int, int]:
    if end > len(body):
        raise Malformed("properties that end beyond their packet")
    numbers: dict[int, int] = {}
    while at < end:
        name = body[at]
        at += 1
        if name != USER_PROPERTY and name not in PROPERTIES:
            raise Malformed(f"property {name:#04x} in a CONNACK")
        size = PROPERTIES.get(name)
        if size is None:
            for _ in range(2 if name == USER_PROPERTY else 1):
                at += 2 + int.from_bytes(body[at : at + 2], "big")
        else:
            numbers[name] = int.from_bytes(body[at : at + size], "big")
            at += size
    if at != end:
        raise Malformed("a property that ends beyond the others")
    return numbers


def parse_suback(packet: Packet) -> list[int]:
    """The reason codes of a SUBACK; FAILURE and above are refusals."""
    found = _varint(packet.body, 2)
    if found is None or found[0] + found[1] > len(packet.body):
        raise Malformed("a SUBACK that ends within its properties")
    return list(packet.body[found[0] + found[1] :])
