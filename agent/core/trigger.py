"""A button's edges become presses: short, long and double.

Rules:
- A level counts once it has stood for the debounce time; its moment is when it came to stand. Glitches shorter than that are
  nothing, neither a press nor the end of one.
- A long press is given while the button is still held, at the threshold: who holds it feels that it was enough.
- A double press is two short ones, the second begun within the window. The first of them then waits for the window's end, so
  the window is 0 (no double presses) unless a setting asks for one: a start must not wait.
- The table below is all there is; times only decide when its events happen. Time is monotonic ms, and it never goes back.

Which press does what is a setting: `action`. What the recording makes of it is `session`'s.
"""

DEBOUNCE_MS = 30
"""Switches bounce for up to 20 ms; nobody presses shorter than 40."""

LONG_MS = 1000
"""Longer than any press that was meant to be short, in gloves and in a hurry."""

TRANSITIONS: "dict[tuple[str, str], tuple[str, tuple[str, ...]]]" = {
    # (state, event): (next state, presses)
    ("up", "down"): ("down", ()),
    ("down", "up"): ("waiting", ()),
    ("down", "held"): ("held", ("long",)),
    ("held", "up"): ("up", ()),
    ("waiting", "over"): ("up", ("short",)),
    ("waiting", "down"): ("second", ()),
    ("second", "up"): ("up", ("double",)),
    ("second", "held"): ("held", ("short", "long")),
}
"""`down` and `up` are settled levels, `held` is the threshold of a long press, `over` the end of the double press's window."""


class Trigger:
    """One button. `long_ms` must be longer than `debounce_ms`; `double_ms` 0 means that there are no double presses."""

    def __init__(self, debounce_ms: int = DEBOUNCE_MS, long_ms: int = LONG_MS, double_ms: int = 0) -> None:
        self.state = "up"
        self._debounce_ms = debounce_ms
        self._long_ms = max(long_ms, debounce_ms + 1)
        self._double_ms = double_ms
        self._level = False  # as the last edge left it
        self._edge_ms = 0
        self._settled = False  # as it counts
        self._since_ms = 0  # when the state's clock began: the edge of the press, or of its release

    def edge(self, down: bool, now_ms: int) -> "list[str]":  # noqa: FBT001 - the level is what an edge is
        """The button went down or up: what was completed until now. An edge to the level that stands already is nothing."""
        presses = self.tick(now_ms)
        if down != self._level:
            self._level = down
            self._edge_ms = now_ms
        return presses

    def tick(self, now_ms: int) -> "list[str]":
        """Time passed: `short`, `long` and `double` presses completed until now, in order."""
        presses: "list[str]" = []
        due_ms = self.due_ms
        while due_ms is not None and due_ms <= now_ms:
            presses += self._happen()
            due_ms = self.due_ms
        return presses

    @property
    def due_ms(self) -> "int | None":
        """When `tick` is wanted next; None when only an edge can change anything."""
        if self._level != self._settled:
            return self._edge_ms + self._debounce_ms
        if self.state in ("down", "second"):
            return self._since_ms + self._long_ms
        if self.state == "waiting":
            return self._since_ms + self._double_ms
        return None

    def _happen(self) -> "tuple[str, ...]":
        """The event that is due. While a level settles no other is: the edge came before their time, or is a glitch."""
        if self._level == self._settled:
            event = "over" if self.state == "waiting" else "held"
        else:
            self._settled = self._level
            event = "down" if self._level else "up"
        self.state, presses = TRANSITIONS[self.state, event]
        if event in ("down", "up"):
            self._since_ms = self._edge_ms
        return presses


def action(bindings: "dict[str, str]", button: str, press: str, recording: bool) -> str:  # noqa: FBT001 - a fact, not an option
    """What a press asks for: `start`, `stop`, `mark` or `still`; empty where it asks for nothing now.

    `bindings` says for each of them which gesture it is, `<button>:<short|long|double>`, or empty for none. Only what is possible is
    asked for, so one gesture may both start and stop.
    """
    gesture = f"{button}:{press}"
    for name in ("stop", "mark", "still") if recording else ("start", "still"):
        if bindings.get(name) == gesture:
            return name
    return ""
