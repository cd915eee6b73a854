"""The disk that loses its power: what is synced stays, everything else is a matter of chance, and nothing is invented."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.contracts import Files
from simulators.powercut import PAGE, PowerCut, SimulatedFiles, keep

HOME = Path("/disk")
A, B = HOME / "a", HOME / "b"


def disk(**options: Any) -> SimulatedFiles:
    files = SimulatedFiles(**options)
    files.make_folder(HOME)
    return files


def settled(files: Files, path: Path, data: bytes) -> None:
    files.append(path, data)
    files.sync(path)
    files.sync_folder(path.parent)


def test_it_is_a_disk():
    files: Files = disk()
    assert [files.append(A, b"one"), files.append(A, b"two")] == [0, 3]
    assert (files.read(A), files.read(A, 2, 2), files.size(A)) == (b"onetwo", b"et", 6)
    files.truncate(A, 4)
    files.append(A, b"!")
    files.rename(A, B)
    assert (files.read(B), files.list(HOME)) == (b"onet!", ["b"])
    files.replace(B, b"new")
    assert files.read(B) == b"new"
    files.remove(B)
    assert files.list(HOME) == []
    for question in (files.read, files.size, files.sync, files.remove):
        with pytest.raises(FileNotFoundError):
            question(B)
    with pytest.raises(FileNotFoundError):
        files.append(Path("/nowhere/a"), b"")


def test_only_what_was_synced_survives():
    files = disk()
    settled(files, A, b"kept")
    files.append(A, b"lost")
    files.append(B, b"name lost")
    files.sync(B)
    after = files.after_cut()
    assert (after.read(A), after.list(HOME)) == (b"kept", ["a"])
    assert files.after_cut(fate=keep).read(A) == b"keptlost"
    assert files.after_cut(fate=keep).read(B) == b"name lost"


def test_an_unsynced_truncation_or_rename_may_never_have_happened():
    files = disk()
    settled(files, A, b"0123456789")
    files.truncate(A, 4)
    files.append(A, b"xy")
    assert files.after_cut().read(A) == b"0123456789"
    assert files.after_cut(fate=keep).read(A) == b"0123xy"
    files.sync(A)
    files.rename(A, B)
    assert {tuple(files.after_cut(seed).list(HOME)) for seed in range(20)} == {("a",), ("b",)}
    files.sync_folder(HOME)
    assert files.after_cut().read(B) == b"0123xy"


def test_a_replaced_file_is_the_old_one_or_the_new_one():
    files = disk()
    settled(files, A, b"old")
    files.replace(A, b"new")
    assert files.after_cut().read(A) == b"new"
    lying = disk(skip=lambda operation: operation.name == "replace")
    settled(lying, A, b"old")
    lying.replace(A, b"new")
    assert {lying.after_cut(seed).read(A)[:1] for seed in range(40)} >= {b"o", b"n"}


@given(kept=st.binary(max_size=10), lost=st.binary(min_size=1, max_size=3 * PAGE), seed=st.integers(0, 1 << 32))
def test_a_torn_tail_is_a_prefix_with_pages_that_may_be_zero(kept, lost, seed):
    files = disk()
    settled(files, A, kept)
    files.append(A, lost)
    found = files.after_cut(seed).read(A)
    assert found.startswith(kept)
    tail = found[len(kept) :]
    for page in range(0, len(tail), PAGE):
        piece = tail[page : page + PAGE]
        assert piece in (lost[page : page + len(piece)], bytes(len(piece)))
    assert files.after_cut(seed).read(A) == found, "one seed, one fate"


def test_the_power_goes_at_the_operation_that_was_asked_for():
    for number in range(1, 5):
        files = disk(cut_at=number)
        with pytest.raises(PowerCut):
            write_twice(files)
        assert files.count == number + 1
        with pytest.raises(PowerCut):
            files.read(A)
        assert files.after_cut().powered


def write_twice(files: SimulatedFiles) -> None:
    settled(files, A, b"x")
    files.append(A, b"y")


def test_faults_and_lies_hit_chosen_operations():
    files = disk(
        fault=lambda operation: errno.EIO if operation.name == "truncate" else None,
        skip=lambda operation: operation.name == "sync" and operation.path == A,
        record=True,
    )
    settled(files, A, b"never on the disk")
    settled(files, B, b"there")
    with pytest.raises(OSError, match="Input/output"):
        files.truncate(B, 0)
    after = files.after_cut()
    assert (after.read(A), after.read(B)) == (b"", b"there")
    assert [operation.name for operation in files.operations][1:] == [*["append", "sync", "sync_folder"] * 2, "truncate"]


def test_a_full_disk_takes_what_still_fits():
    files = disk(capacity=10)
    files.append(A, b"1234567")
    with pytest.raises(OSError, match="No space") as raised:
        files.append(B, b"12345")
    assert raised.value.errno == errno.ENOSPC
    assert (files.read(B), files.free_bytes(HOME)) == (b"123", 0)
    with pytest.raises(OSError, match="No space"):
        files.replace(A, b"1")
