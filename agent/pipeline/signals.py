"""What the officer sees, hears and feels: a function from what is to what is shown.

Rules:
- Red lamp and the word REC mean that fragments are being made *and* become durable; anything else is no recording.
- A loss is felt and heard when it happens and stands on the screen until it is over; while a recording runs the lamp goes on
  saying so, because an officer who reads "alarm" as "not recording" would stop.
- Discreet: while recording no lamp and no sound; vibration stays.
- A time that nobody vouches for is shown with `*`.
"""

from __future__ import annotations

from dataclasses import dataclass

from hal.contracts import Signal

GIB = 1 << 30
MIB = 1 << 20

PATTERNS = {"start": "long", "stop": "long-long", "mark": "short", "alarm": "short-short-short", "still": "short"}
"""What happened → the pattern that is vibrated and sounded; a start feels different from a stop, in gloves too."""


@dataclass(frozen=True, slots=True)
class Glance:
    """Everything that is shown; None where a thing can't be measured.

    `alarms` are sentences, the most serious first; `grave`: one of them at least is for the lamp.
    """

    enrolled: bool = True
    recording: bool = False
    elapsed_s: int = 0
    battery_percent: int | None = None
    charging: bool | None = None
    free_bytes: int | None = None
    waiting_bytes: int = 0
    clock: str = ""
    clock_trusted: bool = True
    online: bool = False
    alarms: tuple[str, ...] = ()
    grave: bool = True
    discreet: bool = False


def signal(now: Glance, happened: str = "") -> Signal:
    """The signal for what is now; `happened` is one of PATTERNS or empty."""
    pattern = PATTERNS.get(happened, "")
    dark = now.discreet and now.recording
    return Signal("off" if dark else lamp(now), "" if dark else pattern, pattern, screen(now))


def lamp(now: Glance) -> str:
    """The lamp's state."""
    if not now.enrolled:
        return "unenrolled"
    if now.recording:
        return "recording"
    return "alarm" if now.alarms and now.grave else "ready"


def screen(now: Glance) -> tuple[str, ...]:
    """Lines of a small display."""
    if not now.enrolled:
        return ("NOT ENROLLED", "no recording")
    first = f"REC {clock_face(now.elapsed_s)}" if now.recording else "ALARM" if now.alarms and now.grave else "READY"
    lines = [first, f"{now.clock}{'' if now.clock_trusted else ' *'}".strip()]
    if now.battery_percent is not None:
        lines.append(f"battery {now.battery_percent} %{' +' if now.charging else ''}")
    if now.free_bytes is not None:
        lines.append(f"free {size(now.free_bytes)}")
    lines.append(f"waiting {size(now.waiting_bytes)}{'' if now.online else ', offline'}")
    return tuple(line for line in (*lines, *(f"! {alarm}" for alarm in now.alarms)) if line)


def clock_face(seconds: int) -> str:
    """hh:mm:ss."""
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def size(count: int) -> str:
    """Bytes as people read them on a small screen."""
    return f"{count / GIB:.1f} GB" if count >= GIB else f"{count // MIB} MB"
