"""What only the real drivers have: system calls in their order, the kernel's word on its clock, sysfs as it is."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from hal.contracts import ClockReading, PowerReading
from hal.drivers import linux


@pytest.fixture
def calls(monkeypatch):
    """Every fsync and rename, in order, with the name of what it was done to."""
    done = []
    real_fsync, real_rename = os.fsync, os.rename

    def fsync(handle):
        real_fsync(handle)
        done.append(("fsync", Path(f"/proc/self/fd/{handle}").readlink().name))

    def rename(source, target, **options):
        real_rename(source, target, **options)
        done.append(("rename", str(target).rsplit("/", 1)[-1]))

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    return done


def test_replace_syncs_the_bytes_before_the_name_and_the_folder_after_it(calls, tmp_path):
    linux.Files().replace(tmp_path / "cosigned", b"note")
    assert calls == [("fsync", ".cosigned.new"), ("rename", "cosigned"), ("fsync", tmp_path.name)]


def test_a_new_folder_is_synced_in_its_parent_from_the_top_down(calls, tmp_path):
    linux.Files().make_folder(tmp_path / "a" / "b" / "c")
    assert calls == [("fsync", tmp_path.name), ("fsync", "a"), ("fsync", "b")]


def test_a_replace_that_fails_leaves_the_old_content_and_nothing_beside(monkeypatch, tmp_path):
    files = linux.Files()
    files.replace(tmp_path / "cosigned", b"old")

    def full(_handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        files.replace(tmp_path / "cosigned", b"new")
    assert caught.value.errno == errno.ENOSPC
    assert files.read(tmp_path / "cosigned") == b"old"
    assert files.list(tmp_path) == ["cosigned"]


def test_a_write_that_is_taken_in_parts_is_written_whole(monkeypatch, tmp_path):
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: real(handle, bytes(data)[:3]))
    files = linux.Files()
    files.append(tmp_path / "x", b"0123456789")
    assert files.read(tmp_path / "x") == b"0123456789"


def test_a_full_disk_is_enospc():
    with pytest.raises(OSError, match="No space left") as caught:
        linux.Files().append(Path("/dev/full"), b"x")
    assert caught.value.errno == errno.ENOSPC


def test_up_counts_from_the_machines_start():
    assert abs(linux.SystemClock().up_us() / 1e6 - time.clock_gettime(time.CLOCK_BOOTTIME)) < 60


@pytest.mark.parametrize(
    ("state", "status", "offset", "maxerror_us", "expected"),
    [
        (linux.TIME_ERROR, linux.STA_UNSYNC, 0, 16_000_000, ClockReading("none", 0, 0)),
        (0, linux.STA_UNSYNC, 0, 500_000, ClockReading("none", 0, 0)),
        (linux.TIME_ERROR, 0, 0, 0, ClockReading("none", 0, 0)),
        (0, 0, 2_400, 12_001, ClockReading("ntp", -2, 13)),
        (0, linux.STA_NANO, -3_600_000, 500, ClockReading("ntp", 4, 1)),
        (0, linux.STA_NANO, 0, 0, ClockReading("ntp", 0, 0)),
    ],
)
def test_the_kernels_word_on_its_clock(state, status, offset, maxerror_us, expected):
    assert linux.clock_reading(state, status, offset, maxerror_us) == expected


@pytest.fixture
def supplies(tmp_path):
    def make(name, **attributes):
        (tmp_path / name).mkdir()
        for attribute, value in attributes.items():
            (tmp_path / name / attribute).write_text(f"{value}\n")

    make("AC", type="Mains", online=1)
    make("BAT0", type="Battery", capacity=73, status="Discharging")
    return tmp_path


def test_the_battery_is_the_supply_of_that_type(supplies):
    assert linux.Battery(str(supplies)).read() == PowerReading(73, charging=False)


@pytest.mark.parametrize(
    ("capacity", "status", "expected"),
    [
        ("100", "Full", PowerReading(100, charging=True)),
        ("40", "Charging", PowerReading(40, charging=True)),
        ("255", "Not charging", PowerReading(100, charging=False)),
        ("", "Unknown", PowerReading(None, None)),
        ("-1", "Discharging", PowerReading(None, charging=False)),
    ],
)
def test_what_a_battery_may_say(supplies, capacity, status, expected):
    (supplies / "BAT0" / "capacity").write_text(capacity)
    (supplies / "BAT0" / "status").write_text(status)
    assert linux.Battery(str(supplies)).read() == expected


def test_no_battery_is_no_figure(tmp_path):
    assert linux.Battery(str(tmp_path / "none")).read() == PowerReading(None, None)
