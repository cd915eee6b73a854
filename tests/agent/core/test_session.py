"""The recording's table: every pair of state and event, and every sequence of events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import SessionError
from agent.core.session import ACTIONS, EVENTS, STATES, TRANSITIONS, Session


def after(*events: str) -> tuple[str, list[str]]:
    """State and all actions after these events."""
    session = Session()
    actions = [action for event in events for action in session.handle(event)]
    return session.state, actions


def in_state(state: str) -> Session:
    ways = {
        "idle": (),
        "recording": ("press_start",),
        "post": ("press_start", "press_stop"),
        "stopping": ("press_start", "power_low"),
        "restarting": ("press_start", "power_low", "press_start"),
    }
    session = Session()
    for event in ways[state]:
        session.handle(event)
    assert session.state == state
    return session


def test_start_mark_stop() -> None:
    events = ("press_start", "mark", "press_stop", "post_over", "closed")
    assert after(*events) == ("idle", ["begin", "mark", "post", "finish"])


def test_a_start_within_the_post_recording_goes_on_with_the_same_recording() -> None:
    assert after("press_start", "press_stop", "press_start") == ("recording", ["begin", "post", "post_off"])


def test_a_second_stop_ends_the_post_recording() -> None:
    assert after("press_start", "press_stop", "press_stop") == ("stopping", ["begin", "post", "post_off", "finish"])


def test_a_start_while_closing_is_not_lost() -> None:
    assert after("press_start", "power_low", "press_start", "closed") == ("recording", ["begin", "alarm", "finish", "begin"])


def test_a_stop_takes_it_back() -> None:
    assert after("press_start", "shutdown", "press_start", "press_stop", "closed") == ("idle", ["begin", "finish"])


@pytest.mark.parametrize("event", ["power_low", "disk_full"])
def test_want_of_power_or_space_ends_a_recording_properly(event: str) -> None:
    assert after("press_start", event, "closed") == ("idle", ["begin", "alarm", "finish"])


def test_a_camera_that_is_gone_ends_nothing() -> None:
    assert after("press_start", "camera_lost", "mark", "camera_back") == ("recording", ["begin", "gap", "alarm", "mark", "track"])


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("event", [*EVENTS, "", "start", "PRESS_START"])
def test_every_state_takes_or_refuses_every_event(state: str, event: str) -> None:
    session = in_state(state)
    assert session.knows(event) is ((state, event) in TRANSITIONS)
    if session.knows(event):
        expected_state, expected_actions = TRANSITIONS[state, event]
        assert session.handle(event) == expected_actions
        assert session.state == expected_state
    else:
        with pytest.raises(SessionError, match=f"event '{event}' in state {state}: expected one of "):
            session.handle(event)
        assert session.state == state


def test_a_refusal_says_what_would_have_been_known() -> None:
    message = "event 'mark' in state idle: expected one of camera_back, camera_lost, disk_full, power_low, press_start, shutdown, still"
    with pytest.raises(SessionError) as refused:
        Session().handle("mark")
    assert str(refused.value) == message


def test_the_table_uses_what_is_declared_and_nothing_else() -> None:
    assert {state for state, _ in TRANSITIONS} == set(STATES) == {state for state, _ in TRANSITIONS.values()}
    assert {event for _, event in TRANSITIONS} == set(EVENTS)
    assert {action for _, actions in TRANSITIONS.values() for action in actions} == set(ACTIONS)


def test_what_comes_from_outside_at_any_moment_is_known_in_every_state() -> None:
    """Battery, disk, camera and the end of the agent ask nobody for the right moment."""
    for state in STATES:
        for event in ("power_low", "disk_full", "camera_lost", "camera_back", "shutdown"):
            assert (state, event) in TRANSITIONS


@given(st.lists(st.sampled_from(EVENTS), max_size=60))
def test_actions_are_well_formed_whatever_happens(events: list[str]) -> None:
    """One `finish` for each `begin`, marks only between the two, and a post-recording clock that never runs on."""
    session = Session()
    is_open = finishing = clock = False
    for event in events:
        if not session.knows(event):
            continue
        if event == "post_over":
            assert clock
            clock = False
        if event == "closed":
            assert finishing
            is_open = finishing = False
        for action in session.handle(event):
            if action == "begin":
                assert not is_open
                is_open = True
            elif action == "finish":
                assert is_open
                assert not finishing
                finishing = True
            elif action in {"mark", "gap", "track"}:
                assert is_open
                assert not finishing
            elif action == "post":
                assert not clock
                clock = True
            elif action == "post_off":
                assert clock
                clock = False
        assert clock is (session.state == "post")
        assert finishing is (session.state in {"stopping", "restarting"})
        assert is_open is (session.state != "idle")


@given(st.lists(st.sampled_from(EVENTS), max_size=60))
def test_a_shutdown_always_comes_to_an_end(events: list[str]) -> None:
    session = Session()
    for event in events:
        if session.knows(event):
            session.handle(event)
    session.handle("shutdown")
    if session.state != "idle":
        session.handle("closed")
    assert session.state == "idle"
