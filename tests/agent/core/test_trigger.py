"""Edges become presses: worked cases, and every sequence of edges against a second way of reading it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.trigger import DEBOUNCE_MS, LONG_MS, TRANSITIONS, Trigger, action

Presses = list[tuple[int, str]]


def run(edges: list[tuple[int, bool]], trigger: Trigger | None = None) -> Presses:
    """Feed edges, tick exactly when a tick is due, and say when which press was given."""
    trigger = trigger or Trigger()
    given_at: Presses = []

    def until(begin_ms: int, end_ms: int | None) -> None:
        while (due_ms := trigger.due_ms) is not None and (end_ms is None or due_ms < end_ms):
            begin_ms = max(begin_ms, due_ms)
            given_at.extend((begin_ms, press) for press in trigger.tick(begin_ms))

    last_ms = 0
    for at_ms, down in edges:
        until(last_ms, at_ms)
        given_at.extend((at_ms, press) for press in trigger.edge(down, at_ms))
        last_ms = at_ms
    until(last_ms, None)
    return given_at


def press(down_ms: int, up_ms: int) -> list[tuple[int, bool]]:
    return [(down_ms, True), (up_ms, False)]


def test_a_short_press_is_given_when_the_button_is_released() -> None:
    assert run(press(1000, 1200)) == [(1200 + DEBOUNCE_MS, "short")]


def test_a_long_press_is_given_while_the_button_is_held() -> None:
    assert run(press(1000, 9000)) == [(1000 + LONG_MS, "long")]


def test_a_button_that_is_never_released_gives_one_long_press() -> None:
    assert run([(0, True)]) == [(LONG_MS, "long")]


@pytest.mark.parametrize(("held_ms", "given"), [(LONG_MS - 1, "short"), (LONG_MS, "long")])
def test_the_threshold_counts_from_edge_to_edge(held_ms: int, given: str) -> None:
    assert [name for _, name in run(press(500, 500 + held_ms))] == [given]


def test_a_bouncing_switch_is_one_press() -> None:
    bounces = [(0, True), (3, False), (5, True), (9, False), (12, True), (300, False), (304, True), (311, False)]
    assert run(bounces) == [(311 + DEBOUNCE_MS, "short")]


@pytest.mark.parametrize("width_ms", [1, DEBOUNCE_MS - 1])
def test_a_glitch_is_no_press_and_ends_none(width_ms: int) -> None:
    assert run(press(100, 100 + width_ms)) == []
    assert run([(0, True), (500, False), (500 + width_ms, True), (5000, False)]) == [(LONG_MS, "long")]


def test_a_glitch_over_the_threshold_does_not_take_the_long_press_away() -> None:
    assert run([(0, True), (LONG_MS - 5, False), (LONG_MS + 5, True), (5000, False)]) == [(LONG_MS + 5, "long")]


def test_a_release_that_still_settles_at_the_threshold_is_a_release() -> None:
    assert run(press(0, LONG_MS - 1)) == [(LONG_MS - 1 + DEBOUNCE_MS, "short")]


def test_two_presses_are_two_where_no_double_press_is_wanted() -> None:
    assert [name for _, name in run(press(0, 100) + press(200, 300))] == ["short", "short"]


def test_a_double_press_is_two_short_ones_within_the_window() -> None:
    assert run(press(0, 100) + press(200, 300), Trigger(double_ms=400)) == [(300 + DEBOUNCE_MS, "double")]


def test_with_double_presses_a_single_one_waits_for_the_windows_end() -> None:
    assert run(press(0, 100), Trigger(double_ms=400)) == [(500, "short")]


def test_a_long_press_after_a_short_one_is_both() -> None:
    assert [name for _, name in run(press(0, 100) + press(200, 5000), Trigger(double_ms=400))] == ["short", "long"]


def test_an_edge_that_was_missed_is_nothing() -> None:
    assert run([(0, True), (100, True), (200, False), (300, False)]) == [(200 + DEBOUNCE_MS, "short")]


# --------------------------------------------------------------------------- every sequence of edges


def read_whole(edges: list[tuple[int, bool]], debounce_ms: int, long_ms: int, double_ms: int) -> list[str]:
    """The same rules as an offline reading: stretches of a level, those that are long enough, presses, pairs of presses."""
    stretches: list[tuple[int, bool]] = []
    for at_ms, down in edges:
        if down != (stretches[-1][1] if stretches else False):
            stretches.append((at_ms, down))
    settled: list[tuple[int, bool]] = []
    for number, (at_ms, down) in enumerate(stretches):
        lasts = number + 1 == len(stretches) or stretches[number + 1][0] - at_ms >= debounce_ms
        if lasts and down != (settled[-1][1] if settled else False):
            settled.append((at_ms, down))
    names: list[str] = []
    window_ends: int | None = None
    for number in range(0, len(settled), 2):
        down_ms = settled[number][0]
        up_ms = settled[number + 1][0] if number + 1 < len(settled) else None
        if up_ms is None or up_ms - down_ms >= long_ms:
            names.append("long")
            window_ends = None
        elif window_ends is not None and down_ms < window_ends:
            names[-1] = "double"
            window_ends = None
        else:
            names.append("short")
            window_ends = up_ms + double_ms
    return names


gaps = st.integers(0, 12) | st.integers(0, 150)
sequences = st.lists(st.tuples(gaps, st.booleans()), max_size=30)
timings = st.tuples(st.integers(0, 10), st.integers(11, 80), st.just(0) | st.integers(1, 60))


def at_times(sequence: list[tuple[int, bool]]) -> list[tuple[int, bool]]:
    now_ms = 0
    edges = []
    for gap_ms, down in sequence:
        now_ms += gap_ms
        edges.append((now_ms, down))
    return edges


@given(sequences, timings)
def test_every_sequence_gives_what_its_whole_reading_gives(sequence: list[tuple[int, bool]], timing: tuple[int, int, int]) -> None:
    edges = at_times(sequence)
    assert [name for _, name in run(edges, Trigger(*timing))] == read_whole(edges, *timing)


@given(sequences, timings, st.data())
def test_when_ticks_come_changes_nothing_but_the_moment(
    sequence: list[tuple[int, bool]], timing: tuple[int, int, int], data: st.DataObject
) -> None:
    edges = at_times(sequence)
    trigger = Trigger(*timing)
    names: list[str] = []
    last_ms = 0
    for at_ms, down in edges:
        for tick_ms in sorted(data.draw(st.lists(st.integers(last_ms, at_ms), max_size=3))):
            names += trigger.tick(tick_ms)
        names += trigger.edge(down, at_ms)
        last_ms = at_ms
    names += trigger.tick(last_ms + 10_000)
    assert names == read_whole(edges, *timing)
    assert trigger.due_ms is None


def test_the_table_leads_from_every_state_back_to_rest() -> None:
    states = {state for state, _ in TRANSITIONS} | {state for state, _ in TRANSITIONS.values()}
    home = {"up"}
    while more := {state for (state, _), (after, _) in TRANSITIONS.items() if after in home} - home:
        home |= more
    assert home == states == {"up", "down", "held", "waiting", "second"}


# --------------------------------------------------------------------------- which press does what

DEFAULTS = {"start": "record:short", "stop": "record:long", "mark": "mark:short", "still": "mark:long"}


@pytest.mark.parametrize(
    ("button", "press", "idle", "recording"),
    [
        ("record", "short", "start", ""),
        ("record", "long", "", "stop"),
        ("record", "double", "", ""),
        ("mark", "short", "", "mark"),
        ("mark", "long", "still", "still"),
        ("panic", "short", "", ""),
    ],
)
def test_start_short_stop_long_mark_by_the_second_button(button: str, press: str, idle: str, recording: str) -> None:
    assert action(DEFAULTS, button, press, recording=False) == idle
    assert action(DEFAULTS, button, press, recording=True) == recording


def test_all_of_it_is_a_setting() -> None:
    toggle = {"start": "red:double", "stop": "red:double", "mark": "red:short", "still": ""}
    assert action(toggle, "red", "double", recording=False) == "start"
    assert action(toggle, "red", "double", recording=True) == "stop"
    assert action(toggle, "red", "short", recording=True) == "mark"
    assert action({}, "red", "short", recording=True) == ""
