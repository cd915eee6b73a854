"""The device's buttons, pressed by a script or by a hand in the browser.

Order: edge {button, down}. Edges come as a finger makes them: what is a press is the agent's to find out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hal.contracts import Edge
from simulators.orders import open_orders

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hal.contracts import Clock


class Buttons:
    """All buttons as one stream of edges, stamped when the order was given."""

    def __init__(self, clock: Clock, *, world: str = "", script: str | Sequence[Mapping[str, Any]] = "") -> None:
        self._clock = clock
        self._orders = open_orders("button", clock, world, script)

    def read(self, timeout_s: float) -> Edge | None:
        """The next edge; DeviceFault when the world has gone."""
        order = self._orders.take(timeout_s)
        return None if order is None else Edge(order["button"], order["down"], order.get("up_us", self._clock.up_us()))

    def close(self) -> None:
        """End; a waiting read ends with it."""
        self._orders.close()
