"""The worked example of docs/evidence-format.md: a journal of eight lines, made anew so that the page can be held against it.

`python -m tests.server.evidence.example` prints the blocks.
"""

from __future__ import annotations

from agent.core import merkle, note
from server.evidence import gather, package
from server.evidence.package import Package, Wanted
from tests.server.evidence.world import World

RECORDING = "01JD8Z3V9M5Q7R2T4W6Y8A0C1E"
PICTURE = b"a picture"


def story() -> tuple[World, Package]:
    """A device takes one still picture; the picture is nine letters."""
    world = World()
    device = world.device("DSJ-0012345")
    # Of what `switch_on` writes, the example shows enrol, boot and clock.
    del device.lines[3:], device.leaves[3:]
    for kind in ("assign", "signon"):
        del device.governing[kind]
    device.beacon()
    device.start(RECORDING)
    device.track(RECORDING, "still-1", "image/jpeg")
    device.fragment(RECORDING, PICTURE, 0, 0, "still-1")
    device.stop(RECORDING)
    device.cosign()
    world.custody_line("start", device.name, RECORDING, origin=device.origin)
    world.custody_line("export", device.name, RECORDING, by="console")
    return world, package.make(world, Wanted(device.origin, RECORDING, device.starts[RECORDING]))


def blocks() -> dict[str, str]:
    """Block name → its text, as the page shows them."""
    world, made = story()
    device = next(iter(world.devices.values()))
    members = {m.name: b"".join(m.pieces()).decode() for m in made.members if not m.name.endswith(".html")}
    found = gather.find(world, device.origin, RECORDING, device.starts[RECORDING], None)
    without = [i for i in range(len(device.lines)) if i not in (1, 2, 6)]
    ranges = gather.ranges_of(without)
    hashes = merkle.range_hashes(world.subtree(device.origin), ranges, found.size)
    return {
        "lines": "".join(line.decode() + "\n" for line in device.lines),
        "leaf hashes": "".join(leaf.hex() + "\n" for leaf in device.leaves),
        "checkpoint": device.cosigned[8],
        "keys": f"{device.key.vkey}\n{world.ledger.key.vkey}\n{world.witness.vkey}\n",
        "journal.proof": members["data/journal.proof"],
        "excerpt.proof": note.range_proof(ranges, hashes, device.cosigned[8]),
        "device.tlog-proof": members["data/device.tlog-proof"],
        "recording.json": members["data/recording.json"],
    }


if __name__ == "__main__":
    for name, text in blocks().items():
        print(f"--- {name}\n{text}")  # noqa: T201
