"""What the phrases of a story do to a world (`phrases` is their table).

What can't be done now (a press on a device without power) does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.core import lines, merkle, note, wire
from agent.journal.signer import FileSigner
from simulators.universe.agenda import US_PER_S
from simulators.universe.chance import stream
from simulators.universe.clock import EPOCH_MS
from simulators.universe.server import DOMAIN, private_key

if TYPE_CHECKING:
    from simulators.universe.device import Device
    from simulators.universe.world import World

HOLD_US = 1_500_000
TAP_US = 150_000
PASSES_US, HOLE_US = 5 * US_PER_S, 60 * US_PER_S
KBIT = 125

Act = Callable[["World", "Device", list[str]], object]


# --------------------------------------------------------------------------- the officer's hand


def push(world: World, device: Device, button: str, held_us: int) -> None:
    """A finger on a button, for so long."""

    def edge(*, down: bool) -> None:
        if device.pipeline is not None:
            device.buttons.push(button, down=down, up_us=device.clock.up_us())
            device.nudge()

    edge(down=True)
    world.agenda.after(held_us, lambda: edge(down=False))


def tap(button: str) -> Act:
    """A short press."""
    return lambda world, device, _values: push(world, device, button, TAP_US)


def hold(button: str) -> Act:
    """A long press."""
    return lambda world, device, _values: push(world, device, button, HOLD_US)


# --------------------------------------------------------------------------- power


def cut_while_writing(world: World, device: Device) -> None:
    """Within the next operations, or, where nothing is written, in two seconds."""
    device.card.cut_while_writing()
    cuts = device.card.cuts
    world.agenda.after(2 * US_PER_S, lambda: device.cut() if device.card.cuts == cuts else None)


def battery(device: Device, percent: int) -> None:
    """So full it is."""
    device.battery.put(percent)
    device.nudge()


def charger(device: Device, *, on: bool) -> None:
    """Plug it, or pull it."""
    device.battery.plug(charging=on)
    device.nudge()


def empties(device: Device, per_hour: float) -> None:
    """Pull the charger; the battery loses so many per cent an hour."""
    device.battery.plug(charging=False)
    device.battery.per_hour = per_hour


def gauge(device: Device, *, answers: bool) -> None:
    """Whether the battery says how full it is."""
    device.battery.answers = answers
    device.nudge()


# --------------------------------------------------------------------------- network


def bandwidth(world: World, device: Device, kbit_s: float) -> None:
    """Of the device's line, or of the one that it shares."""
    world.line(device).pipe.bytes_s = int(kbit_s * KBIT)


def breaks(world: World, device: Device, share: float) -> None:
    """The share of pieces over which the connection breaks."""
    world.line(device).breaks = share


def late(world: World, device: Device, ms: int) -> None:
    """Between half of it and all of it, each way."""
    world.line(device).late_ms = (ms // 2, ms)


def hole(world: World, device: Device) -> None:
    """Connections begin and are swallowed, again and again, until the network is turned otherwise."""
    line = world.line(device)

    def dark() -> None:
        if line.hole:
            line.swallow = True
            world.agenda.after(HOLE_US, lambda: hole(world, device) if line.hole else None)

    line.cut()
    line.turn(up=True, hole=True)
    world.agenda.after(PASSES_US, dark)


# --------------------------------------------------------------------------- clock


def jump(device: Device, by_us: int) -> None:
    """Somebody sets the wall clock."""
    device.clock.move(by_us // 1_000)
    device.nudge()


def drift(device: Device, seconds_a_day: float) -> None:
    """The wall clock goes wrong."""
    device.clock.drift(round(seconds_a_day / 86_400 * 1_000_000))


def right(device: Device) -> None:
    """Somebody sets the clock, it has a battery, and a server of time vouches for it."""
    device.clock.keeps_time = True
    device.clock.drift(0)
    device.clock.put(0)
    device.clock.trust("ntp")
    device.nudge()


def no_battery(device: Device) -> None:
    """From the next start on."""
    device.clock.keeps_time = False


def trust(device: Device, source: str) -> None:
    """Who says that it is right."""
    device.clock.trust("none" if source == "nobody" else source)
    device.nudge()


# --------------------------------------------------------------------------- card and index


def fault(world: World, device: Device, kind: str, percent: str = "100") -> None:
    """What the card answers, and how often."""
    world.judge.troubled(device.name)
    device.card.fault = kind  # type: ignore[assignment]
    device.card.errors = float(percent) / 100
    device.nudge()


def room(world: World, device: Device, size: int | None) -> None:
    """So many bytes more; None: as many as one likes."""
    world.judge.troubled(device.name)
    device.card.leave_free(size)
    device.nudge()


def lies(world: World, device: Device, *, lies: bool) -> None:
    """Whether it answers a sync without doing it; what is lost by that is the card's fault."""
    device.card.lies = lies
    if lies:
        world.judge.lied.add(device.name)


def index(device: Device, how: str) -> None:
    """What the next start finds."""
    device.index_fate = how


# --------------------------------------------------------------------------- what looks and listens


def lens(device: Device, name: str, *, on: bool) -> None:
    """Camera, microphone or encoder."""
    setattr(device.lens, name, on)
    device.lens.changed()
    device.nudge()


def rate(device: Device, mbit_s: float) -> None:
    """How much a second of picture is."""
    device.lens.bytes_a_second = int(mbit_s * KBIT)  # a byte stands for a thousand


def receiver(device: Device, state: str) -> None:
    """What the receiver says of its position."""
    device.receiver.state = state


# --------------------------------------------------------------------------- server, broker, strangers


def mischief(world: World, **figures: float) -> None:
    """What the broker does wrong."""
    for name, value in figures.items():
        setattr(world.broker.mischief, name, value)


def broker_well(world: World) -> None:
    """Nothing wrong any more."""
    world.broker.mischief = type(world.broker.mischief)()


def set_back(world: World) -> None:
    """The backup is put back, and the judge told."""
    world.server.set_back()
    world.server.start()
    world.judge.set_back()


def order(world: World, device: Device, name: str, *, by: str = "main", again: bool = False) -> None:
    """An order signed by a server's orders key; `again`: the last one once more."""
    if not again:
        world.order_number += 1
    members = [("name", name), ("expires", EPOCH_MS + world.agenda.now_us // 1_000 + 3_600_000)]
    text = lines.write(members).decode()
    body = note.order(note.ORDER, device.enrolment()["origin"], world.order_number, text)
    key = private_key(by, "orders")
    signed = note.sign(body, f"{DOMAIN}/orders", note.ED25519, key.public_key().public_bytes_raw(), key.sign)
    if world.server.up:
        world.server.publish(wire.topic(device.name, "command"), signed.encode(), retain=False)


def expires(world: World, device: Device) -> None:
    """Now, and connections end."""
    world.certificate_ends_ms[device.name] = EPOCH_MS + world.agenda.now_us // 1_000
    world.line(device).cut()


def thief(world: World, device: Device) -> None:
    """A line more in the device's journal as the server has it, signed with the device's own key; the device knows nothing of it."""
    signer, origin = FileSigner.load(device.folder / "evidence" / "evidence.key"), device.enrolment()["origin"]
    logs = world.server.services.logs
    first = logs.size(origin)
    salt = lines.salt_text(stream(world.setting.seed, "thief").randbytes(16))
    one = lines.build(
        "order", world.server.now_ms(), device.clock.up_us() // 1_000, salt, [("number", 9), ("name", "locate"), ("result", "done")]
    )
    root = merkle.root_of([merkle.leaf_hash(line) for line in [*logs.lines(origin, 0, first), one]])
    signed = note.sign(note.checkpoint(origin, first + 1, root), origin, signer.algorithm, signer.public_key(), signer.sign)
    batch = wire.encode_batch(first, [one], signed)
    world.judge.lied.add(device.name)  # two histories under one name: the judge asks for both to be kept, not for one
    world.judge.published(device, wire.topic(device.name, "journal"), batch)
    world.broker.publish(wire.topic(device.name, "journal"), batch)
