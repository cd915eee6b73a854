"""A disk that forgets: after a power cut only what was synced is there."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from simulators.disk import MemoryFiles

HOME = Path("/state")


@pytest.fixture
def disk():
    files = MemoryFiles(capacity=1_000)
    files.make_folder(HOME)
    return files


def test_bytes_that_were_not_synced_are_gone(disk):
    disk.append(HOME / "a", b"kept")
    disk.sync(HOME / "a")
    disk.sync_folder(HOME)
    disk.append(HOME / "a", b"lost")
    disk.cut()
    assert disk.read(HOME / "a") == b"kept"


def test_a_part_of_them_may_have_reached_the_disk(disk):
    disk.append(HOME / "a", b"kept")
    disk.sync(HOME / "a")
    disk.sync_folder(HOME)
    disk.append(HOME / "a", b"lost")
    disk.cut(torn=2)
    assert disk.read(HOME / "a") == b"keptlo"


def test_a_name_that_was_not_synced_is_gone_with_its_bytes(disk):
    disk.append(HOME / "a", b"x")
    disk.sync(HOME / "a")
    disk.cut()
    assert disk.list(HOME) == []


def test_a_rename_and_a_removal_are_undone(disk):
    for name in ("a", "b"):
        disk.append(HOME / name, name.encode())
        disk.sync(HOME / name)
    disk.sync_folder(HOME)
    disk.rename(HOME / "a", HOME / "c")
    disk.remove(HOME / "b")
    assert disk.list(HOME) == ["c"]
    disk.cut()
    assert disk.list(HOME) == ["a", "b"]


def test_replace_and_make_folder_are_durable_by_themselves(disk):
    disk.make_folder(HOME / "journal" / "1")
    disk.replace(HOME / "journal" / "cosigned", b"note")
    disk.cut()
    assert disk.list(HOME / "journal") == ["1", "cosigned"]
    assert disk.read(HOME / "journal" / "cosigned") == b"note"


def test_a_full_disk_takes_what_fits_and_says_so(disk):
    disk.append(HOME / "a", bytes(990))
    with pytest.raises(OSError, match="No space left") as caught:
        disk.append(HOME / "a", bytes(20))
    assert caught.value.errno == errno.ENOSPC
    assert disk.size(HOME / "a") == 1_000
    assert disk.free_bytes(HOME) == 0


def test_a_call_fails_on_order_and_changes_nothing(disk):
    disk.append(HOME / "a", b"x")
    disk.fail(1, errno.EIO)
    disk.sync(HOME / "a")
    with pytest.raises(OSError, match="Input/output error"):
        disk.append(HOME / "a", b"y")
    assert disk.read(HOME / "a") == b"x"
    disk.append(HOME / "a", b"z")
    assert disk.calls[-3:] == [("sync", HOME / "a"), ("append", HOME / "a"), ("append", HOME / "a")]
