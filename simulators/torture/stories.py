"""The stories that are cut, as scenes: a duty, a disk that refuses, lines that are taken back, disks that were damaged before."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from dataclasses import replace

from agent.capture.events import RecordingStopped
from agent.core import note
from agent.journal import segments
from agent.journal.adopt import adopt
from agent.journal.scribe import Scribe
from agent.pipeline.tray import Entry
from simulators.torture.cuts import Replay
from simulators.torture.device import Device, Home, StepClock
from simulators.torture.duty import Player, Running, duty, segment_lines
from simulators.torture.kernel import Image, Kernel, Step, Tree
from simulators.torture.promises import Durable, Lines, Refuted
from simulators.torture.reading import written
from simulators.torture.scene import Scene

Skip = Callable[[Step], bool]
S = 1_000_000
RETRY_S = 2


def tell_duty(home: Home, seed: int, seconds: int, skip: Skip | None = None) -> Scene:
    """The duty on an empty disk."""
    kernel = Kernel(home.state, skip=skip)
    device = Device(home.fresh(), kernel, seed)
    _run(device, lambda: duty(device, seconds))
    return Scene("duty", Replay.of(Image()), kernel.tape, device.promises, device.clock.wall)


def _run(device: Device, story: Callable[[], None]) -> None:
    try:
        story()
    finally:
        device.end()


# --------------------------------------------------------------------------- a disk that refuses

MEDIA, LINES, CHECKPOINTS, ANY = "MediaFiles.", "Journal._write", "Checkpoints.append", ""
REFUSALS: tuple[tuple[str, str, int, int, int], ...] = (
    # step, whose, how often it goes well first, how often it is refused then, errno
    ("write", MEDIA, 0, 1, errno.ENOSPC),
    ("sync", MEDIA, 0, 1, errno.EIO),
    ("write", LINES, 0, 1, errno.ENOSPC),
    ("sync", LINES, 0, 1, errno.EIO),
    ("write", CHECKPOINTS, 0, 1, errno.ENOSPC),
    ("sync", CHECKPOINTS, 0, 1, errno.EIO),
    ("sync", CHECKPOINTS, 0, 4, errno.EIO),
    ("truncate", ANY, 0, 1, errno.EIO),
    ("write", LINES, 0, 6, errno.ENOSPC),
    ("link", ANY, 0, 1, errno.ENOSPC),
    ("rename", ANY, 0, 1, errno.ENOSPC),
    ("sync", CHECKPOINTS, 1, 1, errno.EIO),
    ("write", LINES, 1, 1, errno.ENOSPC),
)


class Refusing:
    """Refuses chosen steps: of a kind and of one's code, after some went well; a row of refusals spares nothing."""

    def __init__(self) -> None:
        self._kind, self._whose, self._pass, self._left, self._number = "", "", 0, 0, 0
        self._met = False

    def order(self, kind: str, whose: str, well: int, times: int, number: int) -> None:
        """From now on."""
        self._kind, self._whose, self._pass, self._left, self._number, self._met = kind, whose, well, times, number, False

    def __call__(self, step: Step) -> int | None:
        """The errno for this step."""
        if not self._met and step.kind == self._kind and self._whose in step.site:
            self._met, self._pass = self._pass == 0, max(self._pass - 1, 0)
        if self._left and self._met:
            self._left -= 1
            return self._number
        return None


def tell_refused(home: Home, seed: int) -> Scene:
    """Each step of a durable append is refused once; the recording ends, its loss is said, the next one goes well."""
    refusing = Refusing()
    kernel = Kernel(home.state, fault=refusing)
    device = Device(home.fresh(), kernel, seed)
    player = Player(device)

    def story() -> None:
        device.start()
        player.says()
        for number, refusal in enumerate(REFUSALS):
            made = player.press(1)
            player.seconds(made, 1)
            refusing.order(*refusal)
            if refusal[2]:
                device.do(Entry(_much))
            player.seconds(made, 2)
            _end_refused(player, made)
            refusing.order("", ANY, 0, 0, 0)
            if number % 3 == 2:
                player.cosigns()
        player.seconds(player.press(1), 2)

    _run(device, story)
    return Scene("refused", Replay.of(Image()), kernel.tape, device.promises, device.clock.wall, alarms=frozenset({"storage"}))


def _much(scribe: Scribe) -> None:
    """So many lines that they reach into the next segment."""
    with scribe.batch():
        for number in range(segments.SEGMENT_LINES):
            scribe.sense(20_000 + number, 500)


def _end_refused(player: Player, made: Running) -> None:
    """What the pipeline does when the disk refused: the recording ends, and its losses are paid when the disk takes them."""
    device = player.device
    device.do(RecordingStopped(made.recording, "storage"))
    for _ in range(3):
        device.clock.advance(RETRY_S * S)
        device.do(Entry(lambda _: None))


# --------------------------------------------------------------------------- lines that the server has and the card lost


def tell_taken_back(home: Home, scene: Scene) -> Scene:
    """The card lied: it is as it was some time ago, and the server holds more. The device records, asks, and takes its lines back."""
    at = _older(scene)
    old = _at(scene, at)
    held = [promise for promise in scene.promises if isinstance(promise, Lines)]
    server = dict(pair for promise in held for pair in enumerate(promise.lines, promise.first))
    kernel = Kernel(home.state, Tree.of(old))
    device = Device(home, kernel, 7, StepClock(0, scene.clock_us + 60 * S), silent=True)
    player = Player(device)

    def story() -> None:
        device.start()
        journal = device.open.scribe.journal
        before = journal.size
        made = player.press(0)
        player.seconds(made, 2)
        player.release(made)
        device.promise(Durable(tuple(journal.lines(before, journal.size))))
        newest = home.witness.cosign(held[-1].note)
        size = note.parse_checkpoint(note.split(newest)[0]).size
        first = journal.cosigned_size
        fetched = [server[index] for index in range(first, size)]
        device.do(Entry(lambda scribe: adopt(scribe, home.signer, first, fetched, newest), alone=True))
        device.tell_all()
        device.silent = False
        player.seconds(player.press(0), 2)

    _run(device, story)
    known = [promise for promise in scene.promised(at) if isinstance(promise, Lines)]
    alarms = frozenset({"storage", "moved"})
    return Scene("taken back", Replay.of(old), kernel.tape, device.promises, device.clock.wall, tuple(known), alarms)


def _older(scene: Scene) -> int:
    """A moment in the second half of the story at which nothing is pending."""
    replay, moments = scene.replay.copy(), []
    for position, step in enumerate(scene.tape, 1):
        replay.play(step)
        if not replay.pending and step.site == "told lines":
            moments.append(position)
    return moments[len(moments) * 3 // 4]


def _at(scene: Scene, position: int) -> Image:
    """What one sees of the disk after so many steps."""
    replay = scene.replay.copy()
    for step in scene.tape[:position]:
        replay.play(step)
    return replay.visible().image()


# --------------------------------------------------------------------------- disks that were damaged


def damaged(home: Home, scene: Scene) -> Iterator[Scene]:
    """A card that lost or changed what it had been told to keep: within a segment, and over the end of one.

    Nobody has heard of lines beyond the cosigned note; else the server would have them.
    """
    for within in (True, False):
        image = _at(scene, _far(home, scene, within=within))
        journal = written(image, home.identity)
        assert journal.cosigned is not None, "the duty is cosigned"
        size = journal.cosigned.size
        known = tuple(p for p in scene.promises if isinstance(p, Lines) and p.first + len(p.lines) <= size)
        bare = replace(scene, tape=[], promises=[], known=known, alarms=frozenset({"tamper", "storage"}))
        behind = max(size, _newest(image))
        for name, index in {
            "lines are gone": journal.end - 2,
            "a line was changed": behind,
            "the last was changed": journal.end - 1,
        }.items():
            files, line = _changed(dict(image.files), index, cut=name.endswith("gone"))
            refuted = () if line is None else (Refuted(line),)
            title = f"damaged, {name}, {'one segment' if within else 'two segments'}"
            yield replace(bare, name=title, replay=Replay.of(Image(files, image.folders)), known=(*known, *refuted))


def _newest(image: Image) -> int:
    return max(int(name[-18:-6]) for name in image.files if "/segment-" in name and name.endswith(".jsonl"))


def _far(home: Home, scene: Scene, *, within: bool) -> int:
    """The moment at which most lines were not cosigned, all of them in one segment or not."""
    told = [position for position, step in enumerate(scene.tape, 1) if step.site == "told lines"]

    def beyond(position: int) -> int:
        image = _at(scene, position)
        journal = written(image, home.identity)
        if journal.cosigned is None or (_newest(image) <= journal.cosigned.size) != within:
            return 0
        lines = journal.lines[journal.cosigned.size - journal.first :]
        return 0 if any(b'"kind":"purge"' in line or b'"kind":"trim"' in line for line in lines) else len(lines)

    return max(told[len(told) // 3 :: 2], key=beyond)


def _changed(files: dict[str, bytes], index: int, *, cut: bool) -> tuple[dict[str, bytes], bytes | None]:
    """The files with line `index` changed, or cut off from there on; the line as it is now."""
    name = max(name for name in files if "/segment-" in name and name.endswith(".jsonl") and int(name[-18:-6]) <= index)
    lines = files[name].split(b"\n")
    place = index - int(name[-18:-6])
    if cut:
        lines[place:] = [b""]
        files = {one: data for one, data in files.items() if one <= name or "/segment-" not in one}
    else:
        lines[place] = lines[place].replace(b'"at":17', b'"at":18')
    files[name] = b"\n".join(lines)
    return files, None if cut else lines[place]


__all__ = ["damaged", "segment_lines", "tell_duty", "tell_refused", "tell_taken_back"]
