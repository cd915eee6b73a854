"""What must hold when the weather has been good for long enough: the server has everything once, the devices have their receipts.

Rules (docs/evidence-format.md, sections 4 to 6):
- Every line of the journal that a device writes is at the server, cosigned, in its place; so is every line that it ever published.
- Every fragment that a line names is held, byte for byte, or under a gap; every stopped recording is stored and has its receipt.
- What capture made is on record or said to be lost (`takes`).
- A card that lied may have lost what was never cosigned; what was cosigned came back, or both histories are kept (journal n+1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulators.universe.fold import Fold, Told

if TYPE_CHECKING:
    from simulators.universe.device import Device
    from simulators.universe.judge import Judge
    from simulators.universe.world import World


def waits(world: World) -> str:
    """What is not where it belongs yet; empty when everything is."""
    server = world.server
    if not server.up or not world.broker.up:
        return "the server or the broker is down"
    for device in world.devices:
        pipeline = device.pipeline
        if pipeline is None:
            return f"{device.name} does not run"
        if pipeline.clerk.running is not None or pipeline.recorder is None or pipeline.recorder.state != "idle":
            return f"{device.name} still records"
        journal, index = pipeline.evidence.scribe.journal, pipeline.evidence.index
        if server.services.logs.size(journal.origin) < journal.size or journal.cosigned_size < journal.size:
            return f"{device.name}: {journal.size - journal.cosigned_size} lines of {journal.origin} are not cosigned"
        for one in index.recordings():
            if not one.purged and one.stop is not None and (one.unsent or not one.receipt):
                return f"{device.name}: {one.recording} has {one.unsent} fragments to send, receipt: {one.receipt}"
    return ""


def judge_ending(world: World) -> None:
    """All checks of the end; what is wrong is told to the judge."""
    judge = world.judge
    left = waits(world)
    if left:
        judge.fault("arrives", left)
        return
    for device in world.devices:
        _journal(world, device)
    for origin, fold in judge.folds.items():
        _published(world, origin, fold)
    for take in judge.takes.known.values():
        if take.device in judge.lied:
            continue
        found = judge.told(take.recording)
        for problem in judge.takes.judge(take, found[1] if found else None):
            judge.fault("loss-stated", problem)
    if world.bound_percent is not None and judge.traffic.again_percent > world.bound_percent:
        percent = judge.traffic.again_percent
        judge.fault("twice", f"{percent:.2f} % of the bytes left a device more than once, the bound is {world.bound_percent} %")


def _journal(world: World, device: Device) -> None:
    """The journal that is written: the server's copy is the same, and everything that it names is held."""
    judge = world.judge
    assert device.pipeline is not None
    journal = device.pipeline.evidence.scribe.journal
    mine = journal.lines(0, journal.size)
    theirs = world.server.services.logs.lines(journal.origin, 0, journal.size)
    if mine != theirs:
        judge.fault("arrives", f"{journal.origin}: the server's copy differs from the device's")
    for recording, told in judge.folds[journal.origin].recordings.items():
        _recording(judge, device, recording, told)


def _recording(judge: Judge, device: Device, recording: str, told: Told) -> None:
    if told.stop is None:
        judge.fault("arrives", f"{device.name}: {recording} has no stop")
    elif (device.name, recording) not in judge.receipts:
        judge.fault("arrives", f"{device.name}: {recording} has no receipt")
    for fragment in told.fragments:
        if not told.under_gap(fragment) and not judge.bytes_held(device.name, recording, told, fragment):
            judge.fault("arrives", f"{device.name}: {recording} {fragment['track']} {fragment['seq']} is not held")
            return


def _published(world: World, origin: str, fold: Fold) -> None:
    """Whatever a device has cosigned lines of is still at the server, in an old journal too."""
    judge = world.judge
    public = judge.public.get(origin)
    if public is None:
        return
    size = public.cosigned_size
    held = world.server.services.logs.lines(origin, 0, size)
    if held != public.lines[:size]:
        judge.fault("cosigned-stays", f"{origin}: {size} lines were cosigned, the server's copy is another")
    device = next(one for one in world.devices if origin.split("/")[-2] == one.name)
    if device.name not in judge.lied and fold.lines[: len(public.lines)] != public.lines:
        judge.fault("kept", f"{origin}: {len(public.lines)} lines were published, the device's are others")
