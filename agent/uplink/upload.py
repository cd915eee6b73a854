"""Media over HTTPS: whole fragments that a cosigned line vouches for, while the recording still runs.

Rules:
- What may go and in which order is the buffer's answer (marked first, then oldest); nothing goes before its line is cosigned.
- Success is 201 or 200 with the server's own JSON answer and nothing else; 409 means "not yet" for that track; 422 means that
  bytes and line differ; anything else (401, 403, 5xx, a redirect, a page of a proxy) is failure and waits, with jitter.
- Each request without an answer halves the next ones, each success doubles them again: what a bad line costs stays small.
- Before anything goes again of a recording whose request broke off, or of one from before this start, the server is asked what it
  has got of it (`doubts`).
- Every fragment is hashed before it goes: damage on our own disk is found here, told to the journal, and not sent.
- What the server refuses for good is told once and put aside for a while: it is never tried in a hot loop.
- `Content-Digest` (RFC 9530) covers the request, so that damage on the way is found before anything is stored.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from agent.core.backoff import Backoff
from agent.uplink.bandwidth import Bucket, allowed, networks_up
from agent.uplink.doubts import FIRST_US, Doubts
from agent.uplink.errors import NoAnswer
from agent.uplink.grouping import requests, ripe
from agent.uplink.https import json_object, shown

if TYPE_CHECKING:
    from agent.uplink.https import Https
    from agent.uplink.ports import Fragment, ReadMedia, Surroundings, Told, Waiting

log = logging.getLogger(__name__)

PIECE_BYTES = 16_384
"""One TLS record: what is counted as sent, and what waits for bandwidth."""

LOOK_AHEAD = 512
"""Fragments that are looked at in one step: more than the largest request holds at any usual bit rate."""

LEAST_BYTES = 65_536
"""A request is not made smaller than this; it never is smaller than one fragment."""

NOT_YET_US = 3_000_000
ASIDE_US = 600_000_000
"""How long a track waits after "no line names these bytes yet", and a fragment whose bytes do not match."""

US_PER_MS = 1_000


@dataclass(frozen=True, slots=True)
class UploadSettings:
    """How media go: `target_bytes` a request, `parallel` at a time, 0 `bytes_per_s` without limit, interfaces or none.

    `receipt_us` after a recording went whole and without a receipt, the server is asked what it has of it.
    """

    device: str
    parallel: int = 2
    target_bytes: int = 4_194_304
    least_bytes: int = 2_097_152
    smallest_bytes: int = LEAST_BYTES
    gather_us: int = 5_000_000
    bytes_per_s: int = 0
    only_networks: tuple[str, ...] = ()
    first_ms: int = 500
    max_ms: int = 60_000
    receipt_us: int = FIRST_US


Outcome = Literal["sent", "damaged", "not-yet", "mismatch", "failed"]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one request: the fragments that the server now holds, and what it or the disk said otherwise.

    `doubtful`: some of what was sent may have been kept all the same.
    """

    outcome: Outcome
    fragments: Sequence[Fragment]
    detail: str = ""
    doubtful: bool = False


class Uploader:
    """Sends what waits. `step` and `wake` may be called from different threads, `step` from one only."""

    def __init__(
        self,
        https: Https,
        waiting: Waiting,
        read: ReadMedia,
        told: Told,
        settings: UploadSettings,
        around: Surroundings,
        *,
        networks: Callable[[], set[str]] = networks_up,
        running: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.sent_bytes = 0
        self.handed_bytes = 0
        self.failures = 0
        self.last_error = ""
        self._https, self._waiting, self._read, self._told = https, waiting, read, told
        self._settings, self._up_us, self._random01 = settings, around.up_us, around.random01
        self._networks, self._running = networks, running
        self._pool = around.pool(settings.parallel)
        self._doubts = Doubts(https, settings.device, waiting, self._up_us, settings.receipt_us)
        self._backoff = Backoff(settings.first_ms, settings.max_ms)
        self._target = settings.target_bytes
        self._not_before_us = 0
        self._held_back: dict[tuple[str, str], int] = {}
        self._aside: dict[tuple[str, str, int], int] = {}
        self._seen: dict[tuple[str, str, int], int] = {}
        self._bucket = Bucket(settings.bytes_per_s)
        self._bucket_lock = threading.Lock()
        self._stopping = threading.Event()

    @property
    def missed_bytes(self) -> int:
        """What the server had taken, did not hold when it was asked, and gets again."""
        return self._doubts.missed_bytes

    def hurry(self) -> None:
        """An order or a new network: try at once, whatever failed before."""
        self._not_before_us = 0
        self._held_back.clear()
        self._aside.clear()

    def halt(self) -> None:
        """Begin no more requests, and end those that wait for bandwidth."""
        self._stopping.set()

    def close(self) -> None:
        """Let what is on its way finish, and begin nothing more."""
        self.halt()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def step(self) -> str:
        """Send up to `parallel` requests of what waits; what it did, empty when there was nothing to do."""
        now = self._up_us()
        if now < self._not_before_us or self._stopping.is_set():
            return ""
        only = self._settings.only_networks
        open_network = not only or allowed(only, self._networks())  # the kernel is asked where it matters: this is looked at each second
        if open_network and not self._settled():
            return "no answer"
        groups = self._ripe_groups(now)
        if not groups:
            return ""
        if not open_network:
            return "waiting for " + ", ".join(self._settings.only_networks)
        groups = groups[: self._settings.parallel]
        if self._doubts.meet(group[0].recording for group in groups):
            return "asking first"
        results = list(self._pool.map(self._send, groups))
        for result in results:
            self._settle(result)
        if any(result.outcome == "failed" for result in results):
            self._later()
        elif any(result.outcome == "sent" for result in results):
            self._backoff.reset()
        return ", ".join(f"{result.outcome} {len(result.fragments)}" for result in results)

    def _later(self) -> None:
        self._not_before_us = self._up_us() + self._backoff.next(self._random01()) * US_PER_MS

    def _settled(self) -> bool:
        """Whether the server has said what it holds, where that was in doubt."""
        found = self._doubts.found_bytes
        try:
            self._doubts.settle()
        except NoAnswer as error:
            self.last_error = str(error)
            self._later()
            return False
        finally:
            self.sent_bytes += self._doubts.found_bytes - found
        return True

    def _ripe_groups(self, now: int) -> list[list[Fragment]]:
        pending = [one for one in self._waiting.pending(LOOK_AHEAD) if self._may_go(one, now)]
        self._seen = {_key(one): self._seen.get(_key(one), now) for one in pending}
        running, settings = self._running(), self._settings

        def since(one: Fragment) -> int:
            return now - self._seen[_key(one)] if one.recording == running else settings.gather_us

        groups = requests(pending, self._target)
        least = min(settings.least_bytes, self._target // 2)
        return [group for group in groups if ripe(group, least, since, settings.gather_us)]

    def _may_go(self, one: Fragment, now: int) -> bool:
        return self._held_back.get((one.recording, one.track), 0) <= now and self._aside.get(_key(one), 0) <= now

    # ----------------------------------------------------------------- one request, in a thread of the pool

    def _send(self, group: list[Fragment]) -> Result:
        body, damaged = self._load(group)
        if damaged is not None:
            return damaged
        first = group[0]
        path = f"/api/v1/media/{self._settings.device}/{first.recording}/{first.track}/{first.offset}"
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        try:
            status, kind, answer = self._https.request(
                "PUT",
                path,
                self._pieces(body),
                Content_Length=str(len(body)),
                Content_Type="application/octet-stream",
                Content_Digest=f"sha-256=:{digest}:",
            )
        except NoAnswer as error:
            return Result("failed", group, str(error), doubtful=True)
        return judge(group, status, kind, answer)

    def _load(self, group: list[Fragment]) -> tuple[bytes, Result | None]:
        """The bytes of a group, or which of its fragments our own disk has lost."""
        pieces = []
        for fragment in group:
            try:
                piece = self._read(fragment)
            except OSError as error:
                return b"", Result("damaged", [fragment], f"can't be read: {error.strerror}")
            if hashlib.sha256(piece).hexdigest() != fragment.sha256:
                return b"", Result("damaged", [fragment], f"{len(piece)} bytes on the disk are not what the line says")
            pieces.append(piece)
        return b"".join(pieces), None

    def _pieces(self, body: bytes) -> Iterator[bytes]:
        """The body at no more than the allowed rate, shared by all requests."""
        for start in range(0, len(body), PIECE_BYTES):
            piece = body[start : start + PIECE_BYTES]
            while (wait_us := self._take(len(piece))) > 0:
                if self._stopping.wait(wait_us / 1_000_000):
                    raise NoAnswer("the agent is being stopped")
            yield piece

    def _take(self, count: int) -> int:
        with self._bucket_lock:
            wait_us = self._bucket.wait_us(self._up_us())
            if not wait_us:
                self._bucket.take(count)
                self.handed_bytes += count
            return wait_us

    # ----------------------------------------------------------------- what follows from it

    def _settle(self, result: Result) -> None:
        first, now = result.fragments[0], self._up_us()
        if result.outcome == "sent":
            self._waiting.sent(result.fragments)
            self._target = min(self._target * 2, self._settings.target_bytes)
            self.sent_bytes += sum(one.bytes for one in result.fragments)
            return
        self.failures += 1
        self.last_error = result.detail
        log.warning(
            "media not stored",
            extra={"outcome": result.outcome, "recording": first.recording, "track": first.track, "seq": first.seq, "why": result.detail},
        )
        if result.doubtful:
            self._doubts.broke(first.recording)
        if result.outcome == "failed":
            self._target = max(self._target // 2, self._settings.smallest_bytes)
        if result.outcome == "damaged":
            self._told.damaged(first, result.detail)
        elif result.outcome == "mismatch":
            self._told.mismatch(first, result.detail)
        if result.outcome == "not-yet":
            self._held_back[first.recording, first.track] = now + NOT_YET_US
        elif result.outcome != "failed":
            self._aside |= {_key(one): now + ASIDE_US for one in result.fragments}


def _key(one: Fragment) -> tuple[str, str, int]:
    return one.recording, one.track, one.seq


def judge(group: Sequence[Fragment], status: int, content_type: str, answer: bytes) -> Result:
    """What an answer to a PUT means; only the server's own yes, with the figures of this request, is one."""
    said = json_object(content_type, answer)
    if status in {200, 201} and said is not None and said.get("bytes") == sum(one.bytes for one in group):
        return Result("sent", group)
    detail, doubtful = f"status {status}: {shown(answer)}", len(group) > 1
    if status == 409:
        return Result("not-yet", group, detail, doubtful)
    if status == 422:
        return Result("mismatch", _named(group, said), detail, doubtful)
    return Result("failed", group, detail, doubtful)


def _named(group: Sequence[Fragment], problem: dict[str, object] | None) -> Sequence[Fragment]:
    """The fragment that a 422 names, else the whole request."""
    seq = (problem or {}).get("seq")
    return [one for one in group if one.seq == seq] or group
