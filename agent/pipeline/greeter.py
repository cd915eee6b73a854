"""The handshake as a daemon: asks until there is an answer, lets the journal take back what it lost, then lets sending begin.

Rules (docs/evidence-format.md, section 4, handshake):
- The recorder records meanwhile; nothing is published.
- Where the server's copy and ours exclude each other, recording goes on in journal n+1: the pipeline is told, once.
- After a fork was seen on the wire, the handshake is asked again before anything more is sent.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from agent.core.backoff import Backoff
from agent.core.replica import Replica
from agent.journal.adopt import adopt
from agent.journal.errors import Contradiction as JournalContradiction
from agent.uplink.errors import Contradiction, NoAnswer
from agent.uplink.handshake import Behind
from agent.uplink.sending import Sending

if TYPE_CHECKING:
    from agent.config import UplinkSection
    from agent.journal.scribe import Scribe
    from agent.pipeline.clerk import Clerk
    from agent.pipeline.evidence import Evidence
    from agent.pipeline.news import News
    from agent.pipeline.state import State
    from agent.uplink.exchange import Exchange
    from agent.uplink.handshake import Handshake
    from agent.uplink.ports import Surroundings

log = logging.getLogger(__name__)

ADOPT_WITHIN_S = 600.0
"""Taking a day's lines back and looking for their media is minutes of work on a slow card."""

MS = 1_000


class Greeter:
    """One journal's handshakes."""

    def __init__(
        self,
        handshake: Handshake,
        exchange: Exchange,
        evidence: Evidence,
        clerk: Clerk,
        news: News,
        state: State,
        settings: UplinkSection,
        around: Surroundings,
    ) -> None:
        self.last_error = ""
        self.contradicted: str = ""
        self._handshake, self._exchange = handshake, exchange
        self._scribe, self._signer = evidence.scribe, evidence.signer
        self._clerk, self._news, self._state, self._settings, self._around = clerk, news, state, settings, around
        self._backoff = Backoff(settings.reconnect_first_ms, settings.reconnect_max_ms)
        self._not_before_us = 0

    def step(self) -> str:
        """Ask where it is time; what came of it."""
        if self._exchange.open or self.contradicted or self._around.up_us() < self._not_before_us:
            return ""
        try:
            return self._greet()
        except NoAnswer as error:
            return self._later(str(error))
        except (Contradiction, JournalContradiction) as error:
            self.contradicted = str(error)
            log.error("the server's journal excludes ours", extra={"why": self.contradicted})  # noqa: TRY400 — the sentence says it all
            self._state.alarm("journal-contradicts")
            return "contradicted"

    def _later(self, why: str) -> str:
        self.last_error = why
        wait_ms = self._backoff.next(self._around.random01())
        self._not_before_us = self._around.up_us() + wait_ms * MS
        log.info("no handshake yet", extra={"why": why, "next_ms": wait_ms})
        return "no answer"

    def _greet(self) -> str:
        journal = self._scribe.journal
        answer = self._handshake.ask(journal, journal.cosigned_size)
        if isinstance(answer, Behind):
            self._take_back(answer)
            return f"took back {len(answer.lines)}"
        if answer.forgot:
            log.error("the server lost lines that it had cosigned", extra={"lines": answer.forgot})
            self._state.alarm("server-lost", lines=answer.forgot)
        else:
            self._state.clear("journal")
        if answer.news is not None:
            self._news.cosigned(answer.news)
        replica = Replica(journal.size, answer.size, self._settings.batches_in_flight)
        self._exchange.begin(journal, Sending(replica, self._settings.answer_within_s, self._around.random01))
        self._backoff.reset()
        self.last_error = ""
        return f"agreed at {answer.size}"

    def _take_back(self, behind: Behind) -> None:
        """In the journal's thread, which is the only one that writes; the next step asks again and then agrees."""
        problems: list[JournalContradiction] = []
        taken: list[int] = []

        def work(scribe: Scribe) -> None:
            try:
                taken.append(adopt(scribe, self._signer, behind.first, behind.lines, behind.note))
            except JournalContradiction as problem:
                problems.append(problem)
            if any(taken):
                scribe.event("storage", "taken-back", lines=max(taken))

        log.warning("the server holds lines that this device lost", extra={"from": behind.first, "lines": len(behind.lines)})
        if not self._clerk.written(work, ADOPT_WITHIN_S):
            raise NoAnswer("the journal did not take the fetched lines in time; asking again")
        if problems:
            raise problems[0]
        if any(taken):
            self._state.alarm("card-forgot", lines=max(taken))
