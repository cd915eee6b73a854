"""The conversation over the broker: batches out, witness notes, receipts, beacons and orders in, and how the device is.

Rules:
- No batch before the handshake has an answer (`begin`); nothing that comes over MQTT counts as that answer.
- A batch ends at a stored checkpoint, is at most 64 KiB or 256 lines, and a handful is in flight (interfaces.md; `sending`).
- A checkpoint that the witness cosigned beyond our end, or with another root, ends the conversation: the handshake decides. So do
  two waits for a cosignature in vain: a server that was set back to a backup holds less than it once said.
- `status` is retained and published when it changes, `reported` likewise, `health` every so often and not kept. None of them
  queues behind what a slow line has not taken yet.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from agent.core import wire
from agent.uplink.errors import Refused
from agent.uplink.sending import ASK_AFTER, Sending

if TYPE_CHECKING:
    from agent.uplink.inbox import Inbox
    from agent.uplink.mqtt import Link, Message
    from agent.uplink.ports import Log, Surroundings, Told

log = logging.getLogger(__name__)

Report = Callable[[], dict[str, Any]]


def payload(members: dict[str, Any]) -> bytes:
    """Compact JSON, non-ASCII kept."""
    return json.dumps(members, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


class Exchange:
    """One device's conversation; everything but `begin` and `end` runs in the link's thread."""

    def __init__(
        self,
        device: str,
        link: Link,
        inbox: Inbox,
        told: Told,
        reports: dict[str, Report],
        around: Surroundings,
        health_every_s: int,
    ) -> None:
        self.sent_batches = 0
        self.sent_bytes = 0
        self.twice_bytes = 0
        self._furthest = 0
        self._in_vain = 0
        self._device = device
        self._link = link
        self._inbox = inbox
        self._told = told
        self._reports = reports
        self._up_us, self._wall_ms = around.up_us, around.wall_ms
        self._health_every_us = health_every_s * 1_000_000
        self._health_due_us = 0
        self._generation = 0
        self._published: dict[str, bytes] = {}
        self._conversation: tuple[Log, Sending] | None = None
        self._receivers = {
            wire.topic(device, "witness"): self._witness,
            wire.topic(device, "receipt"): self._receipt,
            wire.LEDGER_TOPIC: self._ledger,
        }

    # ----------------------------------------------------------------- the pipeline's side

    def begin(self, journal: Log, sending: Sending) -> None:
        """The handshake has an answer: batches may go."""
        self._furthest = max(self._furthest, sending.replica.cosigned)
        sending.after(self._in_vain)
        self._conversation = (journal, sending)
        self._link.wake()

    def end(self) -> None:
        """No more batches until the next `begin`."""
        self._conversation = None

    @property
    def open(self) -> bool:
        """Whether batches may go."""
        return self._conversation is not None

    def step(self, timeout_s: float = 0.5) -> str:
        """One turn of the conversation; what it did."""
        messages = self._link.turn(timeout_s)
        if self._link.connected and self._link.generation != self._generation:
            self._greet()
        for message in messages:
            self._receive(message)
        batches = self._send() if self._link.connected else 0
        if self._link.flows:
            self._report()
        return f"in {len(messages)}, out {batches}" if messages or batches else ""

    # ----------------------------------------------------------------- out

    def _greet(self) -> None:
        """A new connection: everything that is retained is said again, everything on its way counts as lost."""
        self._generation = self._link.generation
        self._published.clear()
        self._health_due_us = 0
        if self._conversation:
            self._conversation[1].connected()

    def _send(self) -> int:
        if self._conversation is None:
            return 0
        journal, sending = self._conversation
        if sending.overdue(self._up_us(), under_way=self._link.under_way > 0):
            log.info("no cosignature in time: sending again", extra={"from": sending.replica.cosigned})
            if sending.in_vain >= ASK_AFTER:
                self._in_vain = sending.in_vain
                self.end()
                return 0
        count = 0
        while self._link.room(sending.replica.window) and (first := sending.next_first(journal.size)) is not None:
            # where a single append is larger than what the line seems to carry, it goes all the same
            found = journal.batch(first, max_bytes=sending.batch_bytes) or journal.batch(first)
            if found is None:
                break
            lines, note = found
            sending.replica.grow(first + len(lines))  # the journal may have become longer since it was asked, and the batch with it
            batch = wire.encode_batch(first, lines, note)
            if not self._link.publish(wire.topic(self._device, "journal"), batch):
                break
            sending.sent(first + len(lines), self._up_us())
            count += 1
            self.sent_batches += 1
            self.sent_bytes += len(batch)
            self.twice_bytes += sum(len(line) + 1 for line in lines[: max(self._furthest - first, 0)])
            self._furthest = max(self._furthest, first + len(lines))
        return count

    def _report(self) -> None:
        for leaf in ("status", "reported"):
            if leaf not in self._reports:
                continue
            now = payload(self._reports[leaf]())
            if self._published.get(leaf) != now and self._link.publish(wire.topic(self._device, leaf), now, retain=True):
                self._published[leaf] = now
        if self._up_us() >= self._health_due_us and "health" in self._reports:
            self._link.publish(wire.topic(self._device, "health"), payload(self._reports["health"]()), qos=0)
            self._health_due_us = self._up_us() + self._health_every_us

    # ----------------------------------------------------------------- in

    def _receive(self, message: Message) -> None:
        try:
            if message.topic == wire.topic(self._device, "command"):
                order = self._inbox.judge(lambda: self._inbox.order(message.payload, self._wall_ms()))
                self._told.order(order, message.acknowledge)
                return
            self._receivers.get(message.topic, _not_asked_for)(message.payload)
        except Refused as refusal:
            log.warning("refused", extra={"topic": message.topic[:80], "reason": refusal.reason, "why": str(refusal)})
        message.acknowledge()

    def _witness(self, note: bytes) -> None:
        if self._conversation is None:
            return
        journal, sending = self._conversation
        try:
            news = self._inbox.judge(lambda: self._inbox.witness(note, journal.root_at, sending.replica.cosigned))
        except Refused as refusal:
            if refusal.reason in {"ahead", "other-root"}:
                self.end()
                self._told.forked(str(refusal))
            raise
        if sending.witnessed(news.size, self._up_us()):
            self._in_vain = 0
            self._told.cosigned(news)

    def _receipt(self, proof: bytes) -> None:
        self._told.stored(self._inbox.judge(lambda: self._inbox.receipt(proof, self._told.stopped)))

    def _ledger(self, note: bytes) -> None:
        self._told.beacon(self._inbox.judge(lambda: self._inbox.ledger(note)))


def _not_asked_for(_payload: bytes) -> None:
    raise Refused("unknown", "a message came on a topic that was not asked for")


def topics(device: str) -> list[str]:
    """What a device listens to."""
    return [wire.topic(device, leaf) for leaf in ("witness", "receipt", "command")] + [wire.LEDGER_TOPIC]
