"""What a story may do: a table of phrases, read by people, carried out on a world.

Rules:
- PHRASES is the closed list. A phrase with an `undo` may be followed by ` for <span>`: what it began ends by itself.
- Placeholders: `{span}` as in 90 s or 2 days, `{number}`, `{percent}` from 0 to 100, and the words of CHOICES.
- A phrase that can't be done now (a press on a device without power) does nothing: so a story stays a story when events are left out.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulators.errors import ScriptError
from simulators.universe import acts
from simulators.universe.acts import Act
from simulators.universe.words import span_us

if TYPE_CHECKING:
    from simulators.universe.device import Device
    from simulators.universe.world import World

MB = 1_000


@dataclass(frozen=True, slots=True)
class Phrase:
    """One row: the words, what they mean, what ends it."""

    words: str
    means: str
    act: Act
    undo: str = ""


def perform(world: World, device: Device, text: str) -> None:
    """Do what a phrase says, now."""
    row, values, lasts_us = understand(text)
    row.act(world, device, values)
    if lasts_us is not None:
        world.agenda.after(lasts_us, lambda: perform(world, device, row.undo))


def understand(text: str) -> tuple[Phrase, list[str], int | None]:
    """The row, the values of its placeholders, how long it lasts; ScriptError where there is no such phrase."""
    wanted = re.sub(r"(?<=\d)%", " %", " ".join(text.split()))
    for row, pattern in _PATTERNS:
        found = pattern.fullmatch(wanted)
        if found is not None:
            return row, _checked(row, list(found.groups())), None
        if (found := re.fullmatch(pattern.pattern + r" for (.+)", wanted)) is not None:
            if not row.undo:
                raise ScriptError(f"`{row.words}` does not end by itself, so there is no `for` behind it, got {text!r}")
            return row, _checked(row, list(found.groups()[:-1])), span_us(found.groups()[-1])
    raise ScriptError(f"there is no phrase {text!r}; {_nearest(wanted)}`zhilu sim list --phrases` shows them all")


def _checked(row: Phrase, values: list[str]) -> list[str]:
    for name, value in zip(re.findall(r"{(\w+)}", row.words), values, strict=True):
        if name == "percent" and float(value) > 100:
            raise ScriptError(f"`{row.words}`: expected 0 to 100, got {value}")
    return values


def _nearest(text: str) -> str:
    """The phrase that was meant, perhaps; for one with a word to choose, its words."""
    known = {words: row for row in PHRASES for words in _spelt(row)}
    alike = [words for words in known if words.split()[0] == text.split(maxsplit=1)[0]] if text else []
    found = difflib.get_close_matches(re.sub(r" for .*", "", text), alike or known, 1, 0.4)
    return f"did you mean `{known[found[0]].words if '{' in found[0] else found[0]}`? " if found else ""


def _spelt(row: Phrase) -> list[str]:
    """The words with each of their choices."""
    for name, words in CHOICES.items():
        if "{" + name + "}" in row.words:
            return [row.words.replace("{" + name + "}", word) for word in words]
    return [row.words]


# --------------------------------------------------------------------------- the table

PHRASES = (
    Phrase("record", "press the record button; `record for 90 s` holds it at the end, which stops", acts.tap("record"), "hold record"),
    Phrase("press {button}", "a short press of a button", lambda w, d, v: acts.push(w, d, v[0], acts.TAP_US)),
    Phrase("hold {button}", "a long press: record stops, mark takes a still", lambda w, d, v: acts.push(w, d, v[0], acts.HOLD_US)),
    Phrase("power cut while writing", "the power goes in the middle of writing", lambda w, d, _: acts.cut_while_writing(w, d), "power on"),
    Phrase("power cut", "the power is pulled", lambda _w, d, _: d.cut(), "power on"),
    Phrase("power on", "the power is back", lambda _w, d, _: d.switch_on()),
    Phrase("switch off", "an orderly end (SIGTERM), then no power", lambda _w, d, _: d.switch_off(), "power on"),
    Phrase("restart the agent", "an orderly end, and the next start at once", lambda _w, d, _: d.restart()),
    Phrase("battery {percent} %", "the battery is so full", lambda _w, d, v: acts.battery(d, int(v[0]))),
    Phrase("charger off", "it runs on its battery", lambda _w, d, _: acts.charger(d, on=False), "charger on"),
    Phrase("charger on", "it is charged", lambda _w, d, _: acts.charger(d, on=True)),
    Phrase("battery empties {number} % an hour", "so fast, without a charger", lambda _w, d, v: acts.empties(d, float(v[0]))),
    Phrase("gauge silent", "the battery's gauge does not answer", lambda _w, d, _: acts.gauge(d, answers=False), "gauge answers"),
    Phrase("gauge answers", "it answers again", lambda _w, d, _: acts.gauge(d, answers=True)),
    Phrase("network off", "no network", lambda w, d, _: w.line(d).turn(up=False), "network on"),
    Phrase("network on", "the network is back", lambda w, d, _: w.line(d).turn(up=True)),
    Phrase("network half-open", "what is sent vanishes", lambda w, d, _: w.line(d).turn(up=True, swallow=True), "network on"),
    Phrase("network black hole", "connections begin, and after five seconds nothing passes", lambda w, d, _: acts.hole(w, d), "network on"),
    Phrase("network cut", "every connection breaks once", lambda w, d, _: w.line(d).cut()),
    Phrase("network {number} kbit/s", "the line is so slow", lambda w, d, v: acts.bandwidth(w, d, float(v[0])), "network 10000 kbit/s"),
    Phrase(
        "network breaks {percent} %",
        "connections break so often, for each 256 KiB",
        lambda w, d, v: acts.breaks(w, d, float(v[0]) / 100),
        "network whole",
    ),
    Phrase("network whole", "no breaks any more", lambda w, d, _: acts.breaks(w, d, 0.0)),
    Phrase("network late {number} ms", "so late, each way", lambda w, d, v: acts.late(w, d, int(v[0])), "network late 80 ms"),
    Phrase("clock without battery", "each start is in 1970 until somebody sets it", lambda _w, d, _: acts.no_battery(d)),
    Phrase("clock jumps ahead {span}", "the wall clock is set", lambda _w, d, v: acts.jump(d, span_us(v[0])), "clock right"),
    Phrase("clock jumps back {span}", "the wall clock is set back", lambda _w, d, v: acts.jump(d, -span_us(v[0])), "clock right"),
    Phrase("clock gains {number} s a day", "the wall clock is too fast", lambda _w, d, v: acts.drift(d, float(v[0])), "clock right"),
    Phrase("clock loses {number} s a day", "the wall clock is too slow", lambda _w, d, v: acts.drift(d, -float(v[0])), "clock right"),
    Phrase("clock right", "somebody sets it, and it stays right", lambda _w, d, _: acts.right(d)),
    Phrase(
        "clock trusted by {source}",
        "who says that it is right: satellites, time servers, our server, a quartz, or nobody",
        lambda _w, d, v: acts.trust(d, v[0]),
    ),
    Phrase("disk full", "not a byte more fits", lambda w, d, _: acts.room(w, d, 0), "disk has room"),
    Phrase(
        "disk has {number} MB left", "no more than so much fits", lambda w, d, v: acts.room(w, d, int(float(v[0]) * MB)), "disk has room"
    ),
    Phrase("disk has room", "as much as one likes fits", lambda w, d, _: acts.room(w, d, None)),
    Phrase("disk fails", "every write is answered by EIO", lambda w, d, _: acts.fault(w, d, "eio"), "disk works"),
    Phrase("disk fails {percent} % of writes", "so many of them", lambda w, d, v: acts.fault(w, d, "eio", v[0]), "disk works"),
    Phrase("disk read-only", "the file system is mounted read-only", lambda w, d, _: acts.fault(w, d, "read-only"), "disk works"),
    Phrase("disk works", "it takes everything again", lambda w, d, _: acts.fault(w, d, "")),
    Phrase("card lies", "it answers every sync and does nothing", lambda w, d, _: acts.lies(w, d, lies=True), "card honest"),
    Phrase("card honest", "it syncs again", lambda w, d, _: acts.lies(w, d, lies=False)),
    Phrase("index {fate}", "what the next start finds of the index", lambda _w, d, v: acts.index(d, v[0])),
    Phrase("camera unplugged", "no picture", lambda _w, d, _: acts.lens(d, "camera", on=False), "camera plugged"),
    Phrase("camera plugged", "the picture is back", lambda _w, d, _: acts.lens(d, "camera", on=True)),
    Phrase("microphone unplugged", "no sound", lambda _w, d, _: acts.lens(d, "microphone", on=False), "microphone plugged"),
    Phrase("microphone plugged", "the sound is back", lambda _w, d, _: acts.lens(d, "microphone", on=True)),
    Phrase("microphone silent", "it is plugged and hears nothing", lambda _w, d, _: acts.lens(d, "silent", on=True), "microphone heard"),
    Phrase("microphone heard", "it hears again", lambda _w, d, _: acts.lens(d, "silent", on=False)),
    Phrase(
        "camera {number} Mbit/s",
        "a second of picture is so much; otherwise it is 8",
        lambda _w, d, v: acts.rate(d, float(v[0])),
        "camera 8 Mbit/s",
    ),
    Phrase("encoder slow", "a third of each second is lost", lambda _w, d, _: acts.lens(d, "slow", on=True), "encoder well"),
    Phrase("encoder well", "it keeps up", lambda _w, d, _: acts.lens(d, "slow", on=False)),
    Phrase(
        "receiver {state}",
        "positions: no satellites, no word at all, far off now and then, false, or well again",
        lambda _w, d, v: acts.receiver(d, v[0]),
        "receiver well",
    ),
    Phrase("certificate expires", "the device's certificate is over", lambda w, d, _: acts.expires(w, d), "certificate renewed"),
    Phrase("certificate renewed", "it has a new one", lambda w, d, _: w.certificate_ends_ms.pop(d.name, None)),
    Phrase("key copied and used", "somebody who has the device's key writes a line in its name", lambda w, d, _: acts.thief(w, d)),
    Phrase("journal admitted", "an administrator lets in the journal that is written now", lambda w, d, _: w.admit(d)),
    Phrase("order {order}", "the server gives an order", lambda w, d, v: acts.order(w, d, v[0])),
    Phrase("old order {order} again", "the last order once more", lambda w, d, v: acts.order(w, d, v[0], again=True)),
    Phrase("stranger orders {order}", "an order that our server did not sign", lambda w, d, v: acts.order(w, d, v[0], by="stranger")),
    Phrase("server off", "the process is killed", lambda w, _d, _: w.server.kill(), "server on"),
    Phrase("server killed before a commit", "nothing of it was done", lambda w, _d, _: w.server.kill("before"), "server on"),
    Phrase("server killed behind a commit", "it is durable, nobody was told", lambda w, _d, _: w.server.kill("behind"), "server on"),
    Phrase("server on", "it starts", lambda w, _d, _: w.server.start()),
    Phrase("server copied", "a backup of its data folder", lambda w, _d, _: w.server.copy()),
    Phrase("server set back", "the backup takes the place of everything since", lambda w, _d, _: acts.set_back(w)),
    Phrase("broker off", "the broker is killed", lambda w, _d, _: w.broker.kill(), "broker on"),
    Phrase("broker on", "it starts with what it knew", lambda w, _d, _: w.broker.start()),
    Phrase("broker on and empty", "it starts and has forgotten everything", lambda w, _d, _: w.broker.start(empty=True)),
    Phrase(
        "broker doubles {percent} %",
        "so many messages come twice",
        lambda w, _d, v: acts.mischief(w, doubles=float(v[0]) / 100),
        "broker well",
    ),
    Phrase(
        "broker loses {percent} %", "so many messages never come", lambda w, _d, v: acts.mischief(w, loses=float(v[0]) / 100), "broker well"
    ),
    Phrase(
        "broker late {number} ms",
        "messages come up to so late, and overtake each other",
        lambda w, _d, v: acts.mischief(w, late_ms=int(v[0])),
        "broker well",
    ),
    Phrase("broker well", "nothing of that any more", lambda w, _d, _: acts.broker_well(w)),
    Phrase(
        "strangers answer {percent} %",
        "another deployment's server answers so many requests, and on the broker",
        lambda w, _d, v: w.mix_in_a_stranger(float(v[0]) / 100),
        "strangers gone",
    ),
    Phrase("strangers gone", "only our server answers", lambda w, _d, _: w.mix_in_a_stranger(0)),
)

CHOICES = {
    "button": ("record", "mark"),
    "source": ("gnss", "ntp", "server", "rtc", "nobody"),
    "fate": ("broken", "gone", "older"),
    "state": ("lost", "stuck", "jumps", "lies", "well"),
    "order": ("start", "stop", "mark", "locate", "upload", "purge"),
}
"""placeholder → the words that may stand there."""

_PLACES = {
    "span": r"(\d+(?:\.\d+)?\s*(?:ms|s|min|h|days?|years?))",
    "number": r"(\d+(?:\.\d+)?)",
    "percent": r"(\d+(?:\.\d+)?)",
    **{name: f"({'|'.join(words)})" for name, words in CHOICES.items()},
}


def _pattern(words: str) -> re.Pattern[str]:
    text = re.escape(words).replace(r"\{", "{").replace(r"\}", "}").replace(r"\ ", " ")
    for name, place in _PLACES.items():
        text = text.replace("{" + name + "}", place)
    return re.compile(text)


_PATTERNS = tuple((row, _pattern(row.words)) for row in PHRASES)
