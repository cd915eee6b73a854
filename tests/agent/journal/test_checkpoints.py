"""The checkpoint file: the newest valid note from the tail, any size by halving, whatever stands behind."""

from __future__ import annotations

import hashlib
import types
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import note
from agent.journal.checkpoints import Checkpoints
from agent.journal.signer import verifier
from simulators.powercut import SimulatedFiles

FOLDER = Path("/journal/1")


@pytest.fixture(scope="module")
def signed():
    """A signed note of any size; its root is made up of the size."""
    from agent.journal.signer import FileSigner

    origin, key = "evidence.example.gov/DSJ-0012345/1", FileSigner.from_seed(bytes(32))

    def sign(size: int) -> str:
        return note.sign(note.checkpoint(origin, size, root(size)), origin, key.algorithm, key.public_key(), key.sign)

    def opened(files: SimulatedFiles) -> Checkpoints:
        return Checkpoints(FOLDER, origin, verifier(origin, key), files)

    return types.SimpleNamespace(note=sign, open=opened)


def root(size: int) -> bytes:
    return hashlib.sha256(b"%d" % size).digest()


def filled(signed, sizes, tail: bytes = b"") -> SimulatedFiles:
    files = SimulatedFiles()
    files.make_folder(FOLDER)
    found = signed.open(files)
    for size in sizes:
        found.append(signed.note(size), size, root(size))
    if tail:
        files.append(FOLDER / "checkpoints", tail)
    return files


@given(steps=st.lists(st.integers(1, 50), max_size=120), asked=st.integers(-1, 7000))
def test_any_size_is_found(signed, steps, asked):
    sizes = [sum(steps[: i + 1]) for i in range(len(steps))]
    found = signed.open(filled(signed, sizes))
    assert (found.newest.size if found.newest else None) == (sizes[-1] if sizes else None)
    expected = max((size for size in sizes if size <= asked), default=None)
    answer = found.at_most(asked)
    assert (answer.size if answer else None) == expected
    assert answer is None or (answer.root == root(answer.size) and answer.text == signed.note(expected))
    assert (found.at(asked) is not None) == (asked in sizes)
    assert [one.size for one in found.backwards()] == sizes[::-1]


def test_every_size_of_a_long_file_is_found(signed):
    found = signed.open(filled(signed, range(3, 900, 2)))
    assert [found.at_most(size).size for size in range(3, 900)] == [size - (size + 1) % 2 for size in range(3, 900)]


@given(data=st.data())
def test_a_torn_tail_hides_no_whole_note(signed, data):
    sizes = list(range(1, data.draw(st.integers(1, 12))))
    torn = signed.note(99).encode()
    torn = torn[: data.draw(st.integers(0, len(torn) - 1))] + data.draw(st.binary(max_size=300).filter(lambda junk: b"\n" not in junk))
    found = signed.open(filled(signed, sizes, torn))
    assert (found.newest.size if found.newest else 0) == (sizes[-1] if sizes else 0)
    assert found.torn == len(torn)
    found.cut()
    assert signed.open(found._files).torn == 0


def test_the_newest_note_is_found_behind_a_long_damage(signed):
    forged = signed.note(500).replace("\n500\n", "\n501\n")
    found = signed.open(filled(signed, [1, 2, 3], forged.encode() * 400))
    assert found.newest.size == 3
    assert found.torn == len(forged.encode()) * 400


def test_damage_in_the_middle_hides_only_what_it_hit(signed):
    files = filled(signed, range(1, 200))
    data = bytearray(files.read(FOLDER / "checkpoints"))
    data[9000:14000] = bytes(5000)
    files.replace(FOLDER / "checkpoints", bytes(data))
    found = signed.open(files)
    assert found.newest.size == 199
    there = [size for size in range(1, 200) if found.at(size)]
    assert len(there) > 160
    assert {1, 2, 198, 199} <= set(there)


def test_forgetting_above_and_below(signed):
    files = filled(signed, [2, 4, 6, 8])
    found = signed.open(files)
    found.forget_above(5)
    assert [one.size for one in found.backwards()] == [4, 2]
    found.append(signed.note(7), 7, root(7))
    found.forget_below(4)
    assert [one.size for one in signed.open(files.after_cut()).backwards()] == [7, 4]
    found.forget_below(100)
    assert [one.size for one in found.backwards()] == [7], "the newest always stays"
    found.forget_above(0)
    assert found.newest is None
    assert files.size(FOLDER / "checkpoints") == 0
