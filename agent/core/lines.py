"""Build and read journal lines: strict I-JSON. The kinds of lines, and what each needs, are in `kinds`.

Rules (docs/evidence-format.md, section 2):
- A line is 1 to 4,096 bytes without newline; one JSON object, UTF-8, no duplicate names, integers within ±(2**53 - 1),
  no `-0`, no floats, no surrogates or noncharacters, at most 8 deep (RFC 7493, made stricter).
- The bytes are the record: nothing is parsed and written out again to be hashed.
- A line that does not read is *without meaning*: it is kept like any other.

The scanner is our own because interpreters' JSON readers differ in just the cases that matter here.
"""

import binascii

from .errors import LineError

MYPY = False
if MYPY:  # read by type checkers alone: small boards have no typing module
    from typing import Any, Iterable, NoReturn

MAX_LINE = 4096
MAX_DEPTH = 8
MAX_INT = 9007199254740991

_HEX = "0123456789abcdefABCDEF"
# What follows a backslash, and what it stands for; the slash is read so and never written so.
_ESCAPES = '"\\bfnrt/'
_ESCAPED = '"\\\b\f\n\r\t/'
# Whether the interpreter's strings can say that they are plain; MicroPython's cannot.
_SAYS = hasattr("", "isascii")


def salt_text(random16: bytes) -> str:
    """22 characters of base64url for 16 random bytes."""
    if len(random16) != 16:
        raise LineError("a salt is made of 16 random bytes, got %d" % len(random16))
    return binascii.b2a_base64(random16)[:22].decode().replace("+", "-").replace("/", "_")


# --------------------------------------------------------------------------- writing


def _bad_character(code: int) -> bool:
    """Whether a code point may not stand in I-JSON: surrogates and noncharacters."""
    return 0xD800 <= code <= 0xDFFF or 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE


def _write_text(value: str) -> str:
    if _SAYS and value.isascii() and value.isprintable() and '"' not in value and "\\" not in value:
        return '"' + value + '"'
    try:
        # Bytes, not characters: MicroPython keeps for ever every character that was taken out of a string once.
        data = b" " + value.encode()
        if min(data) >= 0x20 and max(data) < 0xED and data.find(b'"') < 0 and data.find(b"\\") < 0:
            return '"' + value + '"'
    except UnicodeError:  # a surrogate: named below
        pass
    out: "list[str]" = []
    for c in value:
        code = ord(c)
        escape = _ESCAPED.find(c, 0, 7)
        if escape >= 0:
            out.append("\\" + _ESCAPES[escape])
        elif code < 0x20:
            out.append("\\u%04x" % code)
        elif code >= 0xD800 and _bad_character(code):
            raise LineError("U+%04X may not stand in a line" % code)
        else:
            out.append(c)
    return '"' + "".join(out) + '"'


def _write_value(value: object, depth: int) -> str:
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
    if depth > MAX_DEPTH and isinstance(value, (dict, list, tuple)):
        raise LineError("a line is at most %d deep" % MAX_DEPTH)
    if isinstance(value, dict):
        return _write_object(value.items(), depth)
    if isinstance(value, (list, tuple)):
        return "[" + ",".join([_write_value(v, depth + 1) for v in value]) + "]"
    raise LineError("a line can't hold a %s" % type(value).__name__)


_NAMES: "dict[str, str]" = {}
"""Names as they are written, because the same few come again and again; small boards keep none."""
_MAX_NAMES = 256


def _write_name(name: str) -> str:
    text = _write_text(name) + ":"
    if _SAYS and len(_NAMES) < _MAX_NAMES:
        _NAMES[name] = text
    return text


def _write_object(members: "Iterable[tuple[str, Any]]", depth: int) -> str:
    names: "set[str]" = set()
    out: "list[str]" = []
    for name, value in members:
        if name in names:
            raise LineError("duplicate name %s" % name)
        names.add(name)
        kind = type(value)  # nearly always one of these two, so they are asked first
        if kind is int and -MAX_INT <= value <= MAX_INT:
            text = str(value)
        elif kind is str:
            text = _write_text(value)
        else:
            text = _write_value(value, depth + 1)
        out.append((_NAMES.get(name) or _write_name(name)) + text)
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


# Bytes of UTF-8 in a line that may stand for what no string may hold raw: controls, surrogates, noncharacters.
_SUSPECTS = bytes(range(0x20)) + b"\xed\xef\xf0\xf1\xf2\xf3\xf4"


def _is_clean(line: bytes) -> bool:
    for suspect in _SUSPECTS:  # noqa: SIM110 - a third faster than all(), on every line that is read
        if suspect in line:
            return False
    return True


class _Scanner:
    """Reads one JSON value from text; `at` is the place in characters, for messages."""

    def __init__(self, text: str, clean: bool) -> None:  # noqa: FBT001 - a fact about the text
        self.text = text
        self.at = 0
        self.clean = clean

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
            if c < " " or _bad_character(ord(c)):
                self.fail("character U+%04X is not allowed" % ord(c))
        return piece

    def escaped(self, at: int) -> str:
        text = self.text
        out: "list[str]" = []
        while True:
            end, escape = text.find('"', at), text.find("\\", at)
            if end < 0:
                self.fail("string without end")
            if not 0 <= escape < end:
                out.append(self.plain(text[at:end]))
                self.at = end + 1
                return "".join(out)
            out.append(self.plain(text[at:escape]))
            self.at = escape
            out.append(self.escape(text[escape + 1 : escape + 2]))
            at = self.at

    def escape(self, c: str) -> str:
        """One escape at the place; a control character may stand in a string so and not otherwise."""
        at = self.at + 2
        if c != "u":
            if not c or c not in _ESCAPES:
                self.fail("unknown escape")
            self.at = at
            return _ESCAPED[_ESCAPES.find(c)]
        code = self.unit(at)
        at += 4
        if 0xD800 <= code < 0xDC00 and self.text[at : at + 2] == "\\u":
            low = self.unit(at + 2)
            if not 0xDC00 <= low < 0xE000:
                self.fail("a surrogate without its other half")
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
            at += 6
        if _bad_character(code):
            self.fail("character U+%04X is not allowed" % code)
        self.at = at
        return chr(code)

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
    # Checked once for the whole line: most lines hold nothing that a string may not.
    scanner = _Scanner(text, _is_clean(line))
    if scanner.peek() != "{":
        scanner.fail("expected an object")
    members = scanner.object(1)
    if scanner.peek():
        scanner.fail("text after the object")
    return members


def _decodes(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeError:
        return False
    return True


_LENIENT = _decodes(b"\xed\xa0\x80")
"""MicroPython takes a surrogate, and overlong forms, for UTF-8."""


def decode(data: bytes) -> str:
    """Text of strict UTF-8 (RFC 3629); LineError where it is not."""
    try:
        text = data.decode()
        if not _LENIENT:
            return text
    except UnicodeError:
        pass  # the place is named below
    _check_utf8(data)
    return data.decode()


# Lead bytes from and to, how many follow, and the range of the first of these: what excludes overlong forms and surrogates.
_LEADS = (
    b"\xc2\xdf\x01\x80\xbf"
    b"\xe0\xe0\x02\xa0\xbf"
    b"\xe1\xec\x02\x80\xbf"
    b"\xed\xed\x02\x80\x9f"
    b"\xee\xef\x02\x80\xbf"
    b"\xf0\xf0\x03\x90\xbf"
    b"\xf1\xf3\x03\x80\xbf"
    b"\xf4\xf4\x03\x80\x8f"
)


def _check_utf8(data: bytes) -> None:
    at = 0
    while at < len(data):
        if data[at] < 0x80:
            at += 1
            continue
        for row in range(0, len(_LEADS), 5):
            if _LEADS[row] <= data[at] <= _LEADS[row + 1]:
                more = _LEADS[row + 2]
                tail = data[at + 1 : at + 1 + more]
                if len(tail) == more and _LEADS[row + 3] <= tail[0] <= _LEADS[row + 4] and all(0x80 <= b <= 0xBF for b in tail):
                    break
        else:
            raise LineError("not UTF-8 at byte %d" % at)
        at += 1 + more
