"""The rows by name, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from simulators.torture.programme import forgeries, memory, networks, real, server
from simulators.torture.programme.effort import Effort, Place, Say
from simulators.torture.table import Row

ROWS: dict[str, Callable[[Place, Effort, Say], Iterator[Row]]] = {
    "duty": memory.duty,
    "starts": memory.starts,
    "refused": memory.refused,
    "taken-back": memory.taken_back,
    "damage": memory.damage,
    "guard": memory.guard,
    "real": real.real,
    "server": server.server,
    "networks": networks.networks,
    "messages": networks.messages,
    "forged": forgeries.forged,
    "honest": forgeries.unforged,
}
