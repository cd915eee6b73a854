"""One upload of media: whole fragments from an offset on, each checked against its signed line before a byte of it is written.

Rules (docs/evidence-format.md, section 5):
- Only bytes that a cosigned line vouches for: a fragment is kept in memory until its hash is right, then written where its
  line says. Of one that does not match nothing is kept.
- What was checked and written counts, whatever becomes of the rest of the request: a broken connection loses one fragment.
- Held means durable: the file is synced, then the catalogue says so, then the device hears it.

Not for two threads at once. HTTP is left to `media`.
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack

from server.problems import Problem
from server.services import Services
from server.store import holding
from server.store.catalogue import Fragment, Recording, Track
from server.store.objects import translated, write_at

PAGE = 256


class Upload:
    """Fragments of one track from byte `offset` on. `feed` bytes, then `settle`."""

    def __init__(self, services: Services, recording: Recording, track: Track, offset: int) -> None:
        self._services, self._recording, self._track = services, recording, track
        self._path = services.objects.path(recording.device, recording.recording, track.track, track.media)
        self._end = offset
        self._expected: list[Fragment] = []
        self._buffer = bytearray()
        self._stack = ExitStack()
        self._descriptor: int | None = None
        self._written: list[Fragment] = []
        self.checked: list[Fragment] = []
        """Fragments of this request that are what their lines say."""
        self._next()

    def _next(self) -> Fragment:
        """The fragment whose bytes come now; Problem where no cosigned line names one that begins here."""
        if not self._expected:
            self._expected = self._services.catalogue.fragments(self._track.id, self._end, PAGE)
        if not self._expected or self._expected[0].offset != self._end:
            raise Problem(
                "not-named",
                f"no cosigned line names a fragment of {self._track.track} at byte {self._end}",
                track=self._track.track,
                offset=self._end,
            )
        return self._expected[0]

    @property
    def wanted(self) -> int:
        """Bytes that are missing to the end of the fragment that has begun, or that comes next; 0 where none is named."""
        if self._expected:
            return self._expected[0].bytes - len(self._buffer)
        return 0

    def feed(self, data: bytes) -> None:
        """Take bytes; write each fragment that they complete."""
        self._buffer += data
        while self._buffer:
            fragment = self._next()
            if len(self._buffer) < fragment.bytes:
                return
            with memoryview(self._buffer) as view:
                self._check(fragment, view[: fragment.bytes])
                self._keep(fragment, view[: fragment.bytes])
            del self._buffer[: fragment.bytes]
            self._end += fragment.bytes
            self._expected.pop(0)

    def finish(self) -> None:
        """The request has ended; Problem where that was in the middle of a fragment, or before the first."""
        if self._buffer:
            raise self._mismatch(self._next(), f"ends after {len(self._buffer)} of {self._next().bytes} bytes")
        if not self.checked:
            raise Problem("bad-request", "expected at least one fragment, got no bytes")

    def settle(self) -> int:
        """Make what was written durable and say so in the catalogue; how many fragments are new. More may follow."""
        self._stack.close()
        self._descriptor = None
        written, self._written = self._written, []
        if written:
            self._services.catalogue_writer.call(lambda transaction: holding.hold(transaction, self._track.id, written))
            self._services.metrics.add("zhilu_media_bytes_total", amount=sum(one.bytes for one in written))
            self._services.metrics.add("zhilu_media_total", "stored", len(written))
        return len(written)

    def abandon(self) -> None:
        """The disk failed: close the file, count nothing as held."""
        self._written = []
        self._stack.close()

    def _check(self, fragment: Fragment, data: memoryview) -> None:
        got = hashlib.sha256(data).digest()
        if got != fragment.sha256:
            raise self._mismatch(fragment, f"expected SHA-256 {fragment.sha256.hex()}, got {got.hex()}")
        self.checked.append(fragment)

    def _mismatch(self, fragment: Fragment, what: str) -> Problem:
        self._services.metrics.add("zhilu_media_total", "mismatch")
        return Problem(
            "mismatch",
            f"fragment {fragment.seq} of {self._track.track}: {what}",
            track=self._track.track,
            seq=fragment.seq,
            offset=fragment.offset,
            sha256=fragment.sha256.hex(),
        )

    def _keep(self, fragment: Fragment, data: memoryview) -> None:
        if fragment.held:
            self._services.metrics.add("zhilu_media_total", "held")
            return
        if self._descriptor is None:
            self._services.objects.make_room(fragment.bytes)
            self._descriptor = self._stack.enter_context(self._services.objects.writing(self._path))
        with translated(self._path):
            write_at(self._descriptor, data, fragment.offset)
        self._written.append(fragment)
