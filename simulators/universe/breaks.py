"""Rules broken on purpose, each so that one invariant must see it: the guard on the judges.

A story that names one under `broken:` runs in a world where that rule does not hold, and `fails:` says which invariant has to go red.
Nothing of this is reachable but from a story.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.buffer.index import Index
from agent.core import retention, wire
from agent.journal import salvage
from agent.journal.story import Story
from agent.pipeline import clerk
from agent.pipeline.duty import Duty
from agent.pipeline.purger import Purger
from agent.pipeline.upward import Upward
from server.ingest import intake
from server.store.catalogue import Catalogue, Recording
from simulators.powercut import Operation
from simulators.universe.card import Card
from simulators.universe.https import Answer, SimulatedHttps
from simulators.universe.link import SimulatedLink
from simulators.universe.server import Server

if TYPE_CHECKING:
    from simulators.universe.world import World


@dataclass(frozen=True, slots=True)
class Break:
    """What does not hold, which invariant sees it, and how that is done while a world runs."""

    means: str
    seen_by: str
    install: Callable[[World], AbstractContextManager[None]]


@contextmanager
def _swapped(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Another attribute for a while."""
    before = owner.__dict__[name]
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _swap(owner: Any, name: str, make: Callable[[Any], Any]) -> Callable[[World], AbstractContextManager[None]]:
    """Swap an attribute by what `make` makes of the one that is there."""
    return lambda _world: _swapped(owner, name, make(owner.__dict__[name]))


# --------------------------------------------------------------------------- the device


def _unsynced_segments(skips: Callable[[Card, Operation], bool]) -> Callable[[Card, Operation], bool]:
    return lambda card, one: skips(card, one) or (one.name == "sync" and one.path.name.startswith("segment-"))


def _forgetful(cut: Callable[[Card], None]) -> Callable[[Card], None]:
    """A cut takes the newest lines and checkpoints, synced or not."""

    def forget(card: Card) -> None:
        cut(card)
        files, (folder,) = card.files, [path.parent for path in card.files.paths() if path.name == "checkpoints"]
        for name, pieces in (("checkpoints", 5 * 3), ("segment-000000000000.jsonl", 3)):
            data = files.read(folder / name).split(b"\n")
            keep = b"\n".join(data[: -pieces - 1]) + b"\n"
            files.truncate(folder / name, len(keep))
            files.sync(folder / name)

    return forget


def _garbling(publish: Callable[..., bool]) -> Callable[..., bool]:
    """The first line of each batch is not the one that was signed."""

    def garble(link: SimulatedLink, topic: str, payload: bytes, **options: Any) -> bool:
        if topic.endswith("/journal"):
            batch = wire.decode_batch(payload)
            if batch.lines:
                payload = wire.encode_batch(batch.first, [batch.lines[0][:-2] + b"?}", *batch.lines[1:]], batch.note)
        return publish(link, topic, payload, **options)

    return garble


def _skipping(count: Callable[[Story, dict[str, Any]], None]) -> Callable[[Story, dict[str, Any]], None]:
    """Every seventh number is left out."""

    def skip(story: Story, members: dict[str, Any]) -> None:
        count(story, members)
        found = story.open.get(members.get("recording", ""))
        if found is not None and found.n % 7 == 0:
            found.n += 1

    return skip


def _purging(_purge: object) -> Callable[[Purger, str, str], bool]:
    """No receipt is asked for."""

    def purge(purger: Purger, recording: str, reason: str) -> bool:
        return purger._clerk.written(lambda scribe: scribe.purge(recording, reason, "0" * 64), 1.0)  # noqa: SLF001 - that rule is what is broken

    return purge


@contextmanager
def _purge_freely(_world: World) -> Iterator[None]:
    """Retention asks for no receipt, and neither does who carries it out."""
    free = lambda held: "" if held.cosigned_s is not None else "not cosigned"  # noqa: E731 - said in a word
    with _swapped(retention.Held, "refusal", free), _swapped(Purger, "_purge", _purging(None)):
        yield


@contextmanager
def _wall_clock(world: World) -> Iterator[None]:
    """Age is counted by the device's own wall clock."""

    def wall_s(upward: Upward) -> int:
        device = next(one for one in world.devices if one.name == upward._evidence.enrolment.device)  # noqa: SLF001 - as above
        return device.clock.wall_ms() // 1_000

    with _swapped(Upward, "witness_s", property(wall_s)):
        yield


def _failing(_look: object) -> Callable[[Duty], bool]:
    def fail(_duty: Duty) -> bool:
        raise ZeroDivisionError("broken on purpose")

    return fail


def _no_gap(_scribe: object, _thing: object) -> None:
    """A gap that is not written."""


@contextmanager
def _silent_capture(_world: World) -> Iterator[None]:
    with _swapped(clerk, "_gap", _no_gap):
        yield


def _twice(request: Callable[..., Answer]) -> Callable[..., Answer]:
    """Media are sent, and sent again."""

    def again(https: SimulatedHttps, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        data = None if body is None else b"".join([body] if isinstance(body, bytes) else body)
        if method == "PUT":
            request(https, method, path, data, **headers)
        return request(https, method, path, data, **headers)

    return again


def _restless(_turn: object) -> Callable[..., list[Any]]:
    """The connection's thread never waits."""
    return lambda _link, _timeout_s: []


# --------------------------------------------------------------------------- the server


def _eager(_complete: object) -> Callable[..., list[Recording]]:
    """Every recording that has ended counts as complete."""

    def complete(catalogue: Catalogue, limit: int = 100) -> list[Recording]:
        found = catalogue.page(limit)
        return [one for one in found if one.stop_line is not None and one.stored_entry is None and one.started_entry is not None]

    return complete


def _blind(write: Callable[..., None]) -> Callable[..., None]:
    """What is written is not what came."""
    return lambda descriptor, data, offset: write(descriptor, bytes(len(data)), offset)


def _amnesia(start: Callable[[Server], None]) -> Callable[[Server], None]:
    """Each start but the first finds what the first had found."""

    def forget(server: Server) -> None:
        if server.starts and not server.up:
            server.set_back()
        start(server)
        if server.starts == 1:
            server._agenda.after(60_000_000, server.copy)  # noqa: SLF001 - a world's own part

    return forget


BREAKS = {
    "journal is not synced": Break("lines leave before they are durable", "durable-first", _swap(Card, "_skips", _unsynced_segments)),
    "card loses what it synced": Break("a cut takes lines that were promised", "kept", _swap(Card, "cut", _forgetful)),
    "lines change on the way": Break("what is published is not what was signed", "one-history", _swap(SimulatedLink, "publish", _garbling)),
    "numbers are skipped": Break("n has gaps", "sessions", _swap(Story, "_count", _skipping)),
    "purge without receipt": Break("media go though nobody has them", "purge", _purge_freely),
    "age by the wall clock": Break("a clock that jumps deletes", "age", _wall_clock),
    "cuts are not stated": Break("recovery writes no gap", "loss-stated", _swap(salvage, "power_gaps", lambda _: lambda *_: [])),
    "gaps are not written": Break("capture's losses are not put on record", "loss-stated", _silent_capture),
    "nothing is uploaded": Break("media stay on the device", "arrives", _swap(Index, "pending", lambda _: lambda *_: [])),
    "media are sent twice": Break("each request is made again", "twice", _swap(SimulatedHttps, "request", _twice)),
    "a daemon fails": Break("the duty meets an error of its own", "unexpected", _swap(Duty, "_look_at_power", _failing)),
    "a daemon never rests": Break("the exchange goes round and round", "finishes", _swap(SimulatedLink, "turn", _restless)),
    "receipts come early": Break("stored before everything is held", "receipts", _swap(Catalogue, "complete", _eager)),
    "server writes zeros": Break("held are other bytes than came", "receipts", _swap(intake, "write_at", _blind)),
    "server forgets": Break("a restart loses what was cosigned", "cosigned-stays", _swap(Server, "start", _amnesia)),
}
"""name → the rule that does not hold."""
