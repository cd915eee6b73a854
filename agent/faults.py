"""What may fail while a recorder is on, in one table: what screen and `status` say of it, for how long, and which line is on record.

Rules:
- Every fault is felt and heard when it happens: sound and vibration `short-short-short` (`pipeline.signals.PATTERNS`), no sound
  where the recorder is discreet. The lamp goes to `alarm`; while a recording runs it goes on saying so.
- Under one place stands one sentence at a time, the newest. It stands until its reason is over; one that `passes` is over by
  itself, a minute after it happened, and a fault that comes again meanwhile is not felt again.
- A `mild` one is felt and stands on the screen, and the lamp stays `ready`: a receiver without a sky is an everyday thing, and a
  lamp that says `alarm` in every house teaches people to look away.
- What is lost is never said here alone: the journal has the line that stands in the table, and a `gap` for media.

docs/faults.md says the same to officers and administrators.
"""

from __future__ import annotations

from dataclasses import dataclass

PASSES_AFTER_US = 60_000_000


@dataclass(frozen=True, slots=True)
class Fault:
    """`says` is a sentence with its figures in braces; `line` the kind of the journal's line and its `event`, empty where there is none."""

    place: str
    says: str
    line: str
    passes: bool = False
    mild: bool = False


# the most serious first: in this order they stand on the screen and in `status`
FAULTS: dict[str, Fault] = {
    # the disk
    "disk-refuses": Fault("disk", "the disk refuses: recording ends", "storage failed"),
    "disk-unwritable": Fault("space", "the disk can't be written: no recording", "storage unwritable"),
    "disk-full": Fault("space", "disk full: no recording", "storage full"),
    "disk-low": Fault("space", "disk nearly full", "storage low"),
    "disk-slow": Fault(
        "disk-slow", "the disk is slower than the recording: seconds are not safe yet", "storage slow", passes=True, mild=True
    ),
    # what looks and listens
    "camera-missing": Fault("camera", "no camera", ""),
    "nothing-to-record": Fault("camera", "no camera and no microphone", ""),
    "camera-lost": Fault("camera", "camera lost", "camera camera-lost"),
    "microphone-missing": Fault("microphone", "no microphone", ""),
    "microphone-lost": Fault("microphone", "microphone lost", "camera microphone-lost"),
    "microphone-silent": Fault("microphone", "microphone silent", "camera microphone-silent"),
    "media-dropped": Fault("media", "pictures or sound are being lost", "camera media-dropped"),
    # the clock
    "clock-wrong": Fault("clock", "clock {how}", "clock"),
    "clock-jumped": Fault("clock-jumped", "the clock jumped", "clock", passes=True),
    # the journal
    "journal-tampered": Fault("tamper", "journal: {event}", "tamper {event}"),
    "journal-contradicts": Fault("journal", "the server's copy of the journal excludes ours", ""),
    "journal-differs": Fault("journal", "the server's copy of the journal differs", "tamper other-checkpoint"),
    "journal-next": Fault("journal", "journal {n} begun: call the administrator", "enrol"),
    "card-forgot": Fault("card", "the card forgot lines ({lines}): replace it", "storage taken-back"),
    # the supply
    "battery-critical": Fault("power", "battery critical: {percent} %", "power critical"),
    "battery-low": Fault("power", "battery low: {percent} %", "power low"),
    "battery-unknown": Fault("power", "the battery does not answer", "power unknown"),
    # the server
    "certificate-missing": Fault("server", "no certificate for the server", ""),
    "server-lost": Fault("server", "the server lost {lines} lines of ours", ""),
    "server-refuses": Fault("server", "the server refuses media of {recording}", "storage refused"),
    # what was recorded
    "media-damaged": Fault("storage", "media damaged: {recording} {track}", "storage damaged"),
    "ring-short": Fault("ring-short", "the seconds before the press are short of memory", "camera ring-short", passes=True),
    "still-failed": Fault("still-failed", "no still was taken", "camera still-failed", passes=True),
    "encoder-fault": Fault("encoder-fault", "the encoder failed", "camera encoder-fault", passes=True),
    "index-rebuilt": Fault("index", "the index was broken and is built again", "storage index-rebuilt", passes=True, mild=True),
    # the other roles of the board
    "locator-missing": Fault("locator", "no locator", ""),
    "locator-lost": Fault("locator", "no position", "camera locator-lost", mild=True),
    "locator-doubt": Fault("locator", "position doubtful", "camera locator-doubt", mild=True),
    "climate-missing": Fault("climate", "no climate", ""),
    "scanner-missing": Fault("scanner", "no scanner", ""),
    "button-missing": Fault("button", "no button", ""),
    "indicator-missing": Fault("indicator", "no indicator", ""),
    "power-missing": Fault("power", "no power", ""),
}
"""name → what it is."""

ORDER = tuple(dict.fromkeys(fault.place for fault in FAULTS.values()))
"""Places, the most serious first."""
