"""What the Linux kernel itself provides: files that are really on disk, the clocks, the battery.

Rules:
- `Files.append` opens, appends and closes; an error of an earlier write-back is not lost by that: since Linux 4.13 the
  kernel reports it to the next one who opens and syncs the file, once.
- A name is durable only after its folder was synced (ext4, xfs, btrfs; POSIX promises nothing else).
- `up` is CLOCK_BOOTTIME: unlike CLOCK_MONOTONIC it goes on while the machine sleeps, and it never jumps.
- The wall clock counts as right only when the kernel says that somebody disciplines it (`adjtimex(2)`, STA_UNSYNC clear).

Does not decide what to write, in which order, or what to do about ENOSPC: that is the journal's.
`Files` asks the kernel through one object (`Kernel`), so that the very same code runs on a disk that can lose its power.
"""

from __future__ import annotations

import ctypes
import os
import stat
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hal.contracts import ClockReading, PowerReading
from hal.errors import DeviceFault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

POWER_SUPPLIES = Path("/sys/class/power_supply")

# <sys/timex.h>: the clock is not disciplined; offset is in ns instead of µs
STA_UNSYNC = 0x0040
STA_NANO = 0x2000
TIME_ERROR = 5


# --------------------------------------------------------------------------- disk


class Kernel(Protocol):
    """The system calls that `Files` makes, by their names in `os`."""

    def open(self, path: Path, flags: int, mode: int, /) -> int: ...

    def close(self, handle: int, /) -> None: ...

    def write(self, handle: int, data: memoryview, /) -> int: ...

    def pread(self, handle: int, length: int, offset: int, /) -> bytes: ...

    def fsync(self, handle: int, /) -> None: ...

    def fstat(self, handle: int, /) -> os.stat_result: ...

    def stat(self, path: Path, /) -> os.stat_result: ...

    def truncate(self, path: Path, length: int, /) -> None: ...

    def rename(self, source: Path, target: Path, /) -> None: ...

    def unlink(self, path: Path, /) -> None: ...

    def mkdir(self, path: Path, /) -> None: ...

    def listdir(self, path: Path, /) -> list[str]: ...

    def statvfs(self, path: Path, /) -> os.statvfs_result: ...


class Files:
    """The disk as it is: `hal.contracts.Files` by system calls."""

    def __init__(self, kernel: Kernel = os) -> None:
        self._kernel = kernel

    def append(self, path: Path, data: bytes) -> int:
        """Append, creating the file where it is missing; where the bytes begin. After an error a part may be there."""
        handle = self._open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            offset = self._kernel.fstat(handle).st_size
            self._write_all(handle, data)
        finally:
            self._kernel.close(handle)
        return offset

    def sync(self, path: Path) -> None:
        """Return when the file's bytes and its length are on the disk."""
        handle = self._open(path, os.O_RDONLY)
        try:
            self._kernel.fsync(handle)
        finally:
            self._kernel.close(handle)

    def sync_folder(self, path: Path) -> None:
        """Return when the names in the folder are on the disk."""
        with self._opened(path, os.O_RDONLY | os.O_DIRECTORY) as handle:
            self._kernel.fsync(handle)

    def replace(self, path: Path, data: bytes) -> None:
        """Write `.<name>.new` beside, sync, rename, sync the folder; a left-over of that name means nothing."""
        beside = path.with_name(f".{path.name}.new")
        try:
            with self._opened(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as handle:
                self._write_all(handle, data)
                self._kernel.fsync(handle)
            self._kernel.rename(beside, path)
        except OSError:
            with suppress(OSError):
                self._kernel.unlink(beside)
            raise
        self.sync_folder(path.parent)

    def truncate(self, path: Path, size: int) -> None:
        """Cut the file to `size` bytes; not durable before `sync`."""
        self._kernel.truncate(path, size)

    def rename(self, source: Path, target: Path) -> None:
        """Rename, replacing a file of that name; not durable before `sync_folder` of both folders."""
        self._kernel.rename(source, target)

    def remove(self, path: Path) -> None:
        """Remove the file; FileNotFoundError where there is none."""
        self._kernel.unlink(path)

    def make_folder(self, path: Path) -> None:
        """Create the folder and its parents, each name durable."""
        missing = [path]
        while not self._is_folder(missing[-1].parent):
            missing.append(missing[-1].parent)
        for folder in reversed(missing):
            try:
                self._kernel.mkdir(folder)
            except FileExistsError:
                if not self._is_folder(folder):
                    raise
                continue
            self.sync_folder(folder.parent)

    def read(self, path: Path, offset: int = 0, length: int = -1) -> bytes:
        """`length` bytes from `offset`, fewer at the end of the file, all of the rest where `length` is negative."""
        with self._opened(path, os.O_RDONLY) as handle:
            wanted = max(self._kernel.fstat(handle).st_size - offset, 0) if length < 0 else length
            pieces = []
            while wanted > 0 and (piece := self._kernel.pread(handle, wanted, offset)):
                pieces.append(piece)
                offset += len(piece)
                wanted -= len(piece)
        return b"".join(pieces)

    def size(self, path: Path) -> int:
        """Bytes of the file."""
        return self._kernel.stat(path).st_size

    def list(self, path: Path) -> Sequence[str]:
        """Names in the folder, sorted; empty where there is no such folder."""
        try:
            return sorted(self._kernel.listdir(path))
        except FileNotFoundError:
            return []

    def free_bytes(self, path: Path) -> int:
        """What this process may still write on the disk that holds `path`."""
        disk = self._kernel.statvfs(path)
        return disk.f_bavail * disk.f_frsize

    def _is_folder(self, path: Path) -> bool:
        try:
            return stat.S_ISDIR(self._kernel.stat(path).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _open(self, path: Path, flags: int) -> int:
        return self._kernel.open(path, flags | os.O_CLOEXEC, 0o644)

    @contextmanager
    def _opened(self, path: Path, flags: int) -> Iterator[int]:
        handle = self._open(path, flags)
        try:
            yield handle
        finally:
            self._kernel.close(handle)

    def _write_all(self, handle: int, data: bytes) -> None:
        """write(2) may take a part (a nearly full disk does); the rest is offered again until it is taken or refused."""
        view = memoryview(data)
        while view:
            view = view[self._kernel.write(handle, view) :]


# --------------------------------------------------------------------------- clocks


class _Timex(ctypes.Structure):
    """Struct timex of <sys/timex.h>, as adjtimex(2) fills it."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),  # longer than the kernel's remainder on every architecture
    )


def clock_reading(state: int, status: int, offset: int, maxerror_us: int) -> ClockReading:
    """What adjtimex's answer means: the kernel's offset is what it still has to add, so the device is behind by it."""
    if state == TIME_ERROR or status & STA_UNSYNC:
        return ClockReading("none", 0, 0)
    per_ms = 1_000_000 if status & STA_NANO else 1_000
    return ClockReading("ntp", -round(offset / per_ms), -(-maxerror_us // 1_000))


class SystemClock:
    """The machine's own clocks."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)

    def wall_ms(self) -> int:
        """Milliseconds since 1970 UTC, as right as somebody keeps them."""
        return time.time_ns() // 1_000_000

    def up_us(self) -> int:
        """Microseconds since the machine started, sleep included."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000

    def reading(self) -> ClockReading:
        """`ntp` with offset and maximum error while somebody disciplines the clock, else `none`."""
        answer = _Timex(modes=0)
        state = self._libc.adjtimex(ctypes.byref(answer))
        if state < 0:
            problem = os.strerror(ctypes.get_errno())
            raise DeviceFault(f"clock: the kernel does not say how right the clock is: adjtimex failed with {problem!r}; allow the call")
        return clock_reading(state, answer.status, answer.offset, answer.maxerror)


# --------------------------------------------------------------------------- battery


class Battery:
    """The first battery below /sys/class/power_supply (Documentation/ABI/testing/sysfs-class-power)."""

    def __init__(self, folder: str = str(POWER_SUPPLIES)) -> None:
        self._folder = Path(folder)

    def read(self) -> PowerReading:
        """Charge and whether it is on the charger; None where there is no battery or it does not say."""
        supplies = sorted(self._folder.iterdir()) if self._folder.is_dir() else []
        for supply in supplies:
            if _word(supply / "type") == "Battery":
                capacity, status = _word(supply / "capacity"), _word(supply / "status")
                percent = min(int(capacity), 100) if capacity.isdecimal() else None
                return PowerReading(percent, {"Charging": True, "Full": True, "Discharging": False, "Not charging": False}.get(status))
        return PowerReading(None, None)


def _word(path: Path) -> str:
    """Content of an attribute; empty where it is missing or the driver does not answer."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return ""
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
