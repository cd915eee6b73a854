"""Asks the server what it holds of a recording, where we can't be sure: our own notes of what was sent are not its word.

Rules:
- A request that broke off may have brought some of its fragments (docs/evidence-format.md, section 5: what was checked counts). They
  are asked for before anything of that recording goes again, so that a bad line costs the fragment that it broke and no other.
- A start, or an index that was built anew, may have forgotten what was sent: the server is asked once of each recording from before,
  when its turn has come.
- A recording that was sent whole and has no receipt after a while is asked for too: a server that was restored, or another that
  answered in its place, does not hold what ours once said it had. What is missing waits again. Each answer that changes
  nothing doubles the while, up to an hour.
- Only the server's own JSON for exactly that recording is an answer. Its 404 `not-found` says nothing about bytes: it has not read
  our lines into its catalogue yet.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from agent.uplink.errors import NoAnswer
from agent.uplink.https import json_object, shown

if TYPE_CHECKING:
    from agent.uplink.https import Https
    from agent.uplink.ports import Fragment, Waiting

log = logging.getLogger(__name__)

NOT_FOUND = "urn:zhilu:not-found"
LOOK_US = 5_000_000
FIRST_US = 60_000_000
MAX_US = 3_600_000_000


class Doubts:
    """What is to be asked; `settle` asks. For one thread. `found_bytes` had arrived after all, `missed_bytes` had not."""

    def __init__(self, https: Https, device: str, waiting: Waiting, up_us: Callable[[], int], first_us: int = FIRST_US) -> None:
        self.found_bytes = 0
        self.missed_bytes = 0
        self._https, self._device, self._waiting, self._up_us, self._first_us = https, device, waiting, up_us, first_us
        self._broken: dict[str, None] = {}
        self._next_us = 0
        self._asked: dict[str, tuple[int, int]] = {}

    def broke(self, recording: str) -> None:
        """A request for it ended without an answer."""
        self._broken[recording] = None

    def meet(self, recordings: Iterable[str]) -> bool:
        """These are next: whether one of them must be asked about before."""
        met = {one for one in recordings if self._waiting.uncertain(one)}
        self._broken |= dict.fromkeys(sorted(met))
        return bool(met)

    def settle(self) -> None:
        """Ask about what is in doubt now. NoAnswer: ask again later."""
        for recording in list(self._broken):
            self._ask(recording)
            del self._broken[recording]
        for recording in self._unproved():
            self._ask(recording)

    def _unproved(self) -> list[str]:
        """Those whose time has come; for each the time of the next question is set before it is asked."""
        now = self._up_us()
        if now < self._next_us:
            return []
        self._next_us = now + LOOK_US
        names = self._waiting.unproved()
        self._asked = {name: self._asked.get(name, (now + self._first_us, self._first_us)) for name in names}
        due = [name for name in names if self._asked[name][0] <= now]
        for name in due:
            while_us = min(self._asked[name][1] * 2, MAX_US)
            self._asked[name] = (now + while_us, while_us)
        return due

    def _ask(self, recording: str) -> None:
        status, kind, answer = self._https.request("GET", f"/api/v1/media/{self._device}/{recording}")
        said = json_object(kind, answer)
        held = _held(recording, status, said)
        if held is None:
            if status == 404 and said is not None and said.get("type") == NOT_FOUND:
                return
            raise NoAnswer(f"expected what is held of {recording}, got status {status}: {shown(answer)}")
        arrived = [one for one in self._waiting.of(recording, sent=False) if _holds(held, one)]
        lost = [one for one in self._waiting.of(recording, sent=True) if not _holds(held, one)]
        self._note(recording, arrived, lost)

    def _note(self, recording: str, arrived: list[Fragment], lost: list[Fragment]) -> None:
        if arrived:
            self._waiting.sent(arrived)
        if lost:
            self._waiting.unsent(lost)
            log.error("the server does not hold what it had taken: sending again", extra={"recording": recording, "fragments": len(lost)})
        self.found_bytes += sum(one.bytes for one in arrived)
        self.missed_bytes += sum(one.bytes for one in lost)


Held = dict[str, list[tuple[int, int]]]
"""Track → ranges [first, end) of `seq`."""


def _held(recording: str, status: int, said: dict[str, Any] | None) -> Held | None:
    """What the server holds by its answer; None where that is none."""
    tracks = said.get("tracks") if said is not None else None
    if status != 200 or said is None or said.get("recording") != recording or not isinstance(tracks, list):
        return None
    try:
        return {str(one["track"]): [(int(first), int(end)) for first, end in one["held"]] for one in tracks}
    except (TypeError, ValueError, KeyError, OverflowError):  # JSON's 1e999 is no number of anything
        return None


def _holds(held: Held, one: Fragment) -> bool:
    return any(first <= one.seq < end for first, end in held.get(one.track, ()))
