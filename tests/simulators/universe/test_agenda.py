"""Virtual time: order, waiting, being woken, being killed, and what goes round in circles."""

from __future__ import annotations

from functools import partial

import pytest

from simulators.errors import SimulatorError
from simulators.universe.agenda import US_PER_S, Agenda, Bell, cancel, pause

Seen = list[object]


def test_things_happen_in_order_and_those_of_one_instant_as_they_were_put():
    agenda, seen = Agenda(), Seen()

    def note(name: str) -> None:
        seen.append((agenda.now_us, name))

    for name, when in (("c", 30), ("a", 10), ("b", 10)):
        agenda.at(when, partial(note, name))
    cancel(agenda.at(20, lambda: seen.append("called off")))
    agenda.run(25)
    assert (seen, agenda.now_us) == ([(10, "a"), (10, "b")], 25)
    agenda.at(5, lambda: seen.append((agenda.now_us, "late")))  # what is over happens now
    agenda.run(30)
    assert seen[2:] == [(25, "late"), (30, "c")]


def test_a_task_waits_in_the_middle_and_ends_with_what_it_raised():
    agenda, seen = Agenda(), Seen()
    ended: list[BaseException | None] = []

    def work() -> None:
        for _ in range(3):
            pause(10)
            seen.append(agenda.now_us)
        raise ValueError("three are enough")

    agenda.spawn("counter", work, ended.append)
    agenda.run(25)
    assert (seen, ended) == ([10, 20], [])
    agenda.run(100)
    assert seen == [10, 20, 30]
    assert [str(error) for error in ended] == ["three are enough"]


def test_a_task_that_is_killed_unwinds_where_it_waits_and_says_nothing():
    agenda, seen = Agenda(), Seen()
    ended: list[BaseException | None] = []

    def work() -> None:
        try:
            pause(US_PER_S)
            seen.append("lived")
        finally:
            seen.append("unwound")

    task = agenda.spawn("victim", work, ended.append)
    agenda.at(10, task.kill)
    agenda.run(2 * US_PER_S)
    assert (seen, ended, task.dead) == (["unwound"], [], True)


@pytest.mark.parametrize(
    ("rung_us", "until_us", "rang"), [(None, 2_000_000, False), (500_000, 500_000, True), (3_000_000, 2_000_000, False)]
)
def test_a_bell_is_heard_or_the_time_is_over(rung_us, until_us, rang):
    agenda, bell, seen = Agenda(), Bell(), Seen()
    agenda.spawn("listener", lambda: seen.append((bell.wait(2.0), agenda.now_us)), lambda _error: None)
    if rung_us is not None:
        agenda.at(rung_us, bell.set)
    agenda.run(10 * US_PER_S)
    assert seen == [(rang, until_us)]


def test_a_bell_that_stretches_waits_longer_and_one_that_rings_later_gathers_company():
    agenda, bell, seen = Agenda(), Bell(lambda seconds: seconds * 100), []

    def listen() -> None:
        bell.wait(1.0)
        seen.append(agenda.now_us)

    agenda.spawn("listener", listen, lambda _error: None)
    for when in (10 * US_PER_S, 10 * US_PER_S + 5):
        agenda.at(when, lambda: bell.ring(1_000))
    agenda.run(1_000 * US_PER_S)
    assert seen == [10 * US_PER_S + 1_000]


def test_who_waits_outside_of_a_task_is_told():
    with pytest.raises(SimulatorError, match=r"Agenda\.spawn"):
        pause(1)


def test_what_goes_round_in_circles_is_told_and_what_is_only_busy_is_not():
    agenda, told = Agenda(), []
    agenda.most_a_minute = 600
    agenda.crowded = lambda: told.append(agenda.now_us)

    def every(step_us: int) -> None:
        agenda.after(step_us, lambda: every(step_us))

    every(US_PER_S // 9)  # 540 a minute
    agenda.run(600 * US_PER_S)
    assert told == []
    every(US_PER_S // 9)
    agenda.run(700 * US_PER_S)
    assert told


def test_a_stop_ends_the_run_behind_what_happens():
    agenda, seen = Agenda(), Seen()
    agenda.at(5, lambda: agenda.stop("broken"))
    agenda.at(6, lambda: seen.append("too late"))
    agenda.run(100)
    assert (seen, agenda.now_us, agenda.stopped) == ([], 5, "broken")
