"""The uplink of one recorder put together: link, exchange, handshake and uploads, or nothing of it where its certificates are missing.

The recorder records without it; why it is not there is an alarm and stands in the log.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

from agent.core import note, wire
from agent.pipeline.greeter import Greeter
from agent.pipeline.news import News
from agent.uplink.errors import NoAnswer
from agent.uplink.exchange import Exchange, payload, topics
from agent.uplink.handshake import Handshake
from agent.uplink.inbox import Beacon, Inbox
from agent.uplink.mqtt import Broker
from agent.uplink.upload import Uploader, UploadSettings

if TYPE_CHECKING:
    import ssl

    from agent.config import Settings
    from agent.health import Reports
    from agent.pipeline.clerk import Clerk
    from agent.pipeline.evidence import Evidence
    from agent.pipeline.machine import Machine
    from agent.pipeline.orders import Orders
    from agent.pipeline.state import State
    from agent.uplink.https import Https
    from agent.uplink.mqtt import Link
    from agent.uplink.ports import Surroundings

log = logging.getLogger(__name__)

EXCHANGE_S = 0.5
UPLOAD_S = 1.0
US_PER_S = 1_000_000
RECEIPT_TIMES = 6
"""A receipt takes the server's index, an anchor's time and a message more than a cosignature does."""


class Upward:
    """Everything that talks to the server. Without certificates every step waits and does nothing."""

    def __init__(
        self,
        settings: Settings,
        evidence: Evidence,
        clerk: Clerk,
        orders: Orders,
        state: State,
        reports: Reports,
        around: Surroundings,
        machine: Machine,
    ) -> None:
        self._settings, self._evidence, self._clerk, self._around = settings, evidence, clerk, around
        self._reports, self._machine = reports, machine
        self._idle, self._more = machine.event(), machine.event()
        self.uploader: Uploader | None = None
        self._link: Link | None = None
        self._https: Https | None = None
        self._inbox = self._make_inbox()
        self._news = News(clerk, evidence.index, evidence.receipts, orders, state, self._more.set)
        try:
            context = machine.tls(settings)
        except NoAnswer as error:
            log.error("no way to the server", extra={"why": str(error)})  # noqa: TRY400 — the sentence says it all
            state.alarm("certificate-missing")
            return
        self._make(context, state)

    def _make_inbox(self) -> Inbox:
        story = self._evidence.scribe.journal.story
        inbox = Inbox(self._evidence.enrolment.origin, self._evidence.enrolment.keys, last_order=story.last_order)
        if self._clerk.known_beacon is not None:
            head = note.parse_checkpoint(self._clerk.known_beacon)
            inbox.beacon = Beacon(head.size, self._clerk.known_beacon, "")
        return inbox

    def _make(self, context: ssl.SSLContext, state: State) -> None:
        evidence, settings, chosen, around = self._evidence, self._settings, self._settings.uplink, self._around
        device, broker = evidence.enrolment.device, settings.broker
        address = Broker(
            host=broker.host,
            port=broker.port,
            client_id=device,
            tls=context,
            version=broker.version,
            keepalive_s=broker.keepalive_s,
            session_expiry_s=broker.session_expiry_s,
            reconnect_first_ms=chosen.reconnect_first_ms,
            reconnect_max_ms=chosen.reconnect_max_ms,
        )
        link = self._link = self._machine.link(address, topics(device), self._farewell, around)
        reports = {"status": self._reports.status, "reported": self._reports.reported, "health": self._reports.health}
        self._exchange = Exchange(device, link, self._inbox, self._news, reports, around, chosen.health_every_s)
        https = self._https = self._machine.https(settings, context)
        handshake = Handshake(https, device, evidence.enrolment.n, self._inbox)
        self._greeter = Greeter(handshake, self._exchange, evidence, self._clerk, self._news, state, chosen, around)
        upload = self._machine.uploads(self._upload_settings())
        self.uploader = Uploader(
            https,
            evidence.index,
            evidence.read,
            self._news,
            upload,
            around,
            running=lambda: self._clerk.running.recording if self._clerk.running else None,
        )

    def _upload_settings(self) -> UploadSettings:
        chosen = self._settings.uplink
        return UploadSettings(
            device=self._evidence.enrolment.device,
            parallel=chosen.upload_parallel,
            target_bytes=chosen.upload_request_bytes,
            gather_us=chosen.upload_gather_s * US_PER_S,
            bytes_per_s=chosen.upload_bytes_per_s,
            only_networks=tuple(chosen.only_networks),
            first_ms=chosen.reconnect_first_ms,
            max_ms=chosen.reconnect_max_ms,
            receipt_us=chosen.answer_within_s * RECEIPT_TIMES * US_PER_S,
        )

    def _farewell(self) -> tuple[str, bytes]:
        return wire.topic(self._evidence.enrolment.device, "status"), payload(self._reports.farewell())

    # ----------------------------------------------------------------- steps

    def exchange_step(self) -> str:
        """One turn of the conversation over the broker."""
        if self._link is None:
            self._idle.wait(EXCHANGE_S)
            return ""
        return self._exchange.step(EXCHANGE_S)

    def greet_step(self) -> str:
        """The handshake, where one is due."""
        return self._greeter.step() if self._link is not None else ""

    def upload_step(self) -> str:
        """What waits and may go; waits for news where there is nothing."""
        did = self.uploader.step() if self.uploader is not None else ""
        if not did:
            self._more.wait(UPLOAD_S)
            self._more.clear()
        return did

    def wake(self) -> None:
        """Something became durable."""
        if self._link is not None:
            self._link.wake()

    def mend(self) -> int:
        """Say of every fragment whose bytes are gone that they are gone."""
        return self._news.mend()

    # ----------------------------------------------------------------- figures

    @property
    def online(self) -> bool:
        """Whether the broker is there."""
        return self._link is not None and self._link.connected

    @property
    def contradicted(self) -> str:
        """Why only journal n+1 can go on."""
        return self._greeter.contradicted if self._link is not None else ""

    @property
    def witness_s(self) -> int:
        """Time of the newest cosignature by the witness's clock, 0 without one."""
        return max(self._news.cosigned_s, self._evidence.scribe.journal.cosigned_seconds or 0)

    @property
    def refused(self) -> Counter[str]:
        """Messages that did not count, by reason."""
        return Counter({str(reason): count for reason, count in self._inbox.refused.items()})

    def counts(self) -> dict[str, int]:
        """What the uplink did and failed to do."""
        if self._link is None or self.uploader is None:
            return {}
        return {
            "batches": self._exchange.sent_batches,
            "batch_bytes": self._exchange.sent_bytes,
            "batch_bytes_twice": self._exchange.twice_bytes,
            "uploaded": self.uploader.sent_bytes,
            "upload_bytes": self.uploader.handed_bytes,
            "upload_bytes_missed": self.uploader.missed_bytes,
            "connection_failures": self._link.failures,
            "upload_failures": self.uploader.failures,
        }

    def halt(self) -> None:
        """Begin no more uploads, and end those that wait for bandwidth."""
        if self.uploader is not None:
            self.uploader.halt()

    def close(self) -> None:
        """Say farewell and close the connections."""
        if self._link is not None:
            self._link.close(self._farewell())
        if self.uploader is not None:
            self.uploader.close()
        if self._https is not None:
            self._https.close()
