"""Sentences of real receivers, of standards' corner cases and of noise become the right fixes, or none."""

import re
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import nmea
from agent.core.errors import NmeaError

LOGS = sorted((Path(__file__).parents[2] / "data" / "nmea").glob("*.log"))
Fix = dict[str, Any]


def line(body: str) -> bytes:
    total = 0
    for byte in body.encode():
        total ^= byte
    return f"${body}*{total:02X}\r\n".encode()


def stream(*bodies: str) -> bytes:
    return b"".join(line(body) for body in bodies)


def fixes_of(data: bytes) -> list[Fix]:
    parser = nmea.Parser()
    return list(parser.feed(data)) + list(parser.flush())


def only(*bodies: str) -> Fix:
    (fix,) = fixes_of(stream(*bodies))
    return fix


def log(name: str) -> bytes:
    return next(path for path in LOGS if path.stem == name).read_bytes()


GGA = "GPGGA,120000.00,3114.8770,N,12135.2463,E,1,07,1.1,196.4,M,8.3,M,,"
RMC = "GPRMC,120000.00,A,3114.8770,N,12135.2463,E,10.0,90.5,310126,,,A"
VOID = {"valid": False, "lat": None, "lon": None, "alt": None, "speed": None, "course": None, "hdop": None, "time_ms": None}


# --------------------------------------------------------------------------- real receivers


def nearest(value: Fraction) -> int:
    return int(abs(value) + Fraction(1, 2)) * (1 if value >= 0 else -1)


def degrees(text: str, side: str) -> int:
    whole, minutes = divmod(Fraction(text), 100)
    return nearest((whole + minutes / 60) * 10**7) * (-1 if side in "SW" else 1)


def stated(data: bytes) -> dict[str, Fix]:
    """What a log states for each time of day, read another way: whole file, exact fractions, sentences joined by their time."""
    epochs: dict[str, Fix] = {}
    for text in data.decode("ascii", "replace").splitlines():
        fields = text.split("*")[0].split(",")
        kind = fields[0][3:]
        if kind not in {"GGA", "RMC"} or not fields[1]:
            continue
        fix = epochs.setdefault(fields[1], {"valid": True})
        if kind == "GGA":
            fix["valid"] &= fields[6] != "0"
            fix |= {"hdop": fields[8], "alt": fields[9], "place": fields[2:6]}
        else:
            fix["valid"] &= fields[2] == "A"
            fix |= {"speed": fields[7], "course": fields[8], "date": fields[9]}
            fix.setdefault("place", fields[3:7])
    return epochs


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_every_fix_of_a_log_is_what_the_log_states(path: Path) -> None:
    epochs = [(time, fix) for time, fix in stated(path.read_bytes()).items() if fix["valid"]]
    fixes = [fix for fix in fixes_of(path.read_bytes()) if fix["valid"]]
    assert len(fixes) == len(epochs) > 0
    for fix, (time, fields) in zip(fixes, epochs, strict=True):
        place = fields["place"]
        assert (fix["lat"], fix["lon"]) == (degrees(place[0], place[1]), degrees(place[2], place[3]))
        if "alt" in fields:
            assert (fix["alt"], fix["hdop"]) == (nearest(Fraction(fields["alt"]) * 1000), nearest(Fraction(fields["hdop"]) * 100))
        if "date" in fields:
            assert fix["speed"] == nearest(Fraction(fields["speed"]) * 1852 / Fraction("3.6"))
            assert fix["course"] == (nearest(Fraction(fields["course"]) * 100) if fields["course"] else None)
            at = datetime.strptime(f"{fields['date']} {time[:6]}", "%d%m%y %H%M%S").replace(tzinfo=UTC)
            assert fix["time_ms"] == at.timestamp() * 1000 + nearest(Fraction("0" + time[6:]) * 1000)


# From each log's own header or file: epochs, valid ones, and where on Earth it was taken, to a tenth of a degree.
FACTS = {
    "beidou-bd": (10, 5, 31.2, 121.6, 2015),
    "blumax-gps009": (8, 4, 52.0, 8.5, 2008),
    "bt451": (18, 14, 55.8, 23.6, 2009),
    "nmea-rtk": (122, 122, 41.6, -93.8, 2020),
    "quectel-eg25-g": (60, 23, 36.8, 31.4, 2022),
    "telit-he910": (224, 187, 50.8, 4.3, 2019),
}


@pytest.mark.parametrize("name", FACTS)
def test_a_log_is_where_its_collector_was(name: str) -> None:
    epochs, valid, lat, lon, year = FACTS[name]
    fixes = fixes_of(log(name))
    assert (len(fixes), sum(fix["valid"] for fix in fixes)) == (epochs, valid)
    for fix in fixes:
        if fix["valid"]:
            assert abs(fix["lat"] / 1e7 - lat) < 0.1
            assert abs(fix["lon"] / 1e7 - lon) < 0.1
            assert fix["time_ms"] is None or datetime.fromtimestamp(fix["time_ms"] / 1000, UTC).year == year
        else:
            assert fix == VOID


def test_the_car_of_bt451_drives_at_thirty_knots() -> None:
    speeds = [fix["speed"] for fix in fixes_of(log("bt451")) if fix["valid"]]
    assert speeds[0] < 500  # stands still first
    assert all(15_400 < speed < 16_700 for speed in speeds[-5:])  # 30 to 32.3 knots


def test_the_modems_speed_is_that_of_its_own_second() -> None:
    """The quectel sends VTG before the time: it belongs to the RMC that follows, and both state the same speed."""
    silent = re.sub(rb"(?m)^\$(GPRMC(?:,[^,]*){6},)[^,]*(.*)\*..$", lambda rmc: line((rmc[1] + rmc[2]).decode()), log("quectel-eg25-g"))
    by_vtg = {fix["time_ms"]: fix["speed"] for fix in fixes_of(silent) if fix["valid"]}
    by_rmc = {fix["time_ms"]: fix["speed"] for fix in fixes_of(log("quectel-eg25-g")) if fix["valid"]}
    assert by_vtg.keys() == by_rmc.keys()
    assert by_vtg != by_rmc
    for time, speed in by_vtg.items():
        assert abs(speed - by_rmc[time]) < 70  # either is given to a tenth of its unit


def test_the_noise_in_the_logs_is_counted() -> None:
    parser = nmea.Parser()
    parser.feed(log("beidou-bd"))
    # 14 lines of comment, one of them with a `$` in it, and a blank before a sentence.
    assert parser.errors == {"garbage": 15, "overlong": 0, "torn": 1, "checksum": 0, "field": 0}


# --------------------------------------------------------------------------- epochs


def test_one_epoch_becomes_one_fix() -> None:
    fix = only(GGA, RMC, "GPVTG,90.5,T,,M,10.0,N,18.5,K,A", "GPGSA,A,3,02,03,,,,,,,,,,,2.1,1.3,1.8", "GPZDA,120000.00,31,01,2026,00,00")
    assert fix == {
        "valid": True,
        "lat": 312_479_500,
        "lon": 1_215_874_383,
        "alt": 196_400,
        "speed": 5_144,
        "course": 9_050,
        "hdop": 110,
        "time_ms": 1_769_860_800_000,
    }


@pytest.mark.parametrize("talker", nmea.TALKERS)
def test_every_talker_is_heard(talker: str) -> None:
    assert only(talker + RMC[2:])["lat"] == 312_479_500


def test_other_talkers_and_kinds_say_nothing() -> None:
    parser = nmea.Parser()
    assert not parser.feed(
        stream("XX" + RMC[2:], "GPGLL,3114.8770,N,12135.2463,E,120000.00,A,A", "PSRF151,3,1833,28692,0x7EFFFFFF", "PQRMC,1")
    )
    assert not parser.flush()
    assert not any(parser.errors.values())


def test_vtg_and_gsa_fill_in_what_is_not_stated_otherwise() -> None:
    without = GGA.replace(",1.1,", ",,")
    fix = only("GPVTG,270.0,T,,M,,N,36.0,K,A", "GPGSA,A,3,,,,,,,,,,,,,2.1,1.3,1.8", without)
    assert (fix["speed"], fix["course"], fix["hdop"]) == (10_000, 27_000, 130)


def test_an_epoch_is_given_at_its_last_sentence_once_the_order_is_known() -> None:
    parser = nmea.Parser()
    given_at_rmc = []
    for second in range(6):
        gga, rmc = (body.replace("120000.00", f"12000{second}.00") for body in (GGA, RMC))
        before = len(parser.feed(line(gga)))
        given_at_rmc.append((before, len(parser.feed(line(rmc)))))
    # The first two are given when the next one begins, the second of them after being recognised as alike.
    assert given_at_rmc == [(0, 0), (1, 0), (1, 1), (0, 1), (0, 1), (0, 1)]


def test_a_receiver_that_changes_its_order_loses_and_doubles_nothing() -> None:
    one = [[GGA, RMC], [GGA, RMC], [GGA, RMC], [RMC, GGA], [RMC, GGA], [GGA], [GGA], [GGA], [GGA, RMC, "GPZDA,120000.00,31,01,2026,00,00"]]
    parser = nmea.Parser()
    fixes: list[Fix] = []
    for second, epoch in enumerate(one):
        for body in epoch:
            fixes += parser.feed(line(body.replace("120000.00", f"12000{second}.00")))
    fixes += parser.flush()
    assert len(fixes) == len(one)
    assert all(fix["valid"] for fix in fixes)


def test_receivers_that_state_no_time_still_have_epochs() -> None:
    void = ["GPGGA,,,,,,0,,,,M,,M,,", "GPGSA,A,1,,,,,,,,,,,,,,,", "BDGSA,A,1,,,,,,,,,,,,,,,", "GPRMC,,V,,,,,,,,,,N", "GPVTG,,T,,M,,N,,K,N"]
    assert fixes_of(stream(*void * 5)) == [VOID] * 5


def test_sentences_without_a_place_are_no_fix() -> None:
    assert not fixes_of(stream("GPZDA,120000.00,31,01,2026,00,00", "GPVTG,90.5,T,,M,10.0,N,18.5,K,A"))


# --------------------------------------------------------------------------- void, time, figures


@pytest.mark.parametrize(
    "bodies",
    [
        (GGA.replace(",E,1,", ",E,0,"),),
        (GGA.replace(",E,1,", ",E,6,"),),
        (GGA.replace(",E,1,", ",E,7,"),),
        (GGA.replace(",E,1,", ",E,8,"),),
        (RMC.replace(",A,3", ",V,3"),),
        (RMC[:-1] + "E",),
        (RMC[:-1] + "S",),
        (GGA, RMC.replace(",A,3", ",V,3")),
        (GGA.replace(",E,1,", ",E,0,"), RMC),
    ],
)
def test_a_place_that_was_not_measured_is_void(bodies: tuple[str, ...]) -> None:
    assert only(*bodies) == VOID


@pytest.mark.parametrize("quality", "123459")
def test_a_place_that_was_measured_is_valid(quality: str) -> None:
    assert only(GGA.replace(",E,1,", f",E,{quality},"))["valid"]


@pytest.mark.parametrize(
    ("date", "year"),
    [("010180", 1980), ("311299", 1999), ("010100", 2000), ("290200", 2000), ("290224", 2024), ("311279", 2079)],
)
def test_two_digit_years(date: str, year: int) -> None:
    at = datetime(year, int(date[2:4]), int(date[:2]), 12, tzinfo=UTC)
    assert only(RMC.replace("310126", date))["time_ms"] == at.timestamp() * 1000


def test_four_digits_of_zda_say_which_century() -> None:
    at = datetime(2094, 6, 30, 12, tzinfo=UTC)
    assert only(RMC.replace("310126", "300694"), "GPZDA,120000.00,30,06,2094,00,00")["time_ms"] == at.timestamp() * 1000


def test_without_a_date_there_is_no_time() -> None:
    assert only(GGA)["time_ms"] is None


@given(st.datetimes(datetime(1980, 1, 1), datetime(2079, 12, 31)))  # noqa: DTZ001 - naive is what hypothesis takes
def test_every_date_of_a_century(at: datetime) -> None:
    at = at.replace(microsecond=at.microsecond // 1000 * 1000, tzinfo=UTC)
    body = RMC.replace("310126", at.strftime("%d%m%y")).replace("120000.00", at.strftime("%H%M%S.%f")[:-3])
    assert only(body)["time_ms"] == round(at.timestamp() * 1000)


@given(
    st.integers(0, 90 * 60 * 10**5),
    st.integers(0, 180 * 60 * 10**5),
    st.sampled_from("NS"),
    st.sampled_from("EW"),
    st.integers(0, 10**7),
    st.integers(0, 35_999),
)
def test_every_place_and_speed(lat: int, lon: int, north: str, east: str, knots: int, course: int) -> None:
    def minutes(value: int, width: int) -> str:
        whole, part = divmod(value, 60 * 10**5)
        return f"{whole:0{width}}{part // 10**5:02}.{part % 10**5:05}"

    fix = only(
        f"GPRMC,120000,A,{minutes(lat, 2)},{north},{minutes(lon, 3)},{east},{knots / 1000:.3f},{course // 100}.{course % 100:02},310126,,"
    )
    assert fix["lat"] == nearest(Fraction(lat, 60 * 10**5) * 10**7) * (-1 if north == "S" else 1)
    assert fix["lon"] == nearest(Fraction(lon, 60 * 10**5) * 10**7) * (-1 if east == "W" else 1)
    assert fix["speed"] == nearest(Fraction(knots, 1000) * 1852 * 1000 / 3600)
    assert fix["course"] == course


@pytest.mark.parametrize(
    ("text", "alt"),
    [
        ("0", 0),
        ("-0.4", -400),
        ("-89.8", -89_800),
        ("8848.86", 8_848_860),
        (".5", 500),
        ("1.0004", 1_000),
        ("1.0005", 1_001),
        ("7.", 7_000),
    ],
)
def test_altitudes(text: str, alt: int) -> None:
    assert only(GGA.replace("196.4", text))["alt"] == alt


def test_due_north_is_nought() -> None:
    assert only(RMC.replace(",90.5,", ",360.0,"))["course"] == 0


def test_a_leap_second_is_a_time() -> None:
    fix = only(RMC.replace("120000.00", "235960.50").replace("310126", "311216"))
    assert fix["time_ms"] == datetime(2017, 1, 1, tzinfo=UTC).timestamp() * 1000 + 500


# --------------------------------------------------------------------------- bad input


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
            assert fix.keys() == VOID.keys()
        assert len(parser._line) <= nmea.MAX_SENTENCE


@given(st.sampled_from(["GGA", "RMC", "VTG", "GSA", "ZDA"]), st.lists(st.text("0123456789.-ANSEWVTMK ", max_size=12), max_size=20))
def test_a_right_checksum_over_nonsense_raises_nothing(kind: str, fields: list[str]) -> None:
    for fix in fixes_of(line(",".join([f"GP{kind}", *fields]))):
        assert fix.keys() == VOID.keys()
