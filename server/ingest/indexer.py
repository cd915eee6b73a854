"""Reads admitted lines into the catalogue, and does what follows from them: `start` and `stored` lines of the ledger, receipts.

Rules:
- Everything here can be done again after a crash: how far a journal has been read is written with what was read, and a
  ledger line that a recording has already is not written twice.
- A recording is `stored` when its `stop` is cosigned and each of its fragments is held or under a gap. Only cosigned lines are in
  the logs at all.
- `step` says what it did; the loop around it is three lines.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from agent.core import merkle, wire
from server.database import Transaction
from server.ingest import facts
from server.ingest.receipts import Receipts
from server.ledger.logs import Batch, Growth
from server.services import Services
from server.store import holding, rebuild
from server.store.catalogue import Recording
from server.store.shelf import Open, Shelf

log = logging.getLogger(__name__)

BATCHES_A_STEP = 2048
BATCHES_A_JOURNAL = 256
MAX_WAITING = 4096
"""Batches that are taken along in memory."""
IDLE_S = 1.0
REMIND_S = 2.0
"""A device that comes online again and again gets its receipts at most so often."""

Line = tuple[int, str, dict[str, Any]]
"""Index, leaf hash (only of a stop) and members of a line."""


class Indexer:
    """One thread's work."""

    def __init__(self, services: Services, receipts: Receipts) -> None:
        self._logs, self._ledger, self._logs_writer = services.logs, services.ledger, services.logs_writer
        self._catalogue, self._writer, self._devices = services.catalogue, services.catalogue_writer, services.devices
        self._objects, self._rebuilding = services.objects, services.rebuilding
        self._receipts, self._metrics = receipts, services.metrics
        self._up_s = services.world.up_s
        self._now_ms, self._max_fragment = services.world.now_ms, services.settings.media.fragment_bytes
        self._indexed = services.catalogue.indexed()
        self._lock = threading.Lock()
        self._grown: dict[str, list[Batch]] = {origin: [] for origin in self._logs.origins() if origin != self._ledger.origin}
        self._waiting = 0
        self._open = Open()
        self._writer.on_start_over(self._open.forget)
        self._online: dict[str, None] = {}
        self._asked: dict[str, Recording] = {}
        self._reminded: dict[str, float] = {}
        self._settle = True
        self.news = threading.Event()
        self._metrics.gauge("zhilu_unindexed_journals", lambda: len(self._grown))

    # ----------------------------------------------------------------------- being told

    def grown(self, growths: Mapping[str, Growth]) -> None:
        """These journals became longer. Their new lines are taken along while few wait; else they are read from the logs."""
        with self._lock:
            for origin, growth in growths.items():
                waiting = self._grown.setdefault(origin, [])
                follows = waiting[-1].end if waiting else self._indexed.get(origin, 0)
                if growth.before.size == follows and self._waiting < MAX_WAITING:
                    waiting += growth.batches
                    self._waiting += len(growth.batches)
        self.news.set()

    def held(self) -> None:
        """Media became durable."""
        self._settle = True
        self.news.set()

    def online(self, device: str) -> None:
        """A device has come; it may be missing receipts."""
        with self._lock:
            self._online[device] = None
        self.news.set()

    def asked(self, recording: Recording) -> None:
        """A device asks what is held of a recording that is stored: its receipt may have been lost."""
        if recording.stored_entry is not None:
            with self._lock:
                self._asked[f"{recording.device}:{recording.recording}"] = recording
            self.news.set()

    def has_read(self, sizes: Mapping[str, int]) -> bool:
        """Whether the catalogue holds so many lines of each of these journals."""
        return all(self._indexed.get(origin, 0) >= size for origin, size in sizes.items())

    # ----------------------------------------------------------------------- one step

    def step(self) -> str:
        """Do a bounded piece of work; what it was, empty when there was nothing to do."""
        self.news.clear()
        did = {"lines": self._index(), "listed": 0, "stored": 0, "reminded": self._remind(), "states": self._write_states()}
        if self._rebuilding and not self._grown:
            rebuild.find_held(self._catalogue, self._writer, self._objects)
            self._rebuilding = False
        if self._settle and not self._rebuilding:
            self._settle = False
            did["listed"] = self._list_starts()
            did["stored"] = self._store_complete()
            self._settle |= bool(did["listed"] or did["stored"])
        return ", ".join(f"{name} {count}" for name, count in did.items() if count)

    def _index(self) -> int:
        """Read some admitted lines into the catalogue."""
        work, progress, room = self._gather()
        if not progress:
            return 0

        def stage(transaction: Transaction) -> Shelf:
            shelf = Shelf(transaction, self._max_fragment, self._open)
            for origin, lines in work.items():
                _, device, _ = wire.parse_origin(origin)
                for index, leaf, members in lines:
                    shelf.add(origin, device, index, leaf, members)
            shelf.close(progress)
            return shelf

        shelf = self._writer.call(stage)
        for what in shelf.irregular:
            self._metrics.add("zhilu_lines_without_effect_total", what)
        if shelf.started:
            self._metrics.add("zhilu_recordings_total", "started", shelf.started)
        read = sum(end - self._indexed.get(origin, 0) for origin, end in progress.items())
        self._indexed.update(progress)
        self._settle |= any(work.values())
        return read or room

    def _gather(self) -> tuple[dict[str, list[Line]], dict[str, int], int]:
        """Lines that the catalogue wants, by journal; how far each was read; whether more is left."""
        with self._lock:
            grown, self._grown, self._waiting = self._grown, {}, 0
        work: dict[str, list[Line]] = {}
        progress: dict[str, int] = {}
        left = BATCHES_A_STEP
        for origin, waiting in grown.items():
            first = self._indexed.get(origin, 0)
            batches = waiting if waiting and waiting[0].first == first else []
            if left > 0 and not batches:
                batches = self._logs.batches(origin, first, BATCHES_A_JOURNAL)
            if batches:
                work[origin] = wanted(batches, first)
                progress[origin] = batches[-1].end
            left -= len(batches)
        with self._lock:
            # Those that were read from the logs, or not at all, may have more there.
            again = [origin for origin, waiting in grown.items() if origin not in progress or not waiting]
            again = [origin for origin in again if self._logs.size(origin) > progress.get(origin, self._indexed.get(origin, 0))]
            for origin in again:
                self._grown.setdefault(origin, [])
        return work, progress, len(again)

    def _list_starts(self) -> int:
        """The ledger says of every recording that it began."""
        unlisted = self._catalogue.unlisted()
        entries = [self._logs_writer.submit(self._stage("start", one, start_line=one.start_line)) for one in unlisted]
        done = [(one.id, entry.result()) for one, entry in zip(unlisted, entries, strict=True)]
        if done:
            self._writer.call(lambda transaction: holding.list_starts(transaction, done))
        return len(done)

    def _stage(self, kind: str, recording: Recording, **members: Any) -> Callable[[Transaction], int]:
        about = {"origin": recording.origin, "device": recording.device, "recording": recording.recording, **members}
        return lambda transaction: self._ledger.stage_once(transaction, kind, about)

    def _store_complete(self) -> int:
        """Store what is all here."""
        complete = self._catalogue.complete()
        for one in complete:
            self._store(one)
        return len(complete)

    def _store(self, recording: Recording) -> None:
        """The ledger says that a recording is stored, and its device gets the receipt."""
        tracks = self._catalogue.tracks(recording.id)
        held = [one.bytes for track in tracks for one in self._catalogue.fragments(track.id) if one.held]
        figures = {"stop": recording.stop_leaf, "fragments": len(held), "bytes": sum(held)}
        entry = self._logs_writer.call(self._stage("stored", recording, **figures))
        at = self._now_ms()
        self._writer.call(lambda transaction: holding.list_stored(transaction, recording.id, entry, at))
        self._metrics.add("zhilu_recordings_total", "stored")
        self._receipts.send(self._catalogue.recording(recording.id))

    def _remind(self) -> int:
        now = self._up_s()
        with self._lock:
            due = [device for device in self._online if now - self._reminded.get(device, now - REMIND_S) >= REMIND_S]
            for device in due:
                del self._online[device]
            asked, self._asked = self._asked, {}
        for recording in asked.values():
            self._receipts.send(recording)
        for device in due:
            self._reminded[device] = now
            self._receipts.remind(device)
        return len(due) + len(asked)

    def _write_states(self) -> int:
        states = self._devices.unwritten()
        if states:
            self._writer.call(lambda transaction: holding.keep_states(transaction, states))
        return len(states)


def wanted(batches: list[Batch], first: int) -> list[Line]:
    """The lines from index `first` on that the catalogue wants."""
    found: list[Line] = []
    for batch in batches:
        for index, line in enumerate(batch.lines, batch.first):
            members = facts.read(line) if index >= first else None
            if members is not None:
                leaf = merkle.leaf_hash(line).hex() if members["kind"] == "stop" else ""
                found.append((index, leaf, members))
    return found
