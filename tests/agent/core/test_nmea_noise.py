"""Torn, foreign, wrong and random bytes from a receiver: counted, bounded, and never a place that it did not state."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import nmea
from agent.core.errors import NmeaError

LOGS = Path(__file__).parents[2] / "data" / "nmea"
Fix = dict[str, Any]
MEMBERS = {"valid", "lat", "lon", "alt", "speed", "course", "hdop", "time_ms"}
GGA = "GPGGA,120000.00,3114.8770,N,12135.2463,E,1,07,1.1,196.4,M,8.3,M,,"
RMC = "GPRMC,120000.00,A,3114.8770,N,12135.2463,E,10.0,90.5,310126,,,A"


def line(body: str) -> bytes:
    total = 0
    for byte in body.encode():
        total ^= byte
    return f"${body}*{total:02X}\r\n".encode()


def fixes_of(data: bytes) -> list[Fix]:
    parser = nmea.Parser()
    return list(parser.feed(data)) + list(parser.flush())


def log(name: str) -> bytes:
    return (LOGS / f"{name}.log").read_bytes()


@pytest.mark.parametrize(
    "body",
    [
        RMC.replace("3114.8770", "9114.8770"),
        RMC.replace("3114.8770", "9000.0001"),
        RMC.replace("3114.8770", "3160.0000"),
        RMC.replace("3114.8770", ""),
        RMC.replace("3114.8770", "3114,8770"),
        RMC.replace("12135.2463", "18000.0001"),
        RMC.replace("12135.2463", "2135.2463"),
        RMC.replace(",N,", ",E,"),
        RMC.replace(",N,", ",,"),
        RMC.replace("10.0", "-"),
        RMC.replace("10.0", "1e3"),
        RMC.replace("10.0", "1234567890"),
        RMC.replace("310126", "310226"),
        RMC.replace("310126", "290225"),
        RMC.replace("310126", "000126"),
        RMC.replace("310126", "011326"),
        RMC.replace("120000.00", "240000.00"),
        RMC.replace("120000.00", "126000.00"),
        RMC.replace("120000.00", "12000"),
        RMC.replace("120000.00", "120000.x"),
        "GPRMC,120000.00,A",
        "GPGGA",
        "GPVTG,90.5,T",
        "GPGSA,A,3,1,2,3",
        "GPZDA,120000.00,31,01,26,00,00",
    ],
)
def test_a_field_of_another_form_is_counted_and_no_fix(body: str) -> None:
    parser = nmea.Parser()
    assert not list(parser.feed(line(body))) + parser.flush()
    assert parser.errors["field"] == 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (line(RMC).replace(b"A,3114", b"A,3115"), "checksum"),
        (line(RMC).replace(b"*", b"*G"), "torn"),
        (line(RMC)[:-4] + b"\r\n", "torn"),
        (line(RMC)[:30] + b"\r\n", "torn"),
        (line(RMC)[:30] + line(GGA), "torn"),
        (b"$\r\n", "torn"),
        (b"$" + b"9" * 500 + b"\r\n", "overlong"),
        (b"\xff\xfe\x00 what is this\r\n", "garbage"),
        (line(RMC).replace(b"GPRMC", b"GPR\xffC"), "garbage"),
    ],
)
def test_bad_bytes_are_counted_and_what_follows_is_understood(data: bytes, reason: str) -> None:
    parser = nmea.Parser()
    fixes = list(parser.feed(data + line(GGA))) + parser.flush()
    assert parser.errors == {name: int(name == reason) for name in nmea.REASONS}
    assert [fix["alt"] for fix in fixes] == [196_400]


def test_checksums_may_be_written_small() -> None:
    assert nmea.sentence(b"$GPGLL,1*4d") == nmea.sentence(b"$GPGLL,1*4D") == ("GP", "GLL", ["1"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"$GPGLL,1*00", "expected checksum 4D, got b'00'"),
        (b"GPGLL,1*68", "expected a sentence from"),
        (b"$GP\tLL,1*68", "expected printable ASCII, got byte 9"),
    ],
)
def test_an_error_says_what_was_expected(text: bytes, message: str) -> None:
    with pytest.raises(NmeaError, match=message):
        nmea.sentence(text)


def test_a_flood_without_an_end_keeps_nothing() -> None:
    parser = nmea.Parser()
    for _ in range(100):
        parser.feed(b"$GPRMC," + b"1" * 10_000)
        assert len(parser._line) <= nmea.MAX_SENTENCE
    assert parser.errors["overlong"] == 100
    assert parser.feed(b"\r\n" + line(GGA)) == []
    assert len(parser.flush()) == 1


@given(st.data())
def test_bytes_may_be_cut_anywhere(data: st.DataObject) -> None:
    whole = log(data.draw(st.sampled_from(["beidou-bd", "blumax-gps009", "bt451"])))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=20)))
    parser = nmea.Parser()
    fixes: list[Fix] = []
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        fixes += parser.feed(whole[start:end])
    assert fixes + parser.flush() == fixes_of(whole)


@given(st.binary(max_size=400).filter(lambda noise: b"$" not in noise), st.integers(0, 60))
def test_noise_between_sentences_changes_nothing(noise: bytes, place: int) -> None:
    lines = log("blumax-gps009").splitlines(keepends=True)
    noisy = b"".join([*lines[:place], noise, b"\n", *lines[place:]])
    assert fixes_of(noisy) == fixes_of(log("blumax-gps009"))


@given(st.integers(0, len(log("bt451")) - 1), st.integers(1, 255))
def test_one_wrong_byte_never_makes_a_place_that_the_receiver_did_not_state(place: int, change: int) -> None:
    data = bytearray(log("bt451"))
    data[place] ^= change
    places = {(fix["lat"], fix["lon"]) for fix in fixes_of(log("bt451"))}
    assert {(fix["lat"], fix["lon"]) for fix in fixes_of(bytes(data))} <= places


@given(st.lists(st.binary(max_size=60) | st.sampled_from([b"$", b"*", b"\r\n", line(GGA), line(RMC), b"$GPRMC,,A,"]), max_size=30))
def test_whatever_comes_nothing_is_raised(pieces: list[bytes]) -> None:
    parser = nmea.Parser()
    for piece in pieces:
        for fix in parser.feed(piece):
            assert fix.keys() == MEMBERS
        assert len(parser._line) <= nmea.MAX_SENTENCE


@given(st.sampled_from(["GGA", "RMC", "VTG", "GSA", "ZDA"]), st.lists(st.text("0123456789.-ANSEWVTMK ", max_size=12), max_size=20))
def test_a_right_checksum_over_nonsense_raises_nothing(kind: str, fields: list[str]) -> None:
    for fix in fixes_of(line(",".join([f"GP{kind}", *fields]))):
        assert fix.keys() == MEMBERS
