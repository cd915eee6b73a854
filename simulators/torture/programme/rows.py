"""The rows by name, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from simulators.torture.programme import forgeries, memory, networks, real, server, worlds
from simulators.torture.programme.effort import Effort, Place, Say
from simulators.torture.table import Row

ROWS: dict[str, Callable[[Place, Effort, Say], Iterator[Row]]] = {
    "duty": memory.duty,
    "starts": memory.starts,
    "refused": memory.refused,
    "taken-back": memory.taken_back,
    "damage": memory.damage,
    "index": memory.index,
    "guard": memory.guard,
    "real": real.real,
    "server": server.server,
    "server-paper": server.paper,
    "server-guard": server.guard,
    "networks": networks.networks,
    "messages": networks.messages,
    "worlds": worlds.worlds,
    "forged": forgeries.forged,
    "honest": forgeries.unforged,
}
