"""When a certificate was valid, read from its DER (RFC 5280, section 4.1.2.5), for a sentence in the report.

Information only: what counts is the ledger's word for the key. A certificate that can't be read says nothing.
"""

from __future__ import annotations

import calendar
import re
import time

_UTC = re.compile(rb"([0-9]{2})([0-9]{10})Z")
_GENERALIZED = re.compile(rb"([0-9]{4})([0-9]{10})Z")
_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18


def validity(der: bytes) -> tuple[int, int] | None:
    """(not before, not after) in ms since 1970; None where this is no certificate that can be read."""
    try:
        certificate = _inner(der, _SEQUENCE)
        fields = _elements(_inner(certificate, _SEQUENCE))
        if fields and fields[0][0] == _VERSION:
            fields = fields[1:]
        first, last = (_time(tag, content) for tag, content in _elements(fields[3][1]))
    except (ValueError, IndexError, OverflowError):
        return None
    return first, last


def _elements(data: bytes) -> list[tuple[int, bytes]]:
    """(tag, content) of DER elements behind each other."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(data) and len(found) < 16:
        tag, length, head = data[at], data[at + 1], 2
        if length & 0x80:
            count = length & 0x7F
            if not 1 <= count <= 4:
                raise ValueError("a length that no certificate has")
            length, head = int.from_bytes(data[at + 2 : at + 2 + count], "big"), 2 + count
        if at + head + length > len(data):
            raise ValueError("an element that goes beyond the end")
        found.append((tag, data[at + head : at + head + length]))
        at += head + length
    return found


def _inner(data: bytes, tag: int) -> bytes:
    """The content of the first element."""
    kind, content = _elements(data)[0]
    if kind != tag:
        raise ValueError("another element")
    return content


def _time(tag: int, content: bytes) -> int:
    """A time in ms since 1970; two-digit years are those of 1950 to 2049."""
    match = (_UTC if tag == _UTC_TIME else _GENERALIZED).fullmatch(content)
    if match is None or tag not in (_UTC_TIME, _GENERALIZED_TIME):
        raise ValueError("not a time")
    year = int(match.group(1))
    if tag == _UTC_TIME:
        year += 1900 if year >= 50 else 2000
    parsed = time.strptime(f"{year:04d}{match.group(2).decode()}", "%Y%m%d%H%M%S")
    return calendar.timegm(parsed) * 1000
