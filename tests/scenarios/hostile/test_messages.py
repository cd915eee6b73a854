"""The tables of forged messages (simulators/hostile/to_recorder, to_server), a row a test, and that a genuine one is told from them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from agent.core import wire
from simulators.hostile import messages, to_server, verdicts
from simulators.hostile.siege import FORGER, ORDER, RECORDER, Siege, now_ms

pytestmark = pytest.mark.timeout(600)

PHRASES = [
    "a replayed old batch",
    "a batch of another device on this topic",
    "an order that the server did not sign",
    "an old order again",
    "an order for another device",
    "cosignature from a stranger",
    "checkpoint of another size",
    "duplicate JSON names",
    "floats",
    "numbers beyond 2**53",
    "certificate expired",
    "certificate revoked",
    "certificate for another device",
]


@dataclass
class Live:
    runner: asyncio.Runner
    siege: Siege

    def run(self, work: Any) -> Any:
        return self.runner.run(work)


@pytest.fixture(scope="module")
def live(tmp_path_factory) -> Iterator[Live]:
    with asyncio.Runner() as runner:
        siege = Siege(tmp_path_factory.mktemp("siege") / "run")
        runner.run(siege.__aenter__())
        try:
            runner.run(siege.prepared())
            yield Live(runner, siege)
        finally:
            runner.run(siege.__aexit__())


@pytest.mark.parametrize("row", messages.ROWS, ids=messages.name)
def test_what_was_never_meant_is_refused_by_its_reason_and_changes_nothing(live, row):
    verdict = live.run(messages.judged(live.siege, row))
    assert (verdict.changed, verdict.unsaid) == ([], [])


def test_all_that_the_recorder_refused_is_counted_where_an_administrator_looks(live):
    verdict = live.run(verdicts.counted_by_recorder(live.siege))
    assert (verdict.changed, verdict.unsaid) == ([], [])


def test_the_tables_cover_what_a_forger_would_do_with_messages():
    said = {row.phrase for row in messages.ROWS}
    assert [phrase for phrase in PHRASES if phrase not in said] == []
    assert len({messages.name(row) for row in messages.ROWS}) == len(messages.ROWS)


# --------------------------------------------------------------------------- a guard on the judges: genuine messages are none of these


def genuine_order(siege: Siege) -> Any:
    order = siege.office.order(siege.origin, ORDER + 20, "locate", now_ms() + 3_600_000)
    return verdicts.told_recorder(siege, "command", order, "no-signature")


def genuine_batch(siege: Siege) -> Any:
    siege.forger.record()
    return verdicts.told_server(siege, "journal", siege.forger.batch(siege.forger.cosigned()), "torn")


def news_called_old(siege: Siege) -> Any:
    siege.forger.record()
    return verdicts.replayed(siege, siege.forger.batch(siege.forger.cosigned()))


def a_line_with_meaning(siege: Siege) -> Any:
    return verdicts.without_meaning(siege, siege.forger.lines[0])


def genuine_media(siege: Siege) -> Any:
    return verdicts.requested(siege, f"/api/v1/media/{FORGER}/{siege.mine.name}/front/0", siege.mine.data, 409, "not-named")


def genuine_certificate(siege: Siege) -> Any:
    files = to_server._of_time(timedelta(0), siege)
    return verdicts.shown(siege, files, {"broker": siege.deployment.ports.broker, "server": siege.deployment.ports.devices})


def own_topic(siege: Siege) -> Any:
    return verdicts.not_its_topic(siege, "health", b"{}", FORGER)


def an_alarm_called_no_news(siege: Siege) -> Any:
    return verdicts.told_recorder(siege, "witness", b"garbage", "")


GENUINE = [
    genuine_order,
    genuine_batch,
    news_called_old,
    a_line_with_meaning,
    genuine_media,
    genuine_certificate,
    own_topic,
    an_alarm_called_no_news,
]


@pytest.mark.parametrize("say", GENUINE)
def test_a_judge_says_so_when_the_message_is_another_than_its_row_says(live, monkeypatch, say):
    monkeypatch.setattr(verdicts, "WITHIN_S", 1.0)
    verdict = live.run(say(live.siege))
    assert verdict.unsaid
    assert not verdict.well


def test_after_all_of_it_recorder_and_server_do_what_they_are_there_for(live):
    live.run(live.siege.goes_on())
    assert live.siege.intruder.of(wire.topic(RECORDER, "receipt"))
