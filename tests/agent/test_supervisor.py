"""Daemons: one that fails is logged, counted and goes on; none of them ends another."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from agent.core.backoff import Backoff
from agent.pipeline.wiring import Pipeline
from agent.supervisor import DAEMONS, Daemon, Supervisor

NOBODY: Any = SimpleNamespace()
"""These daemons take nothing from a pipeline."""


class Counting:
    """Steps that are counted; the ones in `fails` raise."""

    def __init__(self, fails=()) -> None:
        self.steps = 0
        self.fails = set(fails)
        self.changed = threading.Condition()

    def step(self) -> str:
        with self.changed:
            self.steps += 1
            self.changed.notify_all()
            if self.steps in self.fails:
                raise RuntimeError(f"step {self.steps}")
        return "did"

    def wait_for(self, steps: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.steps >= steps, 60)


def test_a_daemon_that_fails_goes_on_and_is_counted(caplog):
    good, bad = Counting(), Counting(fails={1, 2, 3})
    table = (Daemon("good", lambda _: good.step, 0.001, "first"), Daemon("bad", lambda _: bad.step, 0.001, "last"))
    supervisor = Supervisor(NOBODY, table)
    supervisor.start()
    bad.wait_for(6)
    good.wait_for(6)
    supervisor.end("first")
    after = good.steps
    bad.wait_for(bad.steps + 3)
    supervisor.end("last")
    assert good.steps == after
    assert supervisor.faults == {"bad": 3}
    assert supervisor.last_words == {"good": "did", "bad": "did"}
    assert [record.daemon for record in caplog.records if record.exc_info] == ["bad"] * 3


def test_failures_wait_longer_and_success_begins_again():
    bad = Counting(fails={1, 2, 3, 5})
    daemon = Daemon("bad", lambda _: bad.step, 0.5, "last")
    supervisor, backoff = Supervisor(NOBODY, ()), Backoff(200, 30_000)
    waits = [supervisor.once(daemon, bad.step, backoff) for _ in range(5)]
    assert waits[3] == 0.5
    assert all(wait >= 0.5 for wait in waits)
    assert supervisor.faults["bad"] == 4


@pytest.mark.parametrize("daemon", DAEMONS, ids=lambda daemon: daemon.name)
def test_the_table_names_steps_that_a_pipeline_has(daemon):
    """Each row's step is looked up on a pipeline only when it runs: a name that is wrong would be found in the street."""
    looked: list[str] = []

    class Recording:
        def __getattr__(self, name):
            looked.append(name)
            return self

    daemon.step(Recording())
    source = Pipeline.__init__.__code__.co_names
    assert looked[0] in source
    assert daemon.ends in {"first", "last"}


def test_what_ends_first_are_the_hands_that_begin_recordings():
    assert {daemon.name for daemon in DAEMONS if daemon.ends == "first"} == {"buttons", "orders"}
