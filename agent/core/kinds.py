"""The kinds of journal lines: to what each may belong, and the members that it must have (docs/evidence-format.md, section 2).

Rules:
- A line that reads but lacks what its kind needs is *without meaning*: it is kept like any other and belongs to no recording.
- Members and kinds that are not known are ignored.

Apart from `lines` because boards write lines and never ask what one means: the table alone is half of a small board's heap.
"""

from .errors import LineError
from .lines import read

MYPY = False
if MYPY:  # read by type checkers alone: small boards have no typing module
    from typing import Any

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
    wrong = [name for name in table if name not in members or not _is(members[name], table[name])]
    if wrong:
        name = min(wrong)  # a dict has no order on small boards, and the same line gets the same answer everywhere
        if name not in members:
            raise LineError("%s lacks %s" % (what, name))
        raise LineError("%s: %s is not of type %s" % (what, name, table[name].__name__))


def meaning(line: bytes) -> "dict[str, Any]":
    """The members of a line that has meaning; LineError says what is missing. An unknown kind needs the common ones only."""
    members = read(line)
    _need(members, _COMMON, "a line")
    kind = members["kind"]
    what = "a %s line" % kind[:80]
    # Of kinds that are not known, too: a recording's lines are counted by `n`, whatever else they say.
    for name in ("recording", "n"):
        if name in members and not _is(members[name], str if name == "recording" else int):
            raise LineError("%s: %s is of the wrong type" % (what, name))
    if kind not in KINDS:
        return members
    scope, table = KINDS[kind]
    _need(members, table, what)
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
