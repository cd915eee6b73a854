"""What the pages show, as plain values: made from the catalogue, the journals and the ledger by pure functions.

Times of events are ms of media time: a line's `up` minus the recording's epoch. Nothing here is kept; nothing is decided.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from agent.core import kinds
from agent.core import lines as core_lines
from agent.core.errors import LineError
from server.console.show import rest_of, size
from server.console.text import Text
from server.ledger.enrolments import Enrolment
from server.ledger.ledger import Entry
from server.ledger.logs import Head
from server.store.catalogue import Fragment, Recording

States = Mapping[tuple[str, str], tuple[int, str]]
"""(device, topic) → (at, JSON): what devices last said of themselves."""

RECORDINGS_SHOWN = 50
_ALARMS_SHOWN = 8


def said(states: States, device: str, topic: str) -> dict[str, Any]:
    """What a device last said on a topic; empty when nothing, or nothing readable."""
    _, payload = states.get((device, topic), (0, "{}"))
    try:
        value = json.loads(payload)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def device_state(status: Mapping[str, Any]) -> str:
    """`offline` `alarm` `recording` `ready`: one word for the device."""
    if status.get("online") is not True:
        return "offline"
    state = status.get("state")
    return state if state in ("alarm", "recording") else "ready"


def device(enrolment: Enrolment, head: Head | None, states: States) -> dict[str, Any]:
    """A row of the devices' table, and the facts of its page."""
    status, health = said(states, enrolment.device, "status"), said(states, enrolment.device, "health")
    backlog = health.get("backlog") if isinstance(health.get("backlog"), dict) else {}
    assert isinstance(backlog, dict)
    alarms = status.get("alarms") if status.get("online") is True and isinstance(status.get("alarms"), list) else []
    assert isinstance(alarms, list)
    return {
        "id": enrolment.device,
        "origin": enrolment.origin,
        "vkey": enrolment.vkey,
        "state": device_state(status),
        "battery": _number(health.get("battery")),
        "backlog_lines": _number(backlog.get("lines", health.get("backlog_lines"))),
        "backlog_bytes": _number(backlog.get("bytes", health.get("backlog_bytes"))),
        "size": head.size if head else 0,
        "cosigned_ms": head.cosigned_s * 1000 if head and head.cosigned_s else None,
        "software": str(status.get("software", ""))[:40],
        "alarms": [str(one)[:80] for one in alarms[:_ALARMS_SHOWN]],
        "health": health,
    }


def health_facts(health: Mapping[str, Any], text: Text) -> list[tuple[str, str]]:
    """A device's figures for people: (name, value). What it did not say, or said in another type, is left out."""
    percent, degrees = _number(health.get("battery")), _number(health.get("temperature"))
    facts = []
    if percent is not None:
        facts.append((text.battery, f"{percent} %" + (f", {text.charging}" if health.get("charging") is True else "")))
    for name, label in (("free", text.free_space), ("memory_free", text.free_memory)):
        if _number(health.get(name)) is not None:
            facts.append((label, size(health[name])))
    if degrees is not None:
        facts.append((text.temperature, f"{degrees / 1000:.1f} °C"))
    clock = health.get("clock")
    if isinstance(clock, dict):
        source, error = str(clock.get("source", ""))[:10], _number(clock.get("error"))
        facts.append(
            (text.clock, text.clock_of_none if source == "none" or error is None else text.clock_of.format(source=source, error=error))
        )
    if isinstance(health.get("position"), bool):
        facts.append((text.satellites, text.yes if health["position"] else text.no))
    return facts


def recording(one: Recording, labels: Iterable[str]) -> dict[str, Any]:
    """A row of the recordings' table."""
    return {
        "id": one.recording,
        # What links name: another device may have used the same id, by accident or to be in the way.
        "name": f"{one.device}:{one.recording}",
        "device": one.device,
        "officer": one.officer,
        "case": one.case_id,
        "matter": one.matter,
        "trigger": one.trigger,
        "state": "incomplete" if one.irregular else one.state,
        "started_ms": one.started_at,
        "duration_ms": one.duration,
        "fragments": one.fragments,
        "held": one.held,
        "held_bytes": one.held_bytes,
        "marks": list(labels),
        "gaps": one.gaps,
        "stored_ms": one.stored_at,
    }


def journal_of(one: Recording, lines: Iterable[bytes]) -> list[dict[str, Any]]:
    """The recording's lines with meaning, each with `pts`: its place in media time."""
    found: list[dict[str, Any]] = []
    epoch: int | None = None
    for line in lines:
        try:
            members = kinds.meaning(line)
        except LineError:
            continue
        if members.get("recording") != one.recording:
            continue
        if members["kind"] == "start":
            epoch = members["epoch"]
        if epoch is not None:
            found.append({**members, "pts": members["pts"] if members["kind"] == "fragment" else max(0, members["up"] - epoch)})
    return found


def timeline(one: Recording, fragments: Iterable[Fragment], story: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What the page's script draws: pieces, gaps, marks and fixes on one scale of media time."""
    story = list(story)
    before = {m["pts"] for m in story if m["kind"] == "fragment" and m.get("pre") is True}
    gaps = [{"from": m["from"], "lost": m["lost"], "reason": m["reason"]} for m in story if m["kind"] == "gap"]
    return {
        # A gap at the end lies behind the last fragment.
        "duration": max([one.duration, *(gap["from"] + gap["lost"] for gap in gaps)]),
        "pieces": [{"pts": f.pts, "duration": f.duration, "held": f.held, "pre": f.pts in before} for f in fragments if f.duration],
        "gaps": gaps,
        "marks": [{"pts": m["pts"], "label": m["label"]} for m in story if m["kind"] == "mark"],
        "fixes": [
            {"pts": m["pts"], "lat": m["lat"], "lon": m["lon"], "speed": _number(m.get("speed"))} for m in story if m["kind"] == "fix"
        ],
    }


def events(story: Iterable[Mapping[str, Any]], text: Text) -> list[dict[str, Any]]:
    """What happened, for people: the kinds that bear on what is seen, by their place in media time.

    A gap stands where the media is missing and the stop where they end: after a power cut both lines are written much later, by
    a clock that began anew.
    """
    shown: list[dict[str, Any]] = []
    end = 0
    for m in story:
        kind, pts = m["kind"], m["pts"]
        if kind == "fragment":
            end = max(end, m["pts"] + m["duration"])
        elif kind == "gap":
            pts, end = m["from"], max(end, m["from"] + m["lost"])
        elif kind == "stop":
            pts = end or pts
        if kind == "mark":
            what = f"★ {m['label'] or text['mark']}"
        elif kind == "gap":
            what = f"{text['gap']}: {m['reason']}, {m['lost']} ms ({m['track']})"
        elif kind == "track" and m["media"] == "image/jpeg":
            what = text["event_still"]
        elif kind in ("power", "storage", "tamper", "camera"):
            what = f"{kind}: {m['event']}"
        elif kind in ("start", "stop"):
            what = f"{text['event_' + kind]} ({text.say('trigger_' + m['trigger'], m['trigger'])})"
        else:
            continue
        shown.append({"pts": pts, "text": what})
    return sorted(shown, key=lambda one: one["pts"])


def custody(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """The recording's lines of the ledger: c, kind, at, by."""
    return [
        {"c": e.members["c"], "kind": e.members["kind"], "at": e.members["at"], "by": str(e.members.get("by", ""))[:40]} for e in entries
    ]


def ledger_line(index: int, line: bytes) -> dict[str, Any]:
    """A row of the ledger's page."""
    members = core_lines.read(line)
    return {"index": index, "at": members["at"], "kind": members["kind"], "rest": rest_of(members)}
