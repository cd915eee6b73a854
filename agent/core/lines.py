"""Build and read journal lines: strict I-JSON, the kinds of lines and the members that each needs.

Rules (docs/evidence-format.md, section 2):
- A line is 1 to 4,096 bytes without newline; one JSON object, UTF-8, no duplicate names, integers within ±(2**53 - 1),
  no `-0`, no floats, no surrogates or noncharacters, at most 8 deep (RFC 7493, made stricter).
- The bytes are the record: nothing is parsed and written out again to be hashed.
- A line that does not read, or lacks what its kind needs, is *without meaning*: it is kept like any other.
- Members and kinds that are not known are ignored.

The scanner is our own because interpreters' JSON readers differ in just the cases that matter here.
"""

from .errors import LineError

MYPY = False
if MYPY:  # read by type checkers alone: small boards have no typing module
    from typing import Any, Iterable, NoReturn

MAX_LINE = 4096
MAX_DEPTH = 8
MAX_INT = 9007199254740991

_CONTROLS = [chr(code) for code in range(0x20)]
_HEX = "0123456789abcdefABCDEF"
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WRITTEN = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def salt_text(random16: bytes) -> str:
    """22 characters of base64url for 16 random bytes."""
    if len(random16) != 16:
        raise LineError("a salt is made of 16 random bytes, got %d" % len(random16))
    number, text = int.from_bytes(random16, "big") << 4, ""
    for shift in range(126, -1, -6):
        text += _BASE64URL[(number >> shift) & 63]
    return text


# --------------------------------------------------------------------------- writing


def _bad_character(code: int) -> bool:
    """Whether a code point may not stand in I-JSON: surrogates and noncharacters."""
    return 0xD800 <= code <= 0xDFFF or 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE


def _write_text(value: str) -> str:
    out: "list[str]" = []
    for c in value:
        code = ord(c)
        if c in _WRITTEN:
            out.append(_WRITTEN[c])
        elif code < 0x20:
            out.append("\\u%04x" % code)
        elif code >= 0xD800 and _bad_character(code):
            raise LineError("U+%04X may not stand in a line" % code)
        else:
            out.append(c)
    return '"' + "".join(out) + '"'


def _write_value(value: object, depth: int) -> str:
    if depth > MAX_DEPTH:
        raise LineError("a line is at most %d deep" % MAX_DEPTH)
    if value is True:
        return "true"
    if value is False:
        return "false"
    if value is None:
        return "null"
    if isinstance(value, str):
        return _write_text(value)
    if isinstance(value, int):
        if not -MAX_INT <= value <= MAX_INT:
            raise LineError("integer %d is outside the range that JSON readers keep" % value)
        return str(value)
    if isinstance(value, dict):
        return _write_object(value.items(), depth)
    if isinstance(value, (list, tuple)):
        return "[" + ",".join([_write_value(v, depth + 1) for v in value]) + "]"
    raise LineError("a line can't hold a %s" % type(value).__name__)


def _write_object(members: "Iterable[tuple[str, Any]]", depth: int) -> str:
    names: "set[str]" = set()
    out: "list[str]" = []
    for name, value in members:
        if name in names:
            raise LineError("duplicate name %s" % name)
        names.add(name)
        out.append(_write_text(name) + ":" + _write_value(value, depth + 1))
    return "{" + ",".join(out) + "}"


def write(members: "dict[str, Any] | Iterable[tuple[str, Any]]") -> bytes:
    """One line, without newline, from (name, value) pairs in their order (or a dict); LineError when it can't be one."""
    pairs = members.items() if isinstance(members, dict) else members
    line = _write_object(pairs, 1).encode()
    if len(line) > MAX_LINE:
        raise LineError("a line is at most %d bytes, got %d" % (MAX_LINE, len(line)))
    return line


def build(kind: str, at: int, up: "int | None", salt: str, members: "dict[str, Any] | Iterable[tuple[str, Any]]" = ()) -> bytes:
    """A line of the journal: at, up, kind, the members in their order, salt. The server's ledger has no `up`."""
    head = [("at", at)] if up is None else [("at", at), ("up", up)]
    pairs = members.items() if isinstance(members, dict) else members
    return write(head + [("kind", kind)] + [(n, v) for n, v in pairs if v is not None] + [("salt", salt)])


# --------------------------------------------------------------------------- reading


class _Scanner:
    """Reads one JSON value from text; `at` is the place in characters, for messages."""

    def __init__(self, text: str, octets: int) -> None:
        self.text = text
        self.at = 0
        # Checked once for the whole line: most lines hold nothing that a string may not.
        self.clean = len(text) == octets and not any(c in text for c in _CONTROLS)

    def fail(self, what: str) -> "NoReturn":
        raise LineError("column %d: %s" % (self.at + 1, what))

    def peek(self) -> str:
        text, at = self.text, self.at
        while at < len(text) and text[at] in " \t\r\n":
            at += 1
        self.at = at
        return text[at] if at < len(text) else ""

    def take(self, expected: str) -> None:
        got = self.peek()
        if got != expected:
            self.fail("expected %s, got %s" % (expected, got or "the end"))
        self.at += 1

    def value(self, depth: int) -> "Any":
        c = self.peek()
        if c == '"':
            return self.string()
        if c and c in "-0123456789":
            return self.integer()
        if c in ("{", "["):
            if depth >= MAX_DEPTH:
                self.fail("deeper than %d" % MAX_DEPTH)
            return self.object(depth + 1) if c == "{" else self.array(depth + 1)
        return self.word(c)

    def word(self, c: str) -> "bool | None":
        for word, value in (("true", True), ("false", False), ("null", None)):
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return value
        return self.fail("expected a value, got %s" % (c or "the end"))

    def object(self, depth: int) -> "dict[str, Any]":
        members: "dict[str, Any]" = {}
        self.take("{")
        if self.peek() == "}":
            self.at += 1
            return members
        while True:
            if self.peek() != '"':
                self.fail("expected a name in quotes")
            name = self.string()
            if name in members:
                self.fail("duplicate name %s" % name)
            self.take(":")
            members[name] = self.value(depth)
            if self.peek() == "}":
                self.at += 1
                return members
            self.take(",")

    def array(self, depth: int) -> "list[Any]":
        values: "list[Any]" = []
        self.take("[")
        if self.peek() == "]":
            self.at += 1
            return values
        while True:
            values.append(self.value(depth))
            if self.peek() == "]":
                self.at += 1
                return values
            self.take(",")

    def integer(self) -> int:
        text, start = self.text, self.at
        at = start + 1 if text[start] == "-" else start
        first = at
        while at < len(text) and text[at] in "0123456789":
            at += 1
        digits = text[first:at]
        if not digits or (len(digits) > 1 and digits[0] == "0") or (digits == "0" and first > start):
            self.fail("not an integer")
        if at < len(text) and text[at] in ".eE":
            self.fail("floats are not allowed")
        if len(digits) > 16 or int(digits) > MAX_INT:
            self.fail("integer beyond 2**53 - 1")
        self.at = at
        return int(text[start:at])

    def string(self) -> str:
        text, start = self.text, self.at + 1
        end = text.find('"', start)
        if end < 0:
            self.fail("string without end")
        piece = text[start:end]
        if "\\" not in piece:
            self.at = end + 1
            return self.plain(piece)
        return self.escaped(start)

    def plain(self, piece: str) -> str:
        for c in "" if self.clean else piece:
            if c < " " or (c >= "\ud800" and _bad_character(ord(c))):
                self.fail("character U+%04X is not allowed" % ord(c))
        return piece

    def escaped(self, start: int) -> str:
        text, at = self.text, start
        out: "list[Any]" = []
        while True:
            if at >= len(text):
                self.fail("string without end")
            c = text[at]
            if c == '"':
                break
            if c != "\\":
                out.append(c)
                at += 1
                continue
            self.at = at
            c = text[at + 1 : at + 2]
            if c == "u":
                code = self.unit(at + 2)
                at += 6
                if 0xD800 <= code < 0xDC00 and text[at : at + 2] == "\\u":
                    low = self.unit(at + 2)
                    if not 0xDC00 <= low < 0xE000:
                        self.fail("a surrogate without its other half")
                    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
                    at += 6
                if _bad_character(code):
                    self.fail("character U+%04X is not allowed" % code)
                # Appended below `plain`'s check on purpose: an escaped control character is allowed, a raw one is not.
                out.append((chr(code),))
            elif c in _ESCAPES:
                out.append((_ESCAPES[c],))
                at += 2
            else:
                self.fail("unknown escape")
        self.at = at + 1
        return "".join([c[0] if isinstance(c, tuple) else self.plain(c) for c in out])

    def unit(self, at: int) -> int:
        digits = self.text[at : at + 4]
        if len(digits) != 4 or any(d not in _HEX for d in digits):
            self.fail("\\u needs four hexadecimal digits")
        return int(digits, 16)


def read(line: bytes) -> "dict[str, Any]":
    """The members of a line; LineError names the column and what is wrong. A dict keeps no order on small boards."""
    if not 1 <= len(line) <= MAX_LINE:
        raise LineError("a line is 1 to %d bytes, got %d" % (MAX_LINE, len(line)))
    if b"\n" in line:
        raise LineError("a line holds no newline")
    text = decode(line)
    scanner = _Scanner(text, len(line))
    if scanner.peek() != "{":
        scanner.fail("expected an object")
    members = scanner.object(1)
    if scanner.peek():
        scanner.fail("text after the object")
    return members


def decode(data: bytes) -> str:
    """Text of strict UTF-8 (RFC 3629); LineError where it is not. Small boards do not check this themselves."""
    try:
        text = data.decode()
    except UnicodeError:
        raise LineError("not UTF-8")
    if len(text) != len(data):
        _check_utf8(data)
    return text


# Lead byte → how many follow, and the range of the first of them: what excludes overlong forms and surrogates.
_LEADS = (
    (0xC2, 0xDF, 1, 0x80, 0xBF),
    (0xE0, 0xE0, 2, 0xA0, 0xBF),
    (0xE1, 0xEC, 2, 0x80, 0xBF),
    (0xED, 0xED, 2, 0x80, 0x9F),
    (0xEE, 0xEF, 2, 0x80, 0xBF),
    (0xF0, 0xF0, 3, 0x90, 0xBF),
    (0xF1, 0xF3, 3, 0x80, 0xBF),
    (0xF4, 0xF4, 3, 0x80, 0x8F),
)


def _check_utf8(data: bytes) -> None:
    at = 0
    while at < len(data):
        if data[at] < 0x80:
            at += 1
            continue
        for first, last, more, low, high in _LEADS:
            if first <= data[at] <= last:
                tail = data[at + 1 : at + 1 + more]
                if len(tail) == more and low <= tail[0] <= high and all(0x80 <= b <= 0xBF for b in tail):
                    break
        else:
            raise LineError("not UTF-8 at byte %d" % at)
        at += 1 + more


# --------------------------------------------------------------------------- kinds

# Scope: where a line of the kind may belong.
DEVICE = "device"  # never to a recording
WHILE = "while recording"  # exactly between start and stop
RECORDING = "recording"  # always
AFTER = "after stop"  # to a recording, without `n`

KINDS: "dict[str, tuple[str, dict[str, Any]]]" = {
    "enrol": (DEVICE, {"origin": str, "vkey": str, "certificate": str}),
    "boot": (DEVICE, {"format": int, "boot": int, "software": str, "hardware": str, "clean": bool, "lost": dict}),
    "clock": (WHILE, {"source": str, "offset": int, "error": int}),
    "beacon": (DEVICE, {"checkpoint": str}),
    "config": (WHILE, {}),
    "assign": (WHILE, {}),
    "signon": (WHILE, {"officer": str, "how": str}),
    "signoff": (WHILE, {"officer": str, "how": str}),
    "start": (RECORDING, {"trigger": str, "officer": str, "case": str, "matter": str, "epoch": int, "governing": list}),
    "track": (RECORDING, {"track": str, "media": str, "codecs": str, "source": str}),
    "fragment": (
        RECORDING,
        {"track": str, "seq": int, "offset": int, "bytes": int, "sha256": str, "pts": int, "duration": int},
    ),
    "fix": (WHILE, {"lat": int, "lon": int}),
    "sense": (WHILE, {}),
    "mark": (RECORDING, {"label": str}),
    "pause": (RECORDING, {"reason": str}),
    "resume": (RECORDING, {"reason": str}),
    "gap": (RECORDING, {"track": str, "from": int, "lost": int, "reason": str}),
    "stop": (RECORDING, {"trigger": str, "tracks": list}),
    "power": (WHILE, {"event": str}),
    "storage": (WHILE, {"event": str}),
    "tamper": (WHILE, {"event": str}),
    "camera": (WHILE, {"event": str}),
    "order": (DEVICE, {"number": int, "name": str, "result": str}),
    "dock": (DEVICE, {"station": str, "source": str, "name": str, "by": str}),
    "import": (RECORDING, {"station": str, "source": str, "name": str, "by": str}),
    "purge": (AFTER, {"tracks": list, "bytes": int, "reason": str, "receipt": str}),
    "trim": (DEVICE, {"size": int, "root": str}),
    "retire": (DEVICE, {"reason": str}),
}
"""kind → (scope, members that it must have and their types); docs/evidence-format.md, section 2."""

_COMMON = {"at": int, "up": int, "kind": str, "salt": str}
_STOPPED_TRACK = {"track": str, "fragments": int, "bytes": int, "duration": int}


def _is(value: object, kind: type) -> bool:
    return isinstance(value, kind) and (kind is not int or not isinstance(value, bool))


def _need(members: "dict[str, Any]", table: "dict[str, Any]", what: str) -> None:
    for name in table:
        if name not in members:
            raise LineError("%s lacks %s" % (what, name))
        if not _is(members[name], table[name]):
            raise LineError("%s: %s is not of type %s" % (what, name, table[name].__name__))


def meaning(line: bytes) -> "dict[str, Any]":
    """The members of a line that has meaning; LineError says what is missing. An unknown kind needs the common ones only."""
    members = read(line)
    _need(members, _COMMON, "a line")
    kind = members["kind"]
    if kind not in KINDS:
        return members
    scope, table = KINDS[kind]
    what = "a %s line" % kind
    _need(members, table, what)
    for name in ("recording", "n"):
        if name in members and not _is(members[name], str if name == "recording" else int):
            raise LineError("%s: %s is of the wrong type" % (what, name))
    if "n" in members and "recording" not in members:
        raise LineError("%s has n and no recording" % what)
    if scope in (RECORDING, AFTER) and "recording" not in members:
        raise LineError("%s lacks recording" % what)
    if scope == RECORDING and kind != "gap" and "n" not in members:
        raise LineError("%s lacks n" % what)
    if kind == "stop":
        for track in members["tracks"]:
            if not isinstance(track, dict):
                raise LineError("a stop line: tracks holds something else than objects")
            _need(track, _STOPPED_TRACK, "a stop line's track")
    if kind == "start" and not all(isinstance(leaf, str) for leaf in members["governing"]):
        raise LineError("a start line: governing holds something else than leaf hashes")
    return members
