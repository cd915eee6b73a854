"""The virtual recorders of the demonstration: what each plays, and the settings that say so.

Real media as far as the sample clips go (simulators.media); with `generated` drawings and tones, because somebody asked for
them, never because a clip was missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulators import media

if TYPE_CHECKING:
    from pathlib import Path

WORDS = "Good morning. This inspection is recorded from beginning to end, in picture and in sound. Please show me the licence of this shop."


def units(folder: Path, count: int = 2, *, generated: bool = False, text: str = "") -> dict[str, dict[str, Any]]:
    """Device id → its settings; sounds are made in `folder`. `text` is burnt into every picture and is every mark's label."""
    return {f"DSJ-{number:07d}": _settings(folder, number, text, generated=generated) for number in range(1, count + 1)}


def _settings(folder: Path, number: int, text: str, *, generated: bool) -> dict[str, Any]:
    camera, microphone = _generated() if generated else _moving(folder) if number % 2 else _spoken(folder)
    log = "quectel-eg25-g" if number % 2 else "telit-he910"
    return {
        "overlay": {"officer_number": f"{100_000 + number}"},
        # Somebody is watching: the console shows figures of seconds ago, not of half a minute.
        "uplink": {"health_every_s": 3},
        "buttons": {"still": "still:short", "mark_label": text or "重点标记"},
        "board": {
            "camera": {**camera, **({"text": text} if text else {})},
            "microphone": microphone,
            "locator": {"driver": "simulators.locator:ReplayLocator", "log": log},
            "button": {"driver": "simulators.buttons:Buttons"},
            "indicator": {"driver": "simulators.indicator:Indicator"},
            "power": {"driver": "simulators.battery:Battery", "percent": 87, "percent_per_hour": 12},
        },
    }


def _moving(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """A clip with its own sound, which stay together."""
    clip = media.clip("bigbuckbunny")
    sound = media.sound_of(clip, folder)
    return _file(clip), {"driver": "simulators.microphone:FileMicrophone", "path": str(sound)}


def _spoken(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """A street, and an officer who speaks."""
    return _file(media.clip("bikes")), {"driver": "simulators.microphone:FileMicrophone", "path": str(media.speech(WORDS, folder))}


def _generated() -> tuple[dict[str, Any], dict[str, Any]]:
    return {"driver": "simulators.camera:PatternCamera"}, {"driver": "simulators.microphone:ToneMicrophone"}


def _file(clip: Path) -> dict[str, Any]:
    return {"driver": "simulators.camera:FileCamera", "path": str(clip)}
