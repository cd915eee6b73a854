"""The judge of a world: hears of everything that is promised, deleted and lost, and stops the world when a promise is broken.

It shares no code with what it judges but the hashes and the wire's format: lines are read by `json`, roots computed anew, the server's
bytes read from its files. What it asserts is INVARIANTS; `faults` says which was broken, where and when.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.core import merkle, note, wire
from agent.errors import AgentError
from simulators.universe.agenda import US_PER_S
from simulators.universe.fold import Fold, Told
from simulators.universe.takes import Takes
from simulators.universe.traffic import Traffic

if TYPE_CHECKING:
    from simulators.universe.device import Device
    from simulators.universe.server import Server

INVARIANTS = {
    "durable-first": "nothing leaves a device that a power cut could still take back",
    "one-history": "no two checkpoints that a device published contradict each other, and every batch gives its root",
    "kept": "what was published is still there after every start",
    "cosigned-stays": "what the server has cosigned stays, its sizes and times never go back, and its roots are the device's",
    "receipts": "no receipt for a recording of which a byte is not held",
    "purge": "no media are deleted without a receipt and a cosigned stop",
    "age": "media are old by the witness's clock, never by the device's alone",
    "arrives": "in the end the server holds every line and every byte once, and the device has every receipt",
    "twice": "no media come that the server held already; bytes sent twice stay below the bound of the story",
    "loss-stated": "what was recorded is on record, or a line says that it was lost, and why",
    "sessions": "recordings are legal: numbered without a gap, one at a time, nothing behind the stop",
    "unexpected": "no daemon meets an error that nobody expects",
    "finishes": "nothing goes round in circles: a world comes to its end, and no minute of it is too full",
}

GRACE_US = 60 * US_PER_S
"""After a disk's trouble is over, what still comes of it is no surprise."""


@dataclass(slots=True)
class Public:
    """What a device has let out of one journal: the lines, and the root at each published size."""

    lines: list[bytes] = field(default_factory=list)
    range: merkle.Range = field(default_factory=merkle.Range)
    roots: dict[int, bytes] = field(default_factory=dict)
    cosigned: list[tuple[int, int, int]] = field(default_factory=list)
    """(size, the witness's seconds, the world's time), rising."""
    forgotten: set[tuple[int, bytes]] = field(default_factory=set)
    """Sizes and roots that a lying card forgot after they had left; they may still be under way to the server."""

    def forget(self, index: int) -> None:
        """From this line on the device knows nothing of what it let out."""
        self.forgotten |= {(size, root) for size, root in self.roots.items() if size > index}
        self.roots = {size: root for size, root in self.roots.items() if size <= index}
        del self.lines[index:]
        self.range = merkle.Range()
        for line in self.lines:
            self.range.append(merkle.leaf_hash(line))

    @property
    def cosigned_size(self) -> int:
        """The largest cosigned size."""
        return self.cosigned[-1][0] if self.cosigned else 0


class Judge:
    """`now_us` is the world's clock, `stop` ends the world."""

    def __init__(self, now_us: Callable[[], int], stop: Callable[[str], None]) -> None:
        self.faults: list[tuple[str, str]] = []
        self.counts: Counter[str] = Counter()
        self.takes = Takes()
        self.traffic = Traffic()
        self.public: dict[str, Public] = {}
        self.folds: dict[str, Fold] = {}
        self.receipts: dict[tuple[str, str], str] = {}
        self.lied: set[str] = set()
        self.misled = False
        """Whether others have answered in the server's place, or it has forgotten."""
        self.server: Server | None = None
        self._now_us, self._stop = now_us, stop
        self._trouble_us: dict[str, int] = {}
        self._checked: set[tuple[str, str, str]] = set()

    def fault(self, invariant: str, what: str) -> None:
        """A promise is broken."""
        assert invariant in INVARIANTS, invariant
        self.faults.append((invariant, what))
        self._stop(f"{invariant}: {what}")

    def told(self, recording: str) -> tuple[Fold, Told] | None:
        """Which journal has a recording, and what it says of it."""
        for fold in self.folds.values():
            if recording in fold.recordings:
                return fold, fold.recordings[recording]
        return None

    # ----------------------------------------------------------------- what leaves a device

    def published(self, device: Device, topic: str, payload: bytes) -> None:
        """A device handed a message to its line."""
        if topic != wire.topic(device.name, "journal"):
            return
        batch = wire.decode_batch(payload)
        self.counts["batches"] += 1
        self.traffic.batch(batch.origin, batch.first, batch.lines)
        self._durable_first(device, batch)
        public = self.public.setdefault(batch.origin, Public())
        if batch.first > len(public.lines):
            self.fault("kept", f"{batch.origin}: a batch begins at {batch.first}, published were {len(public.lines)} lines")
            return
        for index, line in enumerate(batch.lines, batch.first):
            if device.name in self.lied and public.cosigned_size <= index < len(public.lines) and public.lines[index] != line:
                public.forget(index)  # the card forgot it, and nobody who answered had heard of it: nobody can know
            if index == len(public.lines):
                public.lines.append(line)
                public.range.append(merkle.leaf_hash(line))
            elif public.lines[index] != line:
                self.fault("one-history", f"{batch.origin}: line {index} was published otherwise before")
                return
        root = public.range.root() if batch.size == public.range.size else public.roots.get(batch.size, batch.root)
        if root != batch.root:
            self.fault("one-history", f"{batch.origin}: the lines do not give the root that was signed at {batch.size}")
        public.roots[batch.size] = batch.root

    def _durable_first(self, device: Device, batch: wire.Batch) -> None:
        if device.name in self.lied:
            return
        files, folder = device.card.files, device.folder / "journal" / batch.origin.rpartition("/")[2]
        for name in files.list(folder):
            if name == "checkpoints" or name.endswith(".jsonl"):
                loose = files.unsynced(folder / name)
                # what lies behind the durable bytes may be an append that the disk refused: that never left
                if loose and not _keeps(name, files.read(folder / name, 0, files.size(folder / name) - loose), batch):
                    self.fault("durable-first", f"{batch.origin}: lines up to {batch.size} left, {loose} bytes of {name} are not synced")

    def came_again(self, device: str, size: int) -> None:
        """Media came that the server held already: a recorder that isn't sure asks first. Strangers' answers may mislead it."""
        self.traffic.held_again += size
        if device not in self.lied and not self.misled:
            self.fault("twice", f"{device}: {size} bytes of media came that the server held already")

    def handed(self, device: str, recording: str, track: str, offset: int, size: int) -> None:
        """Bytes of media left a device."""
        self.traffic.handed(device, recording, track, offset, size)

    # ----------------------------------------------------------------- what the server says

    def said(self, topic: str, payload: bytes) -> None:
        """The server handed a message to the broker."""
        if topic == wire.LEDGER_TOPIC:
            return
        device, leaf = wire.parse_topic(topic)
        if leaf == "witness":
            self._cosigned(device, payload.decode())
        elif leaf == "receipt":
            self._receipt(device, payload.decode())

    def _cosigned(self, device: str, text: str) -> None:
        body, signatures = note.split(text)
        head = note.parse_checkpoint(body)
        seconds = max(int.from_bytes(data[:8], "big") for _, _, data in signatures if len(data) == 72)
        public = self.public.get(head.origin)
        if public is not None and (head.size, head.root) in public.forgotten:
            return  # what a lying card forgot came through after all: the device takes it back, or begins its next journal
        if public is None or public.roots.get(head.size) != head.root:
            self.fault("cosigned-stays", f"{head.origin}: the server cosigned a root at {head.size} that {device} never published")
            return
        last = public.cosigned[-1] if public.cosigned else (0, 0, 0)
        if head.size < last[0] or seconds < last[1]:
            self.fault("cosigned-stays", f"{head.origin}: cosigned {last[0]} at {last[1]} s, now {head.size} at {seconds} s")
        if head.size > last[0]:
            public.cosigned.append((head.size, seconds, self._now_us()))
            self.counts["cosigned"] += 1

    def set_back(self) -> None:
        """The server has lost what it did since its last backup: from here on it may say less than before."""
        self.misled = True
        for origin, public in self.public.items():
            size = self.server.services.logs.size(origin) if self.server is not None else 0
            public.cosigned = [one for one in public.cosigned if one[0] <= size]

    def _receipt(self, device: str, text: str) -> None:
        proof = note.parse_tlog_proof(text)
        assert proof.extra is not None
        members = json.loads(proof.extra)
        recording, digest = members["recording"], merkle.leaf_hash(proof.extra).hex()
        if (device, recording, digest) in self._checked:
            return
        self._checked.add((device, recording, digest))
        self.receipts[device, recording] = digest
        self.counts["receipts"] += 1
        for problem in self._held(device, recording, members):
            self.fault("receipts", f"receipt for {device} {recording}: {problem}")

    def _held(self, device: str, recording: str, members: dict[str, Any]) -> list[str]:
        """What is wrong with a receipt."""
        assert self.server is not None
        found = self.told(recording)
        if found is None or found[1].stop is None:
            return ["there is no such recording, or it has not stopped"]
        fold, told = found
        problems = []
        if self.public[fold.origin].cosigned_size <= (told.stop or 0):
            problems.append("its stop is not cosigned")
        if members["stop"] != told.stop_leaf:
            problems.append("it names another stop line")
        held = [one for one in told.fragments if self.bytes_held(device, recording, told, one)]
        if (members["fragments"], members["bytes"]) != (len(held), sum(one["bytes"] for one in held)):
            problems.append(f"it says {members['fragments']} fragments and {members['bytes']} bytes, held are {len(held)}")
        problems += [
            f"fragment {one['seq']} of {one['track']} is not held, and under no gap"
            for one in told.fragments
            if one not in held and not told.under_gap(one)
        ]
        return problems

    def bytes_held(self, device: str, recording: str, told: Told, fragment: dict[str, Any]) -> bool:
        """Whether the server's file has the fragment's bytes."""
        assert self.server is not None
        extension = {"video/mp4": "mp4", "audio/mp4": "m4a"}.get(told.media[fragment["track"]], "jpg")
        path = self.server.folder / "media" / device / recording / f"{fragment['track']}.{extension}"
        try:
            with path.open("rb") as file:
                file.seek(fragment["offset"])
                data = file.read(fragment["bytes"])
        except FileNotFoundError:
            return False
        return bool(hashlib.sha256(data).hexdigest() == fragment["sha256"])

    # ----------------------------------------------------------------- what happens on a device

    def emitted(self, device: Device, event: Any) -> None:
        """Capture said something; what it begins on a disk in trouble may be refused from its start on."""
        self.takes.emitted(device.name, event, self._now_us())
        if self._in_trouble(device):
            self.takes.refused(device.name)

    def _in_trouble(self, device: Device) -> bool:
        since_us = self._now_us() - self._trouble_us.get(device.name, -GRACE_US)
        return bool(device.card.fault) or device.card.tight or since_us < GRACE_US

    def started(self, device: Device) -> None:
        """A start has recovered, and said what it found."""
        self.counts["starts"] += 1
        assert device.pipeline is not None
        journal = device.pipeline.evidence.scribe.journal
        fold = self.folds.setdefault(journal.origin, Fold(journal.origin))
        fold.forgetful = device.name in self.lied
        lines = journal.lines(journal.oldest, journal.size)
        same = 0
        while same < min(len(lines), len(fold.lines)) and lines[same] == fold.lines[same]:
            same += 1
        fold.replace(same, lines[same:])
        self._legal(fold)
        public = self.public.get(journal.origin)
        if public is None or device.name in self.lied:
            return
        if lines[: len(public.lines)] != public.lines:
            self.fault("kept", f"{journal.origin}: {len(public.lines)} lines were published, after a start {len(lines)} are there")

    def durable(self, device: Device, first: int, lines: list[bytes]) -> None:
        """Lines became durable; where they take the place of others, so do they here."""
        assert device.pipeline is not None
        fold = self.folds[device.pipeline.origin]
        self.counts["lines"] += len(lines)
        if any(b'"storage"' in line and b'"failed"' in line for line in lines):
            self.takes.owned_up(device.name, self._now_us())
        fold.replace(first, lines)
        self._legal(fold)

    def _legal(self, fold: Fold) -> None:
        for problem in fold.problems[:1]:
            self.fault("sessions", problem)

    def removed(self, device: Device, path: Path) -> None:
        """The agent deletes a file."""
        if path.parent.parent != device.folder / "media":
            return
        recording = path.parent.name
        found = self.told(recording)
        if found is None:
            self.fault("purge", f"{path.name} of {recording} is deleted, which no journal knows")
            return
        fold, told = found
        public = self.public.get(fold.origin, Public())
        if (device.name, recording) not in self.receipts:
            self.fault("purge", f"{recording} is deleted, and the server never gave a receipt for it")
        if told.stop is None or public.cosigned_size <= told.stop:
            self.fault("purge", f"{recording} is deleted, and its stop is not cosigned")
        elif not told.purged:
            self.fault("purge", f"{recording} is deleted, and no line says so")
        else:
            self._old_enough(device, fold, told, public)
        self.counts["deleted"] += 1

    def _old_enough(self, device: Device, fold: Fold, told: Told, public: Public) -> None:
        """A recording that is deleted for its age is so old by the server's clock, which is right in this world."""
        last = json.loads(fold.lines[-1])
        if last["kind"] != "purge" or last["reason"] != "age":
            return
        assert told.stop is not None
        since_us = next(us for size, _, us in public.cosigned if size > told.stop)
        age_us = self._now_us() - since_us
        if age_us + 2 * US_PER_S < device.making.keep_days * 86_400 * US_PER_S:
            self.fault("age", f"{last['recording']} is deleted for its age {age_us / 86_400e6:.2f} days after its stop was cosigned")

    def troubled(self, device: str) -> None:
        """The card of a device begins or ends to refuse: what comes of it is no surprise."""
        self._trouble_us[device] = self._now_us()
        self.takes.refused(device)

    def failed(self, device: Device, daemon: str, error: BaseException) -> None:
        """A daemon met an error that no stage expected."""
        self.counts["faults"] += 1
        if isinstance(error, AgentError) and (self._in_trouble(device) or device.name in self.lied):
            self.takes.refused(device.name)
            return
        self.fault("unexpected", f"{device.name} {daemon}: {type(error).__name__}: {error}")

    def died(self, device: Device) -> None:
        """Its agent runs no more."""
        self.takes.died(device.name, self._now_us())


def _keeps(name: str, durable: bytes, batch: wire.Batch) -> bool:
    """Whether the durable bytes of a journal's file hold their part of a batch."""
    if name == "checkpoints":
        return batch.note.encode() in durable
    first = int(name.removeprefix("segment-").removesuffix(".jsonl"))
    return first + durable.count(b"\n") >= batch.size
