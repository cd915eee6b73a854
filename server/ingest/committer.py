"""Admits batches: many devices in one commit, then one cosignature each.

Order (docs/evidence-format.md, section 5): who speaks (`admission`), what does it mean (`replicate`), cosign, commit, publish.
Nothing is published before it is durable. Nothing of a refused batch is kept, save the checkpoints of forks. No line is
parsed here: meaning is read later (`indexer`).

A batch that begins beyond what is held is parked for a moment, because the one before it may be on its way.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agent.core import merkle, wire
from server.config import Ingest
from server.database import Transaction, Writer
from server.errors import Closed
from server.ingest import replicate
from server.ingest.admission import Offer, open_batch
from server.ingest.reasons import MEANINGS, Reason, Refusal
from server.ingest.refusals import Refusals
from server.ledger import logs
from server.ledger.enrolments import Enrolments
from server.ledger.ledger import Ledger
from server.ledger.witness import Witness
from server.metrics import Metrics

log = logging.getLogger(__name__)

MAX_GROUP = 512
"""Batches in one commit: bounds how long the first of them waits."""
MAX_PARKED = 16
"""Early batches of one journal that are parked."""


@dataclass(slots=True)
class Journal:
    """A device's log as the next commit will find it."""

    head: logs.Head
    held: replicate.Held
    cosigned: str | None


@dataclass(slots=True)
class Group:
    """What one transaction does."""

    transaction: Transaction
    journals: dict[str, Journal] = field(default_factory=dict)
    growths: dict[str, logs.Growth] = field(default_factory=dict)
    answers: dict[str, tuple[str, str]] = field(default_factory=dict)
    refusals: list[tuple[str, Refusal]] = field(default_factory=list)
    parked: dict[str, list[Offer]] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)


class Committer:
    """`offer` takes what the broker brings, from any thread; the writer's thread does the rest."""

    def __init__(
        self, writer: Writer, held: logs.Logs, ledger: Ledger, enrolments: Enrolments, witness: Witness, settings: Ingest, metrics: Metrics
    ) -> None:
        self._writer, self._logs, self._ledger, self._enrolments = writer, held, ledger, enrolments
        self._witness, self._settings, self._metrics = witness, settings, metrics
        self._refusals = Refusals(metrics)
        self._journals: dict[str, Journal] = {}
        self._parked: dict[str, list[Offer]] = {}
        self._queue: deque[tuple[str, bytes]] = deque()
        self._queued = 0
        self._room = threading.Condition()
        self._scheduled = False
        self._answer: Callable[[str, str], None] = lambda _device, _note: None
        self._grown: list[Callable[[Mapping[str, logs.Growth]], None]] = []
        writer.on_start_over(self._journals.clear)
        metrics.gauge("zhilu_queue_bytes", lambda: self._queued)

    def answer_with(self, answer: Callable[[str, str], None]) -> None:
        """Who hands a device its newest cosigned checkpoint: `answer(device, note)`."""
        self._answer = answer

    def subscribe(self, grown: Callable[[Mapping[str, logs.Growth]], None]) -> None:
        """Whom to tell, in the writer's thread, which journals became longer, and by what."""
        self._grown.append(grown)

    # ----------------------------------------------------------------------- taking in

    def offer(self, device: str, payload: bytes) -> None:
        """Queue a batch from the device's topic. Waits where too much is queued already: the broker keeps the rest."""
        if len(payload) > wire.MAX_BATCH_BYTES:
            self._refusals.refuse(device, Refusal(Reason.TOO_LARGE, f"{len(payload)} bytes"))
            return
        with self._room:
            self._room.wait_for(lambda: self._queued < self._settings.queue_bytes)
            self._queue.append((device, payload))
            self._queued += len(payload)
            scheduled, self._scheduled = self._scheduled, True
        if not scheduled:
            self._schedule()

    def _schedule(self) -> None:
        taken: list[tuple[str, bytes]] = []  # a stage may have to run twice: it keeps what it has taken
        try:
            done = self._writer.submit(lambda transaction: self._stage(transaction, taken))
        except Closed:
            return
        done.add_done_callback(lambda future: self._failed(taken) if future.exception() else None)

    def _failed(self, taken: list[tuple[str, bytes]]) -> None:
        for device, _ in taken:
            self._refusals.refuse(device, Refusal(Reason.STORAGE, "the commit failed"))

    def _take(self, taken: list[tuple[str, bytes]]) -> None:
        with self._room:
            while self._queue and len(taken) < MAX_GROUP:
                taken.append(self._queue.popleft())
                self._queued -= len(taken[-1][1])
            more = self._scheduled = bool(self._queue)
            self._room.notify_all()
        if more:
            self._schedule()

    # ----------------------------------------------------------------------- one commit

    def _stage(self, transaction: Transaction, taken: list[tuple[str, bytes]]) -> None:
        if not taken:
            self._take(taken)
        group = Group(transaction)
        offers: dict[str, list[Offer]] = {}
        for device, payload in taken:
            offer = open_batch(device, payload, self._enrolments)
            if isinstance(offer, Refusal):
                group.refusals.append((device, offer))
            else:
                offers.setdefault(offer.batch.origin, []).append(offer)
        for origin, some in offers.items():
            self._decide_all(group, origin, [*self._parked.get(origin, ()), *some])
        self._finish(group)

    def _unpark(self, transaction: Transaction, origin: str) -> None:
        """The moment is over: what is still too early is answered."""
        group = Group(transaction)
        self._decide_all(group, origin, self._parked.get(origin, []), last_chance=True)
        self._finish(group)

    def _finish(self, group: Group) -> None:
        logs.grow(group.transaction, list(group.growths.values()))
        group.transaction.after_commit(lambda: self._committed(group))

    def _decide_all(self, group: Group, origin: str, offers: list[Offer], *, last_chance: bool = False) -> None:
        early: list[Offer] = []
        for offer in sorted(offers, key=lambda one: (one.batch.first, one.batch.size)) if len(offers) > 1 else offers:
            if not last_chance and len(early) < MAX_PARKED and offer.batch.first > self._journal(group, origin).head.size:
                early.append(offer)
            else:
                self._decide(group, origin, offer)
        group.parked[origin] = early

    def _journal(self, group: Group, origin: str) -> Journal:
        journal = group.journals.get(origin) or self._journals.get(origin)
        if journal is None:
            head = self._logs.head(origin, group.transaction.connection)
            assert head is not None, f"{origin} is enrolled and has no log"
            journal = Journal(head, replicate.Held(head.range), self._logs.checkpoint(origin, group.transaction.connection))
        group.journals[origin] = journal
        return journal

    def _decide(self, group: Group, origin: str, offer: Offer) -> None:
        journal = self._journal(group, origin)
        decision = replicate.decide(journal.held, offer.batch, lambda size: self._root(group, origin, size))
        if isinstance(decision, replicate.Admitted):
            outcome, journal = "admitted", self._admit(group, journal, offer, decision)
        elif isinstance(decision, replicate.Answered):
            outcome = "doubled"
        else:
            outcome, journal = "refused", self._refuse(group, journal, offer, decision)
        group.journals[origin] = journal
        group.outcomes[outcome] = group.outcomes.get(outcome, 0) + 1
        refused = isinstance(decision, replicate.Refused) and not MEANINGS[decision.reason].answered
        if journal.cosigned is not None and not refused:
            group.answers[origin] = (offer.device, journal.cosigned)

    def _root(self, group: Group, origin: str, size: int) -> bytes:
        """Root of the first lines, of which the last may have come with this very group."""
        growth = group.growths.get(origin)
        if growth is None or size <= growth.before.size:
            return self._logs.root(origin, size, group.transaction.connection)
        tree = growth.before.range.copy()
        for batch in growth.batches:
            for line in batch.lines[: size - tree.size]:
                tree.append(merkle.leaf_hash(line))
        return tree.root()

    def _admit(self, group: Group, journal: Journal, offer: Offer, decision: replicate.Admitted) -> Journal:
        origin = offer.batch.origin
        seconds = self._witness.time(journal.head.cosigned_s)
        cosigned = offer.signed + self._witness.line(offer.body, seconds)
        after = logs.Head(journal.head.id, origin, decision.held.range, seconds)
        before = group.growths.get(origin)
        batches = before.batches if before else []
        batches.append(logs.Batch(decision.first, list(decision.lines), cosigned))
        group.growths[origin] = logs.Growth(before.before if before else journal.head, after, batches)
        return Journal(after, decision.held, cosigned)

    def _refuse(self, group: Group, journal: Journal, offer: Offer, decision: replicate.Refused) -> Journal:
        if decision.reason in (Reason.FORK, Reason.SUSPECTED_FORK):
            self._keep_fork(group.transaction, journal, offer, decision.reason)
        group.refusals.append((offer.device, Refusal(decision.reason, f"{offer.batch.origin}: {decision.detail}")))
        return Journal(journal.head, decision.held, journal.cosigned)

    def _keep_fork(self, transaction: Transaction, journal: Journal, offer: Offer, reason: Reason) -> None:
        """Keep both signatures, and say so in the ledger."""
        batch = offer.batch
        covering = self._logs.cosigned_covering(batch.origin, batch.size, transaction.connection) or journal.cosigned or ""
        new = logs.keep_fork(
            transaction,
            journal.head,
            covering,
            at=self._witness.now_ms(),
            reason=reason.value,
            size=batch.size,
            root=batch.root,
            note=offer.signed,
            lines=b"\n".join(batch.lines),
        )
        if new:
            log.error("%s: two histories of the journal %s at size %d", offer.device, batch.origin, batch.size)
            members = {"device": offer.device, "origin": batch.origin, "reason": reason.value, "checkpoint": offer.body, "held": covering}
            self._ledger.stage(transaction, "fork", members)

    # ----------------------------------------------------------------------- after the commit

    def _committed(self, group: Group) -> None:
        self._journals.update(group.journals)
        for device, cosigned in group.answers.values():
            self._answer(device, cosigned)
        for origin, early in group.parked.items():
            self._park(origin, early)
        for device, refusal in group.refusals:
            self._refusals.refuse(device, refusal)
        for outcome, count in group.outcomes.items():
            self._metrics.add("zhilu_batches_total", outcome, count)
        if group.growths:
            self._metrics.add("zhilu_commits_total")
            self._metrics.add("zhilu_cosigned_total", amount=sum(len(g.batches) for g in group.growths.values()))
            self._metrics.add("zhilu_lines_total", amount=sum(g.after.size - g.before.size for g in group.growths.values()))
            for told in self._grown:
                told(group.growths)

    def _park(self, origin: str, early: list[Offer]) -> None:
        if not early:
            self._parked.pop(origin, None)
            return
        if origin not in self._parked:
            self._writer.submit_later(self._settings.park_ms / 1000, lambda transaction: self._unpark(transaction, origin))
        self._parked[origin] = early
