"""When a certificate was valid is read from its DER by our own few lines: `cryptography` must agree, and nothing else may be read."""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from server.evidence.checks.certificate import validity

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "DSJ-0012345")])


def certified(first: dt.datetime, last: dt.datetime) -> bytes:
    builder = x509.CertificateBuilder(NAME, NAME, KEY.public_key(), 7).not_valid_before(first).not_valid_after(last)
    return builder.sign(KEY, None).public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize(("first", "last"), [(1950, 2049), (1999, 2000), (2025, 2035), (2049, 2050), (2030, 9999)])
def test_both_ways_to_write_a_year(first, last):
    begin, end = (dt.datetime(year, 2, 3, 4, 5, 6, tzinfo=dt.UTC) for year in (first, last))
    assert validity(certified(begin, end)) == tuple(round(at.timestamp()) * 1000 for at in (begin, end))


GOOD = certified(dt.datetime(2025, 1, 1, tzinfo=dt.UTC), dt.datetime(2035, 1, 1, tzinfo=dt.UTC))


@pytest.mark.parametrize("der", [b"", b"0", b"hello", GOOD[1:], b"\x30\x84\xff\xff\xff\xff", b"\x30\x80" + bytes(9), b"\x30\x02\x30\x00"])
def test_what_is_no_certificate_says_nothing(der):
    assert validity(der) is None


@given(
    st.binary(max_size=200)
    | st.integers(0, len(GOOD) - 1).flatmap(lambda at: st.binary(min_size=1, max_size=3).map(lambda b: GOOD[:at] + b + GOOD[at + 1 :]))
)
def test_whatever_stands_there_is_read_or_says_nothing(der):
    found = validity(der)
    assert found is None or all(type(at) is int for at in found)
