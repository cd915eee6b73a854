"""What the uplink hears becomes entries for the journal's thread: nothing else writes, and nothing on the network waits for a disk.

Rules (docs/evidence-format.md, sections 4 to 6):
- A cosignature is kept with the journal, and lets the covered fragments go.
- A receipt is kept beside the journal once every member was compared; only then may retention look at the recording.
- Damage that is found on our own disk is a `gap` for exactly that fragment: the server can then say what it has of the rest.
- A cosigned checkpoint that is not of our lines is an alarm and a `tamper` line; the handshake decides what follows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.pipeline.tray import Entry
from agent.uplink.inbox import Stopped

if TYPE_CHECKING:
    from agent.buffer.index import Index
    from agent.journal.receipts import Receipts
    from agent.journal.scribe import Scribe
    from agent.pipeline.clerk import Clerk
    from agent.pipeline.orders import Orders
    from agent.pipeline.state import State
    from agent.uplink.inbox import Beacon, Cosigned, Order, Stored
    from agent.uplink.ports import Fragment

log = logging.getLogger(__name__)

DETAIL_CHARACTERS = 500
MEND_AT_ONCE = 64


class News:
    """`agent.uplink.ports.Told` for a pipeline."""

    def __init__(self, clerk: Clerk, index: Index, receipts: Receipts, orders: Orders, state: State, wake: Callable[[], None]) -> None:
        self._clerk, self._index, self._receipts = clerk, index, receipts
        self._orders, self._state, self._wake = orders, state, wake
        self.cosigned_s = 0
        self._known = set(receipts.recordings())

    def cosigned(self, news: Cosigned) -> None:
        """The server cosigned more of our journal."""
        self.cosigned_s = max(self.cosigned_s, news.seconds)

        def keep(scribe: Scribe) -> None:
            scribe.journal.keep_cosigned(news.note)
            self._index.cosigned(news.size, news.seconds)

        self._clerk.post(Entry(keep, durable=self._wake, alone=True))

    def stored(self, news: Stored) -> None:
        """The server proved that it has a recording; it says so again whenever the device comes online, which is no news."""
        if news.recording in self._known:
            return

        def keep(_scribe: Scribe) -> None:
            self._receipts.keep(news.recording, news.note)
            self._index.receipt(news.recording)
            self._known.add(news.recording)
            log.info("stored", extra={"recording": news.recording})

        self._clerk.post(Entry(keep, alone=True))

    def beacon(self, news: Beacon) -> None:
        """The ledger grew."""
        self._clerk.known_beacon = news.body

    def order(self, news: Order, done: Callable[[], None]) -> None:
        """The server wants something."""
        self._orders.post(news, done)

    def forked(self, detail: str) -> None:
        """The server cosigned something else than our lines, or more of them than we have."""
        log.error("the server's copy is not ours", extra={"why": detail})
        self._state.alarm("journal-differs")
        self._clerk.post(Entry(lambda scribe: scribe.event("tamper", "other-checkpoint", detail=detail[:DETAIL_CHARACTERS])))

    def damaged(self, fragment: Fragment, detail: str) -> None:
        """Bytes on our own disk are not what their line says."""
        one, figures = fragment, {"recording": fragment.recording, "track": fragment.track, "seq": fragment.seq}

        def say(scribe: Scribe) -> None:
            with scribe.batch():
                scribe.event("storage", "damaged", of=one.recording, track=one.track, seq=one.seq, detail=detail[:DETAIL_CHARACTERS])
                scribe.gap(one.recording, one.track, one.pts, one.duration, "storage")

        log.error("media are damaged", extra={**figures, "why": detail})
        self._state.alarm("media-damaged", recording=one.recording, track=one.track)
        self._clerk.post(Entry(say))

    def mend(self) -> int:
        """Say of every fragment whose bytes are gone that they are gone, and of a broken index that it was; how many there were."""
        gone = self._index.missing(MEND_AT_ONCE)
        if why := self._index.broke():
            log.error("the index was broken and is built again", extra={"why": why})
            self._state.alarm("index-rebuilt")
            self._clerk.post(Entry(lambda scribe: scribe.event("storage", "index-rebuilt", detail=why[:DETAIL_CHARACTERS])))
        for fragment in gone:
            self.damaged(fragment, "the file is missing or too short")
        return len(gone)

    def mismatch(self, fragment: Fragment, detail: str) -> None:
        """The server refuses bytes that our own disk gives as the line says."""
        one = fragment
        self._state.alarm("server-refuses", recording=one.recording)
        self._clerk.post(
            Entry(
                lambda scribe: scribe.event(
                    "storage", "refused", of=one.recording, track=one.track, seq=one.seq, detail=detail[:DETAIL_CHARACTERS]
                ),
            ),
        )

    def stopped(self, recording: str) -> Stopped | None:
        """What a receipt for the recording must say."""
        found = self._index.stopped(recording)
        return None if found is None else Stopped(found.stop, found.fragments, found.bytes, found.gone_fragments, found.gone_bytes)
