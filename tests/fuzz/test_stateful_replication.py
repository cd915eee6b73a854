"""Replication against a plain list: a device, a server, and a line between them that loses, doubles and changes the order.

The device sends by its own rules (`sending`, `replica`, `inbox`), the server decides and commits by its own over a real database, and
is stopped and started in between. The model is the device's list of lines. Whatever the line does: the server holds a beginning of that
list and nothing else, each line once; what it cosigned never becomes less or otherwise; a fork is refused and kept, never cosigned; and
once the line works again, everything arrives.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.core import merkle, note
from agent.core.replica import Replica
from agent.uplink.errors import Refused
from agent.uplink.inbox import Inbox
from agent.uplink.keys import ServerKeys
from agent.uplink.sending import Sending
from server.services import World, open_services
from tests.server.conftest import Clock, Ingest, line_up, make_data_folder
from tests.server.virtual import Device

PATIENCE_S = 10
ROUNDS = 200


class Replication(RuleBasedStateMachine):
    """One device and one server."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="zhilu-fuzz-"))
        self.clock = Clock()
        self.config = make_data_folder(self.folder / "server")
        self.device = Device()
        self.twin: Device | None = None
        self._open()
        self.ingest.enrol(self.device)
        keys = self.services.ledger.key.vkey, self.services.witness.key.vkey
        texts = {"ledger": keys[0], "witness": keys[1], "orders": keys[0]}
        self.inbox = Inbox(self.device.origin, ServerKeys.of(self.device.origin, self.device.vkey, texts))
        self.sending = Sending(Replica(0, 0), PATIENCE_S, lambda: 0.5)
        self.now_us = 0
        self.up: list[bytes] = []
        self.down: list[str] = []
        self.cosigned: dict[int, bytes] = {}
        self.largest = 0
        self.seconds = 0

    def teardown(self) -> None:
        if not hasattr(self, "folder"):
            return
        try:
            self.arrive()
        finally:
            self._close()
            shutil.rmtree(self.folder)

    # ----------------------------------------------------------------------- the device

    @rule(count=st.integers(1, 4), at_once=st.booleans())
    def record(self, count: int, *, at_once: bool) -> None:
        self.device.grow(count)
        if at_once:
            self.send()

    @rule()
    def send(self) -> None:
        """What may go now goes onto the line."""
        while (first := self.sending.next_first(self.device.size)) is not None:
            end = max(size for size in self.device.notes if first < size <= first + 8)
            self.up.append(self.device.batch(first, end))
            self.sending.sent(end, self.now_us)

    @rule(seconds=st.integers(1, 200))
    def time_passes(self, seconds: int) -> None:
        self.now_us += seconds * 1_000_000
        self.clock.ms += seconds * 1_000
        self.sending.overdue(self.now_us)

    @rule()
    def connect_again(self) -> None:
        """What was under way may be lost or not: the device does not know."""
        self.sending.connected()

    @rule()
    def start_again(self) -> None:
        """The device forgets what it sent, and knows what it kept: the cosigned size."""
        self.sending = Sending(Replica(self.device.size, self.sending.replica.cosigned), PATIENCE_S, lambda: 0.5)

    # ----------------------------------------------------------------------- the line

    @precondition(lambda self: self.up)
    @rule(which=st.lists(st.integers(0, 30), min_size=1, max_size=4), keep=st.booleans())
    def carry_up(self, which: list[int], *, keep: bool) -> None:
        """Some messages arrive, in any order; one that is kept arrives again later."""
        taken = [self.up[one % len(self.up)] for one in which]
        if not keep:
            self.up = [one for one in self.up if one not in taken]
        self.down += self.ingest.offer(self.device, *taken)

    @precondition(lambda self: self.down)
    @rule(which=st.integers(0, 30), keep=st.booleans())
    def carry_down(self, which: int, *, keep: bool) -> None:
        answer = self.down[which % len(self.down)] if keep else self.down.pop(which % len(self.down))
        self._take(answer)

    @rule()
    def lose(self) -> None:
        self.up.clear()
        self.down.clear()

    @precondition(lambda self: self.up)
    @rule(which=st.integers(0, 30), where=st.integers(0, 999), change=st.integers(1, 255))
    def damage(self, which: int, where: int, change: int) -> None:
        """A byte changes under way, mostly in a line, and that is what arrives."""
        payload = bytearray(self.up.pop(which % len(self.up)))
        payload[where * len(payload) // 1_000] ^= change
        self.down += self.ingest.offer(self.device, bytes(payload))

    # ----------------------------------------------------------------------- the server

    @rule()
    def restart_the_server(self) -> None:
        self._close()
        self._open()

    @rule(count=st.integers(1, 3))
    def somebody_with_the_key_tells_another_story(self, count: int) -> None:
        """A copy of the card with another past: whatever it sends, nothing that is held changes."""
        if self.twin is None:
            self.twin = Device(key=self.device.key, seed=99)
            held = self.services.logs.size(self.device.origin)
            for line in self.device.lines[: max(held - 1, 0)]:
                self.twin.raw(line)
        self.twin.grow(count)
        held = self.services.logs.size(self.device.origin)
        if self.twin.size > held or self.twin.range.root() == self._root(self.twin.size):
            return  # longer than what is held it would be the first to tell: then the device is the twin
        forks = len(self.services.logs.forks())
        first = max(size for size in (0, *self.twin.notes) if size < self.twin.size)
        answers = self.ingest.offer(self.device, self.twin.batch(first))
        assert [note.parse_checkpoint(note.split(text)[0]).size for text in answers] in ([], [held])
        assert len(self.services.logs.forks()) >= max(forks, 1)

    # ----------------------------------------------------------------------- what must hold

    @invariant()
    def the_server_holds_a_beginning_of_the_list(self) -> None:
        size = self.services.logs.size(self.device.origin)
        assert self.services.logs.lines(self.device.origin, 0, size) == self.device.lines[:size]

    @invariant()
    def what_is_cosigned_never_goes_back(self) -> None:
        text = self.services.logs.checkpoint(self.device.origin)
        if text is None:
            assert not self.cosigned
            return
        news = self.inbox.cosigned(text.encode())
        assert news.size >= self.largest
        assert news.seconds >= self.seconds
        assert news.root == merkle.root_of([merkle.leaf_hash(line) for line in self.device.lines[: news.size]])
        self.largest, self.seconds = news.size, news.seconds
        assert self.sending.replica.cosigned <= self.largest

    # ----------------------------------------------------------------------- the end

    def arrive(self) -> None:
        """The line works again, as it does in the end of every story: within some rounds everything is there, once."""
        for _ in range(ROUNDS):
            if self.sending.replica.cosigned == self.device.size:
                break
            self.send()
            for payload in self.up:
                self.down += self.ingest.offer(self.device, payload)
            for answer in self.down:
                self._take(answer)
            self.lose()
            self.time_passes(200)
        assert self.sending.replica.cosigned == self.device.size
        assert self.services.logs.size(self.device.origin) == self.device.size

    # ----------------------------------------------------------------------- helpers

    def _take(self, answer: str) -> None:
        try:
            news = self.inbox.witness(answer.encode(), self._root, self.sending.replica.cosigned)
        except Refused as refusal:
            raise AssertionError(f"the device refuses what its server says: {refusal}") from refusal
        known = self.cosigned.setdefault(news.size, news.root)
        assert known == news.root
        self.sending.witnessed(news.size, self.now_us)

    def _root(self, size: int) -> bytes | None:
        return merkle.root_of([merkle.leaf_hash(line) for line in self.device.lines[:size]]) if size <= self.device.size else None

    def _open(self) -> None:
        self.opened = open_services(self.config, World(self.clock))
        self.services = self.opened.__enter__()
        self.ingest: Ingest = line_up(self.services)

    def _close(self) -> None:
        self.opened.__exit__(None, None, None)


Replication.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestReplication = Replication.TestCase
