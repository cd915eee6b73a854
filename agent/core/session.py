"""The recording as a transition table: what each event does in each state, and what it can't do.

Rules:
- An event that the state does not know raises SessionError and changes nothing: a `mark` without a recording is a mistake of
  somebody, and the officer hears of it.
- What ends a recording for want of power or space ends it properly: the last fragment is cut, the stop is written.
- A camera that is gone ends nothing: sound, position and marks go on, the gap is stated, and the picture begins a new track
  when it is back.
- A press that starts while the last recording is still being closed is kept: the next one begins as soon as that is done.

Time, buttons and disk are others': they send the events and carry out the actions, in the order given.
"""

from .errors import SessionError

STATES = ("idle", "recording", "post", "stopping", "restarting")
"""Nothing; recording; recording its last seconds after the stop; being closed; being closed, and the next one is asked for."""

EVENTS = (
    "press_start",  # button, order, ignition, schedule …
    "press_stop",
    "mark",
    "still",
    "post_over",  # the post-recording seconds are over; at once where there are none
    "closed",  # the stop line is durable
    "power_low",  # not enough for more than closing
    "disk_full",  # no more media may be written
    "camera_lost",
    "camera_back",
    "shutdown",  # the agent ends
)

ACTIONS = (
    "begin",  # a new recording, with the ring's seconds
    "post",  # start the clock of the post-recording seconds
    "post_off",  # stop it
    "finish",  # cut the last fragment, write the stop, then send `closed`
    "mark",
    "still",
    "gap",
    "track",  # the picture begins a new track
    "alarm",  # lamp, sound and vibration
)

TRANSITIONS: "dict[tuple[str, str], tuple[str, tuple[str, ...]]]" = {
    ("idle", "press_start"): ("recording", ("begin",)),
    ("idle", "still"): ("idle", ("still",)),
    ("idle", "power_low"): ("idle", ("alarm",)),
    ("idle", "disk_full"): ("idle", ("alarm",)),
    ("idle", "camera_lost"): ("idle", ("alarm",)),
    ("idle", "camera_back"): ("idle", ()),
    ("idle", "shutdown"): ("idle", ()),
    ("recording", "press_stop"): ("post", ("post",)),
    ("recording", "mark"): ("recording", ("mark",)),
    ("recording", "still"): ("recording", ("still",)),
    ("recording", "power_low"): ("stopping", ("alarm", "finish")),
    ("recording", "disk_full"): ("stopping", ("alarm", "finish")),
    ("recording", "camera_lost"): ("recording", ("gap", "alarm")),
    ("recording", "camera_back"): ("recording", ("track",)),
    ("recording", "shutdown"): ("stopping", ("finish",)),
    ("post", "press_start"): ("recording", ("post_off",)),
    ("post", "press_stop"): ("stopping", ("post_off", "finish")),
    ("post", "mark"): ("post", ("mark",)),
    ("post", "still"): ("post", ("still",)),
    ("post", "post_over"): ("stopping", ("finish",)),
    ("post", "power_low"): ("stopping", ("post_off", "alarm", "finish")),
    ("post", "disk_full"): ("stopping", ("post_off", "alarm", "finish")),
    ("post", "camera_lost"): ("post", ("gap", "alarm")),
    ("post", "camera_back"): ("post", ("track",)),
    ("post", "shutdown"): ("stopping", ("post_off", "finish")),
    ("stopping", "press_start"): ("restarting", ()),
    ("stopping", "closed"): ("idle", ()),
    ("stopping", "power_low"): ("stopping", ("alarm",)),
    ("stopping", "disk_full"): ("stopping", ("alarm",)),
    ("stopping", "camera_lost"): ("stopping", ("alarm",)),
    ("stopping", "camera_back"): ("stopping", ()),
    ("stopping", "shutdown"): ("stopping", ()),
    ("restarting", "press_stop"): ("stopping", ()),
    ("restarting", "closed"): ("recording", ("begin",)),
    ("restarting", "power_low"): ("stopping", ("alarm",)),
    ("restarting", "disk_full"): ("stopping", ("alarm",)),
    ("restarting", "camera_lost"): ("restarting", ("alarm",)),
    ("restarting", "camera_back"): ("restarting", ()),
    ("restarting", "shutdown"): ("stopping", ()),
}
"""(state, event): (next state, actions in order)."""


class Session:
    """The state of the recorder."""

    def __init__(self) -> None:
        self.state = "idle"

    def handle(self, event: str) -> "tuple[str, ...]":
        """Go on to the next state; the actions to carry out. SessionError where the state does not know the event."""
        if (self.state, event) not in TRANSITIONS:
            known = ", ".join(sorted([name for state, name in TRANSITIONS if state == self.state]))
            raise SessionError(f"event {event!r} in state {self.state}: expected one of {known}")
        self.state, actions = TRANSITIONS[self.state, event]
        return actions

    def knows(self, event: str) -> bool:
        """Whether `handle` would take it."""
        return (self.state, event) in TRANSITIONS
