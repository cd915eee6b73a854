"""Why a message is not let in: the closed list. Every reason is counted and logged; nothing of the message is kept but forks.

`answered` says that the device hears the newest cosigned checkpoint all the same, and goes on from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a reason says, and whether the device is answered."""

    sentence: str
    answered: bool = False


class Reason(Enum):
    """Why; the first ones are those of `agent.core.wire.REASONS`."""

    BAD_TOPIC = "bad-topic"
    BAD_ORIGIN = "bad-origin"
    TOO_LARGE = "too-large"
    TOO_MANY_LINES = "too-many-lines"
    TORN = "torn"
    BAD_NOTE = "bad-note"
    BAD_SIZE = "bad-size"
    WRONG_TOPIC = "wrong-topic"
    UNKNOWN_ORIGIN = "unknown-origin"
    REVOKED = "revoked"
    FOREIGN_SIGNATURE = "foreign-signature"
    AHEAD = "ahead"
    WRONG_ROOT = "wrong-root"
    FORK = "fork"
    SUSPECTED_FORK = "suspected-fork"
    STORAGE = "storage"
    BAD_STATE = "bad-state"


MEANINGS = {
    Reason.BAD_TOPIC: Meaning("the topic is not zhilu/<device>/<leaf>"),
    Reason.BAD_ORIGIN: Meaning("the origin is not <domain>/<device>/<n>"),
    Reason.TOO_LARGE: Meaning("more bytes than a message may have"),
    Reason.TOO_MANY_LINES: Meaning("more lines than a batch may have"),
    Reason.TORN: Meaning("no index, no blank line, or a line that is empty or too long"),
    Reason.BAD_NOTE: Meaning("the checkpoint can't be read"),
    Reason.BAD_SIZE: Meaning("the checkpoint is not the one at the end of the lines"),
    Reason.WRONG_TOPIC: Meaning("the checkpoint is another device's than the topic's"),
    Reason.UNKNOWN_ORIGIN: Meaning("the ledger lists no such journal"),
    Reason.REVOKED: Meaning("the journal was revoked and is never cosigned again"),
    Reason.FOREIGN_SIGNATURE: Meaning("the checkpoint is not signed by the journal's key"),
    Reason.AHEAD: Meaning("the batch begins beyond the lines that are held", answered=True),
    Reason.WRONG_ROOT: Meaning("the held and the offered lines do not give the signed root", answered=True),
    Reason.FORK: Meaning("a signed checkpoint of a held size with another root: kept as evidence"),
    Reason.SUSPECTED_FORK: Meaning("a signed checkpoint that complete lines do not give, offered again: kept as evidence"),
    Reason.STORAGE: Meaning("the server could not keep it; the device sends it again"),
    Reason.BAD_STATE: Meaning("status, health or reported state is not a small JSON object"),
}
"""Every reason has a row."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One message that was not let in."""

    reason: Reason
    detail: str
