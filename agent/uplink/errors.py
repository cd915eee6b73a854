"""What can go wrong between the device and the server.

UplinkError (AgentError)
├── Refused          something that came in does not count; `reason` is one of REASONS
├── NoAnswer         the server or the broker could not be reached, or said nothing that counts: try again later
└── Contradiction    the server holds another journal under our name: both are kept, an administrator decides

The closed list of REASONS is what is counted and shown in `health`; a refusal changes nothing.
"""

from __future__ import annotations

from typing import Literal, get_args

from agent.errors import AgentError

Reason = Literal[
    "too-long",  # more than the kind of message can have
    "not-text",  # not UTF-8
    "malformed",  # not a note, not a proof, not a line with meaning
    "no-signature",  # no key that we trust for this purpose signed it, or a signature fails
    "foreign",  # of another origin, ledger, or recording
    "other-root",  # a checkpoint of a size that we have, with another root: somebody forked the journal
    "ahead",  # a checkpoint beyond what we have: only the handshake may bring that
    "other-figures",  # a receipt whose members are not ours
    "unproved",  # the hashes do not lead to the signed root
    "older",  # smaller than what we have already, or a number that was taken
    "expired",  # an order whose time is over
    "unknown",  # a recording that we never stopped, a topic that we never asked for
]

REASONS: tuple[Reason, ...] = get_args(Reason)


class UplinkError(AgentError):
    """Something between the device and the server failed; the message says which thing, expected and got."""


class Refused(UplinkError):
    """What came in does not count, and nothing was changed; `reason` is one of REASONS."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason


class NoAnswer(UplinkError):
    """Nothing came back that counts as an answer; the same is tried again later."""


class Contradiction(UplinkError):
    """The server's copy of our journal is not ours: an alarm, and an administrator's decision."""
