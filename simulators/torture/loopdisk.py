"""A real ext4 in a file, that loses its power: EXT4_IOC_SHUTDOWN without a flush of its log, then it is mounted again.

After the shutdown only what was synced is there, as after a power cut; the kernel answers EIO until the file system is
unmounted. Needs root, loop devices and mkfs.ext4; `missing` says which of them is not here.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from simulators.errors import SimulatorError

EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = struct.pack("I", 2)
MIB = 1_048_576
TRIES = 100
"""A killed process may hold the mount for some milliseconds longer."""


class DiskError(SimulatorError):
    """The loop-mounted disk can't be had; the message says what the system answered."""


class LoopDisk:
    """An ext4 of so many MiB in `folder`, mounted at `mount`; ends with the `with` block."""

    def __init__(self, folder: Path, mib: int = 192) -> None:
        self.mount = folder / "disk"
        self._image = folder / "disk.ext4"
        self._size = mib * MIB

    def __enter__(self) -> Self:
        """Make and mount it."""
        self.mount.mkdir(parents=True, exist_ok=True)
        with self._image.open("wb") as image:
            image.truncate(self._size)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", str(self._image))
        self._mounted()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Unmount and forget it."""
        with suppress(DiskError):
            self._unmounted()
        self._image.unlink(missing_ok=True)

    def cut(self) -> None:
        """The power is gone: from now on nothing reaches the disk."""
        shut_down(self.mount)

    def power_on(self) -> None:
        """The power is back: mounted again, as the next start finds it. Nobody may have a file open."""
        self._unmounted()
        self._mounted()

    def _mounted(self) -> None:
        _run("mount", "-o", "loop,noatime", str(self._image), str(self.mount))

    def _unmounted(self) -> None:
        for attempt in range(TRIES):
            try:
                _run("umount", str(self.mount))
            except DiskError:
                if attempt == TRIES - 1:
                    raise
                time.sleep(0.02)
            else:
                return


def shut_down(mount: Path) -> None:
    """Shut the ext4 down that is mounted there, without flushing anything."""
    handle = os.open(mount, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(handle, EXT4_IOC_SHUTDOWN, NO_LOG_FLUSH)
    finally:
        os.close(handle)


def _run(*command: str) -> None:
    path = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/sbin{os.pathsep}/sbin"
    program = shutil.which(command[0], path=path)
    if program is None:
        raise DiskError(f"{command[0]} is not installed: sudo apt install e2fsprogs mount")
    done = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)
    if done.returncode:
        raise DiskError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")


def missing(folder: Path) -> str:
    """Why there can't be a loop-mounted disk here; empty where there can."""
    if os.geteuid() != 0:
        return "it needs root, to mount a file system and to shut it down"
    try:
        with LoopDisk(folder, 8) as disk:
            disk.cut()
            disk.power_on()
    except (DiskError, OSError) as error:
        return str(error)
    return ""
