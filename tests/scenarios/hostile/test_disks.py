"""Disks, cards and indexes that fail under a recorder that runs: a line in the journal, a signal to the officer, one in `status`."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from agent.core import lines, merkle, note, wire
from provisioning import device as devices
from simulators.hostile.arena import Arena, Unit
from simulators.hostile.forgery import Intruder, evidence_key
from simulators.torture.loopdisk import LoopDisk
from simulators.torture.loopdisk import missing as no_loop_disk
from tests.scenarios.hostile.telling import ONE, events, lamp, of, over, refused, tell, told, whole_recording

MIB = 1 << 20
FULL, REFUSES, UNWRITABLE = "disk full", "the disk refuses", "the disk can't be written"
pytestmark = pytest.mark.timeout(600)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="nobody but root may mount a file system")


@pytest.fixture(scope="module")
def loops(tmp_path_factory) -> None:
    """Loop-mounted disks can be had here."""
    if why := no_loop_disk(tmp_path_factory.mktemp("loop")):
        pytest.skip(why)


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


class Tmpfs:
    """A real file system in memory, mounted at `folder`, with ballast that somebody else puts there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ballast = folder / "ballast"

    @classmethod
    @contextmanager
    def mounted(cls, folder: Path, mib: int) -> Iterator[Tmpfs]:
        folder.mkdir(parents=True, exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=700", "tmpfs", str(folder))
        try:
            yield cls(folder)
        finally:
            run("umount", "-l", str(folder))

    def fill(self, leave: int = 0) -> None:
        """Take space until so many bytes are left."""
        with self._ballast.open("ab", buffering=0) as ballast, suppress(OSError):
            while (free := self.free - leave) > 0:
                ballast.write(bytes(min(free, MIB)))

    def empty(self) -> None:
        """Give all of it back."""
        self._ballast.unlink()

    @property
    def free(self) -> int:
        found = os.statvfs(self._folder)
        return found.f_bavail * found.f_frsize

    def remount(self, how: str) -> bool:
        """Read-only (`ro`) or not; False while a file is open for writing."""
        return subprocess.run(["mount", "-o", f"remount,{how}", str(self._folder)], check=False, capture_output=True).returncode == 0


# --------------------------------------------------------------------------- the disk is full


@needs_root
def test_a_real_disk_that_fills_ends_the_recording_whole(tmp_path):
    with Tmpfs.mounted(tmp_path / "devices", 32) as disk:

        async def story(arena: Arena, one: Unit) -> None:
            disk.fill(leave=10 * MIB)
            name = await one.press_start()
            await arena.until("the recording to end by itself", lambda: name in one.recordings())
            assert one.lines("stop")[-1]["trigger"] == "storage"
            assert events(one, "storage")[-1] == "full"
            assert not [line for line in of(one, name) if line["kind"] == "gap"]
            await told(arena, one, FULL)
            await lamp(arena, one, "alarm")
            await refused(arena, one)
            disk.empty()
            await over(arena, one, FULL)
            assert events(one, "storage")[-1] == "good"
            await whole_recording(one)

        tell(tmp_path, story, kbit_s=2_000, storage={"reserve_bytes": 7 * MIB, "stop_below_bytes": 6 * MIB})


@needs_root
def test_a_real_disk_without_a_byte_left_costs_a_stated_end(tmp_path):
    with Tmpfs.mounted(tmp_path / "devices", 32) as disk:

        async def story(arena: Arena, one: Unit) -> None:
            name = await one.press_start()
            await one.recorded(2)
            disk.fill()
            await told(arena, one, REFUSES)
            await lamp(arena, one, "alarm")
            await refused(arena, one)
            disk.empty()
            await arena.until("the end on record", lambda: name in one.recordings())
            await over(arena, one, REFUSES)
            (failed,) = [line for line in one.lines("storage") if line["event"] == "failed"]
            assert (failed["error"], failed["recording"]) == ("ENOSPC", name)
            assert {line["reason"] for line in of(one, name) if line["kind"] == "gap"} == {"storage"}
            assert one.lines("stop")[-1]["trigger"] == "storage"
            await whole_recording(one)

        tell(tmp_path, story, kbit_s=2_000)


# --------------------------------------------------------------------------- the disk is read-only


@needs_root
def test_a_real_disk_that_turns_read_only_and_back_says_both(tmp_path):
    """Journal and media lie on disks of their own: where a file is open for writing, no disk is made read-only."""
    with ExitStack() as mounts:
        disks: list[Tmpfs] = []

        def prepare(folder: Path) -> None:
            disks.extend(mounts.enter_context(Tmpfs.mounted(folder / name, 32)) for name in ("journal", "media"))

        async def turn(arena: Arena, how: str) -> None:
            for disk in disks:
                await arena.until(f"the disk to be {how}", lambda disk=disk: disk.remount(how))

        async def story(arena: Arena, one: Unit) -> None:
            name = await one.press_start()
            await one.recorded(2)
            await turn(arena, "ro")
            await told(arena, one, REFUSES)
            await told(arena, one, UNWRITABLE)
            await lamp(arena, one, "alarm")
            await refused(arena, one)
            await turn(arena, "rw")
            await arena.until("the end on record", lambda: name in one.recordings())
            await over(arena, one, REFUSES)
            await over(arena, one, UNWRITABLE)
            assert [(line["event"], line["error"]) for line in one.lines("storage") if "error" in line] == [
                ("failed", "EROFS"),
                ("unwritable", "EROFS"),
            ]
            assert {line["reason"] for line in of(one, name) if line["kind"] == "gap"} == {"storage"}
            await whole_recording(one)
            # nobody presses, and he is told all the same
            await turn(arena, "ro")
            after = one.host.number
            await told(arena, one, UNWRITABLE, after)
            await turn(arena, "rw")
            await over(arena, one, UNWRITABLE)

        tell(tmp_path, story, prepare=prepare)


# --------------------------------------------------------------------------- the disk fails for good


def shut_down(disk: LoopDisk) -> None:
    """From now on everything is answered by EIO."""
    disk.cut()


def make_read_only(disk: LoopDisk) -> None:
    """What the kernel does to an ext4 in which it has found an error."""
    run("mount", "-o", "remount,errors=remount-ro", str(disk.mount))
    device = subprocess.run(["findmnt", "-no", "SOURCE", str(disk.mount)], check=True, capture_output=True, text=True).stdout.strip()
    Path(f"/sys/fs/ext4/{Path(device).name}/trigger_fs_error").write_text("1")


@pytest.mark.usefixtures("loops")
@pytest.mark.parametrize("hurt", [shut_down, make_read_only], ids=["EIO", "EROFS"])
def test_a_real_disk_that_fails_for_good_is_heard_and_its_loss_is_stated_by_the_next_start(tmp_path, hurt: Callable[[LoopDisk], None]):
    disk = LoopDisk(tmp_path)
    disk.mount = tmp_path / "devices"
    with disk:

        async def story(arena: Arena, one: Unit) -> None:
            name = await one.press_start()
            await one.recorded(2)
            os.sync()
            hurt(disk)
            await told(arena, one, REFUSES)
            await told(arena, one, UNWRITABLE)
            await lamp(arena, one, "alarm")
            await refused(arena, one)
            await one.host.power_off()
            await one.host.close()
            disk.power_on()
            await one.host.start()
            await arena.until("the next start", lambda: len(one.lines("boot")) == 2)
            boot = one.lines("boot")[1]
            assert (boot["clean"], boot["lost"]["unfinished"]) == (False, 1)
            assert one.lines("stop")[-1]["trigger"] == "power"
            assert {line["reason"] for line in of(one, name) if line["kind"] == "gap"} == {"power"}
            assert [line["recording"] for line in one.lines("start")] == [name]
            await one.ready()
            await whole_recording(one)

        tell(tmp_path, story)


# --------------------------------------------------------------------------- the card lies


@pytest.mark.usefixtures("loops")
def test_a_card_that_lied_about_syncing_gets_its_lines_back_from_the_server(tmp_path):
    disk = LoopDisk(tmp_path)
    disk.mount = tmp_path / "devices"
    with disk:

        async def story(arena: Arena, one: Unit) -> None:
            os.sync()
            await whole_recording(one)
            await arena.settled()
            promised = one.progress.cosigned()
            disk.cut()
            await one.host.power_off()
            await one.host.close()
            disk.power_on()
            assert one.progress.size() < promised, "this card kept what it had promised"
            await one.host.start()
            await told(arena, one, "the card forgot lines")
            await lamp(arena, one, "alarm")
            await arena.until("the lines to be back", lambda: "taken-back" in events(one, "storage"))
            assert len(one.lines("boot")) == 2
            await whole_recording(one)

        # the device's own copy of the media is gone, and its gaps say so; the server has the bytes that it had proved
        lost = (f"{ONE}: audit: incomplete", "2 recordings started: 1 there, 1 ", "bytes, the lines name")
        tell(tmp_path, story, agent=("simulators.torture.unsynced", str(tmp_path / "promised"), "run"), but=lost)


def test_a_past_that_contradicts_the_server_s_goes_on_in_the_next_journal(tmp_path):
    """Somebody who has read the evidence key was first: both pasts are kept, and who is being recorded goes on being recorded."""

    async def story(arena: Arena, one: Unit) -> None:
        await whole_recording(one)
        await arena.settled()
        await one.host.set_network(up=False)
        first = await one.press_start()
        await one.recorded(1)
        cosigned = await arena.metric("zhilu_lines_total")
        intruder = Intruder(arena.deployment, arena.broker_reload)
        intruder.say(wire.topic(one.name, "journal"), forged(arena, one))
        await arena.until("the forged line", lambda: _more(arena, cosigned))
        intruder.close()
        mine = (one.folder / "journal" / "1" / "segment-000000000000.jsonl").read_bytes()
        after = one.host.number
        await one.host.set_network(up=True)
        await arena.until("the next journal", lambda: one.n == 2)
        await arena.until("the recording to go on", lambda: one.lines("fragment"))
        start = one.lines("start")[0]
        assert (start["trigger"], start["continues"]) == ("resume", first)
        await told(arena, one, "journal 2 begun: call the administrator", after)
        await lamp(arena, one, "recording")
        old = (one.folder / "journal" / "1" / "segment-000000000000.jsonl").read_bytes()
        assert old.startswith(mine)
        last = [json.loads(line) for line in old[len(mine) :].split(b"\n")[:-1]]
        assert [line["trigger"] for line in last if line["kind"] == "stop"] == ["journal"]
        assert "other-checkpoint" in [line["event"] for line in last if line["kind"] == "tamper"]
        assert one.lines("enrol")[0]["previous"]["origin"].endswith("/1")
        await one.press_stop()
        devices.admit(arena.deployment, one.name)
        await over(arena, one, "call the administrator")

    # two pasts are what an auditor must find: here the one that the device was told is not so, there a recording without its end
    found = (f"{ONE}: audit: tampered", "journals: 2 journals", "server: audit: incomplete")
    tell(tmp_path, story, but=found)


async def _more(arena: Arena, lines_before: int) -> bool:
    return await arena.metric("zhilu_lines_total") > lines_before


def forged(arena: Arena, one: Unit) -> bytes:
    """A batch of one line behind those that the server has, signed with the device's own key."""
    size, origin = one.progress.cosigned(), f"{arena.deployment.domain}/{one.name}/{one.n}"
    path = one.folder / "journal" / str(one.n) / "segment-000000000000.jsonl"
    known = path.read_bytes().split(b"\n")[:size]
    line = lines.build("power", 1_800_000_000_000, 1, "A" * 22, {"event": "good"})
    root = merkle.root_of([merkle.leaf_hash(one) for one in (*known, line)])
    signed = evidence_key(one.folder, origin).note(note.checkpoint(origin, size + 1, root))
    return wire.encode_batch(size, [line], signed)


# --------------------------------------------------------------------------- the index of what waits


def test_a_broken_index_is_built_again_from_the_journal_and_said(tmp_path):
    async def story(arena: Arena, one: Unit) -> None:
        await whole_recording(one)
        await arena.settled()
        await one.host.power_off()
        index = one.folder / "buffer.sqlite"
        for companion in ("-wal", "-shm"):
            index.with_name(index.name + companion).unlink(missing_ok=True)
        index.write_bytes(b"scribble" * 4_096)
        after = one.host.number
        await one.host.power_on()
        await told(arena, one, "the index was broken", after)
        await lamp(arena, one, "ready")
        assert [line["detail"] for line in one.lines("storage") if line["event"] == "index-rebuilt"] == ["file is not a database"]
        assert index.with_name("buffer.sqlite.broken").read_bytes().startswith(b"scribble")
        await whole_recording(one)

    tell(tmp_path, story)


# --------------------------------------------------------------------------- the supply
