"""Sentences of real receivers and of the standards' corner cases become the right fixes; noise is `test_nmea_noise`'s."""

import re
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import nmea

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
