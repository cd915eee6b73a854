"""A receiver's sentences (NMEA 0183, BeiDou under either of its talkers, GB and BD) become fixes.

Rules:
- A sentence stands from `$` to the end of its line and counts only with a right checksum. What lies between sentences is
  passed over, what is wrong is counted by reason; nothing that a receiver can send raises out of `Parser.feed`, and no
  more than `MAX_SENTENCE` bytes are ever kept.
- The sentences of one epoch become one fix. An epoch ends before a sentence of another time or of a kind that it has already
  (GSA comes several times in a row). Which kind ends an epoch is learnt: after two that ended alike, the third is given at once
  and not when the next one begins, a second later.
- A fix is void where GGA says quality 0, 6, 7 or 8 or RMC says V or a mode of E, M, S or N: an estimated, typed-in or simulated
  place is no place that was measured. A void fix has no time either: it is the receiver's own clock then.
- RMC before VTG for speed and course, GGA before RMC for the place, ZDA's four-digit year before RMC's two digits, which
  mean 1980 to 2079. The date is that of the same epoch or none: a date carried over would be wrong at midnight.
- Integers only: a board's floats have 24 bits, and floats round differently elsewhere.

`alt` is above mean sea level, as GGA gives it. Whether a fix is plausible, and since when there is none, is for others to judge.
"""

from .errors import NmeaError

MAX_SENTENCE = 128
"""Bytes from `$` to before the line's end. The standard says 80; receivers with RTK send 92."""

TALKERS = ("GP", "GN", "GL", "GA", "GB", "BD", "QZ")

REASONS = ("garbage", "overlong", "torn", "checksum", "field")
"""Bytes outside of sentences (once for each run of them), too long, cut off, checksum wrong, a field of another form."""

KINDS = ("GSA", "VTG", "RMC", "GGA", "ZDA")
"""The kinds that are read; where several state the same, the later of them here is believed."""

_MEMBERS = ("lat", "lon", "alt", "speed", "course", "hdop")
_DOLLAR = 0x24
_DAY_MS = 86400000


def sentence(line: bytes) -> "tuple[str, str, list[str]]":
    """Talker, kind and fields of one sentence, `$` to checksum; NmeaError `torn`, `checksum` or `garbage`."""
    text = _checked(line)
    fields = text.split(",")
    address = fields.pop(0)
    return address[:2], address[2:], fields


def _checked(line: bytes) -> str:
    """What stands between `$` and the checksum."""
    end = len(line) - 3
    if end < 1 or line[end] != 0x2A or line[0] != _DOLLAR:
        raise NmeaError("torn", "expected a sentence from $ to *hh")
    total = 0
    for index in range(1, end):
        if not 0x20 <= line[index] < 0x7F:
            raise NmeaError("garbage", "expected printable ASCII, got byte %d" % line[index])
        total ^= line[index]
    given = line[end + 1 :].upper()
    if given != b"%02X" % total:
        raise NmeaError("checksum", "expected checksum %02X, got %r" % (total, given))
    return line[1:end].decode()


def _number(text: str, places: int) -> int:
    """A decimal number in units of 10**-places, half away from zero."""
    whole, _, part = text.partition(".")
    negative = whole[:1] == "-"
    whole = whole[1:] if negative else whole
    if not (whole + part).isdigit() or len(whole) > 9:
        raise NmeaError("field", "expected a number of at most 9 digits before the point, got %s" % text)
    digits = part[: places + 1]
    value = (int(whole + digits + "0" * (places + 1 - len(digits))) + 5) // 10
    return -value if negative else value


def _figure(values: "dict[str, int]", name: str, text: str, places: int, times: int = 1, by: int = 1) -> None:
    """A field that may be empty, in units of 10**-places times `times` / `by`."""
    if text:
        values[name] = (_number(text, places) * times + by // 2) // by


def _digits(text: str, start: int, end: int, low: int, high: int) -> int:
    part = text[start:end]
    if len(part) != end - start or not part.isdigit() or not low <= int(part) <= high:
        raise NmeaError("field", "expected %d to %d at %d of %s" % (low, high, start, text))
    return int(part)


def _time(values: "dict[str, int]", text: str) -> None:
    """`hhmmss.sss` as ms of the day; a leap second is 60."""
    if text:
        seconds = _digits(text, 0, 2, 0, 23) * 3600 + _digits(text, 2, 4, 0, 59) * 60 + _digits(text, 4, 6, 0, 60)
        if text[6:7] not in ("", "."):
            raise NmeaError("field", "expected hhmmss.sss, got %s" % text)
        values["tod"] = seconds * 1000 + _number("0" + text[6:], 3)


def _date(values: "dict[str, int]", year: int, month_text: str, day_text: str) -> None:
    """Days since 1970 (the civil calendar counted from March, so that the leap day comes last)."""
    month = _digits(month_text, 0, 2, 1, 12)
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    # Months 8 to 12 have a day more or less than the rule of the first seven would say.
    day = _digits(day_text, 0, 2, 1, 30 + (month + month // 8) % 2 - (month == 2) * (2 - leap))
    if month < 3:
        year -= 1
        month += 12
    values["date"] = 365 * year + year // 4 - year // 100 + year // 400 + (153 * month - 457) // 5 + day - 719469


def _place(values: "dict[str, int]", fields: "list[str]") -> None:
    """`ddmm.mmmm`, N or S, `dddmm.mmmm`, E or W in 1e-7 degrees."""
    for name, text, side, sides, end in (("lat", fields[0], fields[1], "NS", 2), ("lon", fields[2], fields[3], "EW", 3)):
        limit = 90 * (end - 1)
        degrees = _digits(text, 0, end, 0, limit)
        _digits(text, end, end + 2, 0, 59)
        value = degrees * 10000000 + (_number(text[end:], 8) + 300) // 600
        if value > limit * 10000000 or len(side) != 1 or side not in sides:
            raise NmeaError("field", "expected up to %d degrees and one of %s, got %s %s" % (limit, sides, text, side))
        values[name] = value if side == sides[0] else -value


def _void(values: "dict[str, int]", is_void: object) -> int:
    values["void"] = 1 if is_void else 0
    return values["void"]


def values_of(kind: str, fields: "list[str]") -> "dict[str, int]":
    """What a sentence of one of `KINDS` states, by member and `tod` (ms of the day), `date` (days), `void`; NmeaError `field`."""
    values: "dict[str, int]" = {}
    try:
        if kind in ("GGA", "RMC", "ZDA"):
            _time(values, fields[0])
        if kind == "GGA":
            if not _void(values, fields[5] in ("", "0", "6", "7", "8")):
                _place(values, fields[1:5])
                _figure(values, "hdop", fields[7], 2)
                _figure(values, "alt", fields[8], 3)
        elif kind == "RMC":
            mode = fields[11] if len(fields) > 11 else ""
            if not _void(values, fields[1] != "A" or mode in ("E", "M", "S", "N")):
                _place(values, fields[2:6])
                _figure(values, "speed", fields[6], 3, 463, 900)
                _figure(values, "course", fields[7], 2)
                if fields[8]:
                    year = _digits(fields[8], 4, 6, 0, 99)
                    _date(values, year + (1900 if year >= 80 else 2000), fields[8][2:4], fields[8][:2])
        elif kind == "VTG":
            _figure(values, "course", fields[0], 2)
            _figure(values, "speed", fields[6], 3, 5, 18)
        elif kind == "GSA":
            _figure(values, "hdop", fields[15], 2)
        elif fields[3]:
            _date(values, _digits(fields[3], 0, 4, 1980, 9999), fields[2], fields[1])
        if values.get("speed", 0) < 0 or values.get("hdop", 0) < 0:
            raise NmeaError("field", "expected no negative speed or hdop")
        if "course" in values:
            values["course"] %= 36000
    except IndexError:
        raise NmeaError("field", "expected more than the %d fields of this %s" % (len(fields), kind))
    return values


class Parser:
    """Bytes as they come from the receiver to fixes; `errors` counts by reason what was not understood.

    A fix is a dict: `valid` (bool), and each an int or None `lat` and `lon` (1e-7 degrees, WGS 84), `alt` (mm), `speed` (mm/s),
    `course` and `hdop` (hundredths), `time_ms` (UTC since 1970).
    """

    def __init__(self) -> None:
        self.errors = dict.fromkeys(REASONS, 0)
        self._line = bytearray()
        self._outside = False
        self._ender = ""
        self._sure = False
        self._open()

    def feed(self, data: bytes) -> "list[dict[str, int | bool | None]]":
        """Take bytes, any number of them, cut anywhere; the fixes that they complete."""
        fixes: "list[dict[str, int | bool | None]]" = []
        for byte in data:
            if byte == _DOLLAR:
                if self._line:
                    self.errors["torn"] += 1
                self._line = bytearray(b"$")
                self._outside = False
            elif byte in (0x0D, 0x0A):
                if self._line:
                    self._take(bytes(self._line), fixes)
                    self._line = bytearray()
                self._outside = False
            elif len(self._line) >= MAX_SENTENCE:
                self.errors["overlong"] += 1
                self._line = bytearray()
                self._outside = True
            elif self._line:
                self._line.append(byte)
            elif not self._outside:
                self.errors["garbage"] += 1
                self._outside = True
        return fixes

    def flush(self) -> "list[dict[str, int | bool | None]]":
        """The receiver fell silent or the data ended: the fix of the epoch that no other has ended."""
        fixes: "list[dict[str, int | bool | None]]" = []
        self._close(fixes)
        return fixes

    def _open(self) -> None:
        self._seen: "dict[str, dict[str, int]]" = {}
        self._last = ""
        self._tod: "int | None" = None
        self._given = False

    def _take(self, line: bytes, fixes: "list[dict[str, int | bool | None]]") -> None:
        try:
            text = _checked(line)
            kind = text[2:5]
            # Most sentences tell of satellites: they are not even taken apart.
            if text[:2] not in TALKERS or kind not in KINDS or text[5:6] not in ("", ","):
                return
            values = values_of(kind, text[6:].split(","))
        except NmeaError as error:
            self.errors[error.reason] += 1
            return
        tod = values.get("tod")
        if tod is not None and self._tod is not None:
            begins = tod != self._tod
            late = self._given and not begins
        else:
            begins = self._given or kind in self._seen
            late = False
        if kind == "GSA" == self._last:
            begins = False
        if late:
            # The kind that was taken for the epoch's last is not: learn again.
            self._sure = False
        elif begins:
            self._close(fixes)
        self._add(kind, values)
        if self._sure and kind == self._ender:
            self._give(fixes)

    def _add(self, kind: str, values: "dict[str, int]") -> None:
        if kind in self._seen:
            self._seen[kind].update(values)
        else:
            self._seen[kind] = values
        self._last = kind
        if "tod" in values:
            self._tod = values["tod"]

    def _close(self, fixes: "list[dict[str, int | bool | None]]") -> None:
        """The epoch is over: give its fix unless that was done, and learn which kind ended it."""
        self._give(fixes)
        self._sure = self._last == self._ender
        self._ender = self._last
        self._open()

    def _give(self, fixes: "list[dict[str, int | bool | None]]") -> None:
        if not self._given and ("GGA" in self._seen or "RMC" in self._seen):
            fixes.append(_fix(self._seen))
        self._given = True


def _fix(seen: "dict[str, dict[str, int]]") -> "dict[str, int | bool | None]":
    """One fix of what the sentences of an epoch state."""
    values: "dict[str, int]" = {}
    void = 0
    for kind in KINDS:
        stated = seen.get(kind, {})
        void |= stated.get("void", 0)
        values.update(stated)
    fix: "dict[str, int | bool | None]" = {name: None if void else values.get(name) for name in _MEMBERS}
    fix["valid"] = not void
    known = not void and "date" in values and "tod" in values
    fix["time_ms"] = values["date"] * _DAY_MS + values["tod"] if known else None
    return fix
