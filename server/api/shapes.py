"""How recordings, tracks and devices look as JSON, and the cursors of lists."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from server.registry.devices import Device
from server.store.catalogue import Recording, Track

MAX_PAGE = 200
MOST = (1 << 63) - 1
"""The largest number that the database keeps."""
Whole = Annotated[int, Field(ge=-MOST, le=MOST)]
Cursor = Annotated[str, Field(pattern=r"^-?[0-9]{1,18}-[0-9]{1,18}$")]
"""As `cursor` writes it; no more digits than the database keeps."""


def recording(one: Recording) -> dict[str, Any]:
    """A recording in a list. Times are ms since 1970 by the device's clock, durations in ms."""
    return {
        "id": one.recording,
        "device": one.device,
        "origin": one.origin,
        "state": one.state,
        "trigger": one.trigger,
        "stop_trigger": one.stop_trigger,
        "officer": one.officer,
        "case": one.case_id,
        "matter": one.matter,
        "continues": one.continues,
        "started_at": one.started_at,
        "stopped_at": one.stopped_at,
        "duration": one.duration,
        "marks": one.marks,
        "gaps": one.gaps,
        "lost_ms": one.lost_ms,
        "irregular": one.irregular,
        "fragments": one.fragments,
        "bytes": one.bytes,
        "held": one.held,
        "held_bytes": one.held_bytes,
        "stored_at": one.stored_at,
        "purged_at": one.purged_at,
    }


def track(one: Track) -> dict[str, Any]:
    """A track of a recording."""
    names = ("track", "media", "codecs", "width", "height", "rate", "source", "fragments", "bytes", "held", "held_bytes", "duration")
    return {name: getattr(one, name) for name in names}


def device(one: Device, sizes: dict[str, int]) -> dict[str, Any]:
    """A device: its journals with their cosigned lines, and what it last said of itself."""
    return {
        "device": one.device,
        "online": one.online,
        "revoked": one.revoked,
        "journals": [{"origin": origin, "lines": sizes[origin]} for origin in one.origins],
        "states": {topic: {"at": state.at, "said": state.said} for topic, state in one.states.items()},
    }


def cursor(one: Recording) -> str:
    """Where the page after this recording begins."""
    return f"{one.started_at}-{one.id}"


def place(cursor: str | None) -> tuple[int, int] | None:
    """What a `Cursor` says."""
    if cursor is None:
        return None
    at, _, ident = cursor.rpartition("-")
    return int(at), int(ident)
