"""Alarms: which are felt, how long they stand, and that every one stands in the table of faults."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.capture.events import ALARMS
from agent.core import kinds
from agent.faults import FAULTS, ORDER, PASSES_AFTER_US
from agent.journal import recovery
from agent.pipeline import whereabouts
from agent.pipeline.state import State
from hal.board import ROLES

EVENTS = (*ALARMS, *whereabouts.EVENTS)
AGENT = Path(__file__).parents[3] / "agent"


class Now:
    """A clock that the test moves."""

    us = 0

    def __call__(self) -> int:
        return self.us


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def state(now) -> State:
    return State(now)


def felt(state: State) -> int:
    count = 0
    while state.next_happening():
        count += 1
    return count


def test_a_fault_is_felt_once_and_stands_until_it_is_over(state, now):
    assert state.alarm("battery-low", percent=9)
    assert not state.alarm("battery-low", percent=9)
    assert felt(state) == 1
    now.us += 10 * PASSES_AFTER_US
    assert state.alarms == ("battery low: 9 %",)
    assert state.clear("power")
    assert state.alarms == ()


def test_a_graver_fault_takes_the_place_and_is_felt(state):
    state.alarm("battery-low", percent=9)
    state.alarm("battery-critical", percent=2)
    assert state.alarms == ("battery critical: 2 %",)
    assert felt(state) == 2


def test_the_gravest_is_named_first(state):
    for fault in ("still-failed", "battery-low", "camera-lost", "disk-full", "disk-refuses"):
        state.alarm(fault, percent=9)
    assert state.alarms[:3] == (FAULTS["disk-refuses"].says, FAULTS["disk-full"].says, "camera lost")


def test_one_that_passes_is_over_by_itself_and_not_felt_again_meanwhile(state, now):
    state.alarm("still-failed")
    now.us += PASSES_AFTER_US - 1
    assert state.alarms
    assert not state.alarm("still-failed")
    now.us += PASSES_AFTER_US - 1
    assert state.alarms
    now.us += 1
    assert state.alarms == ()
    assert state.alarm("still-failed")
    assert felt(state) == 2


def test_the_refusing_disk_and_the_full_one_end_apart(state):
    state.alarm("disk-low")
    state.alarm("disk-refuses")
    state.clear("disk")
    assert state.alarms == ("disk nearly full",)


@pytest.mark.parametrize(("name", "value"), [("refusing", True), ("space", "full"), ("space", "unwritable"), ("battery", "critical")])
def test_nothing_begins_that_could_not_be_ended_properly(state, name, value):
    assert state.may_record
    setattr(state, name, value)
    assert not state.may_record


# --------------------------------------------------------------------------- the table


def test_every_alarm_of_the_code_is_in_the_table_and_every_one_of_the_table_in_the_code():
    code = "\n".join(path.read_text() for path in AGENT.rglob("*.py"))
    literal = set(re.findall(r"""\.alarm\("([a-z-]+)\"""", code))
    made = {f"battery-{state}" for state in ("low", "critical", "unknown")} | {f"disk-{state}" for state in ("low", "full", "unwritable")}
    made |= {f"{role}-missing" for role in ROLES if role != "clock"} | {event for event in EVENTS if not event.endswith("-back")}
    assert literal | made == set(FAULTS)


def test_every_line_of_the_table_is_of_a_known_kind():
    assert {fault.line.split(" ")[0] for fault in FAULTS.values() if fault.line} <= set(kinds.KINDS)
    assert recovery.ALARMS


def test_a_place_that_ends_with_its_device_is_a_place_of_the_table():
    assert {event.removesuffix("-back") for event in EVENTS if event.endswith("-back")} <= set(ORDER)
